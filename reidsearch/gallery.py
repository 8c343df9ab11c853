"""A gallery: the catalog and one encoder's vector collection, opened together."""

from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, contextmanager
from types import TracebackType
from typing import Any, Self

import numpy as np

from reidsearch import lock
from reidsearch.catalog import Catalog, Stored, schema
from reidsearch.config import Config, api_key
from reidsearch.encoder import Encoder, fingerprint
from reidsearch.errors import EmptyGallery, EncoderMismatch
from reidsearch.stores import VectorStore
from reidsearch.types import Split, Vectors

CATALOG = "catalog.sqlite"
VECTORS = "vectors"
# As much of the fingerprint as a collection's name carries: 64 bits.
FINGERPRINT_CHARACTERS = 16


class Gallery:
    """Use as a context manager: it holds the catalog's and the vector store's files open, and
    ``resources`` beside them, until it ends."""

    def __init__(
        self,
        catalog: Catalog,
        store: VectorStore,
        *,
        encoder_id: int,
        encoder_name: str,
        dimension: int,
        resources: ExitStack,
    ) -> None:
        self.catalog = catalog
        self.store = store
        self.encoder_id = encoder_id
        self.encoder_name = encoder_name
        self.dimension = dimension
        self._resources = resources

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self._resources.close()

    def load(self, splits: Sequence[Split] = tuple(Split)) -> tuple[Stored, Vectors]:
        """What is indexed of these splits, in id order, with its vectors (N x D).

        Raises EmptyGallery where the vector store lacks some of what the catalog lists.
        """
        with ThreadPoolExecutor(1) as pool:  # SQLite's work goes on beside the other store's
            listed = pool.submit(self.catalog.images.stored, self.encoder_id, splits)
            blocks = list(self.store.scroll(splits=splits))
            stored = listed.result()
        ids = np.concatenate([np.empty(0, np.int64), *(block_ids for block_ids, _ in blocks)])
        missing = len(stored) - int(np.isin(stored.ids, ids, assume_unique=True).sum())
        if missing:
            raise lacking(missing, len(stored))
        if not blocks:
            return stored, np.empty((0, 0), dtype=np.float32)
        vectors = np.concatenate([block for _, block in blocks])
        order = np.argsort(ids)
        return stored, vectors[order[np.searchsorted(ids, stored.ids, sorter=order)]]


def lacking(missing: int, of: int) -> EmptyGallery:
    """The error of a vector store that lacks some of what the catalog lists."""
    return EmptyGallery(
        f"the vector store lacks {missing} of the {of} vectors that the catalog lists",
        hint="Ingest again: what is missing is encoded anew.",
    )


def create(config: Config, encoder: Encoder, *, purpose: str = "ingest") -> Gallery:
    """The gallery for vectors of this encoder, made where it is new, locked for this process.

    Raises StoreLocked where another process holds it and does not end; ``purpose`` is the command
    that it will be told of.
    """
    with ExitStack() as opened:
        catalog = _locked_catalog(config, opened, purpose)
        encoder_id = catalog.add_encoder(
            fingerprint=encoder.fingerprint, name=encoder.name, dimension=encoder.dimension
        )
        store = open_store(config, catalog, encoder.fingerprint, encoder.dimension)
        opened.callback(store.close)
        return Gallery(
            catalog,
            store,
            encoder_id=encoder_id,
            encoder_name=encoder.name,
            dimension=encoder.dimension,
            resources=opened.pop_all(),
        )


def open_existing(config: Config, *, purpose: str = "search") -> Gallery:
    """The gallery that was ingested with the configured encoder, for reading.

    Vectors in the data dir can be held by one process at a time, so that it is locked then, and
    StoreLocked raised as by ``create``. Raises EmptyGallery where nothing has been ingested,
    EncoderMismatch where it was ingested with other encoders only.
    """
    with ExitStack() as opened:
        if config.qdrant_url is None:
            catalog = _locked_catalog(config, opened, purpose)
        else:
            catalog = open_catalog(config)
            opened.callback(catalog.close)
        wanted = fingerprint(config.encoder)
        filled = [row for row in catalog.encoders() if row.indexed]
        if not filled:
            raise EmptyGallery(
                f"the gallery in {config.data_dir} is empty",
                hint="Fill it with: reidsearch ingest FOLDER",
            )
        mine = next((row for row in filled if row.fingerprint == wanted), None)
        if mine is None:
            others = ", ".join(f"{row.name} ({row.fingerprint[:8]})" for row in filled)
            raise EncoderMismatch(
                f"the gallery in {config.data_dir} was made with {others}, not with "
                f"{config.encoder.name} ({wanted[:8]})",
                hint="Search with the encoder it was made with (--encoder FILE), or ingest the "
                "images again with this one; both sets of vectors can be stored side by side.",
            )
        return _opened(config, catalog, mine, opened)


@contextmanager
def every(config: Config, *, purpose: str) -> Iterator[tuple[Catalog, list[Gallery]]]:
    """The catalog and the galleries of all its encoders, under one lock, for changing them.

    Raises StoreLocked as ``create`` does.
    """
    with ExitStack() as opened:
        catalog = _locked_catalog(config, opened, purpose)
        galleries = [
            opened.enter_context(_opened(config, catalog, row, ExitStack()))
            for row in catalog.encoders()
        ]
        yield catalog, galleries


def _locked_catalog(config: Config, opened: ExitStack, purpose: str) -> Catalog:
    schema.make_folder(config.data_dir)
    opened.enter_context(lock.held(config.data_dir, purpose=purpose))
    catalog = open_catalog(config)
    opened.callback(catalog.close)
    return catalog


def _opened(config: Config, catalog: Catalog, encoder: Any, opened: ExitStack) -> Gallery:
    """The gallery of an encoder's row in the catalog; ``opened`` closes with it."""
    with opened:
        store = open_store(config, catalog, encoder.fingerprint, encoder.dimension)
        opened.callback(store.close)
        return Gallery(
            catalog,
            store,
            encoder_id=encoder.id,
            encoder_name=encoder.name,
            dimension=encoder.dimension,
            resources=opened.pop_all(),
        )


def open_catalog(config: Config) -> Catalog:
    """The catalog of the configured data dir, made where it is new."""
    return schema.open_catalog(config.data_dir / CATALOG)


def collection_name(catalog: Catalog, encoder: str) -> str:
    """What the collection for that encoder (its fingerprint) is called."""
    return f"reidsearch-{catalog.key}-{encoder[:FINGERPRINT_CHARACTERS]}"


def open_store(config: Config, catalog: Catalog, encoder: str, dimension: int) -> VectorStore:
    """The collection of an encoder's vectors, of length ``dimension``, made where it is new."""
    name = collection_name(catalog, encoder)
    # Imported here: qdrant_client takes longer to import than a whole embedded query.
    if config.qdrant_url is None:
        from reidsearch.stores.edge import EdgeStore

        return EdgeStore(config.data_dir / VECTORS / name, dimension=dimension)
    from reidsearch.stores.server import ServerStore

    return ServerStore(
        config.qdrant_url,
        collection=name,
        dimension=dimension,
        api_key=api_key(),
    )
