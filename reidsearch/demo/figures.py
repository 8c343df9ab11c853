"""Draw one walking person: who it is (Person) and how a camera sees them (Pose)."""

from collections.abc import Sequence
from dataclasses import dataclass
from enum import StrEnum
from math import cos, hypot, pi, radians, sin, sqrt, tau

import numpy as np
from PIL import Image, ImageDraw, ImageFilter

Color = tuple[int, int, int]
Point = tuple[float, float]
Joint = tuple[float, float, float]  # to the person's left, down from the crown, forward
Row = tuple[float, float, float, float]  # of a torso: down, half width, half depth, forward

WIDTH, HEIGHT = 64, 128  # of a crop in pixels, as in Market-1501
FINE = 4  # figures are drawn this much larger, then scaled down

# A body is 100 units high. Its proportions are a little stylised: at this size a head of true
# size (1/8 of the body) is too small to recognise hair and face by.
UNIT = 1.17  # pixels
SHOULDER, ELBOW, WRIST = 21.2, 14.6, 13.0  # down from the crown; then lengths
HIP, KNEE, ANKLE = 49.0, 24.0, 21.5
SOLE = 99.0
HEAD = 7.4  # its centre
TILT = 0.16  # cameras look down: what is nearer to them is lower in the picture

NEUTRAL = 200  # grey of the light layer that leaves a colour as it is
SHADED, SKIN_SHADED, FOLD = 0.66, 0.78, 0.74
FAR = 0.82  # light on the limb that is further away

INK = (38, 32, 34)
SOLE_COLOR = (226, 224, 218)


class Hair(StrEnum):
    SHORT = "short"
    LONG = "long"
    BUN = "bun"
    BALD = "bald"
    CAP = "cap"
    BEANIE = "beanie"


class Top(StrEnum):
    TSHIRT = "t-shirt"
    SHIRT = "shirt"
    JACKET = "jacket"
    COAT = "coat"
    HOODIE = "hoodie"
    DRESS = "dress"


class Pattern(StrEnum):
    PLAIN = "plain"
    STRIPES = "stripes"
    BLOCK = "block"
    LOGO = "logo"


class Bottom(StrEnum):
    TROUSERS = "trousers"
    SHORTS = "shorts"
    SKIRT = "skirt"


class Bag(StrEnum):
    NONE = "none"
    BACKPACK = "backpack"
    SHOULDER = "shoulder bag"
    HANDBAG = "handbag"


@dataclass(frozen=True)
class Person:
    """All that makes a person recognisable on another camera."""

    skin: Color
    hair: Hair
    hair_color: Color
    hat_color: Color
    top: Top
    top_color: Color
    pattern: Pattern
    accent: Color  # of the pattern and of what shows under an open jacket
    bottom: Bottom  # not seen under a dress
    bottom_color: Color
    shoes: Color
    bag: Bag
    bag_color: Color
    bag_side: int  # 1: left, -1: right
    height: float  # 1 is average, as are the next two
    width: float
    shoulders: float


@dataclass(frozen=True)
class Pose:
    """How one crop sees a person. Positions are pixels of the crop."""

    yaw: float  # degrees: 0 walks towards the camera, 90 to the right, 180 away
    phase: float  # of the gait, 0 to 1
    x: float = WIDTH / 2
    sole: float = HEIGHT * 0.95
    scale: float = 1.0
    sun: int = -1  # side the light comes from: -1 left, 1 right


TORSO: tuple[Row, ...] = (
    (15.6, 3.4, 3.2, -0.6),
    (17.6, 7.6, 4.4, -0.6),
    (19.2, 9.8, 5.4, -0.4),
    (22.0, 10.4, 6.0, 0.0),
    (27.0, 9.8, 6.5, 0.4),
    (34.0, 8.7, 6.0, 0.3),
    (39.0, 8.2, 5.7, 0.2),
    (46.0, 8.9, 6.3, -0.2),
    (52.0, 9.2, 6.5, -0.3),
)
COAT = (*TORSO[:-2], (46.0, 9.4, 6.8, 0.0), (56.0, 10.2, 7.6, 0.0), (69.0, 11.2, 8.8, 0.0))
DRESS = (
    *TORSO[:-3],
    (38.0, 7.3, 5.2, 0.2),
    (46.0, 9.0, 6.6, 0.0),
    (56.0, 10.6, 8.0, 0.0),
    (69.0, 12.4, 9.6, 0.0),
)
SKIRT = ((42.0, 7.9, 5.8, 0.0), (50.0, 9.6, 7.0, 0.0), (66.0, 11.4, 8.8, 0.0))
PELVIS = ((43.0, 8.4, 6.0, 0.0), (50.0, 8.9, 6.4, -0.4), (55.0, 8.0, 5.4, 0.0))
STRIPES = np.arange(23.0, 70.0, 5.2)
STRIPE = 2.5
LONG_SLEEVES = (Top.SHIRT, Top.JACKET, Top.COAT, Top.HOODIE)


def draw(person: Person, pose: Pose) -> Image.Image:
    """The person alone, as an RGBA picture of a crop's size."""
    return _Figure(person, pose).draw()


def shade(color: Color, factor: float) -> Color:
    """The colour darkened (below 1) or lightened (above 1)."""
    r, g, b = (min(255, round(value * factor)) for value in color)
    return r, g, b


class _Figure:
    """A colour layer, and a light layer that gives the flat colours form."""

    def __init__(self, person: Person, pose: Pose) -> None:
        self.person, self.pose = person, pose
        self.cos, self.sin = cos(radians(pose.yaw)), sin(radians(pose.yaw))
        self.unit = UNIT * FINE * pose.scale * person.height
        self.girth = person.width / person.height
        size = (WIDTH * FINE, HEIGHT * FINE)
        self.colors = Image.new("RGBA", size)
        self.light = Image.new("L", size, round(NEUTRAL * SHADED))
        self.paint = ImageDraw.Draw(self.colors)
        self.lamp = ImageDraw.Draw(self.light)
        self.legs = {side: _leg(side, pose.phase) for side in (1, -1)}
        self.arms = {side: _arm(side, pose.phase, person.shoulders) for side in (1, -1)}
        # The lower foot stands on the ground, which makes the rest of the body bob.
        self.bob = SOLE - max(toe[1] for leg in self.legs.values() for toe in leg[3:])

    def draw(self) -> Image.Image:
        person = self.person
        seen_from_behind = self.cos < 0
        far, near = sorted((1, -1), key=lambda side: self._toward(self.arms[side][1]))
        if not seen_from_behind:
            self._backpack()
            self._hair_behind()
        self._arm(far, FAR)
        for side in sorted((1, -1), key=lambda side: self._toward(self.legs[side][1])):
            self._leg(side, FAR if side == far else 1.0)
        self._neck()
        if person.top is not Top.DRESS:
            rows = SKIRT if person.bottom is Bottom.SKIRT else PELVIS
            self._body(rows, person.bottom_color)
        self._top()
        self._shoulder_bag()
        if seen_from_behind:
            self._head()
            self._hair_behind()
            self._backpack()
        else:
            self._backpack_straps()
            self._head()
        self._arm(near, 1.0)
        return self._finish()

    # ---- where things are -------------------------------------------------------------------

    def _toward(self, joint: Joint) -> float:
        return joint[2] * self.cos - joint[0] * self.sin

    def _at(self, joint: Joint) -> Point:
        across = (joint[0] * self.cos + joint[2] * self.sin) * self.girth
        down = joint[1] + self.bob + TILT * self._toward(joint)
        return (
            self.pose.x * FINE + across * self.unit,
            self.pose.sole * FINE + (down - 100) * self.unit,
        )

    def _half(self, width: float, depth: float) -> float:
        """Half the apparent width of an ellipse of these half axes, at this yaw."""
        return sqrt((width * self.cos) ** 2 + (depth * self.sin) ** 2)

    # ---- shapes, each in colour and in light ------------------------------------------------

    def _limb(
        self,
        joints: Sequence[Joint],
        radii: Sequence[float],
        color: Color,
        *,
        level: float = 1.0,
        shaded: float = SHADED,
        cut: bool = False,
    ) -> None:
        """A tapered chain through the joints, rounded at its end unless it is cut."""
        points = [self._at(joint) for joint in joints]
        sizes = [radius * self.unit * self.girth for radius in radii]
        _chain(self.paint, points, sizes, color, cut)
        _chain(self.lamp, points, sizes, round(NEUTRAL * level * shaded), cut)
        shift = self.pose.sun * 0.35
        lit = [(x + shift * size, y) for (x, y), size in zip(points, sizes, strict=True)]
        _chain(self.lamp, lit, [size * 0.7 for size in sizes], round(NEUTRAL * level), cut)

    def _disc(
        self, joint: Joint, half: Point, color: Color, *, shaded: float = SHADED, lit: bool = True
    ) -> None:
        x, y = self._at(joint)
        rx, ry = half[0] * self.unit * self.girth, half[1] * self.unit
        self.paint.ellipse((x - rx, y - ry, x + rx, y + ry), color)
        if lit:
            self.lamp.ellipse((x - rx, y - ry, x + rx, y + ry), round(NEUTRAL * shaded))
            x, y = x + self.pose.sun * 0.3 * rx, y - 0.15 * ry
            rx, ry = 0.75 * rx, 0.8 * ry
            self.lamp.ellipse((x - rx, y - ry, x + rx, y + ry), NEUTRAL)

    def _outline(self, rows: Sequence[Row], top: float, bottom: float) -> list[Point]:
        """The silhouette of the part of a torso between two heights, clockwise."""
        knots = np.array(rows)
        down = np.array([top, *(v for v in knots[:, 0] if top < v < bottom), bottom])
        width, depth, forward = (np.interp(down, knots[:, 0], knots[:, i]) for i in (1, 2, 3))
        # Shoulders make the figure's frame, and the waist follows them; hips do not.
        width = width * np.interp(down, (36, 48), (self.person.shoulders, 1))
        left, right = [], []
        for v, w, d, f in zip(down.tolist(), width, depth, forward, strict=True):
            x, y = self._at((0, v, f))
            half = self._half(w, d) * self.unit * self.girth
            left.append((x - half, y))
            right.append((x + half, y))
        return left + right[::-1]

    def _body(self, rows: Sequence[Row], color: Color) -> None:
        outline = self._outline(rows, rows[0][0], rows[-1][0])
        self.paint.polygon(outline, color)
        self.lamp.polygon(outline, round(NEUTRAL * SHADED))
        middle = self._at((0, 0, 0))[0]
        lit = [(middle + 0.76 * (x - middle), y) for x, y in outline]
        shift = self.pose.sun * 1.6 * self.unit
        self.lamp.polygon([(x + shift, y) for x, y in lit], NEUTRAL)

    def _band(self, rows: Sequence[Row], top: float, bottom: float, color: Color) -> None:
        """Part of a torso in another colour; its light stays as it is."""
        self.paint.polygon(self._outline(rows, top, bottom), color)

    def _fold(self, *joints: Joint, width: float = 0.8) -> None:
        points = [self._at(joint) for joint in joints]
        self.lamp.line(points, round(NEUTRAL * FOLD), round(width * self.unit), "curve")

    def _stroke(self, joints: Sequence[Joint], color: Color, width: float) -> None:
        points = [self._at(joint) for joint in joints]
        self.paint.line(points, color, max(1, round(width * self.unit)), "curve")

    # ---- parts of a person ------------------------------------------------------------------

    def _leg(self, side: int, level: float) -> None:
        person = self.person
        hip, knee, ankle, heel, toe = self.legs[side]
        self._limb((ankle, heel, toe), (2.1, 2.2, 1.8), person.shoes, level=level)
        self._stroke((_lower(heel, 1.5), _lower(toe, 1.2)), SOLE_COLOR, 0.9)
        bare = person.top is Top.DRESS or person.bottom is not Bottom.TROUSERS
        if not bare:
            self._limb((hip, knee, ankle), (5.0, 3.9, 3.0), person.bottom_color, level=level)
            self._fold(_lower(knee, -1.5), _lower(knee, 1), width=1.2)
            return
        self._limb((hip, knee), (4.6, 3.2), person.skin, level=level, shaded=SKIN_SHADED)
        calf = _between(knee, ankle, 0.35)
        self._limb(
            (knee, calf, ankle), (3.0, 2.9, 1.8), person.skin, level=level, shaded=SKIN_SHADED
        )
        if person.bottom is Bottom.SHORTS and person.top is not Top.DRESS:
            short = (hip, _between(hip, knee, 0.86))
            self._limb(short, (5.1, 4.5), person.bottom_color, level=level, cut=True)

    def _arm(self, side: int, level: float) -> None:
        person = self.person
        shoulder, elbow, wrist, hand = self.arms[side]
        self._limb((wrist, hand), (1.5, 1.9), person.skin, level=level, shaded=SKIN_SHADED)
        if person.bag is Bag.HANDBAG and side == person.bag_side:
            self._handbag(hand)
        thick = 0.5 if person.top in (Top.COAT, Top.JACKET, Top.HOODIE) else 0.0
        color = person.top_color
        if person.top in LONG_SLEEVES:
            radii = (3.1 + thick, 2.7 + thick, 2.0 + thick)
            self._limb((shoulder, elbow, wrist), radii, color, level=level)
            self._fold(_lower(elbow, -1), _lower(elbow, 1), width=1.0)
        else:
            radii = (2.7, 2.3, 1.6)
            self._limb(
                (shoulder, elbow, wrist), radii, person.skin, level=level, shaded=SKIN_SHADED
            )
            sleeve = (shoulder, _between(shoulder, elbow, 0.62))
            self._limb(sleeve, (3.2, 3.2), color, level=level, cut=True)
        if person.pattern is Pattern.STRIPES:
            self._sleeve_stripes(shoulder, elbow, wrist)

    def _sleeve_stripes(self, shoulder: Joint, elbow: Joint, wrist: Joint) -> None:
        bands = [(shoulder, elbow, t) for t in (0.12, 0.46)]
        if self.person.top in LONG_SLEEVES:
            bands += [(shoulder, elbow, 0.8), (elbow, wrist, 0.2), (elbow, wrist, 0.6)]
        for start, end, t in bands:
            (ax, ay), (bx, by) = self._at(start), self._at(end)
            x, y = ax + t * (bx - ax), ay + t * (by - ay)
            across = 2.9 * self.unit * self.girth / (hypot(bx - ax, by - ay) or 1.0)
            dx, dy = across * (by - ay), across * (ax - bx)
            line = (x - dx, y - dy, x + dx, y + dy)
            self.paint.line(line, self.person.accent, round(STRIPE * self.unit))

    def _neck(self) -> None:
        neck = ((0.0, 12.0, 0.0), (0.0, 17.0, -0.6))
        self._limb(neck, (2.5, 2.9), self.person.skin, level=0.85, shaded=SKIN_SHADED)

    def _top(self) -> None:
        person, color = self.person, self.person.top_color
        rows = {Top.COAT: COAT, Top.DRESS: DRESS}.get(person.top, TORSO)
        hem = rows[-1][0]
        self._body(rows, color)
        if person.pattern is Pattern.STRIPES:
            for top in STRIPES[hem > STRIPES + STRIPE].tolist():
                self._band(rows, top, top + STRIPE, person.accent)
        elif person.pattern is Pattern.BLOCK:
            self._band(rows, 31.0, min(hem, 44.0), person.accent)
        for side in (1, -1):  # from the armpits to the waist
            self._fold((side * 7.5, 27, 5 * self.cos), (side * 5.5, 33, 5 * self.cos))
            self._fold((side * 7.5, 42, 5 * self.cos), (side * 3.0, 45, 5 * self.cos))
        if person.top in (Top.COAT, Top.DRESS):
            for lat in (-5.0, 0.5, 5.5):
                self._fold((lat * 0.8, 50, 0), (lat, hem - 1, 0), width=1.1)
        if person.top is Top.DRESS:
            self._band(rows, 37.5, 39.5, shade(color, 0.7))
        if person.top is Top.HOODIE:
            self._disc((0, 17.6, -1.6), (self._half(6.6, 5.4), 3.4), shade(color, 0.85))
            if self.cos > 0:
                self._disc((0, 16.2, 1.5), (2.7, 2.6), shade(person.skin, 0.86), lit=False)
        if self.cos > 0.25:
            self._front(hem)
        elif person.pattern is Pattern.LOGO and self.cos < -0.25:
            self._print(-5.5)

    def _front(self, hem: float) -> None:
        """What shows where a garment opens or carries a print."""
        person, color = self.person, self.person.top_color
        if person.top in (Top.JACKET, Top.COAT):
            inner = person.accent
            low = hem - 1 if person.top is Top.JACKET else 40.0
            wide = 2.7 * self.cos
            panel = [(-3.4, 16.2, 3.0), (3.4, 16.2, 3.0), (wide, low, 6.0), (-wide, low, 6.0)]
            self.paint.polygon([self._at(joint) for joint in panel], inner)
            for side in (1, -1):
                self._fold((side * 3.4, 17, 3), (side * wide, low, 6), width=1.0)
                collar = [(side * 2.6, 15.4, 2), (side * 6, 18.2, 4), (side * 3, 25, 6)]
                self.paint.polygon([self._at(joint) for joint in collar], shade(color, 0.82))
            self._disc((0, 16.0, 2.5), (2.5, 1.9), shade(person.skin, 0.86), lit=False)
            if person.top is Top.COAT:
                self._stroke(((0, low, 6.0), (0, hem, 7.0)), shade(color, 0.6), 0.7)
            return
        if person.top is Top.SHIRT:
            self._disc((0, 15.9, 2.5), (2.3, 1.8), shade(person.skin, 0.86), lit=False)
            for side in (1, -1):
                collar = [(side * 1.2, 18.8, 4), (side * 3.6, 15.0, 1), (side * 5.2, 18.4, 3)]
                self.paint.polygon([self._at(joint) for joint in collar], shade(color, 1.16))
            self._stroke(((0, 18.5, 4), (0, hem - 1, 6)), shade(color, 0.7), 0.7)
        elif person.top is Top.HOODIE:
            self._fold((-5, 41, 6), (5, 41, 6))
            for side in (1, -1):
                self._fold((side * 5, 41, 6), (side * 6.4, 47, 6))
                self._stroke(((side * 1.6, 18.6, 5), (side * 1.9, 25, 6)), SOLE_COLOR, 0.7)
        else:
            self._disc((0, 16.2, 2.0), (3.2, 2.5), shade(person.skin, 0.9), lit=False)
        if person.pattern is Pattern.LOGO:
            self._print(6.2)

    def _print(self, forward: float) -> None:
        """Two lines of lettering, the second shorter."""
        for down, half, width in ((26.5, 4.2, 2.2), (30.2, 2.8, 1.6)):
            line = ((-half, down, forward), (half, down, forward))
            self._stroke(line, self.person.accent, width)

    def _head(self) -> None:
        person = self.person
        bald = person.hair is Hair.BALD
        cover = person.skin if bald else person.hair_color
        skull = (self._half(4.9, 5.6), 6.9)
        shaded = SKIN_SHADED if bald else SHADED
        if person.hair is Hair.LONG and self.cos > 0:
            for side in (1, -1):
                lock = ((side * 4.2, 6.0, 0.0), (side * 5.0, 14.0, 0.6), (side * 5.2, 22.0, 1.8))
                self._limb(lock, (2.0, 2.0, 1.1), person.hair_color)
        self._disc((0, HEAD - 0.6, -0.3), skull, cover, shaded=shaded)
        if self.cos < 0 and not bald and person.hair is not Hair.LONG:  # a bare nape
            self._disc((0, 13.0, -1.2), (2.8, 2.2), shade(person.skin, 0.9), lit=False)
        if self.cos > -0.35:
            self._face()
        if abs(self.cos) < 0.92 or person.hair is not Hair.LONG:
            for side in (1, -1):
                ear = (side * 4.7, HEAD + 1.4, -0.2)
                if self._toward(ear) > -2.5 and person.hair is not Hair.LONG:
                    self._disc(ear, (0.9, 1.5), shade(person.skin, 0.88), lit=False)
        if person.hair in (Hair.CAP, Hair.BEANIE):
            self._hat()
        elif person.hair is Hair.BUN and self.cos > 0:
            self._bun()

    def _face(self) -> None:
        person = self.person
        half = 3.9 * (0.74 + 0.26 * self.cos)
        self._disc((0, HEAD + 1.5, 2.3), (half, 5.4), person.skin, shaded=SKIN_SHADED)
        if abs(self.sin) > 0.5:
            nose = [(0, HEAD + 0.2, 5.4), (0, HEAD + 2.6, 7.0), (0, HEAD + 3.2, 5.0)]
            self.paint.polygon([self._at(joint) for joint in nose], person.skin)
        for side in (1, -1):
            eye = (side * 1.9, HEAD + 0.6, 4.2)
            if self._toward(eye) > 0.2:
                self._disc(eye, (0.62, 0.6), INK, lit=False)
                self._stroke(
                    ((side * 1.0, HEAD - 1.0, 4.2), (side * 2.8, HEAD - 0.8, 3.8)),
                    shade(person.hair_color, 0.9),
                    0.6,
                )
        if self.cos > 0:
            lips = shade(person.skin, 0.68)
            self._stroke(((-1.1, HEAD + 4.2, 4.2), (1.1, HEAD + 4.2, 4.2)), lips, 0.7)
            self._fold((0.4, HEAD + 1.0, 4.6), (0.5, HEAD + 2.6, 4.8), width=0.7)

    def _hat(self) -> None:
        person = self.person
        x, y = self._at((0, HEAD - 2.0, 0))
        rx = self._half(5.3, 5.9) * self.unit * self.girth
        ry = (6.6 if person.hair is Hair.BEANIE else 5.8) * self.unit
        box = (x - rx, y - ry, x + rx, y + ry)
        self.paint.chord(box, 180, 360, person.hat_color)
        self.lamp.chord(box, 180, 360, round(NEUTRAL * SHADED))
        lean = self.pose.sun * 0.25 * rx
        self.lamp.chord((box[0] + lean, box[1], box[2] + lean, box[3]), 190, 350, NEUTRAL)
        if person.hair is Hair.BEANIE:
            cuff = (x - rx, y - 1.3 * self.unit, x + rx, y + 1.0 * self.unit)
            self.paint.rounded_rectangle(cuff, self.unit, shade(person.hat_color, 0.8))
        elif self.cos > -0.5:
            brim = (self._half(4.6, 3.6), 1.2)
            self._disc((0, HEAD - 2.2, 5.6), brim, shade(person.hat_color, 0.75), lit=False)

    def _bun(self) -> None:
        self._disc((0, 0.4 - 1.4 * abs(self.cos), -4.4), (2.9, 2.6), self.person.hair_color)

    def _hair_behind(self) -> None:
        if self.person.hair is Hair.LONG:
            mane = ((0.0, 6.5, -1.2), (0.0, 15.0, -3.0), (0.0, 24.0, -4.4))
            self._limb(mane, (5.0, 4.6, 3.2), self.person.hair_color)
        elif self.person.hair is Hair.BUN and self.cos < 0:
            self._bun()

    # ---- bags -------------------------------------------------------------------------------

    def _backpack(self) -> None:
        if self.person.bag is not Bag.BACKPACK:
            return
        color = self.person.bag_color
        half = self._half(7.2, 4.2) * self.unit * self.girth
        x, top = self._at((0, 18.5, -8.2))
        bottom = self._at((0, 42.5, -8.2))[1]
        box = (x - half, top, x + half, bottom)
        round_ = 3.4 * self.unit
        self.paint.rounded_rectangle(box, round_, color)
        self.lamp.rounded_rectangle(box, round_, round(NEUTRAL * SHADED))
        lean = self.pose.sun * 0.22 * half
        lit = (x - 0.74 * half + lean, top + self.unit, x + 0.74 * half + lean, bottom)
        self.lamp.rounded_rectangle(lit, round_, NEUTRAL)
        if self.cos < 0:
            pocket = (x - 0.68 * half, top + 0.52 * (bottom - top), x + 0.68 * half, bottom - 4)
            self.paint.rounded_rectangle(pocket, 0.6 * round_, shade(color, 0.8))
            zip_ = top + 0.24 * (bottom - top)
            self.paint.line((x - 0.7 * half, zip_, x + 0.7 * half, zip_), shade(color, 0.6), 3)

    def _backpack_straps(self) -> None:
        if self.person.bag is Bag.BACKPACK:
            # From the side, the far strap is hidden by the chest.
            for side in (1, -1) if self.cos > 0.5 else (1 if self.sin < 0 else -1,):
                wide = side * 6.2 * self.person.shoulders
                strap = ((wide, 17.0, -0.5), (wide, 24.0, 5.6), (side * 7.4, 36.0, 3.2))
                self._stroke(strap, shade(self.person.bag_color, 0.9), 1.8)

    def _shoulder_bag(self) -> None:
        person = self.person
        if person.bag is not Bag.SHOULDER:
            return
        side = person.bag_side
        front = 5.6 if self.cos > 0 else -5.6
        strap = ((-side * 6.0, 17.0, 0.0), (0.0, 31.0, front), (side * 8.4, 45.0, 0.0))
        self._stroke(strap, shade(person.bag_color, 0.8), 1.5)
        hangs = (side * 9.6, 50.0, -1.0)
        if self._toward(hangs) < -4:
            return
        self._pouch(hangs, self._half(3.6, 5.6), 9.5)

    def _handbag(self, hand: Joint) -> None:
        x, y = self._at(hand)
        wide = 1.9 * self.unit
        loop = (x - wide, y, x + wide, y + 9.0 * self.unit)
        color = self.person.bag_color
        self.paint.arc(loop, 180, 360, shade(color, 0.7), round(0.9 * self.unit))
        self._pouch(_lower(hand, 8.2), self._half(4.0, 5.4), 8.6)

    def _pouch(self, centre: Joint, half: float, tall: float) -> None:
        x, y = self._at(centre)
        wide, high = half * self.unit, tall / 2 * self.unit
        color = self.person.bag_color
        box = (x - wide, y - high, x + wide, y + high)
        self.paint.rounded_rectangle(box, 1.4 * self.unit, color)
        self.lamp.rounded_rectangle(box, 1.4 * self.unit, round(NEUTRAL * 0.95))
        flap = (x - wide, y - high, x + wide, y - 0.1 * high)
        self.paint.rounded_rectangle(flap, 1.4 * self.unit, shade(color, 0.82))

    def _finish(self) -> Image.Image:
        size = (WIDTH, HEIGHT)
        colors = np.array(self.colors.resize(size, Image.Resampling.LANCZOS), np.float32)
        light = self.light.resize(size, Image.Resampling.BOX).filter(ImageFilter.GaussianBlur(0.6))
        level = np.asarray(light, np.float32)[..., None] / NEUTRAL
        # Shade is bluer than light, as the sky alone lights it; the last channel is opacity.
        colors *= level ** np.array([1.08, 1.0, 0.9, 0.0], np.float32)
        return Image.fromarray(colors.clip(0, 255).astype(np.uint8))


def _leg(side: int, phase: float) -> tuple[Joint, Joint, Joint, Joint, Joint]:
    """Hip, knee, ankle, heel and toe of one leg."""
    turn = tau * phase + (0 if side > 0 else pi)
    thigh = radians(20) * sin(turn) + radians(3)
    shin = thigh - radians(6) - radians(36) * max(0.0, cos(turn)) ** 1.5
    if sin(turn) < 0:  # the trailing leg bends before it lifts
        shin -= radians(10) * -sin(turn)
    hip = (side * 4.2, HIP, 0.0)
    knee = (side * 4.1, HIP + KNEE * cos(thigh), KNEE * sin(thigh))
    ankle = (side * 3.7, knee[1] + ANKLE * cos(shin), knee[2] + ANKLE * sin(shin))
    pitch = -0.75 * shin  # of the foot, toes down
    heel = _along(ankle, pitch, -0.8, 3.0)
    toe = _along(ankle, pitch, 5.2, 3.3)
    return hip, knee, ankle, heel, toe


def _along(ankle: Joint, pitch: float, forward: float, down: float) -> Joint:
    return (
        ankle[0] * (1 + 0.03 * forward),
        ankle[1] + forward * sin(pitch) + down * cos(pitch),
        ankle[2] + forward * cos(pitch) - down * sin(pitch),
    )


def _arm(side: int, phase: float, shoulders: float) -> tuple[Joint, Joint, Joint, Joint]:
    """Shoulder, elbow, wrist and hand of one arm; it swings against the leg of its side."""
    turn = tau * phase + (pi if side > 0 else 0)
    upper = radians(20) * sin(turn) - radians(4)
    lower = upper + radians(16) + radians(14) * max(0.0, sin(turn))
    lat = 8.7 * shoulders
    shoulder = (side * lat, SHOULDER, -0.3)
    elbow = (side * (lat + 2.4), SHOULDER + ELBOW * cos(upper), ELBOW * sin(upper))
    wrist = (side * (lat + 2.7), elbow[1] + WRIST * cos(lower), elbow[2] + WRIST * sin(lower))
    hand = _between(elbow, wrist, 1.2)
    return shoulder, elbow, wrist, hand


def _between(start: Joint, end: Joint, t: float) -> Joint:
    a, b, c = (s + t * (e - s) for s, e in zip(start, end, strict=True))
    return a, b, c


def _lower(joint: Joint, by: float) -> Joint:
    return joint[0], joint[1] + by, joint[2]


def _chain(
    draw: ImageDraw.ImageDraw,
    points: Sequence[Point],
    radii: Sequence[float],
    fill: Color | int,
    cut: bool,
) -> None:
    for (x, y), r in list(zip(points, radii, strict=True))[: -1 if cut else None]:
        draw.ellipse((x - r, y - r, x + r, y + r), fill)
    for i in range(len(points) - 1):
        (ax, ay), (bx, by) = points[i], points[i + 1]
        length = hypot(bx - ax, by - ay) or 1.0
        nx, ny = (ay - by) / length, (bx - ax) / length
        a, b = radii[i], radii[i + 1]
        draw.polygon(
            [
                (ax + nx * a, ay + ny * a),
                (bx + nx * b, by + ny * b),
                (bx - nx * b, by - ny * b),
                (ax - nx * a, ay - ny * a),
            ],
            fill,
        )
