"""Compare catalog, vectors and files, and mend what does not agree.

Everything is looked at under one lock. Most can be mended from what is stored; what cannot is
encoded again from the images, by the same pipeline that ingests them.
"""

import shutil
from collections import defaultdict
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from reidsearch import forget, gallery, images, ingest, moves
from reidsearch.catalog import Candidate, Catalog, State
from reidsearch.config import Config
from reidsearch.datasets import parse_name
from reidsearch.encoder import Encoder, fingerprint
from reidsearch.gallery import Gallery
from reidsearch.hashes import checksums, image_id
from reidsearch.stores import payload
from reidsearch.types import Dataset, Ids, Payload, Points, Sighting, Split, Vectors, is_unit

# What can be wrong, in the words that people read.
KINDS = {
    "missing-vector": "the catalog calls it indexed, and there is no vector",
    "orphan-vector": "a vector that the catalog does not list",
    "altered-vector": "not the vector that was stored: another encoder's, or damaged",
    "unusable-vector": "not finite, or not of unit length",
    "wrong-dimension": "the collection's vectors are of another length than the encoder's",
    "stale-payload": "camera, identity or split beside the vector are not the catalog's",
    "stray-collection": "a collection of no encoder in the catalog",
    "pending": "recorded, and its vector not confirmed",
    "deleting": "forgotten, and not yet gone",
    "uncompacted": "forgotten, and its bytes not yet gone",
    "moved": "the file has another name now",
    "changed": "the file's content is not what was encoded",
    "touched": "the file has another date and the same content",
    "vanished": "the file is gone",
    "root-gone": "the data set's whole folder is gone, or not mounted",
    "expired": "older than retain_days",
}


@dataclass(frozen=True)
class Finding:
    """One thing that does not agree: of a KIND, about ``subject`` (an image's path, an id or a
    collection's name), with the ``encoder`` it concerns, if any."""

    kind: str
    subject: str
    encoder: str = ""


@dataclass(frozen=True)
class Checkup:
    """``found`` is what was wrong; ``left`` what still is, after mending where that was asked for.
    ``images`` and ``vectors`` were looked at."""

    images: int
    vectors: int
    found: tuple[Finding, ...]
    left: tuple[Finding, ...]
    fixed: bool


def examine(
    config: Config, *, fix: bool, load_encoder: Callable[[], Encoder] | None = None
) -> Checkup:
    """Look at everything; with ``fix`` mend it, and look again to tell what is left.

    ``load_encoder`` gives the configured encoder, which is loaded only where images must be encoded
    again. Vectors of other encoders that need it stay in ``left``; so do vanished files, which
    ``ingest --prune`` or ``forget`` remove. Raises StoreLocked where another process holds the
    gallery, CatalogError where its file is damaged.
    """
    with gallery.every(config, purpose="doctor") as (catalog, galleries):
        catalog.check()
        images_seen, vectors_seen, found = _look(config, catalog, galleries, fix=False)
        if not (fix and found):
            return Checkup(images_seen, vectors_seen, tuple(found), tuple(found), False)
        _look(config, catalog, galleries, fix=True)
        if load_encoder is not None:
            _encode_again(config, catalog, galleries, load_encoder)
        catalog.runs.close_all()
        expired = forget.expired(catalog, config.oldest)
    if expired or {"deleting", "uncompacted"} & {finding.kind for finding in found}:
        forget.forget(config, expired, purpose="doctor")
    with gallery.every(config, purpose="doctor") as (catalog, galleries):
        *_, left = _look(config, catalog, galleries, fix=False)
    return Checkup(images_seen, vectors_seen, tuple(found), tuple(left), True)


def _look(
    config: Config, catalog: Catalog, galleries: Sequence[Gallery], *, fix: bool
) -> tuple[int, int, list[Finding]]:
    """The number of images and of vectors, and what is wrong with them. ``fix`` mends what needs no
    encoder, and sets pending what does."""
    findings: list[Finding] = []
    vectors = 0
    _files(catalog, galleries, findings, fix=fix)
    rows = {row.id: row for row in catalog.images.all()}
    for one in galleries:
        vectors += _vectors(one, rows, findings, fix=fix)
    _strays(config, catalog, findings, fix=fix)
    if catalog.compaction_owed:
        findings.append(Finding("uncompacted", "files of both stores"))
    findings += [Finding("expired", row.path) for row in forget.expired(catalog, config.oldest)]
    return len(rows), vectors, findings


def _vectors(one: Gallery, rows: dict[int, Any], findings: list[Finding], *, fix: bool) -> int:
    """Hold one encoder's collection against the catalog."""
    known = {row.image_id: row for row in one.catalog.embeddings.all(one.encoder_id)}
    seen: set[int] = set()
    again: list[int] = []
    orphans: list[int] = []
    fresh: dict[int, int] = {}
    stale: list[tuple[Ids, Vectors, list[Payload]]] = []

    def find(kind: str, id: int) -> None:
        subject = rows[id].path if id in rows else str(id)
        findings.append(Finding(kind, subject, one.encoder_name))

    count, wrong = 0, False
    for ids, vectors, payloads in one.store.records():
        count += len(ids)
        if vectors.shape[1] != one.dimension:
            wrong = True
            break
        usable, sums = is_unit(vectors), checksums(vectors)
        for at, id in enumerate(ids.tolist()):
            row = known.get(id)
            if row is None or row.state == State.FAILED:
                find("orphan-vector", id)
                orphans.append(id)
            elif row.state == State.INDEXED:
                seen.add(id)
                if not usable[at]:
                    find("unusable-vector", id)
                    again.append(id)
                elif row.checksum not in (None, sums[at]):
                    find("altered-vector", id)
                    again.append(id)
                elif payloads[at] != payload(_sighting(rows[id])):
                    find("stale-payload", id)
                    part = slice(at, at + 1)
                    stale.append((ids[part], vectors[part], [payload(_sighting(rows[id]))]))
                if row.checksum is None and usable[at]:
                    fresh[id] = sums[at]  # stored before there were checksums
    if wrong:
        findings.append(Finding("wrong-dimension", one.encoder_name, one.encoder_name))
        again = [id for id, row in known.items() if row.state == State.INDEXED]
    else:
        for id, row in known.items():
            if row.state == State.INDEXED and id not in seen:
                find("missing-vector", id)
                again.append(id)
            elif row.state in (State.PENDING, State.DELETING):
                find(row.state, id)
    if fix:
        if wrong:
            one.store.recreate()
        one.catalog.embeddings.set_pending(one.encoder_id, again)
        if orphans:
            one.store.delete(orphans)
        for ids, vectors, payloads in stale:
            one.store.upsert(Points(ids, vectors, payloads))
        one.catalog.embeddings.set_checksums(one.encoder_id, fresh)
    return count


def _files(
    catalog: Catalog, galleries: Sequence[Gallery], findings: list[Finding], *, fix: bool
) -> None:
    """Hold the images' files against the catalog."""
    by_dataset = defaultdict(list)
    for row in catalog.images.all():
        by_dataset[row.dataset_id].append(row)
    for dataset_id, rows in by_dataset.items():
        root = Path(rows[0].root)
        if not root.is_dir():
            findings.append(Finding("root-gone", str(root)))
            continue
        vanished, changed = [], []
        for row in rows:
            if row.sha256 is None:  # never encoded; it is pending or failed
                continue
            state = _state_of_file(root, row)
            if state == "vanished":
                vanished.append(row)
            elif state:
                findings.append(Finding(state, row.path))
                if state == "changed":
                    changed.append(row.id)
                elif fix:
                    info = (root / row.path).stat()
                    catalog.images.set_file(row.id, size=info.st_size, modified_ns=info.st_mtime_ns)
        found = moves.find(vanished, _unknown_files(root, rows, vanished), root=root)
        for old, _ in found:
            findings.append(Finding("moved", old.path))
        gone = {old.id for old, _ in found}
        findings += [Finding("vanished", row.path) for row in vanished if row.id not in gone]
        if fix:
            for one in galleries:
                indexed = catalog.embeddings.indexed_ids(one.encoder_id)
                catalog.embeddings.set_pending(one.encoder_id, indexed.intersection(changed))
            for one in galleries[:1]:  # the fullest; other encoders' vectors are made again
                moves.apply(one, dataset_id, found)


def _state_of_file(root: Path, row: Any) -> str:
    try:
        info = (root / row.path).stat()
    except (FileNotFoundError, NotADirectoryError):
        return "vanished"
    except OSError:  # it may be there; encoding it will tell
        return ""
    if (info.st_size, info.st_mtime_ns) == (row.size, row.modified_ns):
        return ""
    return "touched" if moves.digest(root, row.path) == row.sha256 else "changed"


def _unknown_files(root: Path, rows: Iterable[Any], vanished: Sequence[Any]) -> list[Candidate]:
    """Pictures below the root that the catalog does not list, as sightings like the vanished ones
    of their size."""
    if not vanished:
        return []
    known = {row.path for row in rows}
    by_size = {row.size: row for row in vanished}
    found = []
    for path in sorted(root.rglob("*")):
        relative = path.relative_to(root).as_posix()
        if relative in known or path.suffix.lower() not in images.SUFFIXES or path.is_symlink():
            continue
        info = path.stat()
        old = by_size.get(info.st_size)
        if old is not None and path.is_file():
            seen = replace(_sighting(old), path=relative)
            told = parse_name(relative, seen.split)
            if told.camera is not None:
                seen = replace(told, timestamp=seen.timestamp)
            id = image_id(old.dataset, relative)
            found.append(Candidate(id, seen, info.st_size, info.st_mtime_ns))
    return found


def _strays(config: Config, catalog: Catalog, findings: list[Finding], *, fix: bool) -> None:
    """Embedded collections that belong to no encoder of the catalog."""
    folder = config.data_dir / gallery.VECTORS
    if config.qdrant_url is not None or not folder.is_dir():
        return
    own = {gallery.collection_name(catalog, row.fingerprint) for row in catalog.encoders()}
    for path in sorted(folder.iterdir()):
        if path.is_dir() and path.name not in own:
            findings.append(Finding("stray-collection", path.name))
            if fix:
                shutil.rmtree(path)


def _encode_again(
    config: Config,
    catalog: Catalog,
    galleries: Sequence[Gallery],
    load_encoder: Callable[[], Encoder],
) -> None:
    """Encode what is pending with the configured encoder, from the files that are there."""
    waiting = defaultdict(list)
    mine = next((one for one in galleries if _is_of(one, catalog, config)), None)
    if mine is None:
        return
    pending = {
        e.image_id for e in catalog.embeddings.all(mine.encoder_id) if e.state == State.PENDING
    }
    for row in catalog.images.all():
        if row.id in pending and (Path(row.root) / row.path).is_file():
            waiting[row.dataset, row.root].append(_sighting(row))
    if waiting:
        encoder = load_encoder()
        for (name, root), sightings in waiting.items():
            dataset = Dataset(name, Path(root), sightings)
            ingest.ingest(dataset, gallery=mine, encoder=encoder)


def _is_of(one: Gallery, catalog: Catalog, config: Config) -> bool:
    return catalog.encoder_fingerprint(one.encoder_id) == fingerprint(config.encoder)


def _sighting(row: Any) -> Sighting:
    return Sighting(
        path=row.path,
        split=Split(row.split),
        camera=row.camera,
        identity=row.identity,
        sequence=row.sequence,
        frame=row.frame,
        timestamp=row.timestamp,
    )
