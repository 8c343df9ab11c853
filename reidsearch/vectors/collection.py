"""One encoder's vectors in a gallery, with the catalog that describes them."""

from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass

import numpy as np

from reidsearch import faults
from reidsearch.catalog import Catalog, ImageRecord, Recorded, StoredImages
from reidsearch.errors import EmptyGallery
from reidsearch.stores import PAYLOAD_FORM, VectorStore, payload
from reidsearch.types import Ids, Kind, Payload, Split, Vectors

DESCRIBED = 4096  # payloads made durable together
READ = 2048  # vectors read together


@dataclass(frozen=True)
class Collection:
    """The vectors of the encoder with this ``fingerprint``, D = ``dimension`` numbers each, in
    ``store``; ``catalog`` says what they show."""

    catalog: Catalog
    store: VectorStore
    encoder_id: int
    encoder_name: str
    fingerprint: str
    dimension: int

    def load(self, splits: Sequence[Split] = tuple(Split)) -> tuple[StoredImages, Vectors]:
        """What is indexed of these splits, in id order, with its vectors (N x D).

        Raises EmptyGallery where the vector store lacks some of what the catalog lists.
        """
        with ThreadPoolExecutor(1) as pool:  # SQLite's work goes on beside the other store's
            listed = pool.submit(self.catalog.images.stored, self.encoder_id, splits)
            blocks = list(self.store.scroll(splits=splits))
            stored = listed.result()
        if not blocks:
            if len(stored):
                raise vectors_missing(len(stored), len(stored))
            return stored, np.empty((0, 0), dtype=np.float32)
        vectors = np.empty((len(stored), blocks[0][1].shape[1]), dtype=np.float32)
        wanted = np.append(stored.ids, -1)  # nobody's id
        count = 0
        blocks.reverse()
        while blocks:  # each goes when it was copied, or vectors would be held twice
            ids, block = blocks.pop()
            rows = np.searchsorted(stored.ids, ids)
            known = wanted[rows] == ids  # the others are new, or being deleted
            vectors[rows[known]] = block if known.all() else block[known]
            count += int(known.sum())
        if count < len(stored):
            raise vectors_missing(len(stored) - count, len(stored))
        return stored, vectors

    def vectors(self, ids: Ids, *, kind: Kind = Kind.PLAIN) -> Vectors:
        """The vectors of that ``kind`` (N x D) of stored images, whose ids (N) ascend.

        Raises EmptyGallery where the vector store lacks some of them.
        """
        made = np.empty((len(ids), self.dimension), dtype=np.float32)
        count = 0
        for start in range(0, len(ids), READ):
            found, vectors = self.store.retrieve(ids[start : start + READ].tolist(), kind=kind)
            made[count : count + len(found)] = vectors[np.argsort(found)]
            count += len(found)
        if count < len(ids):
            raise vectors_missing(len(ids) - count, len(ids))
        return made

    def describe_anew(self) -> None:
        """Bring the payloads of all vectors to the form of this version. Repeatable: where it is
        cut short, it is done again at the next opening."""
        ids = sorted(self.store.ids())
        for start in range(0, len(ids), DESCRIBED):
            listed = self.catalog.images.of(ids[start : start + DESCRIBED])
            self.store.describe([image.id for image in listed], [payload_of(i) for i in listed])
            faults.reach("payloads described")
        self.catalog.record_payloads(self.encoder_id, PAYLOAD_FORM)


def payload_of(image: ImageRecord) -> Payload:
    """What a vector store is told of a stored image."""
    return payload(
        split=image.split,
        dataset_id=image.dataset_id,
        camera_id=image.camera_id,
        timestamp=image.timestamp,
    )


def payload_of_recorded(image: Recorded, dataset_id: int) -> Payload:
    """The same of an image of a data set that has just been recorded."""
    seen = image.candidate.sighting
    return payload(
        split=seen.split,
        dataset_id=dataset_id,
        camera_id=image.camera_id,
        timestamp=seen.timestamp,
    )


def vectors_missing(missing: int, of: int) -> EmptyGallery:
    """The error of a vector store that lacks some of what the catalog lists."""
    return EmptyGallery(
        f"the vector store lacks {missing} of the {of} vectors that the catalog lists",
        hint="Ingest again: what is missing is encoded anew.",
    )
