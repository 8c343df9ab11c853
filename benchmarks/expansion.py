"""Expanded vectors, on people that the encoder was not trained on.

    python -m benchmarks.expansion --data MARKET_ROOT --hold-out N ENCODER.onnx

Give an encoder that was trained with the same --hold-out and seed. Transit times are learned from
the gallery's own matches, without a label. Prints Markdown tables: over the number of neighbours
that a stored vector carries and a probe takes, over the exponent of their weights and over the
share of times in the final score, by appearance and by times; with neighbours of other cameras
alone, with mutual neighbours alone, in two rounds, with a probe's neighbours as they were before
they carried theirs, with what cameras add left in or their means alone taken out; and of a gallery
with one crop for each person and camera.
"""

from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from benchmarks.held_out import HeldOut, Images
from reidsearch.learning.expand import SETTINGS
from reidsearch.ranking import camera_means, expansion, transit
from reidsearch.ranking.calibration import Calibration, Source
from reidsearch.ranking.expansion import NONE, Neighbours, Pool, Settings
from reidsearch.ranking.pairs import mutual_pairs
from reidsearch.ranking.ranking import EXPANDED_SHARE, Ranking, Sighted
from reidsearch.ranking.scores import ScoreDistribution
from reidsearch.types import Ids, Vectors

MOST = 16  # neighbours
SHARES = (0.0, 0.25, 0.5, 0.75, 1.0)
NOBODY = ScoreDistribution.of([])


@dataclass
class World:
    """Held-out people with everybody's lists of MOST neighbours, by one ranking."""

    held: HeldOut
    ranking: Ranking
    times: Vectors  # Q x G, what they add at full weight

    def __post_init__(self) -> None:
        self.pool = _pool(self.held.gallery, self.ranking)
        self.lists = expansion.nearest(self.pool, np.arange(len(self.pool)), k=MOST)

    def expanded(self, how: Settings, lists: Neighbours | None = None) -> tuple[Vectors, Vectors]:
        """The vectors of probes and gallery."""
        lists = _first(self.lists if lists is None else lists, how.stored)
        vectors = expansion.carrying(self.pool.vectors, lists, self.pool.vectors, how)
        return self.looked_again(how, vectors), vectors

    def looked_again(self, how: Settings, gallery: Vectors) -> Vectors:
        """The probes with what they take from these vectors of the gallery."""
        probes = self.held.probes
        nowhere = np.zeros(len(probes.vectors), dtype=np.int64)
        found = expansion.nearest_elsewhere(
            replace(self.pool, vectors=gallery), probes.vectors, nowhere, probes.seen, k=how.probe
        )
        return expansion.carrying(probes.vectors, found, gallery, how)

    def row(self, name: str, compared: tuple[Vectors, Vectors], share: float) -> None:
        """Print one row of a table."""
        probes, gallery = compared
        scores = self.held.scores(1 - probes @ gallery.T - np.float32(share) * self.times)
        print(
            f"| {name} | {scores.cmc[1]:.2%} | {scores.mAP:.2%} | {scores.mINP:.2%} |", flush=True
        )


def _pool(gallery: Images, ranking: Ranking) -> Pool:
    nowhere = np.zeros(len(gallery.vectors), dtype=np.int64)
    return Pool(gallery.vectors, nowhere, gallery.seen, ranking)


def _first(lists: Neighbours, k: int) -> Neighbours:
    return Neighbours(lists.nearest[:, :k], lists.scores[:, :k])


def _without(lists: Neighbours, left_out: NDArray[np.bool_]) -> Neighbours:
    return Neighbours(
        np.where(left_out, NONE, lists.nearest), np.where(left_out, -np.inf, lists.scores)
    )


def main() -> None:
    held = HeldOut.asked_for(__doc__)
    report(held, "all crops")
    report(few(held), "one crop for each person and camera")


def report(held: HeldOut, title: str) -> None:
    """All tables of one gallery."""
    gallery = held.gallery
    model = transit.learn(
        held.clock, *gallery.seen, mutual_pairs(gallery.vectors, gallery.seen.camera)
    )
    cosines = held.probes.vectors @ gallery.vectors.T
    weight = transit.WEIGHT * float(cosines.std())
    timed = Ranking(Calibration(model, weight, Source.MATCHES, 0, 0.0, NOBODY, NOBODY))
    times = timed.added(held.probes.seen, gallery.seen)
    print(f"\n## {title}: {len(gallery.vectors)} images, {len(held.probes.vectors)} probes\n")
    for name, ranking, share in (
        ("by appearance", Ranking(), 0.0),
        ("by times", timed, EXPANDED_SHARE),
    ):
        print(f"\n| {name} | R1 | mAP | mINP |\n|---|---|---|---|")
        alone = 0.0 if ranking.calibration is None else 1.0
        without = less_cameras(held)
        world = World(without, ranking, times)
        world.row("not expanded", (held.probes.vectors, gallery.vectors), alone)
        world.row(
            "not expanded, camera means out",
            (without.probes.vectors, without.gallery.vectors),
            alone,
        )
        over_settings(world, share)
        what_is_near(world, share)
        world.row("camera means left in", World(held, ranking, times).expanded(SETTINGS), share)
        means_alone = less_cameras(held, spread=False)
        world.row(
            "camera means without spread",
            World(means_alone, ranking, times).expanded(SETTINGS),
            share,
        )


def over_settings(world: World, share: float) -> None:
    """Each setting varied, the others as they are in use."""
    for stored in (0, 2, 4, 6, 8, 12, 16):
        world.row(f"stored {stored}", world.expanded(replace(SETTINGS, stored=stored)), share)
    for probe in (0, 1, 2, 3, 5, 8):
        world.row(f"probe {probe}", world.expanded(replace(SETTINGS, probe=probe)), share)
    for alpha in (1.0, 2.0, 3.0, 4.0):
        world.row(f"alpha {alpha:g}", world.expanded(replace(SETTINGS, alpha=alpha)), share)
    for part in SHARES:
        world.row(f"share of times {part}", world.expanded(SETTINGS), part)


def what_is_near(world: World, share: float) -> None:
    """Other ways to choose neighbours."""
    lists, camera = world.lists, world.pool.seen.camera
    there = lists.nearest
    world.row(
        "other cameras alone",
        world.expanded(SETTINGS, _sorted(_without(lists, camera[there] == camera[:, None]))),
        share,
    )
    k = SETTINGS.stored
    mutual = (there[there][:, :, :k] == np.arange(len(there))[:, None, None]).any(axis=2)
    world.row("mutual alone", world.expanded(SETTINGS, _without(lists, ~mutual)), share)
    _, once = world.expanded(SETTINGS)
    again = replace(world.pool, vectors=once)
    twice = expansion.carrying(
        once, expansion.nearest(again, np.arange(len(again)), k=k), once, SETTINGS
    )
    world.row("two rounds", (world.looked_again(SETTINGS, twice), twice), share)
    early = world.looked_again(SETTINGS, world.pool.vectors)
    world.row("a probe's neighbours before they carry theirs", (early, once), share)


def _sorted(lists: Neighbours) -> Neighbours:
    """Those that are left first."""
    order = np.argsort(-lists.scores, axis=1, kind="stable")
    return Neighbours(
        np.take_along_axis(lists.nearest, order, axis=1),
        np.take_along_axis(lists.scores, order, axis=1),
    )


def less_cameras(held: HeldOut, *, spread: bool = True) -> HeldOut:
    """The same with what each camera adds taken out; without ``spread`` its mean alone."""
    learned = camera_means.learn(held.gallery.vectors, held.gallery.seen.camera)
    if not spread:
        ones = np.ones_like(learned.scale)
        # The offset is the gallery's mean less the scaled one of the camera.
        overall = held.gallery.vectors.mean(axis=0, dtype=np.float64)
        offset = overall - (overall - learned.offset) / learned.scale
        learned = replace(learned, scale=ones, offset=offset.astype(np.float32))

    def less(images: Images) -> Images:
        return replace(images, vectors=learned.adapted(images.vectors, images.seen.camera))

    return replace(held, probes=less(held.probes), gallery=less(held.gallery))


def few(held: HeldOut) -> HeldOut:
    """The same with one crop for each person and camera, drawn."""
    gallery = held.gallery
    drawn = np.random.default_rng(0).permutation(len(gallery.vectors))
    keys = np.stack([gallery.labels.identity, gallery.labels.camera], axis=1)[drawn]
    _, first = np.unique(keys, axis=0, return_index=True)
    rows: Ids = np.sort(drawn[first])
    seen = Sighted(gallery.seen.camera[rows], gallery.seen.times[rows])
    return replace(held, gallery=Images(gallery.vectors[rows], gallery.labels[rows], seen))


if __name__ == "__main__":
    main()
