"""Learn the transit times between the cameras of a gallery, and keep them in its catalog."""

from dataclasses import dataclass
from enum import StrEnum

from reidsearch import transit
from reidsearch.errors import EmptyGallery, NotCalibrated
from reidsearch.gallery import Gallery
from reidsearch.transit import Transit
from reidsearch.types import Split


class Source(StrEnum):
    """Where the pairs of images of one person come from."""

    TRAIN = "train"  # identities of the training split
    GALLERY = "gallery"  # identities of the gallery
    MATCHES = "matches"  # no identities: the gallery's own matches across cameras


@dataclass(frozen=True)
class Calibration:
    """A transit model and its provenance: learned from ``source``, over ``images`` images, at
    ``learned`` (seconds since 1970 UTC)."""

    transit: Transit
    source: Source
    images: int
    learned: float


def calibrate(gallery: Gallery, *, source: Source | None = None) -> Calibration:
    """Learn how long people take from camera to camera, and store it in place of what was known.

    By default from the training split's identities, where it is stored, otherwise from the
    gallery's matches. Raises EmptyGallery where the source holds nothing, UsageError where no
    times are known.
    """
    stored, vectors = gallery.load()
    camera, identity = stored.labels.camera, stored.labels.identity
    clock = transit.clock(camera, stored.sequence, stored.frame, stored.timestamp)
    times = stored.times(clock)

    known = (stored.split == Split.TRAIN) & (stored.identity > 0)
    if source is None:
        source = Source.TRAIN if known.any() else Source.MATCHES
    rows = known
    if source is Source.MATCHES:
        rows = stored.split == Split.GALLERY
    elif source is Source.GALLERY:
        rows = (stored.split == Split.GALLERY) & (stored.identity > 0)
    if not rows.any():
        raise EmptyGallery(
            f"there is nothing stored to calibrate from: no images for source {source}",
            hint="Ingest the training split (--split train), or calibrate --source matches.",
        )
    if source is Source.MATCHES:
        same = transit.mutual_pairs(vectors[rows], camera[rows])
    else:
        same = transit.known_pairs(identity[rows], camera[rows])
    model = transit.learn(clock, camera[rows], times[rows], same)
    learned = gallery.catalog.save_transit(
        gallery.encoder_id, source=source, images=int(rows.sum()), model=model.to_bytes()
    )
    return Calibration(model, source, int(rows.sum()), learned)


def load(gallery: Gallery) -> Calibration:
    """What ``calibrate`` stored last. Raises NotCalibrated where it never ran."""
    row = gallery.catalog.transit(gallery.encoder_id)
    if row is None:
        raise NotCalibrated(
            "the times between this gallery's cameras have not been learned",
            hint="Learn them with: reidsearch calibrate",
        )
    model = Transit.from_bytes(row.model)
    return Calibration(model, Source(row.source), row.images, row.learned)
