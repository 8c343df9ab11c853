"""Answer probes from the stored gallery."""

from collections.abc import Sequence
from pathlib import Path

import numpy as np

from reidsearch import images
from reidsearch.datasets import parse_name
from reidsearch.encoder import Encoder
from reidsearch.errors import EmptyGallery, EncoderError, ImageError, UnknownCamera
from reidsearch.gallery import Gallery
from reidsearch.types import Answer, Filter, Hit, Split, Vectors


def answer(
    probe: Path,
    *,
    gallery: Gallery,
    encoder: Encoder,
    camera: int | None = None,
    exclude_camera: bool = False,
    only_cameras: tuple[int, ...] = (),
    split: Split = Split.GALLERY,
    top_k: int = 10,
    min_score: float = -1.0,
) -> Answer:
    """The ``top_k`` stored images nearest to the picture at ``probe``, at least ``min_score``.

    ``camera`` is the probe's own; where it is None, the file's name may tell. ``exclude_camera``
    drops every image of that camera. Raises UnknownCamera where it is needed and unknown, and
    ImageError (its message names the file) where the picture cannot be read.
    """
    told = parse_name(probe.name)
    camera = told.camera if camera is None else camera
    if exclude_camera and camera is None:
        raise UnknownCamera(
            f"the camera of {probe.name} is not known, so it cannot be excluded",
            hint="Add --camera N, or name the file like 0002_c1s1_000451_03.jpg.",
        )
    where = Filter(
        split=split,
        cameras=only_cameras,
        without_cameras=(camera,) if exclude_camera and camera is not None else (),
    )
    vector = _encode(probe, encoder)
    hits = find(vector, gallery=gallery, where=where, top_k=top_k)
    return Answer(
        query=str(probe),
        camera=camera,
        identity=told.identity,
        hits=tuple(hit for hit in hits if hit.score >= min_score),
    )


def find(vector: Vectors, *, gallery: Gallery, where: Filter, top_k: int) -> list[Hit]:
    """The ``top_k`` best hits for one vector (1 x D), by (-score, id).

    Stored vectors that the catalog does not call indexed are passed over. Raises EmptyGallery
    where the store holds none at all.
    """
    limit = top_k
    while True:
        (matches,) = gallery.store.search(vector, limit=limit, where=where)
        rows = gallery.catalog.describe(gallery.encoder_id, [match.id for match in matches])
        known = [match for match in matches if match.id in rows]
        if len(known) >= top_k or len(matches) < limit:
            break
        limit *= 2
    if not matches and not gallery.store.ids():
        raise EmptyGallery(
            "the vector store is empty, though the catalog lists images",
            hint="Ingest again, with the same --qdrant-url if there is one: what is missing is "
            "encoded anew.",
        )
    return [
        Hit(
            rank=rank,
            score=match.score,
            id=match.id,
            identity=row.identity,
            camera=row.camera,
            sequence=row.sequence,
            frame=row.frame,
            split=row.split,
            path=str(Path(row.root) / row.path),
        )
        for rank, match in enumerate(known[:top_k], start=1)
        for row in [rows[match.id]]
    ]


def _encode(probe: Path, encoder: Encoder) -> Vectors:
    try:
        pixels = images.decode(images.read_bytes(probe), size=encoder.size)
    except ImageError as error:
        raise ImageError(
            f"{probe}: {error.message}", hint="Give a picture of one person."
        ) from None
    vector = encoder.encode(pixels[None])
    if not np.isfinite(vector).all():
        raise EncoderError(f"the encoder {encoder.name} gave no usable vector for {probe}")
    return vector


def check_cameras(wanted: Sequence[int], *, gallery: Gallery) -> None:
    """Raise UnknownCamera where one of ``wanted`` is not in the gallery."""
    cameras = gallery.catalog.cameras()
    for camera in wanted:
        if camera not in cameras:
            here = ", ".join(map(str, cameras)) or "none"
            raise UnknownCamera(
                f"no stored image is from camera {camera}", hint=f"Cameras stored: {here}."
            )
