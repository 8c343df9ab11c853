"""Write a gallery to one file: catalog, vectors and pushed crops, those that still wait among them,
as they are at one moment.

Nobody changes the gallery meanwhile; searches go on. Wherever catalog and vectors are, the file is
the same, and may be restored to any other place. Vectors are written one by one, not as a server's
own snapshots: so each is held against its checksum, where a cluster's snapshots are one for each of
its nodes, and Qdrant alone could read them.
"""

import os
import shutil
import time
from collections.abc import Iterator, Mapping
from contextlib import closing
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from reidsearch import __version__, faults
from reidsearch.catalog import Catalog, copying, schema, sqlite
from reidsearch.catalog.following import whereabouts
from reidsearch.documents.backups import BackupDocument, backup_document
from reidsearch.environment import machine
from reidsearch.errors import BackupError, EmptyGallery, StoreError, UsageError
from reidsearch.files import bytes_on_disk, settle
from reidsearch.hashes import checksums
from reidsearch.pushing import aside, waiting
from reidsearch.session import Session
from reidsearch.transport import archive
from reidsearch.transport.archive import Encoded, Manifest, Writer, member_of
from reidsearch.types import Ids, Kind, Vectors
from reidsearch.vectors.collection import Collection

ENDING = ".reidsearch.zip"
MAKING = ".making"  # the ending of the folder in which a backup is made
FLOAT, ID = 4, 8  # bytes
RESERVE = 64 << 20  # bytes that are to be free afterwards


@dataclass(frozen=True, slots=True, kw_only=True)
class Backup:
    """A backup that was written to a ``file`` of so many ``bytes``, with pushed ``crops``, and
    those that were ``waiting`` to be stored."""

    file: Path
    images: int
    vectors: int
    expanded: int
    crops: int
    waiting: int
    bytes: int
    seconds: float

    def document(self) -> BackupDocument:
        """As a JSON document."""
        return backup_document(self)


def backup(session: Session, out: Path) -> Backup:
    """Write a backup to ``out``, a new file that ends in .zip, or to one named after gallery and
    time in the folder ``out``, which is made where it is missing.

    It has that name when it is whole, and not before. Expanded vectors that are not what the
    catalog says are not in it; a restored gallery makes them anew. Raises EmptyGallery where there
    is nothing to write, UsageError where the file exists, BackupError where it cannot be written,
    StoreError where a vector is missing or not the one that was stored; StoreLocked as
    ``Session.looking``.
    """
    started = time.monotonic()
    if not session.has_catalog() or not session.catalog.encoders():
        raise EmptyGallery(
            f"the gallery in {session.place} is empty", hint="Fill it with: {ingest}"
        )
    with session.looking():
        key = session.catalog.key
        if out.is_dir() or (out.suffix != ".zip" and not os.path.lexists(out)):
            moment = datetime.now(UTC).strftime("%Y%m%dT%H%M%SZ")
            out = out / f"reidsearch-{key}-{moment}{ENDING}"
        if os.path.lexists(out):
            raise UsageError(f"{out} exists already", hint="Give the backup another name.")
        making = out.parent / f".reidsearch-{key}{MAKING}"
        try:
            shutil.rmtree(making, ignore_errors=True)  # of one that was killed
            out.parent.mkdir(parents=True, exist_ok=True)
            making.mkdir(mode=0o700)
            try:
                manifest, crops, waits = _write(session, making)
                faults.reach("backup written")
                (making / "archive").chmod(0o600)
                settle(making / "archive", out)
            finally:
                shutil.rmtree(making, ignore_errors=True)
            size = out.stat().st_size
        except OSError as error:
            raise BackupError(
                f"the backup {out} cannot be written: {error.strerror}",
                hint="Check the folder's permissions and free space.",
            ) from None
    return Backup(
        file=out,
        images=manifest.images,
        vectors=sum(one.vectors for one in manifest.encoders),
        expanded=sum(one.expanded for one in manifest.encoders),
        crops=crops,
        waiting=waits,
        bytes=size,
        seconds=time.monotonic() - started,
    )


def _write(session: Session, making: Path) -> tuple[Manifest, int, int]:
    """Write the archive into that folder; returns its manifest, and how many crops it has, stored
    and waiting."""
    catalog = session.catalog
    _require_space(session, making)
    rows = making / archive.CATALOG
    _copy_catalog(catalog, rows)
    with closing(Writer(making / "archive")) as writer:
        writer.add_file(archive.CATALOG, rows)
        rows.unlink()
        encoders = tuple(_write_vectors(writer, one) for one in session.collections())
        faults.reach("backup vectors written")
        crops = 0
        for file in _files_below(session.crops_folder):
            writer.add_file(f"crops/{file.relative_to(session.crops_folder).as_posix()}", file)
            crops += 1
        waits = _write_waiting(writer, session)
        manifest = Manifest(
            version=__version__,
            made=time.time(),
            gallery=catalog.key,
            images=catalog.images.count(),
            encoders=encoders,
        )
        writer.finish(manifest)
    return manifest, crops, waits


def _write_waiting(writer: Writer, session: Session) -> int:
    """Write the files of crops that wait, which nobody stores meanwhile; returns how many. One that
    cannot be understood will never be an image, and is left out."""
    count = 0
    for file in aside.waiting(session.waiting_folder):
        if waiting.understood(file) is not None:
            writer.add_file(f"waiting/{file.name}", file)
            count += 1
    return count


def _require_space(session: Session, folder: Path) -> None:
    encoders = session.catalog.encoders()
    taken = sum(one.indexed * 2 * (one.dimension * FLOAT + ID) for one in encoders)
    taken += bytes_on_disk(session.crops_folder) + bytes_on_disk(session.waiting_folder) + RESERVE
    if not session.shared:
        taken += 2 * Path(session.catalog.database.address).stat().st_size
    free = shutil.disk_usage(folder).free
    if free < taken:
        raise BackupError(
            f"the disk of {folder.parent} has {free / 1e6:.0f} MB free, and the backup needs up to "
            f"{taken / 1e6:.0f} MB",
            hint="Free some space, or write it elsewhere.",
        )


def _copy_catalog(catalog: Catalog, to: Path) -> None:
    """Copy the catalog, as it is at one moment, to a new SQLite file."""
    if not catalog.database.shared:
        sqlite.copy(Path(catalog.database.address), to)
        return
    with closing(schema.open_catalog(to)) as copied:
        copying.copy(
            catalog.database,
            copied.database,
            from_=whereabouts(catalog),
            to=whereabouts(copied),
            left=frozenset(),
            machine=machine(),
        )
        copied.database.truncate_log()


def _write_vectors(writer: Writer, one: Collection) -> Encoded:
    """Write an encoder's vectors that the catalog calls stored."""
    catalog, id = one.catalog, one.encoder_id
    indexed = catalog.embeddings.indexed_ids(id)
    sums = {i: s for i, s in catalog.embeddings.checksums(id).items() if i in indexed}
    made = {i: s for i, s in catalog.expansions.checksums(id).items() if i in indexed}
    counts = {}
    each: tuple[tuple[Kind, Mapping[int, int | None]], ...] = (
        (Kind.PLAIN, sums),
        (Kind.EXPANDED, made),
    )
    for kind, wanted in each:
        ids: list[Ids] = []
        blocks = _right(one, kind, wanted, ids)
        writer.add(member_of(one.fingerprint, kind, "f4"), blocks)
        found = np.concatenate([np.empty(0, np.int64), *ids])
        writer.add(member_of(one.fingerprint, kind, "ids"), [found.astype("<i8").tobytes()])
        counts[kind] = len(found)
    if lacking := len(sums) - counts[Kind.PLAIN]:
        raise StoreError(
            f"{lacking} of the vectors in {one.store.address} are missing, or not those that were "
            "stored",
            hint="{doctor_fix} mends that; then make the backup.",
        )
    return Encoded(
        fingerprint=one.fingerprint,
        name=one.encoder_name,
        dimension=one.dimension,
        vectors=counts[Kind.PLAIN],
        expanded=counts[Kind.EXPANDED],
    )


def _right(
    one: Collection, kind: Kind, wanted: Mapping[int, int | None], ids: list[Ids]
) -> Iterator[bytes]:
    """The bytes of the stored vectors that are ``wanted``, by the checksums they have (None where
    that is not known), in id order; their ``ids`` are put down besides."""
    for found, vectors in one.store.scroll(kind=kind):
        sums = checksums(vectors)
        kept: NDArray[np.bool_] = np.array(
            [
                id in wanted and wanted[id] in (None, sum)
                for id, sum in zip(found.tolist(), sums, strict=True)
            ],
            dtype=bool,
        )
        rows: Vectors = vectors[kept]
        ids.append(found[kept])
        yield rows.astype("<f4").tobytes()


def _files_below(folder: Path) -> Iterator[Path]:
    """All pushed crops' files; what a write that was killed left is none."""
    for within, _, names in os.walk(folder):
        for name in names:
            if not name.endswith(".partial"):
                yield Path(within) / name
