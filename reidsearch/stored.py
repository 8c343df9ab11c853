"""A stored image by its id: its picture, and what is known of it."""

import hashlib

from reidsearch import images
from reidsearch.catalog import Catalog, ImageRecord
from reidsearch.config import machine
from reidsearch.errors import ImageError, UnknownImage
from reidsearch.probe import Probe
from reidsearch.session import Session


def probe(session: Session, id: int) -> Probe:
    """A stored image as a probe: its file's bytes, and all that is known of it.

    Raises UnknownImage where no image that can be found has that id; ImageError where its file
    cannot be read, or is another one by now: what was not taken in is not handed out. Else as
    ``Session.collection`` does.
    """
    collection = session.collection()
    found = collection.catalog.images.describe(collection.encoder_id, [id]).get(id)
    if found is None:
        raise UnknownImage(
            f"no stored image has the id {id}",
            hint="It may have been forgotten; answers list the ids of what is stored now.",
        )
    if not is_here(found):
        raise ImageError(
            f"the file is on the disk of {found.machine}",
            hint="Ask there, or with a picture that is at hand.",
        )
    data = images.read_bytes(found.file)
    digest = hashlib.sha256(data).hexdigest()
    if digest != found.sha256:
        raise ImageError("the file has changed since it was taken in", hint="Ingest it again.")
    asked = Probe(data, digest, found.sighting, file=found.file)
    return Probe.of(asked, name=str(found.file))


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


def picture(session: Session, id: int) -> bytes:
    """What there is to look at of a stored image: its file's bytes, or where these are on another
    machine's disk, the small picture. Raises as ``probe`` does."""
    collection = session.collection()
    found = collection.catalog.images.describe(collection.encoder_id, [id]).get(id)
    if found is not None and not is_here(found):
        return thumbnail(collection.catalog, found)
    asked = probe(session, id)
    asked.check()  # what is called a picture is one, whatever else its bytes may also be
    return asked.data
