"""Market-1501, and what has its folders and names: many data sets are handed out in its form."""

from reidsearch.datasets.benchmark import Benchmark
from reidsearch.datasets.filename import NAME, named_like
from reidsearch.types import Split

FOLDERS = {
    "bounding_box_train": Split.TRAIN,
    "query": Split.QUERY,
    "bounding_box_test": Split.GALLERY,
    "gt_bbox": Split.MULTI_QUERY,
}


MARKET1501 = Benchmark(
    name="market1501",
    title="Market-1501",
    folders=FOLDERS,
    marks=frozenset(FOLDERS) - {"query"},
    parse=named_like(NAME),
    example="0002_c1s1_000451_03.jpg",
)
