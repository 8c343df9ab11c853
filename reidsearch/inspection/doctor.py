"""Compare catalog, vectors and files, and mend what does not agree.

All is looked at, mended and looked at again under one lock. Most can be mended from what is stored;
what cannot is encoded again from the images, by the same pipeline that ingests them.
"""

import shutil
from collections import defaultdict
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path

from reidsearch import ingest
from reidsearch.catalog import Candidate, State
from reidsearch.catalog.records import ImageRecord
from reidsearch.datasets import parse_name
from reidsearch.encoding.encoder import fingerprint
from reidsearch.environment import machine
from reidsearch.forgetting import removal, selection
from reidsearch.hashes import checksums, image_id
from reidsearch.inspection.findings import AILMENTS, UNFINISHED, Checkup, Finding, Kind, Repair
from reidsearch.learning import basis, expand
from reidsearch.pictures import contents
from reidsearch.session import Session
from reidsearch.stores import EMBEDDED, Trouble
from reidsearch.types import Dataset, Split, is_unit
from reidsearch.types import Kind as Vector
from reidsearch.vectors import moves, transfer
from reidsearch.vectors.collection import Collection, payload_of


def examine(session: Session, *, fix: bool = False) -> Checkup:
    """Look at everything; with ``fix`` mend it, and look again to tell what is left.

    Vectors of other encoders than the configured one that must be made again stay in ``left``; so
    do vanished files, which ``ingest`` with ``prune`` or ``forget`` remove. Raises StoreLocked
    where another process holds the gallery, CatalogError where its file is damaged.
    """
    with session.changing() if fix else session.looking():
        session.catalog.database.check()
        images_seen, vectors_seen, found = _look(session)
        if not (fix and found):
            return Checkup(images_seen, vectors_seen, tuple(found), tuple(found), False)
        _mend(found)
        for one in session.collections():
            transfer.add_checksums(one, one.store)
        _encode_again(session)
        session.catalog.runs.close_all()
        removal.remove(session, selection.expired(session))
        for one in session.collections():
            expand.keep_current(one)
            one.store.optimise()
        *_, left = _look(session)
        return Checkup(images_seen, vectors_seen, tuple(found), tuple(left), True)


def _look(session: Session) -> tuple[int, int, list[Finding]]:
    """The number of images and of vectors, and what is wrong with them."""
    findings: list[Finding] = []
    vectors = 0
    collections = session.collections()
    listed = {image.id: image for image in session.catalog.images.all()}
    for one in collections:
        _keeping(one, findings)
        vectors += _vectors(one, listed, findings)
        _expanded(one, listed, findings)
        if one.store.optimise_due:
            findings.append(Finding(Kind.UNOPTIMISED, one.encoder_name, one.encoder_name))
    _files(collections, listed.values(), findings)
    _strays(session, findings)
    if session.catalog.compaction_owed:
        findings.append(Finding(Kind.UNCOMPACTED, "files of both stores"))
    findings += [Finding(Kind.EXPIRED, image.path) for image in selection.expired(session)]
    return len(listed), vectors, findings


def _mend(findings: Iterable[Finding]) -> None:
    """Make the findings' repairs, those of a kind together, in the order they were found: vectors
    before files, because a renamed file takes its vector along."""
    batches: dict[Callable[[Sequence[int]], None], list[int]] = defaultdict(list)
    for finding in findings:
        if finding.repair is not None:
            batches[finding.repair.mend].append(finding.repair.image)
    for mend, ids in batches.items():
        mend(ids)


def _keeping(one: Collection, findings: list[Finding]) -> None:
    """Ask the store what is amiss with how it keeps an encoder's vectors."""

    def adjust(ids: Sequence[int]) -> None:
        one.store.adjust()

    for ailment in one.store.ailments():
        repair = Repair(adjust) if ailment.trouble is Trouble.SETTINGS else None
        findings.append(Finding(AILMENTS[ailment.trouble], ailment.what, one.encoder_name, repair))


def _vectors(one: Collection, listed: Mapping[int, ImageRecord], findings: list[Finding]) -> int:
    """Hold one encoder's collection against the catalog; returns the number of vectors."""
    known = {row.image_id: row for row in one.catalog.embeddings.all(one.encoder_id)}
    waiting = one.catalog.embeddings.waiting(one.encoder_id)
    indexed = {id for id, row in known.items() if row.state is State.INDEXED}
    seen: set[int] = set()

    def encode(ids: Sequence[int]) -> None:
        one.catalog.embeddings.set_pending(one.encoder_id, ids)

    def delete(ids: Sequence[int]) -> None:
        one.store.delete(ids)

    def describe(ids: Sequence[int]) -> None:
        one.store.describe(ids, [payload_of(listed[id]) for id in ids])

    def recreate(ids: Sequence[int]) -> None:
        one.store.recreate()
        one.catalog.embeddings.set_pending(one.encoder_id, indexed)

    def find(kind: Kind, id: int, mend: Callable[[Sequence[int]], None] | None) -> None:
        subject = listed[id].path if id in listed else str(id)
        repair = None if mend is None else Repair(mend, id)
        findings.append(Finding(kind, subject, one.encoder_name, repair))

    count = 0
    for ids, vectors, payloads in one.store.records():
        count += len(ids)
        if vectors.shape[1] != one.dimension:
            name = one.encoder_name
            findings.append(Finding(Kind.WRONG_DIMENSION, name, name, Repair(recreate)))
            return count
        usable, sums = is_unit(vectors), checksums(vectors)
        for at, id in enumerate(ids.tolist()):
            row = known.get(id)
            if row is None or row.state is State.FAILED:
                find(Kind.ORPHAN_VECTOR, id, delete)
            elif row.state is State.INDEXED:
                seen.add(id)
                if not usable[at]:
                    find(Kind.UNUSABLE_VECTOR, id, encode)
                elif row.checksum not in (None, sums[at]):
                    find(Kind.ALTERED_VECTOR, id, encode)
                elif payloads[at] != payload_of(listed[id]):
                    find(Kind.STALE_PAYLOAD, id, describe)
    for id, row in known.items():
        if row.state is State.INDEXED and id not in seen:
            find(Kind.MISSING_VECTOR, id, encode)
        elif row.state in UNFINISHED and (row.state is not State.PENDING or id in waiting):
            find(UNFINISHED[row.state], id, None)
    return count


def _expanded(one: Collection, listed: Mapping[int, ImageRecord], findings: list[Finding]) -> None:
    """Hold an encoder's expanded vectors against the catalog. That they are the right ones follows
    from what they are marked with; it is not computed."""
    record = one.catalog.expansions.of(one.encoder_id)
    if record is None:
        return
    name = one.encoder_name
    if not record.current:
        findings.append(Finding(Kind.STALE_EXPANSION, name, name))
        return
    if basis.of(record) is None:
        findings.append(Finding(Kind.ALTERED_MEANS, name, name))
        return

    def outdate(ids: Sequence[int]) -> None:
        one.catalog.expansions.outdate(one.encoder_id, ids)

    left = one.catalog.expansions.checksums(one.encoder_id)
    wrong = set()
    for ids, vectors in one.store.scroll(splits=[Split.GALLERY], kind=Vector.EXPANDED):
        for id, checksum in zip(ids.tolist(), checksums(vectors), strict=True):
            if left.pop(id, None) != checksum:
                wrong.add(id)
    for id in sorted(wrong | left.keys()):
        subject = listed[id].path if id in listed else str(id)
        findings.append(Finding(Kind.ALTERED_EXPANSION, subject, name, Repair(outdate, id)))


def _files(
    collections: Sequence[Collection], listed: Iterable[ImageRecord], findings: list[Finding]
) -> None:
    """Hold the images' files against the catalog."""
    by_dataset = defaultdict(list)
    for image in listed:
        by_dataset[image.dataset_id].append(image)
    for dataset_id, rows in by_dataset.items():
        root = Path(rows[0].root)
        if rows[0].machine not in (None, machine()) and not root.is_dir():
            continue  # to be looked at where its disk is
        if root.is_dir():
            _files_below(root, dataset_id, rows, collections, findings)
        else:
            findings.append(Finding(Kind.ROOT_GONE, str(root)))


def _files_below(
    root: Path,
    dataset_id: int,
    rows: Sequence[ImageRecord],
    collections: Sequence[Collection],
    findings: list[Finding],
) -> None:
    by_id = {image.id: image for image in rows}
    moved: dict[int, moves.Move] = {}

    def record(ids: Sequence[int]) -> None:
        for id in ids:
            info = by_id[id].file.stat()
            collections[0].catalog.images.set_file(
                id, size=info.st_size, modified_ns=info.st_mtime_ns
            )

    def encode(ids: Sequence[int]) -> None:
        for one in collections:
            indexed = one.catalog.embeddings.indexed_ids(one.encoder_id)
            one.catalog.embeddings.set_pending(one.encoder_id, indexed.intersection(ids))

    def follow(ids: Sequence[int]) -> None:
        moves.keep_vectors(collections, dataset_id, [moved[id] for id in ids])

    repairs = {Kind.TOUCHED: record, Kind.CHANGED: encode}
    vanished = []
    for image in rows:
        if image.sha256 is None:  # never encoded; it is pending or failed
            continue
        kind = _kind_of_file(image)
        if kind is Kind.VANISHED:
            vanished.append(image)
        elif kind is not None:
            findings.append(Finding(kind, image.path, repair=Repair(repairs[kind], image.id)))
    renamed = moves.find_renamed(vanished, _unknown_files(root, rows, vanished), root=root)
    moved |= {move.old.id: move for move in renamed}
    findings += [
        Finding(Kind.MOVED, move.old.path, repair=Repair(follow, move.old.id)) for move in renamed
    ]
    gone = [image for image in vanished if image.id not in moved]
    findings += [Finding(Kind.VANISHED, image.path) for image in gone]


def _kind_of_file(image: ImageRecord) -> Kind | None:
    try:
        info = image.file.stat()
    except (FileNotFoundError, NotADirectoryError):
        return Kind.VANISHED
    except OSError:  # it may be there; encoding it will tell
        return None
    if (info.st_size, info.st_mtime_ns) == (image.size, image.modified_ns):
        return None
    same = moves.digest(Path(image.root), image.path, follow_links=True) == image.sha256
    return Kind.TOUCHED if same else Kind.CHANGED


def _unknown_files(
    root: Path, rows: Iterable[ImageRecord], vanished: Sequence[ImageRecord]
) -> list[Candidate]:
    """Pictures below the root that the catalog does not list, as sightings like the vanished ones
    of their size."""
    if not vanished:
        return []
    known = {image.path for image in rows}
    by_size = {image.size: image for image in vanished}
    found = []
    for path in sorted(root.rglob("*")):
        relative = path.relative_to(root).as_posix()
        if relative in known or path.suffix.lower() not in contents.SUFFIXES or path.is_symlink():
            continue
        info = path.stat()
        old = by_size.get(info.st_size)
        if old is not None and path.is_file():
            seen = replace(old.sighting, path=relative)
            told = parse_name(relative, seen.split)
            if told.camera is not None and told.identity is not None:
                seen = replace(told, timestamp=seen.timestamp)
            id = image_id(old.dataset, relative)
            found.append(Candidate(id, seen, info.st_size, info.st_mtime_ns))
    return found


def _strays(session: Session, findings: list[Finding]) -> None:
    """Embedded collections that belong to no encoder of the catalog."""
    folder = session.vectors.folder
    if session.address != EMBEDDED or not folder.is_dir():
        return
    own = {session.vectors.collection_name(one.fingerprint) for one in session.catalog.encoders()}
    for path in sorted(folder.iterdir()):
        if path.is_dir() and path.name not in own:
            repair = Repair(lambda ids, path=path: shutil.rmtree(path))  # type: ignore[misc]
            findings.append(Finding(Kind.STRAY_COLLECTION, path.name, repair=repair))


def _encode_again(session: Session) -> None:
    """Encode what is pending with the configured encoder, from the files that are there."""
    wanted = fingerprint(session.config.encoder)
    mine = next((one for one in session.collections() if one.fingerprint == wanted), None)
    if mine is None:
        return
    pending = session.catalog.embeddings.waiting(mine.encoder_id)
    waiting = defaultdict(list)
    for image in session.catalog.images.all() if pending else ():
        if image.id in pending and image.file.is_file():
            waiting[image.dataset, image.root].append(image.sighting)
    for (name, root), sightings in waiting.items():
        dataset = Dataset(name, Path(root), sightings)
        ingest.take_in(
            mine,
            dataset,
            encoder=session.encoder,
            collections=session.collections,
            thumbnails=session.config.thumbnails,
        )
