"""Whether a hit shows the person who was searched for, and how that is called and marked."""

from typing import TYPE_CHECKING, Protocol

from reidsearch.types import DISTRACTOR, JUNK

if TYPE_CHECKING:
    from reidsearch.search.answer import Hit

# How the palette and the templates call a verdict, and what is said of it.
KINDS = {True: "right", False: "wrong", None: "unsure"}
MEANINGS = {"right": "the probe's identity", "wrong": "another", "unsure": "not known"}
PROBE = "probe"  # what a picture that was searched with is called, here and in the templates
UNLIKE = "not"  # and one of somebody who is not meant


class Probe(Protocol):
    """What an answer and a trace know of their probe: its name, who it shows and where, and its
    file's bytes or None."""

    @property
    def query(self) -> str: ...
    @property
    def identity(self) -> int | str | None: ...
    @property
    def site(self) -> str | None: ...
    @property
    def picture(self) -> bytes | None: ...


def verdict(probe: Probe, hit: "Hit") -> bool | None:
    """Whether the hit shows the probe's identity; None where that is not known.

    Of junk it is not: a bad crop may well show a part of the same person. Nor is it where the probe
    may be from anywhere: a name means somebody at one site.
    """
    nobody = (None, JUNK, DISTRACTOR)
    if probe.identity in nobody or probe.site is None or hit.identity in (None, JUNK):
        return None
    return (hit.identity, hit.site) == (probe.identity, probe.site)


def kind(probe: Probe, hit: "Hit") -> str:
    """The verdict by its name."""
    return KINDS[verdict(probe, hit)]
