"""A small data set of drawn pedestrians in the Market-1501 layout, for the demo and for tests."""

import io
import random
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from itertools import count, pairwise
from math import radians, sin
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw, ImageFilter

from reidsearch.demo import figures
from reidsearch.demo.figures import (
    HEIGHT,
    WIDTH,
    Bag,
    Bottom,
    Color,
    Hair,
    Pattern,
    Person,
    Pose,
    Top,
    shade,
)

QUERY, GALLERY, TRAIN = "query", "bounding_box_test", "bounding_box_train"
DISTRACTOR, JUNK = 0, -1
QUALITY = 92
TRACK = (2, 4)  # crops of a walk past one camera
CAMERAS_SEEN = (2, 3, 3, 4, 4)  # by how many cameras a person is seen; one is picked
JUNK_SHARE = 0.5  # of the number of identities
SEQUENCE = 2400  # frames
MID_GREY = 118  # contrast pulls away from it

SCENE_FINE = 2  # scenes are kept this much larger than crops
SCENE = (600 * SCENE_FINE, 160 * SCENE_FINE)
VIEWS = (0, 28, -32, 180, 155, -150, 90, 75, -90, -75, 0, 180)

SKINS: tuple[Color, ...] = (
    (238, 198, 170),
    (226, 180, 148),
    (214, 164, 128),
    (186, 132, 96),
    (142, 96, 68),
    (100, 68, 50),
)
DARK_HAIR: tuple[Color, ...] = ((34, 28, 28), (52, 38, 32), (78, 52, 38))
LIGHT_HAIR: tuple[Color, ...] = ((122, 78, 46), (176, 132, 78), (150, 74, 44), (168, 166, 164))

NAVY, CHARCOAL, BLACK = (40, 54, 88), (66, 69, 76), (36, 37, 42)
WHITE, CREAM, GREY = (236, 235, 230), (230, 218, 192), (156, 161, 168)
DENIM, PALE_DENIM, INDIGO = (74, 98, 138), (136, 160, 190), (46, 56, 86)
KHAKI, BROWN, OLIVE = (182, 160, 122), (108, 76, 56), (106, 114, 70)
RED, BRICK, MUSTARD, CORAL = (190, 46, 52), (172, 84, 58), (218, 166, 54), (228, 116, 96)
FOREST, TEAL, MINT, SKY = (46, 98, 74), (36, 126, 132), (158, 206, 180), (128, 178, 214)
COBALT, LILAC, PLUM, PINK = (46, 92, 184), (164, 146, 200), (112, 56, 98), (226, 152, 166)
ORANGE, LIME = (226, 118, 44), (164, 184, 70)

# A top, what goes with it as accent, and bottoms that go with both.
PALETTES: tuple[tuple[Color, Color, tuple[Color, ...]], ...] = (
    (RED, CREAM, (INDIGO, KHAKI, BLACK)),
    (MUSTARD, CHARCOAL, (DENIM, BLACK, BROWN)),
    (WHITE, NAVY, (DENIM, BLACK, KHAKI)),
    (BLACK, ORANGE, (GREY, DENIM, CHARCOAL)),
    (TEAL, CREAM, (CHARCOAL, KHAKI, WHITE)),
    (PINK, WHITE, (DENIM, GREY, NAVY)),
    (COBALT, WHITE, (KHAKI, BLACK, GREY)),
    (OLIVE, CREAM, (BLACK, PALE_DENIM, BROWN)),
    (CORAL, CREAM, (NAVY, WHITE, DENIM)),
    (GREY, RED, (BLACK, INDIGO, OLIVE)),
    (FOREST, MUSTARD, (KHAKI, INDIGO, GREY)),
    (SKY, WHITE, (NAVY, KHAKI, CHARCOAL)),
    (PLUM, PINK, (BLACK, GREY, PALE_DENIM)),
    (NAVY, WHITE, (KHAKI, PALE_DENIM, BRICK)),
    (CREAM, BRICK, (BROWN, INDIGO, FOREST)),
    (BRICK, CREAM, (INDIGO, BLACK, PALE_DENIM)),
    (LILAC, WHITE, (CHARCOAL, PALE_DENIM, WHITE)),
    (MINT, FOREST, (INDIGO, GREY, BROWN)),
    (CHARCOAL, SKY, (PALE_DENIM, BLACK, KHAKI)),
    (KHAKI, NAVY, (NAVY, CHARCOAL, FOREST)),
    (ORANGE, WHITE, (CHARCOAL, DENIM, BLACK)),
    (BROWN, CREAM, (PALE_DENIM, BLACK, KHAKI)),
    (LIME, CHARCOAL, (CHARCOAL, INDIGO, DENIM)),
    (INDIGO, CORAL, (GREY, CREAM, CHARCOAL)),
)
BAGS = (BLACK, BROWN, RED, NAVY, MUSTARD, OLIVE, TEAL, CREAM)
SHOES = (WHITE, BLACK, BROWN, WHITE, RED, GREY)


@dataclass(frozen=True)
class Camera:
    """What one camera sees, and how it renders it."""

    scene: Image.Image
    sun: int  # -1: from the left, 1: from the right
    shadow: float  # 0 to 1, how hard the light is
    cast: tuple[float, float, float]  # gain of red, green and blue
    contrast: float
    brightness: float
    blur: float  # pixels
    noise: float  # grey levels


@dataclass(frozen=True)
class Place:
    """Where in the scene a crop lies, in pixels of a crop, and its frame."""

    x: float
    y: float
    zoom: float
    frame: int


def draw_dataset(
    root: Path, *, identities: int = 40, training: int = 0, cameras: int = 4, seed: int = 0
) -> int:
    """Draw a data set into ``query`` and ``bounding_box_test`` at ``root``.

    Every identity is seen by two cameras or more, and has one query. The gallery also holds
    distractors (people of identity 0) and junk (badly framed crops, identity -1). So many other
    identities for ``training`` go to ``bounding_box_train``; the test split is the same with them
    or without. The same seed draws the same pictures. Returns how many images there are.

    Raises ValueError where there are less than two cameras or no identities.
    """
    if cameras < 2 or identities < 1:
        raise ValueError(f"{cameras} cameras and {identities} identities are too few")
    for folder in (QUERY, GALLERY, TRAIN) if training else (QUERY, GALLERY):
        (root / folder).mkdir(parents=True, exist_ok=True)
    studio = _Studio(root, cameras, seed)
    rng = studio.rng
    people = _people(rng)
    for identity in range(1, identities + 1):
        person = next(people)
        seen = studio.seen_by()
        for number in sorted(seen):
            walk = studio.walk(number, rng.randint(*TRACK) + (number == seen[0]))
            asked = rng.randrange(len(walk)) if number == seen[0] else None
            for i, (pose, place) in enumerate(walk):
                folder = QUERY if i == asked else GALLERY
                studio.shoot(folder, identity, number, place, person, pose)
    for _ in range(identities):
        number = rng.randrange(cameras)
        pose, place = studio.walk(number, 1)[0]
        studio.shoot(GALLERY, DISTRACTOR, number, place, next(people), pose)
    for _ in range(round(identities * JUNK_SHARE)):
        number = rng.randrange(cameras)
        pose, place = studio.walk(number, 1)[0]
        studio.shoot(GALLERY, JUNK, number, place, next(people), _misframed(rng, pose))
    for identity in range(identities + 1, identities + training + 1):
        person = next(people)
        for number in sorted(studio.seen_by()):
            for pose, place in studio.walk(number, rng.randint(*TRACK)):
                studio.shoot(TRAIN, identity, number, place, person, pose)
    return studio.drawn


class _Studio:
    """The cameras, their clocks, and where the pictures go."""

    def __init__(self, root: Path, cameras: int, seed: int) -> None:
        self.root = root
        self.rng = random.Random(seed)
        self.noise = np.random.default_rng(seed)
        self.cameras = [_camera(number, self.rng, self.noise) for number in range(cameras)]
        self.clocks = [self.rng.randint(20, 400) for _ in range(cameras)]
        self.drawn = 0

    def seen_by(self) -> list[int]:
        """The cameras that somebody passes, in no order."""
        cameras = len(self.cameras)
        return self.rng.sample(range(cameras), min(cameras, self.rng.choice(CAMERAS_SEEN)))

    def walk(self, camera: int, crops: int) -> list[tuple[Pose, Place]]:
        """A short walk past a camera: what each crop shows, and where and when."""
        rng = self.rng
        yaw, phase = rng.choice(VIEWS), rng.random()
        reach = SCENE[0] / SCENE_FINE - WIDTH
        x, y, zoom = reach * rng.random(), rng.uniform(-8, 8), rng.uniform(0.9, 1.05)
        self.clocks[camera] += rng.randint(30, 160)
        steps = []
        for _ in range(crops):
            self.clocks[camera] += rng.randint(8, 25)
            phase += rng.uniform(0.15, 0.4)
            x = min(max(x + 9 * sin(radians(yaw)), 0), reach)
            pose = Pose(
                yaw=yaw + rng.uniform(-8, 8),
                phase=phase % 1,
                x=WIDTH / 2 + rng.gauss(0, 1.6),
                sole=HEIGHT * 0.955 + rng.gauss(0, 1.5),
                scale=rng.uniform(0.96, 1.03),
                sun=self.cameras[camera].sun,
            )
            steps.append((pose, Place(x, y + rng.gauss(0, 1), zoom, self.clocks[camera])))
        return steps

    def shoot(
        self, folder: str, identity: int, camera: int, place: Place, person: Person, pose: Pose
    ) -> None:
        picture = self._picture(self.cameras[camera], place, person, pose)
        name = f"{identity:04d}" if identity >= 0 else "-1"
        sequence, frame = 1 + place.frame // SEQUENCE, place.frame % SEQUENCE
        name += f"_c{camera + 1}s{sequence}_{frame:06d}_{self.rng.randint(1, 4):02d}.jpg"
        drawn = io.BytesIO()
        picture.save(drawn, "JPEG", quality=QUALITY)
        file = self.root / folder / name
        # One that is there stays as it is: an ingest would look at it again, and encode it.
        if not file.exists() or file.read_bytes() != drawn.getvalue():
            file.write_bytes(drawn.getvalue())
        self.drawn += 1

    def _picture(self, camera: Camera, place: Place, person: Person, pose: Pose) -> Image.Image:
        """A crop of the scene, the person's shadow and the person, as the camera renders them."""
        width, height = WIDTH * SCENE_FINE / place.zoom, HEIGHT * SCENE_FINE / place.zoom
        left = min(place.x * SCENE_FINE, SCENE[0] - width)
        top = min(max((SCENE[1] - height) / 2 + place.y * SCENE_FINE, 0), SCENE[1] - height)
        box = (left, top, left + width, top + height)
        behind = camera.scene.resize((WIDTH, HEIGHT), Image.Resampling.BICUBIC, box)
        shadowed = np.asarray(behind, np.float32) * _shadow(camera, pose)
        crop = Image.fromarray(shadowed.astype(np.uint8))
        figure = figures.draw(person, pose)
        crop.paste(figure, (0, 0), figure)
        return _render(crop, camera, self.rng.gauss(1, 0.04), self.noise)


def _shadow(camera: Camera, pose: Pose) -> NDArray[np.float32]:
    """How much light is left around the feet, and where the body's shadow falls."""
    down = np.arange(HEIGHT, dtype=np.float32)[:, None] - (pose.sole - 2)
    across = (np.arange(WIDTH, dtype=np.float32) - pose.x) / pose.scale
    contact = np.exp(-((across / 13) ** 2) - (down / 3.5) ** 2)
    # The shadow leans away from the sun, and is foreshortened on the ground.
    away = -camera.sun * across
    cast = np.exp(-(((away - 16) / 19) ** 2) - ((down + 0.2 * away) / 4.5) ** 2)
    dark = np.maximum(0.55 * contact, camera.shadow * cast)[..., None]
    light: NDArray[np.float32] = 1 - dark * np.array([1.0, 0.96, 0.88], np.float32)
    return light


def _render(
    crop: Image.Image, camera: Camera, exposure: float, noise: np.random.Generator
) -> Image.Image:
    if camera.blur:
        crop = crop.filter(ImageFilter.GaussianBlur(camera.blur))
    pixels = np.array(crop, np.float32)
    pixels = MID_GREY + (pixels - MID_GREY) * camera.contrast + camera.brightness
    pixels *= np.array(camera.cast, np.float32) * np.float32(exposure)
    pixels += noise.normal(0, camera.noise, (HEIGHT, WIDTH, 1)).astype(np.float32)
    return Image.fromarray(pixels.clip(0, 255).astype(np.uint8))


def _misframed(rng: random.Random, pose: Pose) -> Pose:
    """What a bad detector crops: background only, feet only, or half a person."""
    kind = rng.randrange(3)
    if kind == 0:
        return replace(pose, x=-3.0 * WIDTH)
    if kind == 1:
        return replace(pose, scale=rng.uniform(1.7, 2.2))
    side = rng.choice((-1, 1))
    return replace(pose, scale=1.25, x=WIDTH * (0.5 + side * 0.5), sole=HEIGHT * 1.15)


# ---- people -----------------------------------------------------------------------------------


def _people(rng: random.Random) -> Iterator[Person]:
    """People without end. Palettes are dealt like cards, so that few people look alike."""
    for turn in count():
        for color, accent, bottoms in rng.sample(PALETTES, len(PALETTES)):
            top = rng.choices(list(Top), (5, 4, 4, 2, 4, 3))[0]
            hair = rng.choices(list(Hair), (5, 4, 2, 1, 2, 1))[0]
            if hair in (Hair.LONG, Hair.BUN):
                shoulders, height = rng.uniform(0.84, 0.92), rng.uniform(0.94, 1.0)
                bottom = rng.choices(list(Bottom), (5, 2, 4))[0]
            else:
                shoulders, height = rng.uniform(0.93, 1.03), rng.uniform(0.96, 1.02)
                top = Top.TSHIRT if top is Top.DRESS else top
                bottom = rng.choice((Bottom.TROUSERS, Bottom.TROUSERS, Bottom.SHORTS))
            if top is Top.COAT:
                bottom = Bottom.TROUSERS
            skin = rng.choice(SKINS)
            light = SKINS.index(skin) < 3 and rng.random() < 0.55
            yield Person(
                skin=skin,
                hair=hair,
                hair_color=rng.choice(LIGHT_HAIR if light else DARK_HAIR),
                hat_color=rng.choice((accent, NAVY, CHARCOAL, RED)),
                top=top,
                top_color=color,
                pattern=_pattern(rng, top),
                accent=accent,
                bottom=bottom,
                bottom_color=bottoms[turn % len(bottoms)],
                shoes=rng.choice(SHOES),
                bag=rng.choices(list(Bag), (4, 3, 2, 2))[0],
                bag_color=rng.choice([bag for bag in BAGS if bag != color]),
                bag_side=rng.choice((-1, 1)),
                height=height,
                width=rng.uniform(0.98, 1.16),
                shoulders=shoulders,
            )


def _pattern(rng: random.Random, top: Top) -> Pattern:
    if top in (Top.JACKET, Top.COAT):  # these open onto something in the accent already
        return rng.choices((Pattern.PLAIN, Pattern.BLOCK), (5, 1))[0]
    if top in (Top.SHIRT, Top.DRESS):
        return rng.choice((Pattern.PLAIN, Pattern.STRIPES, Pattern.PLAIN, Pattern.BLOCK))
    return rng.choice(list(Pattern))


# ---- cameras ----------------------------------------------------------------------------------

# sun, shadow, cast, contrast, brightness, blur, noise
LOOKS = (
    (-1, 0.42, (1.01, 1.0, 0.98), 1.0, 2, 0.0, 1.5),  # a sunny morning
    (1, 0.15, (0.975, 1.0, 1.03), 0.95, 3, 0.4, 1.5),  # overcast
    (1, 0.38, (1.035, 1.0, 0.945), 1.01, 0, 0.25, 2.0),  # a low sun
    (-1, 0.22, (0.98, 1.005, 0.985), 1.03, -3, 0.2, 3.0),  # an old camera, greenish
)


def _camera(number: int, rng: random.Random, noise: np.random.Generator) -> Camera:
    sun, shadow, cast, contrast, brightness, blur, grain = LOOKS[
        (number + number // len(SCENES)) % len(LOOKS)
    ]
    scene = Image.new("RGB", SCENE)
    SCENES[number % len(SCENES)](ImageDraw.Draw(scene), rng)
    scene = _recede(_weather(scene.filter(ImageFilter.GaussianBlur(0.9)), noise))
    return Camera(scene, sun, shadow, cast, contrast, brightness, blur, grain)


def _weather(scene: Image.Image, noise: np.random.Generator) -> Image.Image:
    """Uneven light and grain, without which drawn surfaces look like plastic."""
    level = np.ones((SCENE[1], SCENE[0]), np.float32)
    for cell, strength in ((96, 0.06), (20, 0.03), (3, 0.025)):
        coarse = noise.normal(0, 1, (SCENE[1] // cell + 2, SCENE[0] // cell + 2))
        clouds = Image.fromarray(coarse.astype(np.float32))
        level += strength * np.asarray(clouds.resize(SCENE, Image.Resampling.BICUBIC))
    pixels = np.asarray(scene, np.float32) * level[..., None]
    return Image.fromarray(pixels.clip(0, 255).astype(np.uint8))


def _recede(scene: Image.Image) -> Image.Image:
    """Let surroundings step back behind people: paler, softer, and equally bright everywhere.

    Encoders learn from cameras that share one place, whose surroundings tell little. Ones that
    differ as much as these would drown the people.
    """
    pixels = np.asarray(scene, np.float32)
    grey = pixels.mean(2, keepdims=True)
    pale = grey + 0.5 * (pixels - grey)
    even = 150 + 0.6 * (pale - pale.mean())
    soft = Image.fromarray(even.clip(0, 255).astype(np.uint8))
    return soft.filter(ImageFilter.GaussianBlur(1))


Scene = Callable[[ImageDraw.ImageDraw, random.Random], None]


def _vary(color: Color, rng: random.Random, spread: float) -> Color:
    return shade(color, rng.uniform(1 - spread, 1 + spread))


def _paving(
    draw: ImageDraw.ImageDraw, rng: random.Random, top: float, color: Color, rows: int
) -> None:
    """Slabs in rows that grow towards the viewer, from ``top`` down."""
    width, height = SCENE
    draw.rectangle((0, top, width, height), shade(color, 0.76))
    edges = [top + (height - top) * (i / rows) ** 1.35 for i in range(rows + 1)]
    for i, (upper, lower) in enumerate(pairwise(edges)):
        slab = (lower - upper) * 1.9
        x = -slab * (0.5 if i % 2 else 1.0)
        while x < width:
            box = (x, upper, x + slab - 3, lower - 3)
            draw.rectangle(box, _vary(color, rng, 0.04))
            x += slab


def _foliage(
    draw: ImageDraw.ImageDraw, rng: random.Random, bottom: float, color: Color, leaves: int
) -> None:
    """A hedge down to ``bottom``: leaves in clumps, darker below."""
    width, _ = SCENE
    draw.rectangle((0, 0, width, bottom), shade(color, 0.6))
    for _ in range(leaves):
        x, y = rng.uniform(0, width), rng.uniform(-10, bottom)
        r = rng.uniform(4, 15)
        light = rng.uniform(0.68, 0.95) + 0.28 * (1 - y / bottom)
        draw.ellipse((x - r, y - 0.7 * r, x + r, y + 0.7 * r), shade(color, light))


def _lawn(draw: ImageDraw.ImageDraw, rng: random.Random) -> None:
    """A park: a hedge with tree trunks, a lawn, and a gravel path."""
    width, height = SCENE
    grass, gravel = (122, 150, 84), (206, 192, 166)
    _foliage(draw, rng, 0.36 * height, (86, 122, 76), 1400)
    for start in range(60, width, 210):
        x = start + rng.randint(-50, 50)
        draw.polygon(
            [(x - 9, 0), (x + 9, 0), (x + 13, 0.38 * height), (x - 13, 0.38 * height)],
            (92, 76, 62),
        )
        draw.rectangle((x - 9, 0, x - 3, 0.36 * height), (116, 98, 80))
    draw.rectangle((0, 0.36 * height, width, height), grass)
    for _ in range(2600):
        foot, y = rng.uniform(0, width), rng.uniform(0.36, 1) * height
        blade = (foot, y, foot + rng.uniform(-3, 3), y - rng.uniform(3, 8))
        draw.line(blade, _vary(grass, rng, 0.16), 2)
    edge = [(x, height * (0.74 + 0.025 * sin(x / 130))) for x in range(0, width + 20, 20)]
    draw.polygon([*edge, (width, height), (0, height)], gravel)
    draw.line([(x, y + 2) for x, y in edge], shade(gravel, 0.82), 5)
    for _ in range(1500):
        left, top = rng.uniform(0, width), rng.uniform(0.78, 1) * height
        draw.ellipse((left, top, left + 4, top + 2.5), _vary(gravel, rng, 0.1))


def _square(draw: ImageDraw.ImageDraw, rng: random.Random) -> None:
    """A paved square in front of arcades, with planters."""
    width, height = SCENE
    stone = (198, 190, 178)
    draw.rectangle((0, 0, width, 0.36 * height), stone)
    for x in range(-20, width, 118):
        draw.pieslice((x, -44, x + 86, 42), 180, 360, (92, 96, 104))
        draw.rectangle((x, 0, x + 86, 0.35 * height), (92, 96, 104))
        draw.rectangle((x + 10, 0, x + 76, 0.3 * height), (116, 122, 130))
        draw.rectangle((x + 40, 0, x + 46, 0.3 * height), (92, 96, 104))
        draw.rectangle((x + 88, 0, x + 94, 0.36 * height), shade(stone, 1.1))
    draw.rectangle((0, 0.35 * height, width, 0.385 * height), shade(stone, 0.78))
    _paving(draw, rng, 0.385 * height, (186, 180, 172), 9)
    for x in range(90, width, 300):
        top = 0.33 * height
        for _ in range(60):
            dx, dy, r = rng.gauss(0, 20), rng.gauss(0, 11), rng.uniform(5, 10)
            leaf = (x + dx - r, top + dy - r, x + dx + r, top + dy + r)
            draw.ellipse(leaf, _vary((92, 128, 78), rng, 0.25))
        draw.polygon(
            [(x - 34, top + 6), (x + 34, top + 6), (x + 28, top + 46), (x - 28, top + 46)],
            (148, 92, 68),
        )


def _wall(draw: ImageDraw.ImageDraw, rng: random.Random) -> None:
    """A brick wall with windows above a pavement."""
    width, height = SCENE
    brick, foot = (164, 126, 110), 0.74 * height
    draw.rectangle((0, 0, width, foot), (192, 176, 164))
    for row in range(int(foot / 9) + 1):
        for x in range(-20 + 12 * (row % 2), width, 24):
            draw.rectangle((x, row * 9, x + 22, row * 9 + 7), _vary(brick, rng, 0.09))
    for x in range(40, width, 230):
        box = (x, -20, x + 116, 0.46 * height)
        draw.rectangle((x - 9, -20, x + 125, 0.49 * height), (226, 218, 206))
        draw.rectangle(box, (88, 104, 122))
        draw.polygon([(x, 10), (x + 60, -20), (x + 100, -20), (x, 84)], (126, 146, 162))
        draw.rectangle((x + 54, -20, x + 61, 0.46 * height), (232, 226, 214))
        draw.rectangle((x - 14, 0.47 * height, x + 130, 0.5 * height), (206, 196, 182))
    draw.rectangle((0, 0.67 * height, width, foot), (142, 136, 130))
    draw.rectangle((0, foot, width, foot + 5), (96, 94, 92))
    _paving(draw, rng, foot + 5, (166, 164, 162), 4)


def _street(draw: ImageDraw.ImageDraw, rng: random.Random) -> None:
    """A road with parked cars behind, and the kerb of the pavement in front."""
    width, height = SCENE
    asphalt = (124, 126, 132)
    _foliage(draw, rng, 0.2 * height, (112, 132, 96), 500)
    draw.rectangle((0, 0.2 * height, width, 0.64 * height), asphalt)
    x = -60
    while x < width:
        _car(draw, x, 0.1 * height, _vary(rng.choice((RED, WHITE, COBALT, GREY, BLACK)), rng, 0.1))
        x += rng.randint(250, 330)
    for x in range(0, width, 130):
        draw.polygon(
            [
                (x, 0.5 * height),
                (x + 70, 0.5 * height),
                (x + 66, 0.525 * height),
                (x - 4, 0.525 * height),
            ],
            (216, 214, 206),
        )
    draw.rectangle((0, 0.64 * height, width, 0.67 * height), (204, 202, 196))
    draw.rectangle((0, 0.67 * height, width, 0.69 * height), (148, 146, 144))
    _paving(draw, rng, 0.69 * height, (178, 172, 162), 4)


def _car(draw: ImageDraw.ImageDraw, x: float, y: float, color: Color) -> None:
    """A parked car, 220 long and 82 high, seen from its side."""
    draw.ellipse((x - 4, y + 66, x + 226, y + 90), (78, 80, 86))
    cabin = [(x + 40, y + 34), (x + 70, y), (x + 150, y), (x + 186, y + 34)]
    draw.polygon(cabin, shade(color, 0.9))
    glass = [(x + 52, y + 34), (x + 76, y + 7), (x + 144, y + 7), (x + 170, y + 34)]
    draw.polygon(glass, (70, 82, 96))
    draw.line((x + 108, y + 4, x + 108, y + 36), shade(color, 0.9), 7)
    draw.rounded_rectangle((x, y + 32, x + 220, y + 72), 16, color)
    draw.rectangle((x + 4, y + 56, x + 216, y + 64), shade(color, 0.76))
    for wheel in (x + 48, x + 172):
        draw.ellipse((wheel - 20, y + 50, wheel + 20, y + 90), (40, 41, 45))
        draw.ellipse((wheel - 10, y + 60, wheel + 10, y + 80), (150, 152, 156))


SCENES: tuple[Scene, ...] = (_lawn, _square, _wall, _street)
