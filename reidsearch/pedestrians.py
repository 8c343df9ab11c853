"""A small data set of drawn pedestrians in the Market-1501 layout, for the demo and for tests."""

import random
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from itertools import count
from pathlib import Path

import numpy as np
from PIL import Image, ImageDraw, ImageFilter

from reidsearch import figures
from reidsearch.figures import (
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

QUERY, GALLERY = "query", "bounding_box_test"
DISTRACTOR, JUNK = 0, -1
QUALITY = 92
TRACK = (2, 4)  # crops of a walk past one camera
CAMERAS_SEEN = (2, 3, 3, 4, 4)  # by how many cameras a person is seen; one is picked
JUNK_SHARE = 0.5  # of the number of identities
SEQUENCE = 2400  # frames

SCENE_FINE = 2  # scenes are kept this much larger than crops
SCENE = (600 * SCENE_FINE, 160 * SCENE_FINE)
VIEWS = (0, 28, -32, 180, 155, -150, 90, 75, -90, -75, 0, 180)

SKINS: tuple[Color, ...] = (
    (244, 208, 182),
    (232, 188, 156),
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


def draw_dataset(root: Path, *, identities: int = 40, cameras: int = 4, seed: int = 0) -> int:
    """Draw a data set into ``query`` and ``bounding_box_test`` at ``root``.

    Every identity is seen by two cameras or more, and has one query. The gallery also holds
    distractors (people of identity 0) and junk (badly framed crops, identity -1). The same seed
    draws the same pictures. Returns the number of images written.

    Raises ValueError where there are less than two cameras or no identities.
    """
    if cameras < 2 or identities < 1:
        raise ValueError(f"{cameras} cameras and {identities} identities are too few")
    for folder in (QUERY, GALLERY):
        (root / folder).mkdir(parents=True, exist_ok=True)
    studio = _Studio(root, cameras, seed)
    rng = studio.rng
    people = _people(rng)
    for identity in range(1, identities + 1):
        person = next(people)
        seen = rng.sample(range(cameras), min(cameras, rng.choice(CAMERAS_SEEN)))
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
    return studio.written
