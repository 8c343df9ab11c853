"""Answer probes from the stored gallery."""

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np

from reidsearch import images
from reidsearch.calibrate import Calibration
from reidsearch.datasets import parse_name
from reidsearch.encoder import Encoder
from reidsearch.errors import (
    EmptyGallery,
    EncoderError,
    ImageError,
    UnknownCamera,
    UsageError,
)
from reidsearch.gallery import Gallery, lacking
from reidsearch.neighbours import GalleryNeighbours
from reidsearch.ranking import rerank, transit
from reidsearch.ranking.clock import SECONDS, Times
from reidsearch.stores import Match
from reidsearch.types import Answer, Filter, Hit, Ids, Sighting, Split, Vectors, known_or_unknown

FETCHED = 500  # more matches than asked for, among which evidence may reorder


@dataclass(frozen=True)
class Evidence:
    """What adds to scores: ``weight`` times the ratios of N catalog rows."""

    weight: float
    ratios: Callable[[Sequence[Any]], transit.Ratios]


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
    min_score: float = -math.inf,
    calibration: Calibration | None = None,
    timestamp: float | None = None,
    kept: GalleryNeighbours | None = None,
) -> Answer:
    """The ``top_k`` stored images nearest to the picture at ``probe``, at least ``min_score``.

    ``camera`` is the probe's own; where it is None, the file's name may tell. ``exclude_camera``
    drops every image of that camera. With a ``calibration``, scores are the cosine plus the
    weighted evidence of the time between the sightings; the probe's own is told by its name's
    sequence and frame or by ``timestamp`` (seconds since 1970 UTC). With the ``kept`` neighbours of
    the split, hits are re-ranked among all of it and their score is 1 - the re-ranked distance.

    Raises UnknownCamera where it is needed and unknown, UsageError where the time is, and
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
    evidence = None
    if calibration is not None:
        seen = replace(told, camera=camera, timestamp=timestamp)
        weight = calibration.weight if kept is None else transit.RERANKED_WEIGHT
        evidence = Evidence(weight, _ratios(seen, calibration, gallery))
    vector = _encode(probe, encoder)
    hits = find(vector, gallery=gallery, where=where, top_k=top_k, evidence=evidence, kept=kept)
    return Answer(
        query=str(probe),
        camera=camera,
        identity=told.identity,
        hits=tuple(hit for hit in hits if hit.score >= min_score),
    )


def find(
    vector: Vectors,
    *,
    gallery: Gallery,
    where: Filter,
    top_k: int,
    evidence: Evidence | None = None,
    kept: GalleryNeighbours | None = None,
) -> list[Hit]:
    """The ``top_k`` best hits for one vector (1 x D), by (-score, id).

    Scores are cosines or, with ``kept`` neighbours, 1 - the distance re-ranked among the whole
    split, from which filters then choose. ``evidence`` adds to them. Stored vectors that the
    catalog does not call indexed are passed over. Raises EmptyGallery where the store holds none at
    all, or lacks some that re-ranking needs.
    """
    ranked = None if kept is None else _reranked(vector, gallery, where, kept)
    limit = top_k if evidence is None else top_k + FETCHED
    while True:
        if ranked is None:
            (matches,) = gallery.store.search(vector, limit=limit, where=where)
        else:
            matches = ranked[:limit]
        rows = gallery.catalog.images.describe(gallery.encoder_id, [match.id for match in matches])
        known = [(match.score, match.id) for match in matches if match.id in rows]
        if evidence is not None and known:
            ratios = evidence.ratios([rows[id] for _, id in known])
            added = (evidence.weight * ratios).tolist()
            known = [(score + more, id) for (score, id), more in zip(known, added, strict=True)]
            known.sort(key=lambda hit: (-hit[0], hit[1]))
        if len(matches) < limit:
            break
        # What was not fetched is no nearer than the last match, and can gain only so much.
        rest = matches[-1].score + (0.0 if evidence is None else evidence.weight * transit.CLIP)
        if len(known) >= top_k and known[top_k - 1][0] >= rest:
            break
        limit *= 2
    if not matches and not gallery.store.ids():
        raise EmptyGallery(
            "the vector store is empty, though the catalog lists images",
            hint="Ingest again, with the same --qdrant-url if there is one: what is missing is "
            "encoded anew.",
        )
    return _hits(known[:top_k], rows)


def _reranked(
    vector: Vectors, gallery: Gallery, where: Filter, kept: GalleryNeighbours
) -> list[Match]:
    """All images that the filter admits, by re-ranked score."""

    def cosines(where: Filter) -> tuple[Ids, Vectors]:
        (matches,) = gallery.store.search(vector, limit=len(kept.ids), where=where)
        ids = np.array([match.id for match in matches], dtype=np.int64)
        scores = np.array([match.score for match in matches], dtype=np.float32)
        order = np.argsort(ids)
        order = order[np.isin(ids[order], kept.ids)]  # without what is not indexed
        return ids[order], scores[order]

    def fetch(positions: Ids) -> Vectors:
        ids, vectors = gallery.store.retrieve(kept.ids[positions].tolist())
        order = np.argsort(ids)  # positions ascend, and ids with them
        return vectors[order]

    ids, scores = cosines(Filter(split=where.split))
    if not np.array_equal(ids, kept.ids):
        raise lacking(len(kept.ids) - len(ids), len(kept.ids))
    distances = rerank.rerank_one(vector, scores, kept.neighbours, fetch)
    allowed = np.arange(len(ids))
    if where.cameras or where.without_cameras:
        allowed = np.flatnonzero(np.isin(ids, cosines(where)[0]))
    best = allowed[np.argsort(distances[allowed], kind="stable")]
    return [Match(int(ids[at]), float(1 - distances[at])) for at in best]


def _hits(scored: Sequence[tuple[float, int]], rows: Mapping[int, Any]) -> list[Hit]:
    return [
        Hit(
            rank=rank,
            score=score,
            id=id,
            identity=row.identity,
            camera=row.camera,
            sequence=row.sequence,
            frame=row.frame,
            split=row.split,
            path=str(Path(row.root) / row.path),
        )
        for rank, (score, id) in enumerate(scored, start=1)
        for row in [rows[id]]
    ]


def _ratios(
    probe: Sighting, calibration: Calibration, gallery: Gallery
) -> Callable[[Sequence[Any]], transit.Ratios]:
    """What the time between the probe and stored images says of their being the same person."""
    cameras = [] if probe.camera is None else gallery.catalog.images.camera_ids(probe.camera)
    if len(cameras) != 1:
        raise UnknownCamera(
            f"which camera {probe.path} is from is not known"
            if not cameras
            else f"several data sets have a camera {probe.camera}",
            hint="Add --camera N, with the number of a stored camera, or leave out "
            "--spatio-temporal.",
        )
    model = calibration.transit

    def times(of: Sequence[Any]) -> Times:
        return model.clock.times(
            known_or_unknown(row.camera_id for row in of),
            known_or_unknown(row.sequence for row in of),
            known_or_unknown(row.frame for row in of),
            np.array([row.timestamp for row in of], dtype=np.float64),
        )

    own = SimpleNamespace(
        camera_id=cameras[0],
        sequence=probe.sequence,
        frame=probe.frame,
        timestamp=probe.timestamp,
    )
    mine = times([own])
    if not np.isfinite(mine).all():
        raise UsageError(
            f"when {probe.path} was taken is not known",
            hint="Add --time, or name it like 0002_c1s1_000451_03.jpg, from a stored sequence."
            if model.clock.unit == SECONDS
            else "Name it like 0002_c1s1_000451_03.jpg, from a stored sequence.",
        )

    def ratios(rows: Sequence[Any]) -> transit.Ratios:
        cameras = known_or_unknown(row.camera_id for row in rows)
        (of_probe,) = model.ratios(np.array([own.camera_id]), mine, cameras, times(rows))
        return np.asarray(of_probe)

    return ratios


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
    cameras = gallery.catalog.images.cameras()
    for camera in wanted:
        if camera not in cameras:
            here = ", ".join(map(str, cameras)) or "none"
            raise UnknownCamera(
                f"no stored image is from camera {camera}", hint=f"Cameras stored: {here}."
            )
