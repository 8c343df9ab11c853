"""The page that a service shows, and the parts of it that it answers: what can be asked for, and
what was found."""

from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, TypeAlias

from reidsearch import names, times
from reidsearch.errors import ReidsearchError
from reidsearch.views import captions, cards, icon, pages, tracks, verdicts
from reidsearch.views.captions import Caption
from reidsearch.views.cards import Card
from reidsearch.words import counted

if TYPE_CHECKING:
    from reidsearch.catalog.records import CameraRecord
    from reidsearch.inspection.status import Status
    from reidsearch.search.answer import Answer, Hit
    from reidsearch.search.trace import Trace

Look: TypeAlias = Callable[[Sequence[int]], Mapping[int, bytes | ReidsearchError]]
"""The files of stored images by their ids; in place of one that cannot be shown, why."""


@dataclass(frozen=True)
class Shown:
    """A stored image of that ``id`` on the page, with its card and what it is called there;
    ``same`` where the question has it as a picture of the person."""

    card: Card
    id: int
    name: str
    same: bool


def shell(*, most_bytes: int, frame_pixels: int) -> str:
    """The page itself, which holds nothing of what is stored. ``most_bytes`` may be sent at once; a
    picture of ``frame_pixels`` is taken for a photograph rather than a crop."""
    return pages.render(
        "search.html", icon=icon.url(), most_bytes=most_bytes, frame_pixels=frame_pixels
    )


def filters(
    cameras: "Sequence[CameraRecord]", now: "Status", *, learned: Sequence[str], zone: times.Zone
) -> str:
    """What an answer can be narrowed to and ranked by, and what there is. ``learned`` are the
    rankings that there are beside plain cosines, by the options that ask for them."""
    images = sum(count.images for count in now.images if count.split == "gallery")
    stored = f"{counted(images, 'picture')} from {counted(len(cameras), 'camera')}"
    taken = None if now.taken is None else [times.show(one, zone) for one in now.taken]
    return pages.render(
        "filters.html",
        cameras=[(name, captions.where(names.number(name))) for name in _names(cameras)],
        sites=now.sites,
        datasets=list(dict.fromkeys(count.dataset for count in now.images)),
        learned=learned,
        stored=stored,
        taken=taken,
    )


def answer(found: "Answer", *, look: Look, same: Collection[int], more: int | None) -> str:
    """The hits as pictures. Those in ``same`` are of the person, as the question says. So many as
    ``more`` can be asked for; None where there are no more, or none are shown."""
    files = look([hit.id for hit in found.hits])
    hits = [
        _shown(verdicts.kind(found, hit), hit, said, files, name=f"hit {hit.rank}", same=same)
        for hit, said in zip(found.hits, captions.of_hits(found), strict=True)
    ]
    kind = "visit" if found.stays is not None else "hit"
    by = ", ".join(found.ranking.words) or "appearance"
    return pages.render(
        "found.html",
        title=counted(len(hits), kind),
        said=_nearest(found),
        ranked_by=by,
        warnings=found.warnings,
        known=found.identity is not None,
        hits=hits,
        more=more,
    )


def trace(
    found: "Trace", *, look: Look, same: Collection[int], vocabulary: Mapping[str, str]
) -> str:
    """The stays of a person, in a lane for each camera. Hints are in words of ``vocabulary``."""
    why = found.not_learned
    axis, lanes = tracks.of(found)
    files = look([stay.hits[0].id for stay in found.stays])

    def shown(mark: tracks.Mark) -> Shown:
        best, name = mark.stay.hits[0], f"stay {mark.number}"
        return _shown(mark.kind, best, mark.caption, files, name=name, same=same)

    return pages.render(
        "traced.html",
        title=counted(len(found.stays), "stay") if found.stays else "Nobody",
        facts=tracks.facts(found, None),
        said=tracks.seen(found),
        warnings=found.warnings,
        hint="" if why is None else why.hint_in(vocabulary),
        known=found.identity is not None,
        nearest=found.nearest,
        timed=found.unit is not None,
        axis=axis,
        tracks=[(lane, [shown(mark) for mark in lane.marks]) for lane in lanes],
    )


def _nearest(found: "Answer") -> str:
    """The answer in a sentence, for who cannot see it."""
    if not found.hits:
        return "Nothing is stored of what was asked for."
    best = found.hits[0]
    where = captions.where(best.camera)
    return f"The nearest has {best.score:.3f}" + (f", {where}." if where else ".")


def _shown(
    kind: str,
    hit: "Hit",
    said: Caption,
    files: Mapping[int, bytes | ReidsearchError],
    *,
    name: str,
    same: Collection[int],
) -> Shown:
    made = cards.of_file(kind, captions.file_name(hit.path), files[hit.id], said)
    return Shown(made, hit.id, name, hit.id in same)


def _names(cameras: "Sequence[CameraRecord]") -> Sequence[str]:
    """Each once: of several sites, those of one name are one filter."""
    return list(names.in_order({one.name for one in cameras}))
