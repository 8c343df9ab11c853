"""One process's hold on a gallery: what is opened, when, and under which lock.

The catalog is opened at once where there is one; vectors and encoder at first need, and kept.
Vectors in the data dir can be held by one process at a time, so that its lock is taken with them
and kept until the session ends; on a server only changes take it, for as long as they last. A
session that answers others, as a service does, and any that has held them for a while, also lends
its vectors and the right to change the gallery to the user's other processes, which go on with that
as on a server. Within the process any number of threads may search at once, while one changes the
gallery.
"""

import logging
import threading
from collections.abc import Callable, Iterator
from contextlib import ExitStack, closing, contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TypeVar

from reidsearch import following, lock, selftest
from reidsearch.catalog import Catalog, schema, sqlite
from reidsearch.catalog.database import Mode
from reidsearch.catalog.records import EncoderRecord
from reidsearch.collection import Collection
from reidsearch.config import CatalogUrl, Config, api_key, catalog_file
from reidsearch.encoder import Encoder, fingerprint
from reidsearch.errors import (
    CatalogError,
    CopiedGallery,
    EmptyGallery,
    EncoderMismatch,
    GalleryClosed,
    StoreElsewhere,
    StoreError,
    StoreLocked,
    StoreUnreachable,
    UsageError,
)
from reidsearch.files import copy_folder, may_write
from reidsearch.stores import EMBEDDED, PAYLOAD_FORM, VectorStore, address_of, holding, is_at
from reidsearch.stores.lender import Lender
from reidsearch.stores.lent import LentStore, Loan
from reidsearch.stores.wire import Ended

log = logging.getLogger(__name__)

CATALOG = catalog_file(Path()).name
VECTORS = "vectors"
CROPS = "crops"
WAITING = "waiting"
# As much of the fingerprint as a collection's name carries: 64 bits.
FINGERPRINT_CHARACTERS = 16
# Seconds that a session has held vectors, when it begins to lend them: who is done before lets
# others wait, and they wait longer than that (``lock.PATIENCE``).
LENDS_AFTER = 3.0

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
        self.config = config
        self._purpose = purpose
        self._served_at = address
        self._resources = ExitStack()
        self._opening = threading.RLock()  # held while something is opened, or all is closed
        self._changing = threading.RLock()  # held while the gallery is changed
        self._changes = 0  # nested in each other
        self._borrower: str | None = None  # who has the right to change it on loan
        self._held = False
        self._lock: lock.Held | None = None
        self._loan: Loan | None = None
        self._lender: Lender | None = None
        self._lends_later: threading.Timer | None = None
        self._ending = False
        self._claiming = False  # then collections may be another's so far
        self._closed = False
        self._catalog = catalog
        self._encoder: Encoder | None = None
        self._collections: dict[str, Collection] = {}
        self._shards: dict[str, VectorStore] = {}  # by fingerprint; others may have them on loan
        self._fingerprints: dict[Path, str] = {}
        self._address: str | None = None
        self._urls: dict[str, str] = {}  # of catalogs, by their addresses
        self._temporary: Path | None = None
        if config.data_dir.exists() and not config.data_dir.is_dir():
            raise CatalogError(
                f"{config.data_dir} is no folder, and so no gallery",
                hint="Choose another {data_dir}.",
            )
        self._catalog_file = config.data_dir / CATALOG
        self.read_only = (
            config.catalog_url is None
            and self._catalog_file.exists()
            and not all(map(may_write, (config.data_dir, self._catalog_file)))
        )
        if catalog is not None:
            self._resources.callback(catalog.close)
        elif self.has_catalog():
            _ = self.catalog

    @property
    def shared(self) -> bool:
        """Whether the catalog is on a server, and many machines may use it at once."""
        if self._catalog is None:
            return self.config.catalog_url is not None
        return self._catalog.database.shared

    @property
    def place(self) -> str:
        """Where the gallery is, for messages: without secrets."""
        if self._catalog is not None and self.shared:
            return self._catalog.database.address
        return str(self.config.catalog_url or self.config.data_dir)

    @property
    def vectors_folder(self) -> Path:
        """Where embedded collections are, a folder each."""
        return self.config.data_dir / VECTORS

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
            if self._catalog is None:
                self._keep(self._open_catalog())
            assert self._catalog is not None
            return self._catalog

    def _open_catalog(self) -> Catalog:
        if self.config.catalog_url is not None:
            return schema.open_shared(self.config.catalog_url.secret, purpose=self._purpose)
        file = self._catalog_file
        if self.read_only:
            file = self._temporary_folder() / CATALOG
            sqlite.copy(self._catalog_file, file)
        return schema.open_catalog(file)

    def has_catalog(self) -> bool:
        """Whether there is one, which is not made by being asked for."""
        if self._catalog is not None:
            return True
        if self.config.catalog_url is None:
            return self._catalog_file.exists()
        if self._catalog is None:
            url = self.config.catalog_url.secret
            found = schema.find_shared(url, purpose=self._purpose)
            if found is None:
                return False
            self._keep(found)
        return True

    def _keep(self, catalog: Catalog) -> None:
        """Use this catalog, or the one that it was moved to."""
        self._catalog = following.followed(
            catalog,
            file=self._catalog_file,
            url_of=self.url_of,
            purpose=self._purpose,
        )
        self._resources.callback(self._catalog.close)

    def remember(self, url: CatalogUrl) -> None:
        """Keep a URL of a catalog, which may hold a password, for when the gallery is there."""
        self._urls[schema.address_of(url.secret)] = url.secret

    def url_of(self, address: str) -> str:
        """The URL of the catalog at an address: with a password, where this session knows one."""
        if self.config.catalog_url is not None:
            self.remember(self.config.catalog_url)
        return self._urls.get(address, address)

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
            if mine in self._collections:
                return self._collections[mine]
            filled = []
            if self.has_catalog():
                self._hold_embedded()
                known = self.catalog.with_vectors(mine)
                if known is not None:
                    found = self._opened(known)
                    _notice_missing(found)
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
    def changing(self) -> Iterator[None]:
        """The right to change the gallery, for one thread of one process at a time.

        Raises StoreLocked where another process has it and does not end, CatalogError where the
        data dir can only be read.
        """
        with self._turn(), ExitStack() as held:
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
                    self._take_turn(held)
                self._require_here()
            self._changes += 1
            try:
                yield
            finally:
                self._changes -= 1

    @contextmanager
    def taking_in(self) -> Iterator[None]:
        """The right to take images in, for one thread of one process at a time; where the catalog
        is shared, beside other processes, which leave each other what they have claimed: then
        ``Database.held`` is for each step, so that who deletes comes in between. Raises as
        ``changing`` does."""
        if not self.shared:
            with self.changing():
                yield
            return
        with self._turn():
            with self._opening:
                self._require_open()
                self._follow()
                database = self.catalog.database
            with database.working():
                yield

    @contextmanager
    def _turn(self) -> Iterator[None]:
        """To be the one thread that changes the gallery. Raises StoreLocked where another process
        has that right on loan and does not give it back."""
        while not self._changing.acquire(timeout=lock.PATIENCE):
            if self._borrower is not None:
                raise self._changed_by(self._borrower)
        try:
            yield
        finally:
            self._changing.release()

    def _take_turn(self, held: ExitStack) -> None:
        """To be the one process that changes a data dir, until ``held`` ends."""
        while True:
            self._hold_embedded()
            if self._held or self._changes:
                return
            try:
                held.enter_context(
                    lock.Held(self.config.data_dir, purpose=self._purpose)
                    if self._loan is None
                    else self._loan.turn()
                )
                return
            except StoreUnreachable:  # who lent it ended first, so that nothing has happened yet
                if self._loan is None or not self._loan.over:
                    raise

    def again(self, work: Callable[[], T]) -> T:
        """What ``work`` returns, which changes nothing; from the beginning where whoever lent the
        vectors ended in the middle of it."""
        try:
            return work()
        except StoreUnreachable:
            if self._loan is None or not self._loan.over or self._changes:
                raise
        return work()

    def lend(self, fingerprint: str, dimension: int) -> VectorStore:
        """The shard of an encoder's vectors, for another process. Raises StoreError."""
        with self._opening:
            self._require_open()
            return self._shard(fingerprint, dimension)

    def took_back(self, fingerprint: str) -> None:
        """That an encoder's collection was deleted by another process."""
        with self._opening:
            self._collections.pop(fingerprint, None)
            if (shard := self._shards.pop(fingerprint, None)) is not None:
                shard.close()

    @contextmanager
    def turn(self, borrower: str) -> Iterator[None]:
        """The right to change the gallery, for another process. Raises StoreLocked where it is
        being changed, and that does not end, Ended where this session does."""
        if not self._changing.acquire(timeout=lock.PATIENCE):
            raise self._changed_by(self._borrower or f"reidsearch {self._purpose}")
        try:
            if self._ending:
                raise Ended
            self._borrower = borrower
            yield
        finally:
            self._borrower = None
            self._changing.release()

    def _changed_by(self, who: str) -> StoreLocked:
        return StoreLocked(
            f"{who} changes the gallery in {self.config.data_dir}",
            hint="Wait until it has done so, and run {same_call} again.",
        )

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
        collection = self._opened(
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
            return [self._opened(one) for one in self.catalog.encoders()]

    def delete_collection(self, encoder: EncoderRecord) -> None:
        """Delete an encoder's vectors, with the whole collection. Only to be asked for while
        ``changing``; the encoder's collection is not to be used any more."""
        with self._opening:
            self._opened(encoder).store.delete_collection()
            self._shards.pop(encoder.fingerprint, None)
            self._collections.pop(encoder.fingerprint).store.close()

    def claim(self, *, copy: bool) -> None:
        """Say whose a server's collections are, after a data dir was moved, restored or copied.

        With ``copy`` the gallery becomes another one, whose images all wait for vectors. Raises
        UsageError where vectors are in the data dir, as a copy of that has its own, and where what
        is called a copy is none.
        """
        with self.changing(), self._opening:
            if self.address == EMBEDDED:
                raise UsageError("the vectors of this gallery are in its data dir: nobody else's")
            self._close_collections()
            self._claiming = True
            try:
                owners = {one.store.owner for one in self.collections()}
                if copy:
                    if self.catalog.home == self._home() and owners <= {None, self._owner()}:
                        raise UsageError("this gallery is no copy: its vectors are its own")
                    self._close_collections()
                    self.catalog.become_another()
                self.catalog.record_home(self._home())
                self.catalog.record_store(self.address)
                for one in self.collections():
                    one.store.claim(self._owner())
                    if copy:
                        indexed = self.catalog.embeddings.indexed_ids(one.encoder_id)
                        self.catalog.embeddings.set_pending(one.encoder_id, indexed)
            finally:
                self._claiming = False

    def close(self) -> None:
        """Let go of everything, after a change that another thread makes has ended, or another
        process on loan; a service, which is to end within seconds, takes back at once what it lent.
        Idempotent."""
        with self._opening:
            self._ending = True
            if self._lends_later is not None:
                self._lends_later.cancel()
        if self._lender is not None:
            if self._served_at is None:
                self._await_borrower()
            self._lender.close()
        with self._changing, self._opening:
            self._closed = True
            self._close_collections()
            self._catalog = self._encoder = None
            self._resources.close()

    def _await_borrower(self) -> None:
        if (who := self._borrower) is not None:
            log.info("%s changes the gallery through this process. Waiting ...", who)
        with self._changing:
            pass

    def collection_name(self, encoder: str) -> str:
        """What the collection for that encoder (its fingerprint) is called."""
        return f"reidsearch-{self.catalog.key}-{encoder[:FINGERPRINT_CHARACTERS]}"

    def _close_collections(self) -> None:
        for one in self._collections.values():
            one.store.close()
        self._collections.clear()
        for shard in self._shards.values():
            shard.close()
        self._shards.clear()

    def _hold_embedded(self, *, alone: bool = False) -> None:
        """Get at vectors in the data dir, where they are, for as long as the session lasts: by its
        lock, or, but ``alone``, on loan from a process that has it."""
        self._forget_ended_loan()
        if self.address != EMBEDDED or self._held or (self._loan is not None and not alone):
            return
        folder = self.config.data_dir
        if self.read_only:
            self._resources.enter_context(lock.shared(folder))
        else:
            get = lock.Held if alone else holding.get
            got = get(folder, purpose=self._purpose, address=self._served_at)
            if isinstance(got, Loan):
                self._loan = got
                self._resources.callback(got.close)
                return
            self._lock = self._resources.enter_context(got)
            if self._served_at is not None:
                self._lender = Lender(folder, self)
            else:
                self._lends_later = threading.Timer(LENDS_AFTER, self._begin_to_lend)
                self._lends_later.daemon = True
                self._lends_later.start()
        self._held = True

    def _begin_to_lend(self) -> None:
        with self._opening:
            if self._ending or not self._held or self._lender is not None:
                return
            try:
                self._lender = Lender(self.config.data_dir, self)
            except StoreError as error:
                log.warning("Others wait until this has ended: %s", error.message)

    def _follow(self) -> None:
        """Go where another process has moved the gallery meanwhile, unless in the middle of a
        change. What was handed out before is not to be used any more."""
        if self._catalog is None or self._changes:
            return
        if self._catalog.residence.moved is not None:
            self._leave()
            self._keep(self._open_catalog())
        elif self._address is not None and self._catalog.store not in (None, self._address):
            self._leave_vectors()

    def _require_here(self) -> None:
        """Raise StoreElsewhere where the vectors were moved while this process waited for its turn;
        of the catalog that is told by what is written to it."""
        if self._catalog is None or self._address is None:
            return
        recorded = self._catalog.store
        if not self._changes and recorded not in (None, self._address):
            raise StoreElsewhere(
                f"the vectors of the gallery in {self.place} were moved to {recorded} meanwhile",
                hint="Run {same_call} again: it goes on there.",
            )

    def follow(self) -> None:
        """Go where the gallery is by now."""
        with self._opening:
            self._follow()

    def let_others_in(self) -> None:
        """Let go of the data dir's lock, where vectors are no longer in it."""
        with self._opening:
            held, lender = self._lock, self._lender
            if held is None or self.address == EMBEDDED:
                return
            self._lock, self._lender, self._held = None, None, False
            if self._lends_later is not None:
                self._lends_later.cancel()
        if lender is not None:
            lender.close()
        held.release()

    def leave_vectors(self) -> None:
        """Let go of vectors that are elsewhere now: the next who needs them gets at them there."""
        with self._opening:
            self._leave_vectors()

    def _leave(self) -> None:
        """Let go of the catalog, and of all that depends on where it is."""
        self._leave_vectors()
        if self._catalog is not None:
            self._catalog.close()
            self._catalog = None

    def _leave_vectors(self) -> None:
        self._close_collections()
        self._address = None

    def _forget_ended_loan(self) -> None:
        """Let the next who needs vectors get at them anew, unless in the middle of a change."""
        if self._loan is not None and self._loan.over and not self._changes:
            self._close_collections()
            self._loan = None

    def _temporary_folder(self) -> Path:
        """This session's own, which nobody else can read."""
        if self._temporary is None:
            made = TemporaryDirectory(prefix="reidsearch-", ignore_cleanup_errors=True)
            self._temporary = Path(self._resources.enter_context(made))
        return self._temporary

    def _copied_vectors(self, name: str) -> Path:
        """A collection's copy that can be written, as Edge insists."""
        copied = self._temporary_folder() / name
        try:
            if (self.vectors_folder / name).is_dir():
                log.info("The gallery can only be read; its vectors are copied to %s.", copied)
                copy_folder(self.vectors_folder / name, copied)
        except OSError as error:
            raise StoreError(
                f"the gallery in {self.config.data_dir} can only be read, and its vectors cannot "
                f"be copied to {copied.parent}: {error.strerror}",
                hint="Let TMPDIR name a folder with enough space.",
            ) from None
        return copied

    def _opened(self, encoder: EncoderRecord) -> Collection:
        if encoder.fingerprint not in self._collections:
            collection = Collection(
                self.catalog,
                self._open_store(encoder),
                encoder_id=encoder.id,
                encoder_name=encoder.name,
                fingerprint=encoder.fingerprint,
                dimension=encoder.dimension,
            )
            try:
                if encoder.payloads != PAYLOAD_FORM:
                    with self.catalog.database.held(Mode.EXCLUSIVE):
                        if self.catalog.payloads(encoder.id) != PAYLOAD_FORM:  # by now
                            collection.describe_anew()
            except BaseException:
                self._shards.pop(encoder.fingerprint, None)
                collection.store.close()
                raise
            self._collections[encoder.fingerprint] = collection
        return self._collections[encoder.fingerprint]

    def _open_store(self, encoder: EncoderRecord) -> VectorStore:
        if self.address == EMBEDDED:
            return self._shard(encoder.fingerprint, encoder.dimension)
        store = self.store_at(self.address, encoder)
        try:
            self._require_owned(store)
        except CopiedGallery:
            store.close()
            raise
        return store

    def store_at(self, address: str, encoder: EncoderRecord, *, make: bool = True) -> VectorStore:
        """The store of an encoder's vectors at an address that need not be the gallery's; whoever
        asks for it closes it. Raises StoreElsewhere where a server has none and, without ``make``,
        none is to be made; StoreError."""
        if address == EMBEDDED:
            return self._shard_at(self.vectors_path(encoder), encoder.dimension)
        # Imported here: qdrant_client takes longer to import than a whole embedded query.
        from reidsearch.stores.layout import Layout
        from reidsearch.stores.server import ServerStore

        config = self.config
        return ServerStore(
            address,
            collection=self.collection_name(encoder.fingerprint),
            dimension=encoder.dimension,
            api_key=api_key(),
            layout=Layout(
                shards=config.qdrant_shards,
                replicas=config.qdrant_replicas,
                write_consistency=config.qdrant_write_consistency,
                on_disk=config.qdrant_on_disk,
                quantised=config.qdrant_quantised,
            ),
            exact_up_to=config.exact_up_to,
            make=make,
        )

    def vectors_path(self, encoder: EncoderRecord) -> Path:
        """Where an encoder's vectors are, where they are embedded."""
        return self.vectors_folder / self.collection_name(encoder.fingerprint)

    def owns(self, store: VectorStore) -> bool:
        """Whether a store is this gallery's, or nobody's: then it is claimed. One that was this
        gallery's before its catalog was moved is its own as well."""
        home, here = self.catalog.home, self._home()
        if home is None:
            self.catalog.record_home(here)
        elif home != here:
            return False
        owner = store.owner
        if owner in (None, f"{self.catalog.key} {self.catalog.residence.former_home}"):
            store.claim(self._owner())
            return True
        return owner == self._owner()

    def _shard(self, fingerprint: str, dimension: int) -> VectorStore:
        """An encoder's vectors in the data dir."""
        if self._loan is not None:
            return LentStore(self._loan, fingerprint=fingerprint, dimension=dimension)
        if fingerprint not in self._shards:
            name = self.collection_name(fingerprint)
            path = self._copied_vectors(name) if self.read_only else self.vectors_folder / name
            self._shards[fingerprint] = self._shard_at(path, dimension)
        return self._shards[fingerprint]

    def _shard_at(self, path: Path, dimension: int) -> VectorStore:
        from reidsearch.stores.edge import EdgeStore

        return EdgeStore(path, dimension=dimension, exact_up_to=self.config.exact_up_to)

    def _require_owned(self, store: VectorStore) -> None:
        """A server's collection belongs to one catalog: a copy of that would delete its vectors."""
        if self._claiming:
            return
        if not self.owns(store):
            raise CopiedGallery(
                f"the vectors of {self.place} on {store.address} belong to another copy of it",
                hint="Where this is the gallery itself, moved or restored, say so with: {claim}. "
                "Where it is a copy: {claim_copy} makes it a gallery of its own, and the next "
                "ingest fills it.",
            )

    def _owner(self) -> str:
        return f"{self.catalog.key} {self._home()}"

    def _home(self) -> str:
        """Tells the catalog from a copy of it."""
        database = self.catalog.database
        return database.again(database.identity)

    @property
    def address(self) -> str:
        """Where this gallery's vectors are: EMBEDDED, or a server's URL.

        Raises StoreElsewhere where the settings name another place, UsageError where a catalog that
        many machines share has no server for its vectors.
        """
        with self._opening:
            if self._address is None:
                found = self._find_address()
                if self.shared and found == EMBEDDED:
                    raise UsageError(
                        f"the catalog {self.place} is for many machines, and vectors in a data dir "
                        "are for one",
                        hint="Give a Qdrant server for the vectors with {qdrant_url}.",
                    )
                self._address = found
            return self._address

    def _find_address(self) -> str:
        folder, url = self.place, self.config.qdrant_url
        given = None if url is None else address_of(url)
        if not self.has_catalog():
            return given or EMBEDDED
        recorded = self.catalog.store
        if recorded is not None and url is not None and is_at(url, recorded):
            if given is None or "," not in given or given == recorded:
                return recorded
            self.catalog.record_store(given)  # other nodes of the same cluster are named now
            return given
        if recorded is not None and given is not None and given != recorded:
            if self._is_at(given):
                self.catalog.record_store(given)
                return given
            where = "its data dir" if recorded == EMBEDDED else recorded
            raise StoreElsewhere(
                f"the vectors of the gallery in {folder} are in {where}, not at {given}",
                hint="Leave out {qdrant_url}, or choose another {data_dir} for another gallery.",
            )
        if recorded or given:
            return recorded or given or EMBEDDED
        # Filled by a version that did not write it down: there, or on a server nobody names now.
        if not self.vectors_folder.is_dir() and any(e.indexed for e in self.catalog.encoders()):
            raise StoreElsewhere(
                f"the vectors of the gallery in {folder} are not in its data dir",
                hint="Give the server they are on, once more, as {qdrant_url}.",
            )
        return EMBEDDED

    def _is_at(self, address: str) -> bool:
        """Whether a server has this gallery's vectors: it is the known one, at another address."""
        for encoder in self.catalog.encoders():
            try:
                store = self.store_at(address, encoder, make=False)
            except StoreElsewhere:
                continue
            with closing(store):
                return store.owner == self._owner()
        return False

    def _require_open(self) -> None:
        if self._closed:
            raise GalleryClosed(
                f"the gallery in {self.place} is closed",
                hint="Open it again.",
            )


def _notice_missing(collection: Collection) -> None:
    """Say where a server holds fewer vectors than the catalog lists: half of a collection answers
    as a whole one does. What is in the data dir comes and goes with the catalog."""
    store = collection.store
    if store.address == EMBEDDED:
        return
    for _ in range(2):  # another process may add or remove some between both counts
        listed = collection.catalog.embeddings.count_indexed(collection.encoder_id)
        held = store.count()
        if held >= listed:
            return
    log.warning(
        "The Qdrant server at %s holds %d vectors, and the catalog lists %d: answers go without "
        "the others, until an ingest of the same images encodes them anew.",
        store.address,
        held,
        listed,
    )
