"""Paths told apart by a pattern of one's own: ``{camera}/{identity}_{frame}.jpg``."""

import re
import unicodedata
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path, PurePosixPath

from reidsearch import times
from reidsearch.datasets.base import Wanted, dataset, folder_name, of_naive
from reidsearch.datasets.walk import Walk, escaped
from reidsearch.errors import DatasetError, ReidsearchError, UsageError
from reidsearch.pictures.contents import SUFFIXES
from reidsearch.times import Zone
from reidsearch.types import Dataset, Rejected, Sighting, Split

LAYOUT = "pattern"
NAMES = ("camera", "identity")
NUMBERS = ("sequence", "frame")
FIELDS = (*NAMES, *NUMBERS, "timestamp", "split")
ANYTHING = "*"
MAX_PATTERN = 1000  # characters
MAX_PIECES = 40  # fields and texts of a folder's or file's name
_PIECE = re.compile(r"\{([^{}]*)\}|(\*+)")
_DIGITS = re.compile(r"\d{1,18}", re.ASCII)
_LEVELS = (
    "A field takes one or more characters, and no slash. The pattern's folders count from the file "
    "up; what lies above them is free."
)


@dataclass(frozen=True, slots=True)
class _Field:
    """Takes one or more characters, for ANYTHING none or more; never a slash."""

    name: str


_Segment = tuple["_Field | str", ...]  # fields and the text between them


@dataclass(frozen=True, slots=True)
class Pattern:
    """A pattern, by the folders and the file that it has; each a row of fields and texts."""

    text: str
    segments: tuple[_Segment, ...]

    def match(self, path: str) -> dict[str, str] | None:
        """field -> text of a path; None where it does not fit.

        Folders count from the file up. Each field takes as little as it can. Without an ending of
        its own, the pattern fits any.
        """
        parts = unicodedata.normalize("NFC", path).split("/")
        if len(parts) < len(self.segments):
            return None
        if not self._has_ending:
            parts[-1] = PurePosixPath(parts[-1]).stem
        fields: dict[str, str] = {}
        for segment, part in zip(self.segments, parts[-len(self.segments) :], strict=True):
            found = _match(segment, part)
            if found is None:
                return None
            fields |= found
        return fields

    @property
    def fields(self) -> list[str]:
        """The names of its fields."""
        pieces = [piece for segment in self.segments for piece in segment]
        return [p.name for p in pieces if isinstance(p, _Field) and p.name != ANYTHING]

    @property
    def _has_ending(self) -> bool:
        last = self.segments[-1][-1]
        return isinstance(last, str) and last.lower().endswith(tuple(SUFFIXES))


def compile_pattern(text: str) -> Pattern:
    """The pattern that a text means. Raises UsageError where it means none."""
    if len(text) > MAX_PATTERN:
        raise UsageError(f"the pattern has {len(text)} characters", hint="Write a shorter one.")
    segments = [_segment(part, text) for part in unicodedata.normalize("NFC", text).split("/")]
    while segments and segments[0] in ((), (".",)):
        del segments[0]  # of ./{camera}/... and /{camera}/...
    if () in segments:
        raise UsageError(f"the pattern {text!r} has an empty folder", hint="Write single slashes.")
    pattern = Pattern(text, tuple(segments))
    if max(map(len, segments), default=0) > MAX_PIECES:
        raise UsageError(f"the pattern {text!r} has too many fields", hint=_hint())
    if not pattern.fields:
        raise UsageError(f"the pattern {text!r} has no field", hint=_hint())
    twice = [name for name, count in Counter(pattern.fields).items() if count > 1]
    if twice:
        raise UsageError(
            f"the pattern {text!r} has {{{twice[0]}}} twice",
            hint=f"Write {ANYTHING} where it comes again.",
        )
    return pattern


def _segment(part: str, pattern: str) -> _Segment:
    pieces: list[_Field | str] = []
    at = 0
    for found in _PIECE.finditer(part):
        if found.start() > at:
            pieces.append(part[at : found.start()])
        at = found.end()
        name = found[1]
        if name is not None and name not in FIELDS:
            raise UsageError(f"the pattern {pattern!r} has an unknown field {name!r}", hint=_hint())
        if pieces and isinstance(pieces[-1], _Field):
            raise UsageError(
                f"in the pattern {pattern!r}, nothing tells where {pieces[-1].name} ends "
                f"and {name or ANYTHING} begins",
                hint="Write what stands between them.",
            )
        pieces.append(_Field(name or ANYTHING))
    pieces += [part[at:]] if part[at:] else []
    if any(isinstance(p, str) and ("{" in p or "}" in p) for p in pieces):
        raise UsageError(f"the pattern {pattern!r} has a brace without its other", hint=_hint())
    return tuple(pieces)


def _hint() -> str:
    # Names in braces are words of the hint's vocabulary; doubled, these are not.
    return f"Fields, each in braces, are {', '.join(FIELDS)}; {ANYTHING} stands for anything."


def _match(segment: _Segment, text: str) -> dict[str, str] | None:
    """field -> what it takes of one folder's or file's name.

    A regular expression would try every way to share a long name among the fields. This remembers
    from where the rest cannot fit; where a field failed, it fails from every later place as well,
    for it could end nowhere else. So each piece is tried a few times at most for each character.
    """
    failed: dict[int, int] = {}  # field -> the first place from which it failed
    dead: set[tuple[int, int]] = set()  # the same of texts and numbers, for each place
    taken: dict[str, str] = {}

    def fits(piece: int, at: int) -> bool:
        if piece == len(segment):
            return at == len(text)
        if at >= failed.get(piece, len(text) + 1) or (piece, at) in dead:
            return False
        first = segment[piece]
        if isinstance(first, str):
            if text.startswith(first, at) and fits(piece + 1, at + len(first)):
                return True
            dead.add((piece, at))
            return False
        following = segment[piece + 1] if piece + 1 < len(segment) else None
        for end in _ends(first, following, text, at):
            if fits(piece + 1, end):
                taken[first.name] = text[at:end]
                return True
        if first.name in NUMBERS:
            dead.add((piece, at))
        else:
            failed[piece] = at
        return False

    if not fits(0, 0):
        return None
    taken.pop(ANYTHING, None)
    return taken


def _ends(field: _Field, following: "_Field | str | None", text: str, at: int) -> Iterator[int]:
    """Where a field that begins at ``at`` may end, the nearest first."""
    least = at + (field.name != ANYTHING)
    most = len(text)
    if field.name in NUMBERS:
        digits = _DIGITS.match(text, at)
        most = digits.end() if digits else at
    if following is None:
        if least <= len(text) == most:
            yield most
        return
    assert isinstance(following, str)  # two fields never touch
    end = text.find(following, least)
    while -1 < end <= most:
        yield end
        end = text.find(following, end + 1)


def read_pattern(root: Path, pattern: str, wanted: Wanted) -> Dataset:
    """Every picture below ``root`` by that pattern; those that do not fit it are rejected.

    Raises UsageError on a text that is no pattern, DatasetError where no picture fits.
    """
    compiled = compile_pattern(pattern)
    walk = Walk(root, follow_links=wanted.follow_links)
    parted = "split" in compiled.fields
    sightings, unfit = [], []
    naive = 0
    for path in walk.pictures():
        fields = compiled.match(path)
        if fields is None:
            unfit.append(path)
            continue
        try:
            seen, is_naive = _sighting(path, fields, wanted.zone)
        except (ValueError, ReidsearchError) as error:
            walk.rejected.append(Rejected(path, str(error)))
            continue
        if not parted or seen.split in wanted.splits:
            sightings.append(seen)
            naive += is_naive
    if unfit and not sightings and not walk.rejected:
        raise DatasetError(
            f"none of {len(unfit)} pictures below {root} fits the pattern {pattern!r}, "
            f"{escaped(min(unfit))!r} for one",
            hint=_LEVELS,
        )
    reason = f"its path does not fit {pattern}"
    walk.rejected += [Rejected(path, reason) for path in unfit]
    return dataset(
        wanted.name or folder_name(root),
        root,
        sightings,
        walk.rejected,
        wanted.splits if parted else Split,
        layout=f"{LAYOUT} {pattern}",
        walk=walk,
        notes=[of_naive(naive, wanted.zone)] if naive else [],
    )


def _sighting(path: str, fields: dict[str, str], zone: Zone) -> tuple[Sighting, bool]:
    """What a path's fields say, and whether its time has no offset."""
    part = fields.get("split")
    if part is not None and part not in list(Split):
        raise ValueError(f"split {part!r} is none of {', '.join(Split)}")

    def number(name: str) -> int | None:
        return int(fields[name]) if name in fields else None

    when = times.moment(fields["timestamp"], zone) if "timestamp" in fields else (None, False)
    seen = Sighting(
        path,
        Split(part or Split.GALLERY),
        fields.get("camera"),
        fields.get("identity"),
        number("sequence"),
        number("frame"),
        when[0],
    )
    return seen, when[1]
