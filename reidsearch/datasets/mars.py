"""MARS: bbox_train and bbox_test with a folder a person; names 0001C1T0001F001.jpg.

Its queries are listed in a MATLAB file, which is not read: all of bbox_test is gallery.
"""

from reidsearch.datasets.benchmark import Benchmark
from reidsearch.datasets.filename import parse_mars
from reidsearch.types import Split

FOLDERS = {"bbox_train": Split.TRAIN, "bbox_test": Split.GALLERY}
MARS = Benchmark(
    name="mars",
    title="MARS",
    folders=FOLDERS,
    marks=frozenset(FOLDERS),
    parse=parse_mars,
    example="0001C1T0001F001.jpg",
)
