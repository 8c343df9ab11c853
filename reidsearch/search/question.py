"""A question: pictures of one person, and of others who are not meant, made one vector.

All that depends on there being several pictures is here: which vector they make, which cameras and
times they are of, and what is wrong with any of them.
"""

import logging
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, NamedTuple, Self, cast

import numpy as np

from reidsearch import names, outcomes
from reidsearch.catalog import Catalog
from reidsearch.catalog.records import CameraRecord
from reidsearch.encoding.encoder import Encoder
from reidsearch.errors import EncoderError, ReidsearchError, UnknownCamera, UsageError
from reidsearch.pictures import decoding
from reidsearch.ranking import feedback
from reidsearch.ranking.calibration import Calibration
from reidsearch.ranking.clock import SECONDS
from reidsearch.ranking.feedback import Unlike
from reidsearch.ranking.ranking import Sighted
from reidsearch.search import places
from reidsearch.search.answer import Asked
from reidsearch.search.places import Scope
from reidsearch.search.probe import Probe, Time
from reidsearch.types import Vectors, known_or_unknown

if TYPE_CHECKING:
    from reidsearch.search.probe import Picture

    Pictures = Picture | Probe | Sequence[Picture | Probe]

log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Question:
    """``probes`` all show the person that is searched for, ``unlike`` show others.

    Raises UsageError without a probe, and where a picture is among both.
    """

    probes: tuple[Probe, ...]
    unlike: tuple[Probe, ...] = ()

    def __post_init__(self) -> None:
        if not self.probes:
            raise UsageError(
                "there is no picture to search for", hint="Give at least one of the person."
            )
        others = {one.sha256: one for one in self.unlike}
        for one in self.probes:
            if one.sha256 in others:
                raise UsageError(
                    f"{one.name} is given as the person who is meant, and as somebody else "
                    f"({others[one.sha256].name})",
                    hint="Leave it out of {unlike}, or out of the pictures to search for.",
                )

    @classmethod
    def of(
        cls,
        pictures: "Pictures",
        *,
        unlike: "Pictures" = (),
        camera: int | str | None = None,
        time: Time | None = None,
        name: str | None = None,
    ) -> Self:
        """Read one picture or several, as ``Probe.of`` does; ``camera`` and ``time`` are those of
        all pictures of the person, ``name`` is the first one's.

        Raises ImageError where a file cannot be read, TypeError on what is no picture.
        """
        probes = [
            Probe.of(one, camera=camera, time=time, name=name if at == 0 else None)
            for at, one in enumerate(_each(pictures))
        ]
        return cls(tuple(probes), tuple(Probe.of(one) for one in _each(unlike)))

    def recognised(self, catalog: Catalog) -> Self:
        """The same, with what is stored of its pictures (see ``places.recognised``)."""
        probes = tuple(places.recognised(catalog, one) for one in self.probes)
        return replace(self, probes=probes)

    @property
    def pictures(self) -> tuple[Probe, ...]:
        """All of them, those of the person first."""
        return (*self.probes, *self.unlike)

    def encoded(self, encoder: Encoder) -> "Encoded":
        """What its pictures make together. Raises ImageError, EncoderError, UsageError where those
        of the person have nothing in common."""
        (made,) = encode_all([self], encoder)
        if isinstance(made, ReidsearchError):
            raise made
        return made

    def asked(self, scope: Scope) -> tuple[tuple[Asked, ...], tuple[Asked, ...]]:
        """What people are shown of ``probes`` and of ``unlike``."""
        mine, others = (
            tuple(_asked(one, scope) for one in some) for some in (self.probes, self.unlike)
        )
        return mine, others

    def cameras(self, scope: Scope) -> list[CameraRecord]:
        """The cameras of all probes, each once. Raises UnknownCamera where that of one is not
        known, is not stored, or is one of several of its name."""
        found = {}
        for one in self.probes:
            if one.seen.camera is None:
                raise UnknownCamera(
                    f"the camera of {one.short_name} is not known, so it cannot be excluded",
                    hint="Add {camera}, or name the file like 0002_c1s1_000451_03.jpg.",
                )
            camera = scope.camera(one.seen.camera, site=scope.site_of(one))
            found[camera.id] = camera
        return list(found.values())

    def sighted(self, calibration: Calibration, scope: Scope) -> Sighted:
        """Where and when the probes were taken, those of which it is known. Raises UnknownCamera,
        or UsageError, where it is known of none."""
        known: list[Sighted] = []
        unknown: list[UsageError] = []
        for one in self.probes:
            try:
                known.append(_sighted(one, calibration, scope))
            except UsageError as error:
                unknown.append(error)
        if not known:
            raise unknown[0]
        return Sighted(
            np.concatenate([one.camera for one in known]),
            np.concatenate([one.times for one in known]),
        )


def _each(pictures: "Pictures") -> "Sequence[Picture | Probe]":
    several = isinstance(pictures, Sequence) and not isinstance(pictures, str | bytes)
    if several:  # what is neither is no picture, and Probe.of says so
        return cast("Sequence[Picture | Probe]", pictures)
    return [cast("Picture | Probe", pictures)]


def _asked(probe: Probe, scope: Scope) -> Asked:
    return Asked(
        query=probe.name,
        camera=names.numbered(probe.seen.camera),
        identity=names.numbered(probe.seen.identity),
        site=scope.site_of(probe),
        picture=probe.data,
    )


def _sighted(probe: Probe, calibration: Calibration, scope: Scope) -> Sighted:
    seen = probe.seen
    if seen.camera is None:
        raise UnknownCamera(
            f"which camera {probe.short_name} is from is not known",
            hint="Add {camera}, or leave out {spatio_temporal}.",
        )
    clock = calibration.transit.clock
    own = scope.camera(seen.camera, site=scope.site_of(probe))
    camera = np.array([own.id], dtype=np.int64)
    times = clock.times(
        camera,
        known_or_unknown([seen.sequence]),
        known_or_unknown([seen.frame]),
        np.array([seen.timestamp], dtype=np.float64),
    )
    if not np.isfinite(times).all():
        raise UsageError(
            f"when {probe.short_name} was taken is not known",
            hint="Add {time}, or name it like 0002_c1s1_000451_03.jpg, from a stored sequence."
            if clock.unit == SECONDS
            else "Name it like 0002_c1s1_000451_03.jpg, from a stored sequence.",
        )
    return Sighted(camera, times)


@dataclass(frozen=True, slots=True, eq=False)
class Encoded:
    """The vector of ``each`` picture of the person (P x D), the one that they make together
    (``own``, 1 x D), and what pictures of others say beside it. ``warnings`` say what may be wrong
    with any of its pictures."""

    each: Vectors
    own: Vectors
    unlike: Unlike | None
    warnings: tuple[str, ...]

    def warned(self) -> tuple[str, ...]:
        """The warnings, which are also told to people at once."""
        for warning in self.warnings:
            log.warning("%s", warning)
        return self.warnings


def encode_all(questions: Sequence[Question], encoder: Encoder) -> list[Encoded | ReidsearchError]:
    """The pictures of several questions, encoded together: a question's own are what they would be
    without the others. In place of a question is its ImageError, EncoderError, or UsageError where
    its pictures have nothing in common. Raises EncoderError where the network fails."""
    decoded = outcomes.each(
        lambda one: _Decoded(one, [picture.decoded(encoder.size) for picture in one.pictures]),
        questions,
    )
    return outcomes.together(lambda some: _encoded(some, encoder), decoded)


class _Decoded(NamedTuple):
    question: Question
    pictures: list[decoding.Picture]


def _encoded(decoded: Sequence[_Decoded], encoder: Encoder) -> list[Encoded | ReidsearchError]:
    pixels = np.stack([picture.pixels for one in decoded for picture in one.pictures])
    ends = np.cumsum([len(one.pictures) for one in decoded])[:-1]
    vectors = np.split(encoder.encode(pixels, alone=True), ends)
    return outcomes.each(
        lambda pair: _made(*pair, encoder), list(zip(decoded, vectors, strict=True))
    )


def _made(decoded: _Decoded, vectors: Vectors, encoder: Encoder) -> Encoded:
    """What a question's pictures make, from their vectors (N x D)."""
    question, pictures = decoded
    for one, vector in zip(question.pictures, vectors, strict=True):
        if not np.isfinite(vector).all():
            raise EncoderError(f"the encoder {encoder.name} gave no usable vector for {one.name}")
    mine, others = np.split(vectors, [len(question.probes)])
    own = mine if len(mine) == 1 else feedback.pooled(mine)[None]
    pairs = zip(question.pictures, pictures, strict=True)
    return Encoded(
        mine,
        own,
        Unlike(others, own[0]) if len(others) else None,
        tuple(warning for one, picture in pairs for warning in one.warnings(picture)),
    )
