"""Camera means where they could do harm, on people that the encoder was not trained on.

    python -m benchmarks.camera_means --data MARKET_ROOT --hold-out N ENCODER.onnx

Give an encoder that was trained with the same --hold-out and seed. Prints Markdown tables by
appearance, not expanded and expanded, with what cameras add left in and taken out. R1 and mAP: of
the gallery as it is, of one whose strangers are at one camera each, of one where those who look
alike are at the same, and of probes whose camera is not known. mAP: of drawn galleries with few
images at each camera, over the number of images that the gallery's own mean counts for.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Self

import numpy as np

from benchmarks.held_out import HeldOut, Images
from reidsearch.learning.expand import SETTINGS
from reidsearch.ranking import camera_means, expansion, metrics
from reidsearch.ranking.camera_means import PRIOR
from reidsearch.ranking.expansion import Pool
from reidsearch.ranking.metrics import PerProbe, Scores
from reidsearch.ranking.ranking import Ranking, Sighted
from reidsearch.types import UNKNOWN, Ids

PRIORS = (0, 5, 10, 20, 50, 100, 200, 500)
FEW = {5: 150, 20: 60, 100: 20}  # images at a camera: how many galleries are drawn
ROUNDS = 30  # of grouping those who look alike
WAYS = {"not expanded": False, "expanded": True}


def main() -> None:
    report(HeldOut.asked_for(__doc__))


def report(held: HeldOut) -> None:
    """All tables."""
    whole = Asked(held.probes, held.gallery)
    cameras = np.unique(held.gallery.seen.camera)
    random = np.random.default_rng(0)
    people = np.setdiff1d(held.gallery.labels.identity, held.probes.labels.identity)
    drawn = random.choice(cameras, len(people))
    print("| gallery | images | | left in | taken out |\n|---|---|---|---|---|")
    for name, one in {
        "as it is": whole,
        "strangers at one camera each": whole.only_at(people, drawn),
        "those alike at the same": whole.only_at(people, by_looks(whole, people, cameras)),
        "as it is, the probe's camera not known": whole.from_nowhere(),
    }.items():
        for how, expanded in WAYS.items():
            found = (some.scores(expanded=expanded) for some in (one, one.without(PRIOR)))
            cells = " | ".join(f"{s.cmc[1]:.2%} / {s.mAP:.2%}" for s in found)
            print(f"| {name} | {len(one.gallery.vectors):,} | {how} | {cells} |", flush=True)

    print(f"\n| images a camera | | left in | {' | '.join(map(str, PRIORS))} |")
    print("|---" * (3 + len(PRIORS)) + "|")
    for count, draws in FEW.items():
        galleries = [whole.small(count, random) for _ in range(draws)]
        for how, expanded in WAYS.items():
            ways = [galleries, *([one.without(prior) for one in galleries] for prior in PRIORS)]
            cells = " | ".join(f"{mean_ap(way, expanded=expanded):.2%}" for way in ways)
            print(f"| {count} | {how} | {cells} |", flush=True)


@dataclass(frozen=True)
class Asked:
    """``probes`` that are asked of a ``gallery``."""

    probes: Images
    gallery: Images

    def without(self, prior: float = PRIOR) -> Self:
        """The same with what each camera adds taken out."""
        learned = camera_means.learn(self.gallery.vectors, self.gallery.seen.camera, prior=prior)
        mine, theirs = (
            replace(some, vectors=learned.adapted(some.vectors, some.seen.camera))
            for some in (self.probes, self.gallery)
        )
        return replace(self, probes=mine, gallery=theirs)

    def from_nowhere(self) -> Self:
        """The same with probes whose camera is not known; the protocol still knows it."""
        camera = np.full(len(self.probes.vectors), UNKNOWN)
        seen = Sighted(camera, self.probes.seen.times)
        return replace(self, probes=replace(self.probes, seen=seen))

    def only_at(self, people: Ids, cameras: Ids) -> Self:
        """Of each of these people (P) only the images from one camera (P)."""
        where = dict(zip(people.tolist(), cameras.tolist(), strict=True))
        labels = self.gallery.labels
        pairs = zip(labels.identity.tolist(), labels.camera.tolist(), strict=True)
        kept = [where.get(person, camera) == camera for person, camera in pairs]
        return replace(self, gallery=part(self.gallery, np.flatnonzero(kept)))

    def small(self, count: int, random: np.random.Generator) -> Self:
        """A gallery of people who are asked for, drawn one after the other with all their images,
        until all cameras but one hold ``count``; and their probes."""
        gallery = self.gallery
        left = dict.fromkeys(np.unique(gallery.seen.camera).tolist(), count)
        rows = []
        for person in random.permutation(np.unique(self.probes.labels.identity)).tolist():
            for row in np.flatnonzero(gallery.labels.identity == person).tolist():
                camera = int(gallery.seen.camera[row])
                if left[camera]:
                    left[camera] -= 1
                    rows.append(row)
            if sum(some > 0 for some in left.values()) <= 1:
                break
        there = part(gallery, np.sort(rows))
        asked = np.isin(self.probes.labels.identity, there.labels.identity)
        return replace(self, probes=part(self.probes, np.flatnonzero(asked)), gallery=there)

    def per_probe(self, *, expanded: bool) -> PerProbe:
        """The protocol's numbers, by appearance."""
        mine, theirs = self.probes.vectors, self.gallery.vectors
        if expanded:
            at = np.zeros(len(theirs), dtype=np.int64)
            pool = Pool(theirs, at, self.gallery.seen, Ranking())
            found = expansion.nearest(pool, np.arange(len(pool)), k=SETTINGS.stored)
            theirs = expansion.carrying(theirs, found, theirs, SETTINGS)
            pool = replace(pool, vectors=theirs)
            at = np.zeros(len(mine), dtype=np.int64)
            found = expansion.nearest_elsewhere(pool, mine, at, self.probes.seen, k=SETTINGS.probe)
            mine = expansion.carrying(mine, found, theirs, SETTINGS)
        distances = 1 - mine @ theirs.T
        return metrics.per_probe(
            metrics.positive_ranks(distances, self.probes.labels, self.gallery.labels)
        )

    def scores(self, *, expanded: bool) -> Scores:
        return self.per_probe(expanded=expanded).summary()


def by_looks(asked: Asked, people: Ids, cameras: Ids) -> Ids:
    """A camera for each of these people (P), the same for those who look alike: their mean vectors,
    less what cameras add, in as many groups as there are cameras (k-means)."""
    gallery = asked.without(0).gallery
    identity = gallery.labels.identity
    means = np.stack([gallery.vectors[identity == one].mean(axis=0) for one in people.tolist()])
    centres = means[np.random.default_rng(1).choice(len(means), len(cameras), replace=False)]
    for _ in range(ROUNDS):
        squares = (centres**2).sum(axis=1) - 2 * means @ centres.T
        group = squares.argmin(axis=1)
        for one in np.unique(group).tolist():
            centres[one] = means[group == one].mean(axis=0)
    found: Ids = cameras[group]
    return found


def part(images: Images, rows: Ids) -> Images:
    seen = Sighted(images.seen.camera[rows], images.seen.times[rows])
    return Images(images.vectors[rows], images.labels[rows], seen)


def mean_ap(galleries: Sequence[Asked], *, expanded: bool) -> float:
    """Over the probes of all of them."""
    each = [one.per_probe(expanded=expanded) for one in galleries]
    return float(np.concatenate([one.ap[one.counted] for one in each]).mean())


if __name__ == "__main__":
    main()
