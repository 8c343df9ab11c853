"""Market-1501, and what has its folders and names: many data sets are handed out in its form."""

from reidsearch.datasets.benchmark import Benchmark
from reidsearch.datasets.filename import NAME, parse_name
from reidsearch.types import Sighting, Split

FOLDERS = {
    "bounding_box_train": Split.TRAIN,
    "query": Split.QUERY,
    "bounding_box_test": Split.GALLERY,
    "gt_bbox": Split.MULTI_QUERY,
}


def _parse(path: str, split: Split) -> Sighting | None:
    return parse_name(path, split) if NAME.match(path.rpartition("/")[2]) else None


MARKET1501 = Benchmark(
    name="market1501",
    title="Market-1501",
    folders=FOLDERS,
    marks=frozenset(FOLDERS) - {"query"},
    parse=_parse,
    example="0002_c1s1_000451_03.jpg",
)
