"""One time axis for the sightings of a camera, by timestamps or by frames."""

from dataclasses import dataclass
from typing import Self

import numpy as np
from numpy.typing import NDArray

from reidsearch.errors import UsageError
from reidsearch.types import UNKNOWN, Ids

Times = NDArray[np.float64]  # N, in frames or seconds; NaN where not known

FRAMES, SECONDS = "frames", "seconds"
BIN = {FRAMES: 100.0, SECONDS: 4.0}  # 100 frames are 4 s at Market-1501's 25 frames a second


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
        if len(timestamp) and np.isfinite(timestamp).all():
            return cls(SECONDS, {})
        if not (frame != UNKNOWN).any():
            raise UsageError(
                "no stored image has a time: neither frames nor timestamps are known",
                hint="Ingest images named like 0002_c1s1_000451_03.jpg, or a CSV with the column "
                "timestamp.",
            )
        starts: dict[tuple[int, int], int] = {}
        for one in np.unique(camera).tolist():
            before = 0
            for part in np.unique(sequence[camera == one]).tolist():
                starts[one, part] = before
                before += int(frame[(camera == one) & (sequence == part)].max()) + 1
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

    def bins(self, times: Times) -> Times:
        """Whole numbers of BIN, as floats; NaN stays."""
        return np.floor(times / BIN[self.unit])


def in_words(time: float | None, unit: str | None) -> str:
    """A time for people: a frame's number, or date and time of day (UTC)."""
    if time is None:
        return ""
    if unit == FRAMES:
        return f"frame {time:.0f}"
    return str(np.datetime64(round(time), "s")).replace("T", " ")
