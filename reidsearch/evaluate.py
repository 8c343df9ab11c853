"""The Market-1501 protocol over the stored vectors."""

import itertools
import time
from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from reidsearch import metrics
from reidsearch.catalog import Stored
from reidsearch.errors import EmptyGallery
from reidsearch.gallery import Gallery
from reidsearch.types import JUNK, Labels, Split, Vectors

Mask = NDArray[np.bool_]

BLOCK = 256  # probes whose distances are held at once: 16 MB against Market-1501's gallery


@dataclass(frozen=True)
class Evaluation:
    """``queries`` are the probes that count: those with a positive. ``gallery`` leaves out junk.
    ``camera_pairs`` is mAP by (probe camera, gallery camera), where it was asked for. ``seconds``
    has the time spent on each step."""

    scores: metrics.Scores
    queries: int
    queries_without_positive: int
    gallery: int
    camera_pairs: dict[tuple[int, int], float]
    encoder: str
    seconds: dict[str, float]


def evaluate(gallery: Gallery, *, camera_pairs: bool = False) -> Evaluation:
    """Rank the stored gallery for every stored probe: single query, cosine distance.

    ``camera_pairs`` also ranks each camera's gallery images alone for each camera's probes.

    Raises EmptyGallery where there are no labelled probes, no gallery, or no probe with a
    positive.
    """
    started = time.perf_counter()
    stored, vectors = gallery.load()
    is_probe = (stored.split == Split.QUERY) & (stored.identity > 0)
    is_gallery = (stored.split == Split.GALLERY) & (stored.identity >= JUNK)
    _require(stored, is_probe, "query", "probes with a known identity")
    _require(stored, is_gallery, "gallery", "gallery images with a known identity")
    loaded = time.perf_counter()

    labels = stored.labels
    probes, others = labels[is_probe], labels[is_gallery]
    ranks = _ranks(vectors[is_probe], probes, vectors[is_gallery], others)
    try:
        scores = metrics.score(ranks)
    except ValueError as error:
        raise EmptyGallery(
            f"there is nothing to evaluate: {error}",
            hint="A probe needs a gallery image of the same identity from another camera.",
        ) from None
    ranked = time.perf_counter()
    seconds = {"load": loaded - started, "rank": ranked - loaded}
    pairs = {}
    if camera_pairs:
        pairs = dict(_camera_pairs(stored, vectors, is_probe, is_gallery))
        seconds["camera pairs"] = time.perf_counter() - ranked
    return Evaluation(
        scores=scores,
        queries=scores.queries,
        queries_without_positive=len(probes) - scores.queries,
        gallery=int((others.identity != JUNK).sum()),
        camera_pairs=pairs,
        encoder=gallery.encoder_name,
        seconds=seconds,
    )


def _ranks(
    probe_vectors: Vectors, probes: Labels, vectors: Vectors, gallery: Labels
) -> Iterator[metrics.Ranks]:
    for start in range(0, len(probes), BLOCK):
        rows = slice(start, start + BLOCK)
        distances = 1 - probe_vectors[rows] @ vectors.T
        yield from metrics.positive_ranks(distances, probes[rows], gallery)


def _camera_pairs(
    stored: Stored, vectors: Vectors, is_probe: Mask, is_gallery: Mask
) -> Iterator[tuple[tuple[int, int], float]]:
    """mAP of one camera's probes in the gallery of one other camera, where there is a positive."""
    cameras = np.unique(stored.camera[is_probe | is_gallery]).tolist()
    for a, b in itertools.permutations(cameras, 2):
        rows, columns = is_probe & (stored.camera == a), is_gallery & (stored.camera == b)
        ranks = list(
            _ranks(vectors[rows], stored.labels[rows], vectors[columns], stored.labels[columns])
        )
        if any(len(r) for r in ranks):
            yield (a, b), metrics.score(ranks).mAP


def _require(stored: Stored, wanted: Mask, split: str, what: str) -> None:
    if wanted.any():
        return
    here = ", ".join(sorted(set(stored.split.tolist())))
    raise EmptyGallery(
        f"the gallery holds no {what}",
        hint=f"Stored splits: {here}. Ingest the {split} split too, from a Market-1501 folder or "
        "from a CSV with the columns path, split, camera, identity.",
    )
