"""Stored images by their ids: their pictures, and what is known of them."""

import hashlib
from collections.abc import Sequence

from reidsearch.catalog import Catalog
from reidsearch.catalog.records import ImageRecord
from reidsearch.environment import machine
from reidsearch.errors import ImageError, ReidsearchError, UnknownImage
from reidsearch.pictures import contents
from reidsearch.search.probe import Probe
from reidsearch.session import Session


def probe(session: Session, id: int) -> Probe:
    """A stored image as a probe: its file's bytes, and all that is known of it.

    Raises UnknownImage where no image that can be found has that id; ImageError where its file
    cannot be read, or is another one by now: what was not taken in is not handed out. Else as
    ``Session.collection`` does.
    """
    found = _described(session, [id]).get(id)
    if found is None:
        raise _unknown(id)
    data, digest = _read(found)
    asked = Probe(data, digest, found.sighting, file=found.file)
    return Probe.of(asked, name=str(found.file))


def pictures(session: Session, ids: Sequence[int]) -> dict[int, bytes | ReidsearchError]:
    """The files of stored images, by id, or where a file is on another machine's disk, the small
    picture that the catalog has; in place of one that cannot be handed out, why, as ``probe``
    raises it. Raises as ``Session.collection`` does."""
    known = _described(session, ids)
    files: dict[int, bytes | ReidsearchError] = {}
    for id in ids:
        try:
            if id not in known:
                files[id] = _unknown(id)
            elif is_here(known[id]):
                files[id], _ = _read(known[id])
            else:
                files[id] = thumbnail(session.catalog, known[id])
        except ImageError as error:
            files[id] = error
    return files


def is_here(image: ImageRecord) -> bool:
    """Whether an image's file may be read on this machine: it is this one's, or its disk is seen
    from here, too."""
    return image.machine in (None, machine()) or image.file.exists()


def thumbnail(catalog: Catalog, image: ImageRecord) -> bytes:
    """The small picture of an image, a JPEG. Raises ImageError where none was kept."""
    try:
        return catalog.images.thumbnails([image.id])[image.id]
    except KeyError:
        raise ImageError(
            f"the file is on the disk of {image.machine}, and no small picture of it was kept",
            hint="Set thumbnails = true in reidsearch.toml there, for images that come.",
        ) from None


def _described(session: Session, ids: Sequence[int]) -> dict[int, ImageRecord]:
    collection = session.collection()
    return collection.catalog.images.describe(collection.encoder_id, ids)


def _read(found: ImageRecord) -> tuple[bytes, str]:
    """The file's bytes and their SHA-256."""
    if not is_here(found):
        raise ImageError(
            f"the file is on the disk of {found.machine}",
            hint="Ask there, or with a picture that is at hand.",
        )
    data = contents.read_bytes(found.file)
    digest = hashlib.sha256(data).hexdigest()
    if digest != found.sha256:
        raise ImageError("the file has changed since it was taken in", hint="Ingest it again.")
    return data, digest


def _unknown(id: int) -> UnknownImage:
    return UnknownImage(
        f"no stored image has the id {id}",
        hint="It may have been forgotten meanwhile; answers tell what is stored now.",
    )
