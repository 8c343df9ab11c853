"""KNearest kept in the catalog: current whatever comes, changes or goes."""

from pathlib import Path

import numpy as np

from reidsearch import datasets, ingest
from reidsearch.encoding.encoder import Encoder
from reidsearch.learning import neighbours
from reidsearch.ranking import knn, rerank
from reidsearch.types import Split
from reidsearch.vectors.collection import Collection
from tests.conftest import COLORS, write_crop


def check(collection: Collection, *, computed: int) -> None:
    kept = neighbours.current(collection, Split.GALLERY, at_once=4)
    stored, vectors = collection.load([Split.GALLERY])
    expected = knn.k_nearest(vectors, k=rerank.K1 + 1)
    assert kept.computed == computed
    assert kept.ids.tolist() == stored.ids.tolist()
    assert kept.neighbours.nearest.tolist() == expected.nearest.tolist()
    np.testing.assert_allclose(kept.neighbours.cosines, expected.cosines, atol=1e-6)
    np.testing.assert_allclose(kept.neighbours.least, expected.least, atol=1e-6)


def add(
    market: Path, collection: Collection, encoder: Encoder, names: list[str], *, seed: int
) -> None:
    for n, name in enumerate(names):
        path = market / "bounding_box_test" / name
        write_crop(path, color=COLORS[1 + n % 4], seed=seed + n)
    ingest.take_in(collection, datasets.read(market), encoder=encoder)


def test_neighbours_are_found_once_and_stay_current(
    market: Path, filled: Collection, encoder: Encoder
) -> None:
    check(filled, computed=27)
    check(filled, computed=0)
    add(market, filled, encoder, [f"0005_c{n}s1_000{n}00_00.jpg" for n in (1, 2, 3)], seed=300)
    check(filled, computed=3)
    check(filled, computed=0)
    # A changed picture: other bytes, another vector.
    add(market, filled, encoder, ["0005_c2s1_000200_00.jpg"], seed=990)
    check(filled, computed=30)
    gone = int(neighbours.current(filled, Split.GALLERY).ids[4])
    filled.catalog.embeddings.set_pending(filled.encoder_id, [gone])
    check(filled, computed=29)


def test_a_gallery_smaller_than_a_list_fills_its_lists_as_it_grows(
    tmp_path: Path, filled: Collection, encoder: Encoder
) -> None:
    for count in (3, 12, 30):
        for n in range(count):
            name = f"small/bounding_box_train/0001_c1s1_{n:06d}_00.jpg"
            write_crop(tmp_path / name, color=COLORS[1 + n % 4], seed=n)
        crops = datasets.read(tmp_path / "small", splits=[Split.TRAIN])
        ingest.take_in(filled, crops, encoder=encoder)
        kept = neighbours.current(filled, Split.TRAIN)
        _, vectors = filled.load([Split.TRAIN])
        assert kept.computed == count
        expected = knn.k_nearest(vectors, k=rerank.K1 + 1)
        assert kept.neighbours.nearest.tolist() == expected.nearest.tolist()
        assert kept.neighbours.nearest.shape[1] == min(count, 21)
