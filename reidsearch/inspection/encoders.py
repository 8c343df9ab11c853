"""Which encoders there are, and what is known of each: to choose one by."""

import os
import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from enum import StrEnum
from pathlib import Path

import numpy as np

from reidsearch.catalog.records import EncoderRecord
from reidsearch.config import DEFAULT_ENCODER
from reidsearch.documents.encoders import EncoderDocument, encoder_document
from reidsearch.encoding import selftest
from reidsearch.encoding.accuracy import Accuracy
from reidsearch.encoding.encoder import Encoder, fingerprint
from reidsearch.encoding.thresholds import Thresholds
from reidsearch.errors import EncoderError, UsageError
from reidsearch.session import Session

ENDING = ".onnx"
SECONDS = 1.0  # that an encoder is timed for


class Origin(StrEnum):
    """How an encoder came to be listed."""

    SHIPPED = "shipped"  # with reidsearch
    SETTING = "setting"  # the setting names it
    GIVEN = "given"  # its path was
    GALLERY = "gallery"  # images are indexed with it; where its file is nobody said


@dataclass(frozen=True, slots=True, kw_only=True)
class EncoderCard:
    """What is known of an encoder.

    ``bytes`` are the file's, ``size`` the height and width of its pictures in pixels, ``dimension``
    the length of its vectors. ``images_per_second`` is what the network does here, on crops in
    memory; None where it was not timed. ``trained_on``, ``terms``, ``accuracy`` and ``thresholds``
    are its maker's word: empty, or None, where nothing is told. ``indexed`` counts the gallery's
    images with a vector of it, and ``in_use`` says that searches take this one.

    ``problem`` is why a file cannot be used; then all else is what is known all the same. So it is
    where there is no ``path``, as the gallery alone knows the encoder.
    """

    name: str
    origin: Origin
    path: Path | None = None
    fingerprint: str | None = None
    bytes: int | None = None
    size: tuple[int, int] | None = None
    dimension: int | None = None
    images_per_second: float | None = None
    trained_on: str = ""
    terms: str = ""
    accuracy: tuple[Accuracy, ...] = ()
    thresholds: Thresholds | None = None
    indexed: int = 0
    in_use: bool = False
    problem: str | None = None

    def document(self) -> EncoderDocument:
        """As a JSON document."""
        return encoder_document(self)


def encoders(
    session: Session, paths: Sequence[Path] = (), *, measure: bool = False
) -> list[EncoderCard]:
    """Those that came with reidsearch, the one that the settings name, those at ``paths`` (files,
    and folders with all below them), and those that the gallery has vectors of; each file once.

    Each is loaded and tried on drawn crops, as ``ingest`` would: what is refused has the reason in
    its place. With ``measure`` each is timed for a second, too. Reads the catalog alone, so that it
    answers while another process holds the gallery. Raises UsageError where there is nothing at a
    path.
    """
    config = session.config
    catalog = session.catalog if session.has_catalog() else None
    known = {} if catalog is None else {one.fingerprint: one for one in catalog.encoders()}
    used = _fingerprint(config.encoder)
    cards = []
    for path, origin in _files(config.encoder, paths).items():
        card = _card(path, origin, known)
        chosen = path == config.encoder or (used is not None and card.fingerprint == used)
        cards.append(_tried(replace(card, in_use=chosen), device=config.device, measure=measure))
    found = {card.fingerprint for card in cards}
    cards += [
        EncoderCard(
            name=one.name,
            origin=Origin.GALLERY,
            fingerprint=one.fingerprint,
            dimension=one.dimension,
            indexed=one.indexed,
        )
        for one in known.values()
        if one.fingerprint not in found
    ]
    return cards


def speed(encoder: Encoder) -> float:
    """The images a second that an encoder does here, drawn crops in memory; takes SECONDS."""
    drawn = selftest.draw(*encoder.size)
    pixels = drawn[np.arange(encoder.batch) % len(drawn)]
    encoder.encode(pixels)  # the first one is slower
    fastest = float("inf")
    end = time.perf_counter() + SECONDS
    while (started := time.perf_counter()) < end:
        encoder.encode(pixels)
        fastest = min(fastest, time.perf_counter() - started)
    return len(pixels) / fastest


def _files(setting: Path, paths: Sequence[Path]) -> dict[Path, Origin]:
    """The files to look at, each once under whatever path."""
    every = dict.fromkeys(sorted(DEFAULT_ENCODER.parent.glob(f"*{ENDING}")), Origin.SHIPPED)
    every.setdefault(setting, Origin.SETTING)
    for path in paths:
        if not path.exists():
            raise UsageError(f"there is nothing at {path}", hint="Give an .onnx file or a folder.")
        for file in sorted(_below(path)) if path.is_dir() else [path]:
            every.setdefault(file, Origin.GIVEN)
    seen: dict[str, Path] = {}
    for path in every:
        seen.setdefault(os.path.realpath(path), path)
    return {path: every[path] for path in seen.values()}


def _below(folder: Path) -> Iterator[Path]:
    """The ONNX files in a folder and those below it; hidden ones and linked folders are passed
    over, and a folder that cannot be listed is named itself: reading it will tell why. Raises
    UsageError where there are none."""
    waiting = [folder]  # os.walk recurses on Python 3.11, too deep for folders made to hurt
    none = True
    while waiting:
        parent = waiting.pop()
        try:
            with os.scandir(parent) as entries:
                for entry in entries:
                    if entry.name.startswith("."):
                        continue
                    if entry.is_dir(follow_symlinks=False):
                        waiting.append(Path(entry.path))
                    elif entry.name.lower().endswith(ENDING):
                        none = False
                        yield Path(entry.path)
        except OSError:
            none = False
            yield parent
    if none:
        raise UsageError(
            f"there is no encoder in {folder}, nor below it", hint="Give a folder of .onnx files."
        )


def _card(path: Path, origin: Origin, known: Mapping[str, EncoderRecord]) -> EncoderCard:
    """What is known of a file that was not loaded yet."""
    mark = _fingerprint(path)
    record = None if mark is None else known.get(mark)
    return EncoderCard(
        name=path.stem if record is None else record.name,
        origin=origin,
        path=path,
        fingerprint=mark,
        bytes=None if mark is None else path.stat().st_size,
        dimension=None if record is None else record.dimension,
        indexed=0 if record is None else record.indexed,
    )


def _tried(card: EncoderCard, *, device: str, measure: bool) -> EncoderCard:
    """The same of a file that was loaded, or why it cannot be used."""
    assert card.path is not None
    try:
        encoder = Encoder(card.path, device=device)
        if not card.indexed:  # an encoder with vectors was tried before they were made
            selftest.check(encoder)
        rate = speed(encoder) if measure else None
    except EncoderError as error:
        return replace(card, problem=error.message)
    return replace(
        card,
        name=encoder.name,
        size=encoder.size,
        dimension=encoder.dimension,
        images_per_second=rate,
        trained_on=encoder.trained_on,
        terms=encoder.terms,
        accuracy=encoder.accuracy,
        thresholds=encoder.thresholds,
    )


def _fingerprint(path: Path) -> str | None:
    """A file's fingerprint, None where it cannot be read."""
    try:
        return fingerprint(path)
    except EncoderError:
        return None
