"""Two evaluations of the same probes side by side: is one encoder better, or lucky?"""

from dataclasses import dataclass
from pathlib import Path

import numpy as np

from reidsearch.documents.evaluations import ComparisonDocument, comparison_document
from reidsearch.errors import UsageError
from reidsearch.evaluation.protocol import Evaluation
from reidsearch.views import report

RESAMPLES = 10_000
BLOCK = 500  # resamples at once
LEVEL = 0.95


@dataclass(frozen=True)
class Comparison:
    """``difference`` in mAP, second less first, over the ``probes`` that both count, between
    ``low`` and ``high`` at LEVEL; and on how many probes the second's AP is ``better`` or
    ``worse``."""

    first: Evaluation
    second: Evaluation
    probes: int
    difference: float
    low: float
    high: float
    better: int
    worse: int

    @property
    def both(self) -> tuple[Evaluation, Evaluation]:
        """The two evaluations."""
        return self.first, self.second

    @property
    def words(self) -> str:
        """How large the difference is, and how sure."""
        return (
            f"mAP {self.difference:+.2%}, between {self.low:+.2%} and {self.high:+.2%} at "
            f"{LEVEL:.0%} (paired bootstrap over {self.probes:,} probes); AP better on "
            f"{self.better:,}, worse on {self.worse:,}"
        )

    def report(self, folder: str | Path) -> Path:
        """Write report.html with both encoders' numbers, plots and contact sheets to a folder;
        returns the page's path. Raises as ``Evaluation.report`` does."""
        return report.write(self.both, Path(folder), difference=self.words)

    def document(self) -> ComparisonDocument:
        """As a JSON document."""
        return comparison_document(self)


def compare(first: Evaluation, second: Evaluation) -> Comparison:
    """The paired bootstrap of the difference in AP: probes are drawn with replacement, RESAMPLES
    times, each with its AP from both; the interval holds the middle LEVEL of the mean differences
    (Efron and Tibshirani, An Introduction to the Bootstrap, 1993).

    Raises UsageError where they share no probe, or their galleries differ in size.
    """
    ids, others = (one.probe_ids[one.per_probe.counted] for one in (first, second))
    common, at, other = np.intersect1d(ids, others, assume_unique=True, return_indices=True)
    if not len(common) or first.gallery != second.gallery:
        raise UsageError(
            f"{first.encoder} and {second.encoder} were not evaluated on the same images",
            hint="Ingest the same queries and gallery with both encoders.",
        )
    mine, theirs = (one.per_probe.ap[one.per_probe.counted] for one in (first, second))
    differences = theirs[other] - mine[at]
    rng = np.random.default_rng(0)
    means = [
        differences[rng.integers(0, len(common), (BLOCK, len(common)))].mean(axis=1)
        for _ in range(RESAMPLES // BLOCK)
    ]
    tail = (1 - LEVEL) / 2
    low, high = np.quantile(np.concatenate(means), [tail, 1 - tail])
    return Comparison(
        first=first,
        second=second,
        probes=len(common),
        difference=float(differences.mean()),
        low=float(low),
        high=float(high),
        better=int((differences > 0).sum()),
        worse=int((differences < 0).sum()),
    )
