"""A stored image by its id: its picture, and what is known of it."""

import hashlib

from reidsearch import images
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
    data = images.read_bytes(found.file)
    digest = hashlib.sha256(data).hexdigest()
    if digest != found.sha256:
        raise ImageError("the file has changed since it was taken in", hint="Ingest it again.")
    asked = Probe(data, digest, found.sighting, file=found.file)
    return Probe.of(asked, name=str(found.file))
