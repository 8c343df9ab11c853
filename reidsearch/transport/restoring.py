"""Make a gallery from a backup: one of its own, that shares nothing with the one it was made of.

It comes into being with its catalog's name, which is the last that is done; until then there is no
gallery, and what a kill left is used, or removed, by the next call.
"""

import os
import secrets
import shutil
import time
from collections.abc import Callable, Sequence
from contextlib import closing
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

from reidsearch import faults, lock
from reidsearch.catalog import Catalog, copying, schema, sqlite
from reidsearch.catalog.following import whereabouts
from reidsearch.config import Config
from reidsearch.documents.backups import RestoredDocument, restored_document
from reidsearch.environment import machine
from reidsearch.errors import BackupError, UsageError
from reidsearch.files import settle
from reidsearch.forgetting import left
from reidsearch.inspection import doctor
from reidsearch.inspection.findings import Finding, Kind
from reidsearch.pushing import aside, crops, waiting
from reidsearch.session import CATALOG, CROPS, Session
from reidsearch.stores import EMBEDDED, address_of
from reidsearch.transport import archive, move, places
from reidsearch.transport.archive import Archive, Encoded
from reidsearch.types import Ids, Vectors
from reidsearch.types import Kind as Vector
from reidsearch.vectors import transfer

RESTORING = f"{CATALOG}.restoring"
UNPACKED = f"{CATALOG}.unpacked"
WAITING = "waiting.restoring"
RESERVE = 256 << 20  # bytes that are to be free afterwards
# What a restored gallery must not have; others are of files, which a backup does not hold.
WRONG = (
    Kind.MISSING_VECTOR,
    Kind.ORPHAN_VECTOR,
    Kind.ALTERED_VECTOR,
    Kind.UNUSABLE_VECTOR,
    Kind.WRONG_DIMENSION,
    Kind.STALE_PAYLOAD,
    Kind.ALTERED_EXPANSION,
    Kind.ALTERED_MEANS,
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Restored:
    """A gallery that was made from a backup ``made`` (seconds since 1970 UTC) of another; ``found``
    is what ``doctor`` says of it, of the images' files above all. Crops that were ``waiting`` do so
    again, until somebody takes images in."""

    gallery: str
    made: float
    images: int
    vectors: int
    expanded: int
    crops: int
    waiting: int
    found: tuple[Finding, ...]
    seconds: float

    def document(self) -> RestoredDocument:
        """As a JSON document."""
        return restored_document(self)


def restore(
    file: Path,
    config: Config,
    *,
    on_progress: Callable[[int, int], None] = lambda done, of: None,
) -> Restored:
    """Make a gallery from a backup's ``file`` where the settings say that it is to be: its data
    dir, a Qdrant server for its vectors, a PostgreSQL database for its catalog.

    Raises UsageError where there is a gallery already, BackupError where the file is no whole
    backup or does not fit this version; StoreError, CatalogError and StoreLocked where a place
    fails. Then there is no gallery, and the same call goes on.
    """
    started = time.monotonic()
    found = archive.opened(file)
    if config.catalog_url is not None and config.qdrant_url is None:
        raise UsageError(
            "a catalog on a server is for many machines, and vectors in a data dir are for one",
            hint="Give a Qdrant server for the vectors with {qdrant_url}.",
        )
    _require_none(config)
    sqlite.make_folder(config.data_dir)
    with lock.Held(config.data_dir, purpose="restore"):
        _require_space(config, found, file)
        _stage_waiting(config, found)
        staged = _staged(config, found)
    local = replace(config, catalog_url=None)
    session = Session(local, purpose="restore", catalog=staged)
    with closing(session), session.changing():
        _require_none(config)  # nor one that somebody was quicker with
        _unpack_crops(session, found)
        counts = _carry(session, found, on_progress)
        for one in session.collections():
            one.store.optimise()
        findings = doctor.examine(session).found
        if wrong := [one for one in findings if one.kind in WRONG]:
            raise BackupError(
                f"what was restored is not whole: {wrong[0].kind}, {wrong[0].subject}, and "
                f"{len(wrong) - 1} more",
                hint="Take another backup; {doctor} tells of the gallery that it was made of.",
            )
        images, key = session.catalog.images.count(), session.catalog.key
        session.catalog.database.truncate_log()
        _let_wait(session, found)
    faults.reach("restored")
    settle(config.data_dir / RESTORING, config.data_dir / CATALOG)
    if config.catalog_url is not None:
        _to_server(config)
    return Restored(
        gallery=key,
        made=found.manifest.made,
        images=images,
        vectors=counts[0],
        expanded=counts[1],
        crops=len(found.crops),
        waiting=len(found.waiting),
        found=findings,
        seconds=time.monotonic() - started,
    )


def _require_none(config: Config) -> None:
    """Raise UsageError where there is a gallery already."""
    there = config.data_dir / CATALOG
    if there.exists():
        raise UsageError(
            f"there is a gallery in {config.data_dir} already",
            hint="Restore to another {data_dir}: nothing is ever restored over a gallery.",
        )
    if config.catalog_url is None:
        return
    known = schema.find_shared(config.catalog_url.secret, purpose="restore")
    if known is not None:
        with closing(known):
            if not copying.is_empty(known.database):
                raise UsageError(
                    f"{known.database.address} holds a gallery's catalog already",
                    hint="Make a database of its own for this one: createdb.",
                )


def _require_space(config: Config, found: Archive, file: Path) -> None:
    """Room for the catalog twice, the crops, and vectors that come into the data dir; these are
    copied once more to be optimised."""
    times = 2 if config.qdrant_url is not None else 4
    taken = times * file.stat().st_size + RESERVE
    free = shutil.disk_usage(config.data_dir).free
    if free < taken:
        raise BackupError(
            f"the disk of {config.data_dir} has {free / 1e6:.0f} MB free, and to restore "
            f"{found.file.name} takes up to {taken / 1e6:.0f} MB",
            hint="Free some space, or choose another {data_dir}.",
        )


def _staged(config: Config, found: Archive) -> Catalog:
    """A catalog under another name than a gallery's, with the backup's rows. Its key is new, or
    that of one that a kill left: then it finds the vectors that are there already."""
    file = config.data_dir / RESTORING
    key, former = secrets.token_hex(4), None
    if file.exists():
        with closing(schema.open_catalog(file)) as begun:
            key, former = begun.key, begun.database.identity()
    unpacked = config.data_dir / UNPACKED
    sqlite.remove(file)
    sqlite.remove(unpacked)
    staged: Catalog | None = None
    try:
        with archive.refusing(found.file):
            found.extract(archive.CATALOG, unpacked)
        with closing(schema.open_catalog(unpacked)) as source:
            source.database.check()
            _require_plain(source, found)
            staged = schema.open_catalog(file)
            copying.copy(
                source.database,
                staged.database,
                from_=whereabouts(source),
                to=whereabouts(staged),
                left=frozenset(),
                machine=machine(),
            )
        vectors = EMBEDDED if config.qdrant_url is None else address_of(config.qdrant_url)
        staged.residence.begin_anew(key, vectors=vectors, former_home=former)
    except BaseException:
        if staged is not None:
            staged.close()
        raise
    finally:
        sqlite.remove(unpacked)
    _root_crops_here(staged, config.data_dir / CROPS)
    faults.reach("catalog staged")
    return staged


def _require_plain(source: Catalog, found: Archive) -> None:
    """Raise BackupError where a catalog from outside would do something by itself, or knows other
    encoders than its archive."""
    with source.engine.connect() as db:
        query = "SELECT name FROM sqlite_master WHERE type NOT IN ('table', 'index') LIMIT 1"
        acting = db.exec_driver_sql(query).scalar()
    if acting is not None:
        raise BackupError(f"the backup {found.file} cannot be used: its catalog has {acting!r}")
    known = {one.fingerprint: one.dimension for one in source.encoders()}
    if known != {one.fingerprint: one.dimension for one in found.manifest.encoders}:
        raise BackupError(f"the backup {found.file} cannot be used: its parts do not agree")


def _root_crops_here(catalog: Catalog, folder: Path) -> None:
    """Let pushed crops be where the restored gallery keeps them."""
    for one in catalog.places.datasets():
        if catalog.places.dataset_layout(one.id) == crops.LAYOUT:
            catalog.places.set_root(one.id, (folder / Path(one.root).name).resolve())


def _unpack_crops(session: Session, found: Archive) -> None:
    """Write the files of pushed crops that the catalog lists, with their times of change."""
    listed = {image.file: image.modified_ns for image in session.catalog.images.all()}
    top = session.crops_folder.resolve()
    for path in found.crops:
        target = top / path
        if target not in listed:
            continue
        target.parent.mkdir(parents=True, exist_ok=True)
        target.unlink(missing_ok=True)
        with archive.refusing(found.file):
            found.extract(f"crops/{path}", target)
        target.chmod(0o600)
        changed = listed[target]
        if changed is not None:
            os.utime(target, ns=(changed, changed))


def _stage_waiting(config: Config, found: Archive) -> None:
    """Write the files of crops that wait to a folder where they do not wait yet. Raises
    BackupError where one is no such crop."""
    staged = config.data_dir / WAITING
    shutil.rmtree(staged, ignore_errors=True)  # of one that was killed
    if not found.waiting:
        return
    try:
        staged.mkdir(mode=0o700)
        for name in found.waiting:
            with archive.refusing(found.file):
                found.extract(f"waiting/{name}", staged / name)
            (staged / name).chmod(0o600)
            try:
                waiting.read(staged / name)
            except Exception as error:
                raise BackupError(
                    f"the backup {found.file} cannot be used: {name} is no crop that waits: {error}"
                ) from None
    except BaseException:
        shutil.rmtree(staged, ignore_errors=True)
        raise


def _let_wait(session: Session, found: Archive) -> None:
    """Let these crops wait, beside those that wait there already, for a catalog that was lost."""
    staged, folder = session.config.data_dir / WAITING, session.waiting_folder
    if not found.waiting:
        return
    aside.make(folder)
    for name in found.waiting:
        settle(staged / name, folder / name)
    staged.rmdir()


class _Packed:
    """An encoder's vectors in an archive, as ``transfer`` asks for them."""

    def __init__(self, found: Archive, encoder: Encoded) -> None:
        self.address = str(found.file)
        self._stored = {kind: found.vectors(encoder, kind) for kind in Vector}

    def retrieve(self, ids: Sequence[int], *, kind: Vector = Vector.PLAIN) -> tuple[Ids, Vectors]:
        """The vectors of those of these ids that it has, in id order."""
        known, vectors = self._stored[kind]
        wanted = np.array(sorted(ids), dtype=np.int64)
        at = np.searchsorted(known, wanted)
        there = at < len(known)
        there[there] &= known[at[there]] == wanted[there]
        return wanted[there], np.array(vectors[at[there]], dtype=np.float32)


def _carry(
    session: Session, found: Archive, on_progress: Callable[[int, int], None]
) -> tuple[int, int]:
    """Bring the vectors to their store; how many there are, and how many expanded ones."""
    packed = {one.fingerprint: one for one in found.manifest.encoders}
    vectors = expanded = 0
    for one in session.collections():
        carried = transfer.carry(
            one, _Packed(found, packed[one.fingerprint]), one.store, on_progress=on_progress
        )
        vectors += carried.vectors
        expanded += carried.expanded
    return vectors, expanded


def _to_server(config: Config) -> None:
    """Move the catalog on; the file tells where it is from then on."""
    with closing(Session(replace(config, catalog_url=None), purpose="restore")) as session:
        move.move(session, places.Places(vectors=None, catalog=config.catalog_url))
        left.remove(session)
