"""One process's hold on a gallery: what is opened, when, and under which lock.

The catalog is opened at once where there is one; vectors and encoder at first need, and kept.
Vectors in the data dir can be held by one process at a time, so that its lock is taken with them
and kept until the session ends; on a server only changes take it, for as long as they last. A
session that answers others, as a service does, and any that has held them for a while, also lends
its vectors and the right to change the gallery to the user's other processes, which go on with that
as on a server. Within the process any number of threads may search at once, while one changes the
gallery.
"""

import math
import threading
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, ExitStack, contextmanager
from pathlib import Path
from typing import TypeVar

from reidsearch import lock
from reidsearch.catalog import Catalog, sqlite
from reidsearch.catalog.database import Mode
from reidsearch.catalog.records import EncoderRecord
from reidsearch.config import Config, catalog_file
from reidsearch.encoding import selftest
from reidsearch.encoding.encoder import Encoder, fingerprint
from reidsearch.errors import (
    CatalogError,
    EmptyGallery,
    EncoderMismatch,
    GalleryClosed,
    StoreElsewhere,
    StoreUnreachable,
    UsageError,
)
from reidsearch.files import may_write
from reidsearch.session.access import Access
from reidsearch.session.copies import Copies
from reidsearch.session.current import CurrentCatalog
from reidsearch.session.opened import OpenCollections, notice_missing
from reidsearch.session.place import VectorsPlace
from reidsearch.session.turns import Turns
from reidsearch.settings import CatalogUrl
from reidsearch.stores import EMBEDDED, PAYLOAD_FORM, VectorStore
from reidsearch.vectors.collection import Collection

CATALOG = catalog_file(Path()).name
VECTORS = "vectors"
CROPS = "crops"
WAITING = "waiting"

T = TypeVar("T")


class Session:
    """Settings, catalog, collections and encoder of one gallery, until it is closed.

    ``purpose`` is what other processes are told that wait for the gallery's lock, and ``address``
    the URL at which this one answers them, where it does; then it lends what it holds from the
    beginning.

    Where the data dir can only be read, catalog and vectors are copied to a temporary folder at
    first need, and are gone with the session: Qdrant Edge opens no file that it may not write.
    """

    def __init__(
        self,
        config: Config,
        *,
        purpose: str,
        address: str | None = None,
        catalog: Catalog | None = None,
    ) -> None:
        """``catalog`` is used in place of the data dir's, where given, and closed with the session.
        Raises NewerSchema, CatalogError or CatalogLocked where there is a catalog that cannot be
        used, CatalogError where the data dir cannot be one."""
        if config.data_dir.exists() and not config.data_dir.is_dir():
            raise CatalogError(
                f"{config.data_dir} is no folder, and so no gallery",
                hint="Choose another {data_dir}.",
            )
        file = config.data_dir / CATALOG
        self.config = config
        self.read_only = (
            config.catalog_url is None
            and file.exists()
            and not all(map(may_write, (config.data_dir, file)))
        )
        self._served_at = address
        self._opening = threading.RLock()  # held while something is opened, or all is closed
        self._closed = False
        self._encoder: Encoder | None = None
        self._fingerprints: dict[Path, str] = {}
        self._turns = Turns(config.data_dir, purpose=purpose)
        self._access = Access(
            config.data_dir,
            purpose=purpose,
            address=address,
            read_only=self.read_only,
            lending=self,
            opening=self._opening,
        )
        copies = Copies(config.data_dir) if self.read_only else None
        self._current = CurrentCatalog(
            config, file=file, purpose=purpose, copies=copies, given=catalog
        )
        self.vectors = VectorsPlace(config, self._current, folder=config.data_dir / VECTORS)
        self._collections = OpenCollections(
            self._current, self.vectors, self._access, copies=copies
        )
        self._resources = ExitStack()  # the last of them is closed first
        self._resources.callback(self._access.close)
        if copies is not None:
            self._resources.callback(copies.close)
        self._resources.callback(self._current.close)
        if self.has_catalog():
            _ = self.catalog

    @property
    def shared(self) -> bool:
        """Whether the catalog is on a server, and many machines may use it at once."""
        return self._current.shared

    @property
    def place(self) -> str:
        """Where the gallery is, for messages: without secrets."""
        return self._current.place

    @property
    def address(self) -> str:
        """Where this gallery's vectors are, as ``VectorsPlace.address`` says, and raises."""
        with self._opening:
            return self.vectors.address

    @property
    def crops_folder(self) -> Path:
        """Where pushed crops are kept, a folder for each of their data sets."""
        return self.config.data_dir / CROPS

    @property
    def waiting_folder(self) -> Path:
        """Where pushed crops are kept that could not be taken in yet."""
        return self.config.data_dir / WAITING

    @property
    def catalog(self) -> Catalog:
        """The catalog, made where the gallery is new."""
        with self._opening:
            self._require_open()
            return self._current.open()

    def has_catalog(self) -> bool:
        """Whether there is one, which is not made by being asked for."""
        return self._current.exists()

    def remember(self, url: CatalogUrl) -> None:
        """Keep a URL of a catalog, which may hold a password, for when the gallery is there."""
        self._current.remember(url)

    def url_of(self, address: str) -> str:
        """The URL of the catalog at an address: with a password, where this session knows one."""
        return self._current.url_of(address)

    @property
    def encoder(self) -> Encoder:
        """The configured encoder, loaded at first need. Raises EncoderError."""
        with self._opening:
            self._require_open()
            if self._encoder is None:
                self._encoder = Encoder(self.config.encoder, device=self.config.device)
            return self._encoder

    def hold(self) -> None:
        """Take the data dir's lock now, where vectors are in it, and keep it until the end.

        Raises StoreLocked where another process has it and does not end, CatalogError where the
        data dir cannot be made.
        """
        with self._opening:
            self._require_open()
            if not self.read_only and not self.shared:
                sqlite.make_folder(self.config.data_dir)
            self._hold_embedded(alone=True)

    def collection(self, encoder: Path | None = None) -> Collection:
        """The vectors of an encoder, by default the configured one, for reading.

        Raises EmptyGallery where nothing has been ingested, EncoderMismatch where it was ingested
        with other encoders only, StoreLocked where another process holds the gallery and does not
        end, StoreElsewhere and CopiedGallery where the vectors are not this gallery's to use.
        """
        encoder = self.config.encoder if encoder is None else encoder
        with self._opening:
            self._require_open()
            self._forget_ended_loan()
            self._follow()
            if encoder not in self._fingerprints:
                self._fingerprints[encoder] = fingerprint(encoder)
            mine = self._fingerprints[encoder]
            if (kept := self._collections.kept(mine)) is not None:
                return kept
            filled = []
            if self.has_catalog():
                self._hold_embedded()
                known = self.catalog.with_vectors(mine)
                if known is not None:
                    found = self._collections.of(known)
                    notice_missing(found)
                    return found
                filled = [one for one in self.catalog.encoders() if one.indexed]
            if not filled:
                raise EmptyGallery(
                    f"the gallery in {self.place} is empty",
                    hint="Fill it with: {ingest}",
                )
            others = ", ".join(f"{one.name} ({one.fingerprint[:8]})" for one in filled)
            raise EncoderMismatch(
                f"the gallery in {self.place} was made with {others}, not with "
                f"{encoder.name} ({mine[:8]})",
                hint="Search with the encoder it was made with ({encoder_file}), or ingest the "
                "images again with this one; both sets of vectors can be stored side by side.",
            )

    def searchable(self) -> tuple[Collection, Encoder]:
        """The configured encoder and its vectors: never those of another one.

        Raises EncoderMismatch, also where the encoder's file was replaced meanwhile; else as
        ``collection`` and ``encoder`` do.
        """
        collection = self.collection()
        encoder = self.encoder
        if encoder.fingerprint != collection.fingerprint:
            raise EncoderMismatch(
                f"{encoder.path} was replaced while the gallery was open",
                hint="Open the gallery again.",
            )
        return collection, encoder

    @contextmanager
    def changing(self, *, patient: bool = False) -> Iterator[None]:
        """The right to change the gallery, for one thread of one process at a time. Who is
        ``patient`` waits for other processes of this machine as long as they take.

        Raises StoreLocked where another process has it and does not end, CatalogError where the
        data dir can only be read.
        """
        patience = math.inf if patient else lock.PATIENCE
        with self._turns.taken(patience=patience), ExitStack() as held:
            with self._opening:
                self._require_open()
                if self.read_only:
                    raise CatalogError(
                        f"the gallery in {self.config.data_dir} can only be read",
                        hint="Check the folder's permissions and how its disk is mounted.",
                    )
                self._follow()
                if self.shared:
                    held.enter_context(self.catalog.database.held(Mode.EXCLUSIVE))
                else:
                    sqlite.make_folder(self.config.data_dir)
            if not self.shared:
                self._take_turn(held, patience)
            with self._opening:
                self._require_here()
            with self._turns.change():
                yield

    @contextmanager
    def taking_in(self, *, patient: bool = False) -> Iterator[None]:
        """The right to take images in, for one thread of one process at a time; where the catalog
        is shared, beside other processes, which leave each other what they have claimed: then
        ``Database.held`` is for each step, so that who deletes comes in between. Raises as
        ``changing`` does."""
        if not self.shared:
            with self.changing(patient=patient):
                yield
            return
        with self._turns.taken(patience=lock.PATIENCE):
            with self._opening:
                self._require_open()
                self._follow()
                database = self.catalog.database
            with database.working():
                yield

    def _take_turn(self, held: ExitStack, patience: float) -> None:
        """To be the one process that changes a data dir, until ``held`` ends. Whoever waits does so
        without keeping other threads from opening anything."""

        def attempt(seconds: float) -> None:
            with self._opening:
                self._get_embedded(patience=seconds)
                if self._access.held or self._turns.changing:
                    return
                turn = self._access.turn(patience=seconds)
            held.enter_context(turn)

        while True:
            try:
                lock.waited_for(attempt, patience=patience)
                return
            except StoreUnreachable:  # who lent it ended first, so that nothing has happened yet
                if not self._access.loan_is_over:
                    raise

    def again(self, work: Callable[[], T]) -> T:
        """What ``work`` returns, which changes nothing; from the beginning where whoever lent the
        vectors ended in the middle of it."""
        try:
            return work()
        except StoreUnreachable:
            if not self._access.loan_is_over or self._turns.changing:
                raise
        return work()

    def lend(self, fingerprint: str, dimension: int) -> VectorStore:
        """The shard of an encoder's vectors, for another process. Raises StoreError."""
        with self._opening:
            self._require_open()
            return self._collections.shard(fingerprint, dimension)

    def took_back(self, fingerprint: str) -> None:
        """That an encoder's collection was deleted by another process."""
        with self._opening:
            self._collections.took_back(fingerprint)

    def turn(self, borrower: str, *, patience: float) -> AbstractContextManager[None]:
        """The right to change the gallery, for another process, as ``Turns.lent`` gives it."""
        return self._turns.lent(borrower, patience=patience)

    @contextmanager
    def looking(self) -> Iterator[None]:
        """That nobody changes the gallery meanwhile. Raises StoreLocked as ``changing`` does."""
        if not self.read_only:
            with self.changing():
                yield
            return
        with self._opening:
            self._require_open()
            self._hold_embedded()
        yield

    def collection_to_fill(self) -> Collection:
        """The collection for vectors of the configured encoder, made where it is new. Only to be
        asked for while ``changing``.

        An encoder without vectors yet is tried first: where it turns out to be none, nothing is
        recorded. Raises EncoderError, and as ``collection`` and ``encoder`` do.
        """
        encoder = self.encoder
        with self._opening:
            known = self.has_catalog() and self.catalog.has_vectors(encoder.fingerprint)
            if not known:
                selftest.check(encoder)
            with self.catalog.database.held(Mode.EXCLUSIVE):  # two would make one collection twice
                self._require_here()
                return self._filled_by(encoder)

    def _filled_by(self, encoder: Encoder) -> Collection:
        id = self.catalog.add_encoder(
            fingerprint=encoder.fingerprint,
            name=encoder.name,
            dimension=encoder.dimension,
            payloads=PAYLOAD_FORM,
        )
        collection = self._collections.of(
            EncoderRecord(
                id=id,
                fingerprint=encoder.fingerprint,
                name=encoder.name,
                dimension=encoder.dimension,
                indexed=0,  # nobody asks, and counting takes a while
                payloads=self.catalog.payloads(id),
            )
        )
        self.catalog.record_store(collection.store.address)
        return collection

    def collections(self) -> list[Collection]:
        """Those of all encoders, the fullest first. Only to be asked for while ``changing``
        or ``looking``."""
        with self._opening:
            return self._collections.all()

    def delete_collection(self, encoder: EncoderRecord) -> None:
        """Delete an encoder's vectors, with the whole collection. Only to be asked for while
        ``changing``; the encoder's collection is not to be used any more."""
        with self._opening:
            self._collections.delete(encoder)

    def claim(self, *, copy: bool) -> None:
        """Say whose a server's collections are, after a data dir was moved, restored or copied.

        With ``copy`` the gallery becomes another one, whose images all wait for vectors. Raises
        UsageError where vectors are in the data dir, as a copy of that has its own, and where what
        is called a copy is none.
        """
        with self.changing(), self._opening:
            if self.address == EMBEDDED:
                raise UsageError("the vectors of this gallery are in its data dir: nobody else's")
            self._collections.close()
            with self._collections.whosever():
                owners = {one.store.owner for one in self.collections()}
                if copy:
                    own = {None, self.vectors.owner}
                    if self.catalog.home == self.vectors.home and owners <= own:
                        raise UsageError("this gallery is no copy: its vectors are its own")
                    self._collections.close()
                    self.catalog.become_another()
                self.catalog.record_home(self.vectors.home)
                self.catalog.record_store(self.address)
                for one in self.collections():
                    one.store.claim(self.vectors.owner)
                    if copy:
                        indexed = self.catalog.embeddings.indexed_ids(one.encoder_id)
                        self.catalog.embeddings.set_pending(one.encoder_id, indexed)

    def close(self) -> None:
        """Let go of everything, after a change that another thread makes has ended, or another
        process on loan; a service, which is to end within seconds, takes back at once what it lent.
        Idempotent."""
        with self._opening:
            self._turns.end()
            lender = self._access.end_lending()
        if lender is not None:
            if self._served_at is None:
                self._turns.await_borrower()
            lender.close()
        with self._turns.last(), self._opening:
            self._closed = True
            self._encoder = None
            self._collections.close()
            self._resources.close()

    def _hold_embedded(self, *, alone: bool = False) -> None:
        """Get at vectors in the data dir, where they are, and say so where that takes a while."""
        lock.waited_for(
            lambda seconds: self._get_embedded(alone=alone, patience=seconds),
            patience=lock.PATIENCE,
        )

    def _get_embedded(self, *, alone: bool = False, patience: float) -> None:
        """Get at vectors in the data dir, where they are, for as long as the session lasts: by its
        lock, or, but ``alone``, on loan from a process that has it."""
        self._forget_ended_loan()
        if self.address == EMBEDDED:
            self._access.take(alone=alone, patience=patience)

    def _follow(self) -> None:
        """Go where another process has moved the gallery meanwhile, unless in the middle of a
        change. What was handed out before is not to be used any more."""
        if self._turns.changing:
            return
        if self._current.moved:
            self._leave_vectors()
            self._current.close()
            self._current.open()
        elif self.vectors.moved_to is not None:
            self._leave_vectors()

    def _require_here(self) -> None:
        """Raise StoreElsewhere where the vectors were moved while this process waited for its turn;
        of the catalog that is told by what is written to it."""
        if not self._turns.changing and (there := self.vectors.moved_to) is not None:
            raise StoreElsewhere(
                f"the vectors of the gallery in {self.place} were moved to {there} meanwhile",
                hint="Run {same_call} again: it goes on there.",
            )

    def follow(self) -> None:
        """Go where the gallery is by now."""
        with self._opening:
            self._follow()

    def let_others_in(self) -> None:
        """Let go of the data dir's lock, where vectors are no longer in it."""
        with self._opening:
            if not self._access.locked or self.address == EMBEDDED:
                return
        self._access.release()

    def leave_vectors(self) -> None:
        """Let go of vectors that are elsewhere now: the next who needs them gets at them there."""
        with self._opening:
            self._leave_vectors()

    def _leave_vectors(self) -> None:
        self._collections.close()
        self.vectors.forget_address()

    def _forget_ended_loan(self) -> None:
        """Let the next who needs vectors get at them anew, unless in the middle of a change."""
        if self._access.loan_is_over and not self._turns.changing:
            self._collections.close()
            self._access.forget_loan()

    def _require_open(self) -> None:
        if self._closed:
            raise GalleryClosed(
                f"the gallery in {self.place} is closed",
                hint="Open it again.",
            )
