"""One time axis for the sightings of a camera, by timestamps or by frames."""

from collections.abc import Iterable
from dataclasses import dataclass
from typing import NamedTuple, Self

import numpy as np
from numpy.typing import NDArray

from reidsearch import times
from reidsearch.errors import UsageError
from reidsearch.types import UNKNOWN, Ids

Times = NDArray[np.float64]  # N, in frames or seconds; NaN where not known

FRAMES, SECONDS = "frames", "seconds"


class Span(NamedTuple):
    """One sequence of a camera: the last of its frames (UNKNOWN where none is known), and how many
    of its images have a timestamp, and how many a frame."""

    camera: int
    sequence: int
    last_frame: int
    timed: int
    framed: int


@dataclass(frozen=True)
class Clock:
    """Puts sightings of one camera on one time axis, in ``unit``.

    Where as many have timestamps as have frames these are the time, in seconds. Otherwise frames
    are, which start anew with each sequence: ``starts`` maps (camera, sequence) to the frames
    before it.
    """

    unit: str
    starts: dict[tuple[int, int], int]

    @classmethod
    def of(cls, camera: Ids, sequence: Ids, frame: Ids, timestamp: Times) -> Self:
        """The clock that fits these sightings. Raises UsageError where none tells a time."""
        timed, framed = np.isfinite(timestamp), frame != UNKNOWN
        spans = []
        for one in np.unique(camera).tolist():
            for part in np.unique(sequence[camera == one]).tolist():
                rows = (camera == one) & (sequence == part)
                last = int(frame[rows].max())
                spans.append(Span(one, part, last, int(timed[rows].sum()), int(framed[rows].sum())))
        return cls.of_spans(spans)

    @classmethod
    def of_spans(cls, spans: Iterable[Span]) -> Self:
        """The same from what is known of each camera's sequences."""
        spans = sorted(spans)
        timed, framed = sum(span.timed for span in spans), sum(span.framed for span in spans)
        if timed and timed >= framed:
            return cls(SECONDS, {})
        if not framed:
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


def in_words(time: float | None, unit: str | None, zone: times.Zone) -> str:
    """A time for people: a frame's number, or date and time of day in ``zone``, with its offset."""
    if time is None:
        return ""
    return f"frame {time:.0f}" if unit == FRAMES else times.show(time, zone)
