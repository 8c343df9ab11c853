"""One time axis for the sightings of a camera, by timestamps or by frames."""

from collections.abc import Iterable
from dataclasses import dataclass
from typing import NamedTuple, Self

import numpy as np
from numpy.typing import NDArray

from reidsearch.errors import UsageError
from reidsearch.types import UNKNOWN, Ids

Times = NDArray[np.float64]  # N, in frames or seconds; NaN where not known

FRAMES, SECONDS = "frames", "seconds"


class Span(NamedTuple):
    """One sequence of a camera: the last of its frames (UNKNOWN where none is known), and whether
    all its images have timestamps."""

    camera: int
    sequence: int
    last_frame: int
    timed: bool


@dataclass(frozen=True)
class Clock:
    """Puts sightings of one camera on one time axis, in ``unit``.

    Where all have timestamps these are the time, in seconds. Otherwise frames are, which start
    anew with each sequence: ``starts`` maps (camera, sequence) to the frames before it.
    """

    unit: str
    starts: dict[tuple[int, int], int]

    @classmethod
    def of(cls, camera: Ids, sequence: Ids, frame: Ids, timestamp: Times) -> Self:
        """The clock that fits these sightings. Raises UsageError where none tells a time."""
        timed = np.isfinite(timestamp)
        spans = []
        for one in np.unique(camera).tolist():
            for part in np.unique(sequence[camera == one]).tolist():
                rows = (camera == one) & (sequence == part)
                spans.append(Span(one, part, int(frame[rows].max()), bool(timed[rows].all())))
        return cls.of_spans(spans)

    @classmethod
    def of_spans(cls, spans: Iterable[Span]) -> Self:
        """The same from what is known of each camera's sequences."""
        spans = sorted(spans)
        if spans and all(span.timed for span in spans):
            return cls(SECONDS, {})
        if all(span.last_frame == UNKNOWN for span in spans):
            raise UsageError(
                "no stored image has a time: neither frames nor timestamps are known",
                hint="Ingest images named like 0002_c1s1_000451_03.jpg, or a CSV with the column "
                "timestamp.",
            )
        starts: dict[tuple[int, int], int] = {}
        before = 0
        for at, span in enumerate(spans):
            if not at or spans[at - 1].camera != span.camera:
                before = 0
            starts[span.camera, span.sequence] = before
            before += max(span.last_frame, -1) + 1
        return cls(FRAMES, starts)

    def times(self, camera: Ids, sequence: Ids, frame: Ids, timestamp: Times) -> Times:
        """The time of each sighting; NaN where it is not known."""
        if self.unit == SECONDS:
            return timestamp
        starts = [
            self.starts.get(key, np.nan)
            for key in zip(camera.tolist(), sequence.tolist(), strict=True)
        ]
        return np.where(frame == UNKNOWN, np.nan, frame + np.array(starts, dtype=float))


def in_words(time: float | None, unit: str | None) -> str:
    """A time for people: a frame's number, or date and time of day (UTC)."""
    if time is None:
        return ""
    if unit == FRAMES:
        return f"frame {time:.0f}"
    return str(np.datetime64(round(time), "s")).replace("T", " ")
