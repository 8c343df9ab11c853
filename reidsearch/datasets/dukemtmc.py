"""DukeMTMC-reID: Market-1501's folders, names without a sequence, 0005_c2_f0046985.jpg."""

import re

from reidsearch.datasets.benchmark import Benchmark
from reidsearch.datasets.filename import named_like
from reidsearch.datasets.market1501 import FOLDERS

_NAME = re.compile(r"\d{4,6}_c\d_f\d{7}\.")


DUKEMTMC = Benchmark(
    name="dukemtmc",
    title="DukeMTMC-reID",
    folders=FOLDERS,
    marks=frozenset(FOLDERS) - {"query"},
    parse=named_like(_NAME),
    example="0005_c2_f0046985.jpg",
)
