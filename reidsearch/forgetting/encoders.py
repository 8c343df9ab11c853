"""Remove an encoder, with all vectors that it made."""

from collections.abc import Callable, Sequence
from dataclasses import replace

from reidsearch import faults
from reidsearch.catalog.records import EncoderRecord, ImageRecord
from reidsearch.errors import UsageError
from reidsearch.forgetting.removal import Forgotten, remove
from reidsearch.session import Session


def forget(
    session: Session,
    encoder: str,
    *,
    dry_run: bool = False,
    confirm: Callable[[EncoderRecord, Sequence[ImageRecord]], None] | None = None,
) -> Forgotten:
    """Remove an encoder, given by its name or the beginning of its fingerprint: its vectors with
    their whole collection, where images stand with it, its ingests and what was learned with it.

    Images that only this encoder knows go whole; those of other encoders stay. ``confirm`` is shown
    the encoder and the images that go, and stops it by raising; ``dry_run`` only tells. Where it is
    cut short, the next call goes on, and so does ``remove``. Raises UsageError where no encoder, or
    more than one, is meant, and as ``remove`` does.
    """
    with session.changing():
        catalog = session.catalog
        stored = catalog.encoders()
        found = [one for one in stored if one.name == encoder] or [
            one for one in stored if encoder and one.fingerprint.startswith(encoder.lower())
        ]
        if not found and catalog.compaction_owed and not dry_run:
            return remove(session, ())  # of a call that was cut short
        meant = _the_only(found, encoder, stored)
        images = catalog.images.known_only_to(meant.id)
        forgotten = Forgotten(tuple(image.file for image in images), meant.indexed)
        if dry_run:
            return forgotten
        if confirm is not None:
            confirm(meant, images)
        catalog.embeddings.mark_encoder_deleting(meant.id)
        faults.reach("encoder given up")
        catalog.log.forget_probes([image.sha256 for image in images if image.sha256])
        session.delete_collection(meant)
        catalog.embeddings.delete(meant.id, catalog.embeddings.deleting(meant.id))
        faults.reach("rows of encoder deleted")
        catalog.delete_encoder(meant.id)
        faults.reach("encoder deleted")
        rest = remove(session, ())
        return replace(forgotten, compacted=rest.compacted, backups=rest.backups, left=rest.left)


def _the_only(
    found: Sequence[EncoderRecord], wanted: str, stored: Sequence[EncoderRecord]
) -> EncoderRecord:
    if len(found) == 1:
        return found[0]
    listed = ", ".join(f"{one.name} ({one.fingerprint[:8]})" for one in found or stored)
    if found:
        raise UsageError(
            f"{wanted!r} stands for several encoders: {listed}",
            hint="Give the beginning of the fingerprint.",
        )
    raise UsageError(
        f"no encoder {wanted!r} is stored",
        hint="Stored: {listed}. Give a name, or the beginning of a fingerprint.",
        listed=listed or "none",
    )
