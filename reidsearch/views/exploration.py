"""An exploration as one HTML page: numbers, plots that its template draws, and sample crops."""

from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

import numpy as np
from numpy.typing import NDArray

from reidsearch import __version__, names
from reidsearch.files import replacing
from reidsearch.types import Ids
from reidsearch.views import captions, endings, pages, thumbnails
from reidsearch.views.captions import Caption
from reidsearch.views.cards import Card, card
from reidsearch.views.made import Facts, Made
from reidsearch.words import counted

if TYPE_CHECKING:
    from reidsearch.inspection.exploration import Crop, Exploration

ENDINGS = (".html",)
THUMBNAIL = (128, 64)  # height, width
SAMPLES = 12  # crops in a row
GROUPS = 12  # of duplicates
ALIKE = 4  # crops of one group
SUSPECTS = 24
LISTED = 50  # failures
BINS = 24
MATRIX = 24  # cameras; more would not be legible


class Bars(NamedTuple):
    """A plot of counts: what they count, what stands below it, each bar's name and its count."""

    title: str
    below: str
    bars: list[tuple[str, int]]

    @property
    def most(self) -> int:
        return max((count for _, count in self.bars), default=0)

    @property
    def step(self) -> int:
        """Every so many bars have their name below."""
        return max(1, -(-len(self.bars) // 8))


def save(exploration: "Exploration", path: Path, made: Made | None = None) -> None:
    """Write the page to ``path``, with ``made`` in its head. Raises UsageError where that does not
    end in .html, OSError where it cannot be written; then nothing is."""
    endings.check(path, ENDINGS)
    with replacing(path) as partial:
        partial.write_text(html(exploration, made or Made()), encoding="utf-8")


def html(done: "Exploration", made: Made | None = None) -> str:
    """The page."""
    few = len(done.cameras) <= MATRIX
    suspects = done.suspects or ()
    return pages.render(
        "exploration.html",
        done=done,
        title=f"{done.source}: exploration",
        facts=_facts(done, made),
        numbers=numbers(done),
        plots=_plots(done),
        rows=list(zip(done.cameras, done.shared.tolist(), strict=True)) if few else [],
        most_shared=int(done.shared.max(initial=0)),
        splits=[
            (split, *(f"{n:,}" for n in kinds.values())) for split, kinds in done.splits.items()
        ],
        failures=[(one.path, one.reason) for one in done.failures[:LISTED]],
        samples=_samples(done),
        duplicates=[
            [_shown(crop, "plain") for crop in group[:ALIKE]]
            for group in (*done.at_odds, *(g for g in done.duplicates if g not in done.at_odds))[
                :GROUPS
            ]
        ],
        suspects=[
            (
                _shown(one.crop, "probe", f"{number}"),
                _shown(one.own, "right", f"{one.own_score:.3f}"),
                _shown(one.other, "wrong", f"{one.other_score:.3f}"),
            )
            for number, one in enumerate(suspects[:SUSPECTS], start=1)
        ],
    )


def _facts(done: "Exploration", made: Made | None) -> Facts:
    """What was looked at, with what, when and by which command."""
    crops = f"{counted(len(done.crops), 'image')} of {counted(done.people, 'person', 'people')}"
    notes = [("note", note) for note in done.notes]
    told = [("found", crops), *notes, ("with", f"reidsearch {__version__}")]
    return told if made is None else [*told, *made.facts(None)]


def numbers(done: "Exploration") -> list[tuple[str, str]]:
    """What was counted, under the names that people read."""
    found = [
        ("images", f"{len(done.crops):,}"),
        ("people", f"{done.people:,}"),
        ("cameras", f"{len(done.cameras):,}"),
        ("sequences", f"{done.sequences:,}"),
    ]
    rest = {
        "junk": done.count("junk"),
        "distractors": done.count("distractors"),
        "without a person": done.count("unknown"),
        "without a camera": done.without_camera,
        "hardly crops of one person": done.looks.unlike_crops,
        "nearly the same as another": sum(map(len, done.duplicates)),
        "of these with labels of several people": sum(map(len, done.at_odds)),
        "cannot be read": len(done.failures),
    }
    found += [(name, f"{count:,}") for name, count in rest.items() if count]
    if done.suspects is not None:
        found.append(("suspicious labels", f"{len(done.suspects):,}"))
    return found


def spreads(done: "Exploration") -> list[tuple[str, NDArray[np.number]]]:
    """The numbers that are told by their least, median and most."""
    seen = done.looks
    return [
        ("images of a person", done.per_person),
        ("cameras of a person", done.cameras_per_person),
        ("images of a camera", done.per_camera),
        ("width", seen.width),
        ("height", seen.height),
        ("height / width", seen.aspect),
        ("sharpness", seen.sharpness),
        ("brightness", seen.brightness),
    ]


def _plots(done: "Exploration") -> list[Bars]:
    seen = done.looks
    per_camera = list(zip(done.cameras, done.per_camera.tolist(), strict=True))
    plots = [
        _whole("People", "images of a person", done.per_person),
        _whole("People", "cameras that saw a person", done.cameras_per_person),
        Bars("Images", "camera", per_camera[:BINS]),
        _whole("Images", "width in pixels", seen.width),
        _whole("Images", "height in pixels", seen.height),
        _binned("Images", "height / width", seen.aspect),
        _binned("Images", "sharpness", seen.sharpness),
        _binned("Images", "brightness, 0 to 255", seen.brightness),
    ]
    return [plot for plot in plots if plot.most]


def _whole(title: str, below: str, values: Ids) -> Bars:
    """Bars of whole numbers, each one its own where they are few."""
    found = np.unique(values)
    if len(found) > BINS:
        return _binned(title, below, values, whole=True)
    counts = [int((values == value).sum()) for value in found]
    return Bars(title, below, list(zip(map(str, found.tolist()), counts, strict=True)))


def _binned(title: str, below: str, values: NDArray[np.number], *, whole: bool = False) -> Bars:
    """Bars of equal width; what is beyond the 99.5th percentile counts in the last one."""
    if not len(values):
        return Bars(title, below, [])
    low, high = float(values.min()), float(np.percentile(values, 99.5))
    if high <= low:
        return Bars(title, below, [(_short(low), len(values))])
    step = (high - low) / BINS
    if whole:
        step = max(1.0, float(np.ceil(step)))
    edges = low + step * np.arange(BINS)
    places = np.clip(((values - low) / step).astype(np.int64), 0, BINS - 1)
    counts = np.bincount(places, minlength=BINS).tolist()
    return Bars(title, below, [(_short(e), c) for e, c in zip(edges, counts, strict=True)])


def _short(value: float) -> str:
    return f"{value:,.0f}" if value >= 100 else f"{value:.3g}"


def _samples(done: "Exploration") -> list[tuple[str, list[Card]]]:
    """Rows of crops: some of all, and the least and most of what was measured."""
    seen = done.looks
    if not len(seen.rows):
        return []
    some = np.random.default_rng(0).permutation(len(seen.rows))[:SAMPLES]
    rows = [("Some crops", np.sort(some), np.full(len(seen.rows), np.nan))]
    for name, values in (("sharp", seen.sharpness), ("bright", seen.brightness)):
        order = np.argsort(values, kind="stable")
        rows += [(f"The least {name}", order[:SAMPLES], values)]
        rows += [(f"The most {name}", order[::-1][:SAMPLES], values)]
    return [
        (name, [_shown(done.crops[seen.rows[at]], "plain", _value(values[at])) for at in picked])
        for name, picked, values in rows
    ]


def _value(value: float) -> str:
    return "" if np.isnan(value) else f"{value:.0f}"


def _shown(crop: "Crop", kind: str, head: str = "") -> Card:
    where = captions.about(*map(names.numbered, (crop.identity, crop.camera)))
    said = Caption((head,) if head else (), (where,) if where else ())
    picture = thumbnails.fitted(str(crop.file), THUMBNAIL)
    return card(kind, crop.path, picture, said, quality=85)
