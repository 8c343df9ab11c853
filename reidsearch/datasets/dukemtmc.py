"""DukeMTMC-reID: Market-1501's folders, names without a sequence, 0005_c2_f0046985.jpg."""

import re

from reidsearch.datasets.benchmark import Benchmark
from reidsearch.datasets.filename import parse_name
from reidsearch.datasets.market1501 import FOLDERS
from reidsearch.types import Sighting, Split

_NAME = re.compile(r"\d{4,6}_c\d_f\d{7}\.")


def _parse(path: str, split: Split) -> Sighting | None:
    return parse_name(path, split) if _NAME.match(path.rpartition("/")[2]) else None


DUKEMTMC = Benchmark(
    name="dukemtmc",
    title="DukeMTMC-reID",
    folders=FOLDERS,
    marks=frozenset(FOLDERS) - {"query"},
    parse=_parse,
    example="0005_c2_f0046985.jpg",
)
