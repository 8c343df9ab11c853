import csv
import json
import sys
from pathlib import Path

import numpy as np
import pytest
from pyarrow import parquet

from reidsearch import datasets, ingest
from reidsearch.encoding.encoder import Encoder
from reidsearch.errors import EmptyGallery, UsageError
from reidsearch.gallery import Gallery
from reidsearch.types import UNKNOWN
from reidsearch.vectors.collection import Collection
from reidsearch.vectors.export import NAMED, export
from tests.conftest import COLORS, Run, write_crop

COLUMNS = [
    "id", "path", "dataset", "site", "split", "identity", "camera", "sequence", "frame",
    "timestamp", "local_time",
]  # fmt: skip
BROKEN = ["new\nline.png", "carriage\rreturn.png", "both\r\n.png"]  # lines, that is
# path, camera, identity, timestamp: every script, and what breaks out of a cell or into a formula.
ODD = [
    ("=1+1.png", "@SUM(A1)", '=HYPERLINK("x")', 1714557600.1),
    ("-2+3, 4.png", "-lobby", "+49 30", 1714557601.0),
    ('a "quoted"; name.png', "Flur, 2. Stock", "O'Brien", 1714557602.0),
    ("ロビー/נועה 🧍.png", "ロビー", "נועה", 1714557603.0),
    ("صالة.png", "صالة", "Ἀθηνᾶ 🧍", None),
    ("plain.png", "007", None, None),
    ("bare.png", None, None, 1e8),
]


@pytest.fixture
def odd(tmp_path: Path, gallery: Gallery) -> Gallery:
    """The market set, and people's own crops at a site of theirs."""
    root = tmp_path / "odd"
    for path, *_ in ODD:
        write_crop(root / path, color=COLORS[2], seed=len(path))
    with (root / "crops.csv").open("w", newline="", encoding="utf-8") as file:
        writer = csv.writer(file, lineterminator="\r\n")
        writer.writerow(["path", "camera", "identity", "timestamp"])
        writer.writerows([p, c, i, t] for p, c, i, t in ODD)
    summary = gallery.ingest(root / "crops.csv", name="own, crops", site="Büro")
    assert summary.ingested == len(ODD)
    for path in BROKEN:
        write_crop(tmp_path / "broken" / path, color=COLORS[3], seed=len(path))
    assert gallery.ingest(tmp_path / "broken").ingested == len(BROKEN)
    return gallery


def cells(path: Path) -> list[dict[str, str]]:
    with path.open(newline="", encoding="utf-8") as file:
        return list(csv.DictReader(file))


def test_export_writes_what_is_stored(tmp_path: Path, filled: Collection, encoder: Encoder) -> None:
    write_crop(tmp_path / "plain/somebody.jpg", color=COLORS[1], seed=4)
    ingest.take_in(filled, datasets.read(tmp_path / "plain"), encoder=encoder)
    counts = export(filled, tmp_path / "out.npz")
    assert counts == {"images": 32, "gallery": 28, "query": 4}
    arrays = np.load(tmp_path / "out.npz", allow_pickle=False)
    stored, vectors = filled.load()
    numbers = {*COLUMNS} - {"local_time"}
    assert set(arrays) == {*numbers, "vector", "identity_name", "camera_name"}
    assert (arrays["id"] == stored.ids).all()
    assert (np.diff(arrays["id"]) > 0).all()
    assert arrays["vector"].tobytes() == vectors.tobytes()
    who = dict(zip(arrays["path"].tolist(), arrays["identity"].tolist(), strict=True))
    assert who["bounding_box_test/-1_c3s1_000050_01.jpg"] == -1
    assert who["bounding_box_test/0000_c2s1_000040_01.jpg"] == 0
    assert who["somebody.jpg"] == UNKNOWN == -2
    assert not list(tmp_path.glob("*.partial"))


def test_arrays_hold_every_name_and_say_what_is_not_known(tmp_path: Path, odd: Gallery) -> None:
    odd.export(tmp_path / "out.npz")
    arrays = np.load(tmp_path / "out.npz", allow_pickle=False)
    own = arrays["dataset"] == "own, crops"
    assert set(arrays["site"][own].tolist()) == {"Büro"}
    rows = {
        path: values
        for path, *values in zip(
            *(arrays[key][own].tolist() for key in ("path", "camera_name", "identity_name")),
            *(arrays[key][own].tolist() for key in ("camera", "identity", "timestamp")),
            strict=True,
        )
    }
    for path, camera, identity, timestamp in ODD:
        camera_name, identity_name, camera_number, identity_number, time = rows[path]
        assert camera_name == ("7" if camera == "007" else camera or "")
        assert identity_name == (identity or "")
        assert camera_number == {"007": 7, None: UNKNOWN}.get(camera, NAMED)
        assert identity_number == (UNKNOWN if identity is None else NAMED)
        assert time == timestamp or (timestamp is None and np.isnan(time))
    market = arrays["dataset"] == "market"
    assert market.sum() == 31
    assert set(arrays["camera"][market].tolist()) == {1, 2, 3}


def test_a_csv_holds_every_name_as_it_is_and_no_vectors(tmp_path: Path, odd: Gallery) -> None:
    counts = odd.export(tmp_path / "out.csv")
    rows = cells(tmp_path / "out.csv")
    assert list(rows[0]) == COLUMNS
    assert len(rows) == counts["images"] == 31 + len(ODD) + len(BROKEN)
    found = {row["path"]: row for row in rows if row["dataset"] == "own, crops"}
    for path, camera, identity, timestamp in ODD:
        row = found[path]
        assert row["camera"] == ("7" if camera == "007" else camera or "")
        assert row["identity"] == (identity or "")
        assert row["timestamp"] == ("" if timestamp is None else repr(timestamp))
        assert (row["site"], row["split"], row["frame"]) == ("Büro", "gallery", "")
    assert {r["path"] for r in rows if r["dataset"] == "broken"} == set(BROKEN)
    [junk] = [row for row in rows if "-1_c3" in row["path"]]
    assert [junk[key] for key in ("identity", "camera", "sequence", "frame", "timestamp")] == [
        "-1", "3", "1", "50", "",
    ]  # fmt: skip


def test_a_csv_can_be_ingested_again(tmp_path: Path, odd: Gallery, market: Path, run: Run) -> None:
    odd.export(tmp_path / "out.csv")
    odd.close()
    rows = [row for row in cells(tmp_path / "out.csv") if row["dataset"] == "own, crops"]
    with (tmp_path / "own.csv").open("w", newline="", encoding="utf-8") as file:
        writer = csv.DictWriter(file, COLUMNS)
        writer.writeheader()
        writer.writerows(rows)
    words = ("ingest", tmp_path / "own.csv", "--root", tmp_path / "odd", "--name", "own, crops")
    done = json.loads(run(*words, "--json").stdout)
    assert (done["unchanged"], done["failed"]) == (len(ODD), 0)


def test_parquet_holds_the_same_rows_as_csv_and_every_vector(tmp_path: Path, odd: Gallery) -> None:
    odd.export(tmp_path / "out.csv")
    odd.export(tmp_path / "out.npz")
    odd.export(tmp_path / "out.PARQUET")
    table = parquet.read_table(tmp_path / "out.PARQUET")
    assert table.column_names == [*COLUMNS, "vector"]
    kinds = {field.name: str(field.type) for field in table.schema}
    assert (kinds["id"], kinds["camera"], kinds["frame"]) == ("int64", "string", "int64")
    assert (kinds["timestamp"], kinds["vector"]) == ("double", "list<element: float>")
    rows = table.to_pylist()
    vectors = np.array([row.pop("vector") for row in rows], dtype=np.float32)
    assert vectors.tobytes() == np.load(tmp_path / "out.npz")["vector"].tobytes()
    texts = [{k: "" if v is None else str(v) for k, v in row.items()} for row in rows]
    assert texts == cells(tmp_path / "out.csv")


@pytest.mark.parametrize("ending", ["npz", "csv", "parquet"])
def test_a_span_of_time_leaves_out_what_has_no_time(
    tmp_path: Path, odd: Gallery, ending: str
) -> None:
    out = tmp_path / f"out.{ending}"

    def paths(**span: float | str) -> set[str]:
        odd.export(out, **span)
        if ending == "npz":
            arrays = np.load(out)
            assert len(arrays["vector"]) == len(arrays["path"])
            return set(arrays["path"].tolist())
        if ending == "csv":
            return {row["path"] for row in cells(out)}
        return set(parquet.read_table(out)["path"].to_pylist())

    timed = {path: time for path, _, _, time in ODD if time is not None}
    middle = 1714557602.0
    assert paths(since=0) == set(timed)
    assert paths(since=middle) == {path for path, time in timed.items() if time >= middle}
    assert paths(until="2024-05-01T10:00:02Z") == {p for p, time in timed.items() if time < middle}
    assert paths(since=middle, until=middle + 1) == {'a "quoted"; name.png'}
    assert paths(since=1, until=2) == set()


def test_a_span_that_ends_before_it_begins_is_refused(
    tmp_path: Path, gallery: Gallery, run: Run
) -> None:
    with pytest.raises(UsageError, match="not before") as caught:
        gallery.export(tmp_path / "out.csv", since=2, until=1)
    assert caught.value.hint == "Exchange `since=...` and `until=...`."
    gallery.close()
    words = ("export", tmp_path / "out.csv", "--since", "2024-05-02", "--until", "2024-05-01")
    assert "--since and --until" in run(*words, exit_code=2).stderr
    assert not (tmp_path / "out.csv").exists()


@pytest.mark.parametrize("name", ["out.txt", "out", ".csv", "out.npz.gz"])
def test_another_ending_is_refused(filled: Collection, tmp_path: Path, name: str) -> None:
    with pytest.raises(UsageError, match="cannot export") as caught:
        export(filled, tmp_path / name)
    assert ".parquet" in caught.value.hint


def test_without_pyarrow_a_hint_says_how_to_get_it(
    filled: Collection, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "pyarrow", None)
    with pytest.raises(UsageError, match="needs pyarrow") as caught:
        export(filled, tmp_path / "out.parquet")
    assert "reidsearch[parquet]" in caught.value.hint
    assert export(filled, tmp_path / "out.csv")["images"] == 31


@pytest.mark.parametrize("ending", ["npz", "parquet"])
def test_where_a_vector_is_missing_the_earlier_file_stays(
    filled: Collection, tmp_path: Path, ending: str
) -> None:
    out = tmp_path / f"out.{ending}"
    export(filled, out)
    before = out.read_bytes()
    for gone in (sorted(filled.store.ids())[-1], sorted(filled.store.ids())[5]):
        filled.store.delete([gone])
        with pytest.raises(EmptyGallery, match="of the 31"):
            export(filled, out)
    assert out.read_bytes() == before
    assert not list(tmp_path.glob("*.partial"))
