"""VeRi-776, vehicles: image_train, image_query, image_test; names 0002_c002_00030600_0.jpg."""

import re

from reidsearch.datasets.benchmark import Benchmark
from reidsearch.datasets.filename import named_like
from reidsearch.types import Split

FOLDERS = {
    "image_train": Split.TRAIN,
    "image_query": Split.QUERY,
    "image_test": Split.GALLERY,
}
_NAME = re.compile(r"\d{4}_c\d{3}_\d{8}_\d+\.")


VERI = Benchmark(
    name="veri",
    title="VeRi",
    folders=FOLDERS,
    marks=frozenset(FOLDERS),
    parse=named_like(_NAME),
    example="0002_c002_00030600_0.jpg",
)
