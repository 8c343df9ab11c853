"""What a crop's file name tells, in the spellings of the known data sets."""

import re
from collections.abc import Callable
from pathlib import PurePosixPath

from reidsearch.types import Sighting, Split

# 0002_c1s1_000451_03.jpg: identity, camera, sequence, frame, detection. DukeMTMC's
# 0005_c2_f0046985.jpg and VeRi's 0002_c002_00030600_0.jpg have no sequence; where nothing follows
# the number, as in CUHK03-NP's 0003_c1_21.png, it counts a person's pictures. What follows is free:
# 24 names of Market-1501 end in ".jpg.jpg". Numbers of more than 18 digits, which the catalog could
# not hold, are none.
NAME = re.compile(
    r"(?P<identity>-1|\d{1,18})_c(?P<camera>\d{1,18})"
    r"(?:s(?P<sequence>\d{1,18})(?!\d))?(?:_(?P<f>f?)(?P<frame>\d{1,18})(?!\d))?(?!\d)"
)
# 0000_001_01_0303morning_0015_0_ex.jpg: identity, its picture's number, camera, date and part of
# day; four names in ten have the _ex.
MSMT17 = re.compile(
    r"(?P<identity>\d{4,6})_\d{3,6}_(?P<camera>\d{2})_\d{4}[a-z]+_\d{4,6}_\d+(?:_ex)?\."
)
# 0001C1T0001F001.jpg: identity, camera, tracklet, frame in it. 00-1 is junk.
MARS = re.compile(r"(?P<identity>00-1|\d{4})C(?P<camera>\d{1,2})T\d{4}F\d{3}\.")
# 1_001_1_01.png: pair of cameras, person of that pair, camera of the pair, picture.
CUHK03 = re.compile(r"(?P<pair>[1-9])_(?P<person>\d{3,4})_(?P<camera>[12])_(?P<picture>\d{2})\.")


def parse_name(path: str, split: Split = Split.GALLERY) -> Sighting:
    """The sighting at ``path``: its file's name may tell camera, identity, sequence and frame, in
    the way of Market-1501, DukeMTMC, VeRi, MSMT17 or MARS."""
    file = path.rpartition("/")[2]
    if found := NAME.match(file):

        def number(key: str) -> int | None:
            return int(found[key]) if found[key] else None

        camera, identity, sequence = found["camera"], found["identity"], number("sequence")
        counts_frames = found["f"] or sequence is not None or file.startswith("_", found.end())
        frame = number("frame") if counts_frames else None
        return Sighting(path, split, camera, identity, sequence, frame)
    return parse_msmt17(path, split) or parse_mars(path, split) or Sighting(path, split)


def parse_msmt17(path: str, split: Split = Split.GALLERY) -> Sighting | None:
    """The same of MSMT17's names; None where it is none.

    It numbers its people twice, those of training and those of the test, and from 0. So a person is
    called after the part, test-0000, which is found in the path: test/0000/0000_000_01_.... Its
    times are a date and a part of the day; they give no order, and are left out.
    """
    file = PurePosixPath(path)
    found = MSMT17.match(file.name)
    if found is None:
        return None
    parts = {"train": "train", "mask_train_v2": "train", "test": "test", "mask_test_v2": "test"}
    part = next((parts[p] for p in reversed(file.parts[:-1]) if p in parts), None)
    return Sighting(path, split, found["camera"], part and f"{part}-{found['identity']}")


def parse_mars(path: str, split: Split = Split.GALLERY) -> Sighting | None:
    """The same of MARS's names; None where it is none. A tracklet's frames begin at 1 in each, so
    they tell no time, and are left out."""
    found = MARS.match(path.rpartition("/")[2])
    if found is None:
        return None
    identity = found["identity"].replace("00-1", "-1")
    return Sighting(path, split, found["camera"], identity)


def parse_cuhk03(path: str, split: Split = Split.GALLERY) -> Sighting | None:
    """The same of CUHK03's names; None where it is none. Each of its pairs of cameras has people of
    its own: camera 1-2 is the second of pair 1, and 1-005 its person 5."""
    found = CUHK03.match(path.rpartition("/")[2])
    if found is None:
        return None
    pair = found["pair"]
    return Sighting(path, split, f"{pair}-{found['camera']}", f"{pair}-{found['person']}")


def named_like(pattern: re.Pattern[str]) -> Callable[[str, Split], Sighting | None]:
    """``parse_name`` for files whose names begin like that; None for others."""

    def parse(path: str, split: Split) -> Sighting | None:
        return parse_name(path, split) if pattern.match(path.rpartition("/")[2]) else None

    return parse
