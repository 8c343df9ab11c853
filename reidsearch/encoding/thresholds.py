"""Which cosine means the same person, as an encoder's maker measured it.

Least cosines by false match rate: the share of the pairs of different people that reach them. An
encoder's file has them in its metadata, as ``thresholds``. Those of the shipped encoder lie beside
its file, for the fingerprint named there: in the file they would change its fingerprint, and with
it whose vectors a gallery holds.
"""

import json
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Protocol, TypedDict

from reidsearch.config import DEFAULT_ENCODER

RATES = tuple(float(f"{10 ** (-k / 4):.3g}") for k in range(4, 26))  # that are measured
MAX_TEXT = 10_000  # characters of the metadata


class Measured(TypedDict):
    """The file beside the shipped encoder: ``measured_on`` says on whom thresholds were; of each of
    ``accuracy`` see the module of that name."""

    fingerprint: str
    measured_on: str
    thresholds: dict[str, float]
    accuracy: list[dict[str, object]]


class Tellable(Protocol):
    """What has a score for a false match rate, or None where it cannot tell."""

    def threshold(self, rate: float) -> float | None: ...


class Thresholds:
    """An encoder's cosines by false match rate, ``by_rate``."""

    def __init__(self, by_rate: Mapping[float, float]) -> None:
        self.by_rate = dict(sorted(by_rate.items()))

    def threshold(self, rate: float) -> float | None:
        """The least cosine for this rate: that of the greatest rate measured which is no greater.
        None below all of them."""
        reached = [cosine for known, cosine in self.by_rate.items() if known <= rate * (1 + 1e-9)]
        return reached[-1] if reached else None


def of_encoder(
    fingerprint: str, metadata: Mapping[str, str], *, shipped: Path = DEFAULT_ENCODER
) -> Thresholds | None:
    """Those that an encoder brings; None where it brings none.

    Raises ValueError where its metadata holds something else.
    """
    if "thresholds" in metadata:
        return parse(metadata["thresholds"])
    known = beside(fingerprint, shipped=shipped)
    return None if known is None else parse(json.dumps(known["thresholds"]))


def beside(fingerprint: str, *, shipped: Path = DEFAULT_ENCODER) -> Measured | None:
    """What lies beside the shipped encoder, where that has this fingerprint."""
    file = shipped.with_suffix(".json")
    if not file.is_file():
        return None
    known: Measured = json.loads(file.read_text(encoding="utf-8"))
    return known if known["fingerprint"] == fingerprint else None


def parse(text: str) -> Thresholds:
    """From the JSON of the metadata. Raises ValueError that names what is wrong."""
    wrong = 'thresholds is no JSON like {"0.001": 0.46, "0.0001": 0.587}'
    if len(text) > MAX_TEXT:
        raise ValueError(f"thresholds has more than {MAX_TEXT} characters")
    try:
        found = json.loads(text)
    except (ValueError, RecursionError):
        raise ValueError(wrong) from None
    if not isinstance(found, dict) or not found:
        raise ValueError(wrong)
    by_rate: dict[float, float] = {}
    for rate, cosine in found.items():
        if isinstance(cosine, bool) or not isinstance(cosine, int | float):
            raise ValueError(wrong)
        try:
            by_rate[float(rate)] = float(cosine)
        except (ValueError, OverflowError):
            raise ValueError(wrong) from None
    if not all(0 < rate < 1 and -1 <= cosine <= 1 for rate, cosine in by_rate.items()):
        raise ValueError("thresholds has a rate or a cosine out of range")
    cosines = [by_rate[rate] for rate in sorted(by_rate)]
    if cosines != sorted(cosines, reverse=True):
        raise ValueError("thresholds has a greater cosine for a greater rate")
    return Thresholds(by_rate)


def as_text(by_rate: Mapping[float, float]) -> str:
    """The inverse of ``parse``."""
    return json.dumps({f"{rate:g}": cosine for rate, cosine in by_rate.items()})


def choose(
    known: Tellable,
    scores: Iterable[float],
    *,
    gallery: int,
    rates: Iterable[float],
    false_share: float,
) -> tuple[float, float] | None:
    """The least threshold at which no more than a share of the hits is expected to be false, and
    its false match rate; the strictest that can be told where there is none, None where none can.

    Of a ``gallery`` of so many images, strangers for the most part, rate x gallery reach a
    threshold by chance. That is the false discovery rate of Benjamini and Hochberg ("Controlling
    the false discovery rate", JRSS B 57, 1995). ``scores`` are the hits'.
    """
    ordered = sorted(scores)
    strictest = None
    for rate in sorted(rates, reverse=True):
        threshold = known.threshold(rate)
        if threshold is None:
            continue
        strictest = threshold, rate
        hits = sum(1 for score in ordered if score >= threshold)
        if hits and rate * gallery <= false_share * hits:
            return strictest
    return strictest


def least(known: Tellable, rates: Iterable[float]) -> float | None:
    """The least score that any of the rates can tell."""
    told = (known.threshold(rate) for rate in rates)
    return min((score for score in told if score is not None), default=None)
