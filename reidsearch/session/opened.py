"""The collections of a gallery that are open."""

import logging
from collections.abc import Iterator
from contextlib import contextmanager

from reidsearch.catalog.database import Mode
from reidsearch.catalog.records import EncoderRecord
from reidsearch.errors import CopiedGallery
from reidsearch.session.access import Access
from reidsearch.session.copies import Copies
from reidsearch.session.current import CurrentCatalog
from reidsearch.session.place import VectorsPlace
from reidsearch.stores import EMBEDDED, PAYLOAD_FORM, VectorStore
from reidsearch.stores.lent import LentStore
from reidsearch.vectors.collection import Collection

log = logging.getLogger(__name__)


class OpenCollections:
    """Collections by their encoders' fingerprints, opened at first need and kept. Shards in the
    data dir are kept beside them: others may have those on loan. Where ``copies`` are given, these
    are opened in place of the shards."""

    def __init__(
        self,
        catalog: CurrentCatalog,
        place: VectorsPlace,
        access: Access,
        *,
        copies: Copies | None,
    ) -> None:
        self._current = catalog
        self._place = place
        self._access = access
        self._copies = copies
        self._collections: dict[str, Collection] = {}
        self._shards: dict[str, VectorStore] = {}
        self._whosever = False

    def kept(self, fingerprint: str) -> Collection | None:
        """An encoder's collection, where it is open."""
        return self._collections.get(fingerprint)

    def of(self, encoder: EncoderRecord) -> Collection:
        """An encoder's collection. Raises CopiedGallery where it is another gallery's, StoreError;
        StoreElsewhere as ``VectorsPlace.address`` does."""
        if encoder.fingerprint not in self._collections:
            catalog = self._current.open()
            collection = Collection(
                catalog,
                self._store(encoder),
                encoder_id=encoder.id,
                encoder_name=encoder.name,
                fingerprint=encoder.fingerprint,
                dimension=encoder.dimension,
            )
            try:
                if encoder.payloads != PAYLOAD_FORM:
                    with catalog.database.held(Mode.EXCLUSIVE):
                        if catalog.payloads(encoder.id) != PAYLOAD_FORM:  # by now
                            collection.describe_anew()
            except BaseException:
                self._shards.pop(encoder.fingerprint, None)
                collection.store.close()
                raise
            self._collections[encoder.fingerprint] = collection
        return self._collections[encoder.fingerprint]

    def all(self) -> list[Collection]:
        """Those of all encoders, the fullest first."""
        return [self.of(one) for one in self._current.open().encoders()]

    def shard(self, fingerprint: str, dimension: int) -> VectorStore:
        """An encoder's vectors in the data dir, made where they are new. Raises StoreError."""
        if self._access.loan is not None:
            return LentStore(self._access.loan, fingerprint=fingerprint, dimension=dimension)
        if fingerprint not in self._shards:
            path = self._place.path(fingerprint)
            if self._copies is not None:
                path = self._copies.vectors(path)
            self._shards[fingerprint] = self._place.shard(path, dimension)
        return self._shards[fingerprint]

    @contextmanager
    def whosever(self) -> Iterator[None]:
        """That collections may be another gallery's so far."""
        self._whosever = True
        try:
            yield
        finally:
            self._whosever = False

    def delete(self, encoder: EncoderRecord) -> None:
        """Delete an encoder's vectors, with the whole collection."""
        self.of(encoder).store.delete_collection()
        self._shards.pop(encoder.fingerprint, None)
        self._collections.pop(encoder.fingerprint).store.close()

    def took_back(self, fingerprint: str) -> None:
        """That an encoder's collection was deleted by another process."""
        self._collections.pop(fingerprint, None)
        if (shard := self._shards.pop(fingerprint, None)) is not None:
            shard.close()

    def close(self) -> None:
        """Let go of all. Idempotent; the next who asks opens them anew."""
        for one in self._collections.values():
            one.store.close()
        self._collections.clear()
        for shard in self._shards.values():
            shard.close()
        self._shards.clear()

    def _store(self, encoder: EncoderRecord) -> VectorStore:
        address = self._place.address
        if address == EMBEDDED:
            return self.shard(encoder.fingerprint, encoder.dimension)
        store = self._place.store_at(address, encoder)
        try:
            if not self._whosever:
                self._place.require_owned(store)
        except CopiedGallery:
            store.close()
            raise
        return store


def notice_missing(collection: Collection) -> None:
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
