"""A gallery: the catalog and one encoder's vector collection, opened together."""

import os
from collections.abc import Sequence
from contextlib import ExitStack
from types import TracebackType
from typing import Self

import numpy as np

from reidsearch import schema
from reidsearch.catalog import Catalog, Stored
from reidsearch.config import PREFIX, Config
from reidsearch.encoder import Encoder, fingerprint
from reidsearch.errors import EmptyGallery, EncoderMismatch
from reidsearch.stores import VectorStore
from reidsearch.types import Split, Vectors

CATALOG = "catalog.sqlite"
VECTORS = "vectors"
# As much of the fingerprint as a collection's name carries: 64 bits.
FINGERPRINT_CHARACTERS = 16


class Gallery:
    """Use as a context manager: it holds the catalog's and the vector store's files open."""

    def __init__(
        self, catalog: Catalog, store: VectorStore, *, encoder_id: int, encoder_name: str
    ) -> None:
        self.catalog = catalog
        self.store = store
        self.encoder_id = encoder_id
        self.encoder_name = encoder_name

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self.store.close()
        self.catalog.close()

    def load(self, splits: Sequence[Split] = tuple(Split)) -> tuple[Stored, Vectors]:
        """What is indexed of these splits, in id order, with its vectors (N x D).

        Raises EmptyGallery where the vector store lacks some of what the catalog lists.
        """
        stored = self.catalog.stored(self.encoder_id, splits)
        blocks = list(self.store.scroll(splits=splits))
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


def create(config: Config, encoder: Encoder) -> Gallery:
    """The gallery for vectors of this encoder, made where it is new."""
    with ExitStack() as on_error:
        catalog = open_catalog(config)
        on_error.callback(catalog.close)
        encoder_id = catalog.add_encoder(
            fingerprint=encoder.fingerprint, name=encoder.name, dimension=encoder.dimension
        )
        store = _open_store(config, catalog, encoder.fingerprint, encoder.dimension)
        on_error.pop_all()
    return Gallery(catalog, store, encoder_id=encoder_id, encoder_name=encoder.name)


def open_existing(config: Config) -> Gallery:
    """The gallery that was ingested with the configured encoder.

    Raises EmptyGallery where nothing has been ingested, EncoderMismatch where it was ingested
    with other encoders only.
    """
    with ExitStack() as on_error:
        catalog = open_catalog(config)
        on_error.callback(catalog.close)
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
        encoder_id = catalog.add_encoder(
            fingerprint=mine.fingerprint, name=mine.name, dimension=mine.dimension
        )
        store = _open_store(config, catalog, mine.fingerprint, mine.dimension)
        on_error.pop_all()
    return Gallery(catalog, store, encoder_id=encoder_id, encoder_name=mine.name)


def open_catalog(config: Config) -> Catalog:
    """The catalog of the configured data dir, made where it is new."""
    return schema.open_catalog(config.data_dir / CATALOG)


def _open_store(config: Config, catalog: Catalog, encoder: str, dimension: int) -> VectorStore:
    name = f"reidsearch-{catalog.key}-{encoder[:FINGERPRINT_CHARACTERS]}"
    # Imported here: qdrant_client takes longer to import than a whole embedded query.
    if config.qdrant_url is None:
        from reidsearch.stores.edge import EdgeStore

        return EdgeStore(config.data_dir / VECTORS / name, dimension=dimension)
    from reidsearch.stores.server import ServerStore

    return ServerStore(
        config.qdrant_url,
        collection=name,
        dimension=dimension,
        api_key=os.environ.get(PREFIX + "QDRANT_API_KEY"),
    )
