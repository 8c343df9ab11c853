"""Where a gallery's vectors are, and whether those there are its own."""

from contextlib import closing
from pathlib import Path

from reidsearch.catalog import Catalog
from reidsearch.catalog.records import EncoderRecord
from reidsearch.config import Config
from reidsearch.environment import api_key
from reidsearch.errors import CopiedGallery, StoreElsewhere, UsageError
from reidsearch.session.current import CurrentCatalog
from reidsearch.stores import EMBEDDED, VectorStore, address_of, is_at

# As much of the fingerprint as a collection's name carries: 64 bits.
FINGERPRINT_CHARACTERS = 16


class VectorsPlace:
    """The place of a gallery's vectors: ``folder``, with a folder for each encoder's, or a Qdrant
    server. What the catalog says of it counts, not the settings."""

    def __init__(self, config: Config, catalog: CurrentCatalog, *, folder: Path) -> None:
        self.folder = folder
        self._config = config
        self._current = catalog
        self._address: str | None = None

    @property
    def address(self) -> str:
        """EMBEDDED, or a server's URL; looked up once.

        Raises StoreElsewhere where the settings name another place, UsageError where a catalog that
        many machines share has no server for its vectors.
        """
        if self._address is None:
            found = self._find_address()
            if self._current.shared and found == EMBEDDED:
                raise UsageError(
                    f"the catalog {self._current.place} is for many machines, and vectors in a "
                    "data dir are for one",
                    hint="Give a Qdrant server for the vectors with {qdrant_url}.",
                )
            self._address = found
        return self._address

    @property
    def moved_to(self) -> str | None:
        """Where another process has moved the vectors since the address was looked up; None where
        they are still there."""
        if self._current.opened is None or self._address is None:
            return None
        recorded = self._current.opened.store
        return None if recorded == self._address else recorded

    def forget_address(self) -> None:
        """Look it up anew at next need."""
        self._address = None

    def collection_name(self, encoder: str) -> str:
        """What the collection for that encoder (its fingerprint) is called."""
        return f"reidsearch-{self._catalog.key}-{encoder[:FINGERPRINT_CHARACTERS]}"

    def path(self, encoder: str) -> Path:
        """Where that encoder's vectors are, where they are embedded."""
        return self.folder / self.collection_name(encoder)

    def shard(self, path: Path, dimension: int) -> VectorStore:
        """The embedded store in a folder. Raises StoreError."""
        from reidsearch.stores.edge import EdgeStore

        return EdgeStore(path, dimension=dimension, exact_up_to=self._config.exact_up_to)

    def store_at(self, address: str, encoder: EncoderRecord, *, make: bool = True) -> VectorStore:
        """The store of an encoder's vectors at an address that need not be the gallery's; whoever
        asks for it closes it. Raises StoreElsewhere where a server has none and, without ``make``,
        none is to be made; StoreError."""
        if address == EMBEDDED:
            return self.shard(self.path(encoder.fingerprint), encoder.dimension)
        # Imported here: qdrant_client takes longer to import than a whole embedded query.
        from reidsearch.stores.layout import Layout
        from reidsearch.stores.server import ServerStore

        config = self._config
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

    @property
    def owner(self) -> str:
        """Whose the stores at a server are to be: the gallery's, by its key and its catalog."""
        return f"{self._catalog.key} {self.home}"

    @property
    def home(self) -> str:
        """Tells the catalog from a copy of it."""
        database = self._catalog.database
        return database.again(database.identity)

    def owns(self, store: VectorStore) -> bool:
        """Whether a store is this gallery's, or nobody's: then it is claimed. One that was this
        gallery's before its catalog was moved is its own as well."""
        home, here = self._catalog.home, self.home
        if home is None:
            self._catalog.record_home(here)
        elif home != here:
            return False
        owner = store.owner
        if owner in (None, f"{self._catalog.key} {self._catalog.residence.former_home}"):
            store.claim(self.owner)
            return True
        return owner == self.owner

    def require_owned(self, store: VectorStore) -> None:
        """A server's collection belongs to one catalog: a copy of that would delete its vectors.
        Raises CopiedGallery."""
        if not self.owns(store):
            raise CopiedGallery(
                f"the vectors of {self._current.place} on {store.address} belong to another copy "
                "of it",
                hint="Where this is the gallery itself, moved or restored, say so with: {claim}. "
                "Where it is a copy: {claim_copy} makes it a gallery of its own, and the next "
                "ingest fills it.",
            )

    @property
    def _catalog(self) -> Catalog:
        return self._current.open()

    def _find_address(self) -> str:
        folder, url = self._current.place, self._config.qdrant_url
        given = None if url is None else address_of(url)
        if not self._current.exists():
            return given or EMBEDDED
        catalog = self._catalog
        recorded = catalog.store
        if recorded is not None and url is not None and is_at(url, recorded):
            if given is None or "," not in given or given == recorded:
                return recorded
            catalog.record_store(given)  # other nodes of the same cluster are named now
            return given
        if recorded is not None and given is not None and given != recorded:
            if self._is_at(given):
                catalog.record_store(given)
                return given
            where = "its data dir" if recorded == EMBEDDED else recorded
            raise StoreElsewhere(
                f"the vectors of the gallery in {folder} are in {where}, not at {given}",
                hint="Leave out {qdrant_url}, or choose another {data_dir} for another gallery.",
            )
        if recorded or given:
            return recorded or given or EMBEDDED
        # Filled by a version that did not write it down: there, or on a server nobody names now.
        if not self.folder.is_dir() and any(e.indexed for e in catalog.encoders()):
            raise StoreElsewhere(
                f"the vectors of the gallery in {folder} are not in its data dir",
                hint="Give the server they are on, once more, as {qdrant_url}.",
            )
        return EMBEDDED

    def _is_at(self, address: str) -> bool:
        """Whether a server has this gallery's vectors: it is the known one, at another address."""
        for encoder in self._catalog.encoders():
            try:
                store = self.store_at(address, encoder, make=False)
            except StoreElsewhere:
                continue
            with closing(store):
                return store.owner == self.owner
        return False
