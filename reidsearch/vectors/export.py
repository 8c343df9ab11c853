"""Write what is stored to one file: .npz, .csv or .parquet, as its name ends."""

import csv
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from reidsearch import names, times
from reidsearch.catalog import StoredImages
from reidsearch.errors import UsageError
from reidsearch.files import replacing
from reidsearch.types import DISTRACTOR, JUNK, UNKNOWN, Ids, Vectors, check_span
from reidsearch.vectors.collection import Collection, vectors_missing

NAMED = -3  # stands where there is a name that is no number
CELLS = 65_536  # rows of a CSV that are texts at a time


@dataclass(frozen=True)
class Rows:
    """What is exported of N images, in id order, but for their vectors. Integers that are not known
    read UNKNOWN, times NaN, names an empty text."""

    id: Ids
    path: NDArray[np.str_]
    dataset: NDArray[np.str_]
    site: NDArray[np.str_]
    split: NDArray[np.str_]
    identity: NDArray[np.str_]
    camera: NDArray[np.str_]
    sequence: Ids
    frame: Ids
    timestamp: NDArray[np.float64]
    zone: times.Zone

    def __len__(self) -> int:
        return len(self.id)

    def columns(self, part: slice) -> dict[str, list[int | float | str | None]]:
        """Some of the rows by column, in the order of the file; None is "not known"."""
        return {
            "id": list(self.id[part].tolist()),
            "path": list(self.path[part].tolist()),
            "dataset": list(self.dataset[part].tolist()),
            "site": list(self.site[part].tolist()),
            "split": list(self.split[part].tolist()),
            "identity": [text or None for text in self.identity[part].tolist()],
            "camera": [text or None for text in self.camera[part].tolist()],
            "sequence": [None if n == UNKNOWN else n for n in self.sequence[part].tolist()],
            "frame": [None if n == UNKNOWN else n for n in self.frame[part].tolist()],
            "timestamp": [None if t != t else t for t in self.timestamp[part].tolist()],
            "local_time": [
                None if t != t else times.show(t, self.zone, sep="T")
                for t in self.timestamp[part].tolist()
            ],
        }


def export(
    collection: Collection,
    out: Path,
    *,
    since: float | None = None,
    until: float | None = None,
    zone: times.Zone = None,
) -> dict[str, int]:
    """Write the indexed images to ``out``, in id order; return their number, in all and by split.

    Every kind of file has ``id`` (a positive integer of up to 19 digits), ``path`` (in its data
    set), ``dataset``, ``site``, ``split``, ``identity``, ``camera``, ``sequence``, ``frame`` and
    ``timestamp`` (seconds since 1970 UTC). An identity of -1 is junk, 0 a distractor.

    - .parquet: identity and camera are names, ``vector`` a list of 32-bit floats, null is "not
      known", and ``local_time`` is the timestamp to the second as the clocks of ``zone`` show it,
      ISO 8601 with its offset. Needs pyarrow ([parquet]).
    - .csv: the same without vectors, an empty cell is "not known". UTF-8, lines end as RFC 4180 has
      it. Names and paths are written as they are, those too that a spreadsheet takes for formulas.
    - .npz: arrays, with ``vector`` (N x D, float32). ``identity`` and ``camera`` are numbers, NAMED
      where the name is none; ``identity_name`` and ``camera_name`` have the names. "Not known" is
      -2 in every array of integers, NaN among the timestamps, an empty name.

    ``since`` and ``until`` (seconds since 1970 UTC, the second one not included) leave what was
    taken in between, and nothing without a time. The file appears whole or not at all.

    Raises UsageError on another ending, where pyarrow is missing, and where ``since`` is not before
    ``until``; EmptyGallery where the vector store lacks some of the vectors.
    """
    write = _writer(out)
    check_span(since, until)
    stored = collection.catalog.images.stored(collection.encoder_id)
    chosen = np.ones(len(stored), dtype=np.bool_)
    if since is not None:
        chosen &= stored.timestamp >= since  # NaN is neither
    if until is not None:
        chosen &= stored.timestamp < until
    rows = _rows(collection, stored, chosen, zone)
    with replacing(out) as partial:
        write(partial, rows, collection)
    splits, counts = np.unique(rows.split, return_counts=True)
    return {"images": len(rows), **dict(zip(splits.tolist(), counts.tolist(), strict=True))}


def _writer(out: Path) -> Callable[[Path, Rows, Collection], None]:
    writers = {".npz": _write_npz, ".csv": _write_csv, ".parquet": _write_parquet}
    found = writers.get(out.suffix.lower())
    if found is None:
        raise UsageError(
            f"cannot export to {out.name or out}", hint=f"End its name in {' or '.join(writers)}."
        )
    if found is _write_parquet:
        try:
            import pyarrow  # noqa: F401
        except ImportError:
            raise UsageError(
                "a Parquet file needs pyarrow",
                hint="Install it with: pip install 'reidsearch[parquet]'",
            ) from None
    return found


def _rows(
    collection: Collection, stored: StoredImages, chosen: NDArray[np.bool_], zone: times.Zone
) -> Rows:
    """The images that are chosen, with their names."""
    datasets = collection.catalog.places.datasets()
    of = stored.dataset[chosen]
    nobody = {JUNK: names.JUNK, DISTRACTOR: names.DISTRACTOR}
    return Rows(
        id=stored.ids[chosen],
        path=stored.path[chosen],
        dataset=_named(of, {one.id: one.name for one in datasets}),
        site=_named(of, {one.id: one.site for one in datasets}),
        split=stored.split[chosen],
        identity=_named(stored.labels.identity[chosen], {**stored.people, **nobody}),
        camera=_named(stored.labels.camera[chosen], stored.cameras),
        sequence=stored.sequence[chosen],
        frame=stored.frame[chosen],
        timestamp=stored.timestamp[chosen],
        zone=zone,
    )


def _write_npz(path: Path, rows: Rows, collection: Collection) -> None:
    empty = np.empty((0, collection.dimension), dtype=np.float32)
    vectors = np.concatenate([empty, *(block for _, block in _vectors(rows, collection))])
    with path.open("wb") as file:
        np.savez(
            file,
            id=rows.id,
            vector=vectors,
            path=rows.path,
            dataset=rows.dataset,
            site=rows.site,
            identity=_numbers(rows.identity),
            camera=_numbers(rows.camera),
            sequence=rows.sequence,
            frame=rows.frame,
            timestamp=rows.timestamp,
            identity_name=rows.identity,
            camera_name=rows.camera,
            split=rows.split,
        )


def _write_csv(path: Path, rows: Rows, _: Collection) -> None:
    with path.open("w", encoding="utf-8", newline="") as file:
        # Ending lines in CR LF has both quoted where a path holds one of them, in every Python.
        writer = csv.writer(file, lineterminator="\r\n")
        writer.writerow(rows.columns(slice(0)))
        for start in range(0, len(rows), CELLS):
            writer.writerows(zip(*rows.columns(slice(start, start + CELLS)).values(), strict=True))


def _write_parquet(path: Path, rows: Rows, collection: Collection) -> None:
    import pyarrow
    from pyarrow import parquet

    text, integer = pyarrow.string(), pyarrow.int64()
    kinds = {"id": integer, "sequence": integer, "frame": integer, "timestamp": pyarrow.float64()}
    columns = {name: kinds.get(name, text) for name in rows.columns(slice(0))}
    schema = pyarrow.schema({**columns, "vector": pyarrow.list_(pyarrow.float32())})
    with parquet.ParquetWriter(path, schema) as writer:
        for part, vectors in _vectors(rows, collection):
            # From offsets and one flat array: no number becomes a Python object on the way.
            ends = np.arange(len(vectors) + 1, dtype=np.int32) * vectors.shape[1]
            lists = pyarrow.ListArray.from_arrays(ends, vectors.reshape(-1))
            block = {**rows.columns(part), "vector": lists}
            writer.write_table(pyarrow.table(block, schema=schema))


def _vectors(rows: Rows, collection: Collection) -> Iterator[tuple[slice, Vectors]]:
    """The rows in blocks, each with its vectors. Raises EmptyGallery where some are missing."""
    done = 0
    for ids, vectors in collection.store.scroll():
        wanted = np.isin(ids, rows.id[done : done + len(ids)], assume_unique=True)  # both ascend
        part = slice(done, done + int(wanted.sum()))
        if not np.array_equal(rows.id[part], ids[wanted]):
            break
        if part.stop > part.start:
            yield part, np.ascontiguousarray(vectors[wanted], dtype=np.float32)
        done = part.stop
    if done < len(rows):
        there = np.isin(rows.id, list(collection.store.ids()), assume_unique=True)
        raise vectors_missing(int((~there).sum()), len(rows))


def _named(ids: Ids, known: Mapping[int, str]) -> NDArray[np.str_]:
    return np.array([known.get(id, "") for id in ids.tolist()], dtype=np.str_)


def _numbers(texts: NDArray[np.str_]) -> Ids:
    """The names as numbers."""

    def number(text: str) -> int:
        found = names.number(text) if text else UNKNOWN
        return NAMED if isinstance(found, str) else found

    return np.array([number(text) for text in texts.tolist()], dtype=np.int64)
