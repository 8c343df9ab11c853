"""The Market-1501 protocol over the stored vectors."""

import time
from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np

from reidsearch import metrics
from reidsearch.catalog import Stored
from reidsearch.errors import EmptyGallery
from reidsearch.gallery import Gallery
from reidsearch.types import JUNK, Labels, Split, Vectors

BLOCK = 256  # probes whose distances are held at once: 16 MB against Market-1501's gallery


@dataclass(frozen=True)
class Evaluation:
    """``queries`` are the probes that count: those with a positive. ``gallery`` leaves out junk.
    ``seconds`` has the time spent to load and to rank."""

    scores: metrics.Scores
    queries: int
    queries_without_positive: int
    gallery: int
    encoder: str
    seconds: dict[str, float]


def evaluate(gallery: Gallery) -> Evaluation:
    """Rank the stored gallery for every stored probe: single query, cosine distance.

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
    probes = Labels(labels.identity[is_probe], labels.camera[is_probe])
    others = Labels(labels.identity[is_gallery], labels.camera[is_gallery])
    ranks = _ranks(vectors[is_probe], probes, vectors[is_gallery], others)
    try:
        scores = metrics.score(ranks)
    except ValueError as error:
        raise EmptyGallery(
            f"there is nothing to evaluate: {error}",
            hint="A probe needs a gallery image of the same identity from another camera.",
        ) from None
    return Evaluation(
        scores=scores,
        queries=scores.queries,
        queries_without_positive=len(probes) - scores.queries,
        gallery=int((others.identity != JUNK).sum()),
        encoder=gallery.encoder_name,
        seconds={"load": loaded - started, "rank": time.perf_counter() - loaded},
    )


def _ranks(
    probe_vectors: Vectors, probes: Labels, vectors: Vectors, gallery: Labels
) -> Iterator[metrics.Ranks]:
    for start in range(0, len(probes), BLOCK):
        rows = slice(start, start + BLOCK)
        distances = 1 - probe_vectors[rows] @ vectors.T
        yield from metrics.positive_ranks(distances, probes[rows], gallery)


def _require(stored: Stored, wanted: np.ndarray, split: str, what: str) -> None:
    if wanted.any():
        return
    here = ", ".join(sorted(set(stored.split.tolist())))
    raise EmptyGallery(
        f"the gallery holds no {what}",
        hint=f"Stored splits: {here}. Ingest the {split} split too, from a Market-1501 folder or "
        "from a CSV with the columns path, split, camera, identity.",
    )
