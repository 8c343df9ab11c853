"""What is known of the crops of a data set: how many, from where, of whom, when."""

from collections.abc import Mapping
from dataclasses import dataclass, field

from reidsearch.names import DISTRACTOR, JUNK
from reidsearch.types import Dataset


@dataclass(frozen=True, slots=True)
class Contents:
    """Counts of a data set's crops. ``first`` and ``last`` are times in seconds since 1970 UTC,
    None where no crop has one; people are neither junk nor distractors. ``passed_over`` counts
    files that are no crops, by ending, ``notes`` are what its reader has to say."""

    crops: int
    cameras: int
    people: int
    without_camera: int
    without_person: int
    without_time: int
    first: float | None = None
    last: float | None = None
    layout: str | None = None
    passed_over: Mapping[str, int] = field(default_factory=dict)
    notes: tuple[str, ...] = ()


def contents(dataset: Dataset) -> Contents:
    """What a data set says of its crops."""
    seen = dataset.sightings
    times = [one.timestamp for one in seen if one.timestamp is not None]
    return Contents(
        crops=len(seen),
        cameras=len({one.camera for one in seen} - {None}),
        people=len({one.identity for one in seen} - {None, JUNK, DISTRACTOR}),
        without_camera=sum(one.camera is None for one in seen),
        without_person=sum(one.identity is None for one in seen),
        without_time=sum(one.timestamp is None and one.frame is None for one in seen),
        first=min(times, default=None),
        last=max(times, default=None),
        layout=dataset.layout,
        passed_over=dataset.passed_over,
        notes=dataset.notes,
    )
