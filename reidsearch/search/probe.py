"""A probe: the picture of the person to search for, read once.

What is searched with, hashed for the log and kept where the log keeps pictures are the same bytes,
whatever happens to the file meanwhile.
"""

import hashlib
import io
import os
from dataclasses import dataclass, field, replace
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING, Self, TypeAlias

import numpy as np
from numpy.typing import NDArray

from reidsearch import times
from reidsearch.datasets import parse_name
from reidsearch.errors import ImageError, UsageError
from reidsearch.pictures import contents, decoding
from reidsearch.types import YEAR_1, YEAR_10000, Sighting

if TYPE_CHECKING:
    from PIL import Image

Picture: TypeAlias = "str | os.PathLike[str] | bytes | Image.Image | NDArray[np.uint8]"
Time: TypeAlias = float | str | datetime

HINT = "Give a picture of one person."
UNNAMED = "probe"  # what a probe without a file or a name is called


@dataclass(frozen=True, slots=True)
class Probe:
    """A picture to search for, and what is known of it.

    ``data`` are its file's bytes, ``sha256`` their hash; ``seen`` has its name under ``path``, and
    the camera, identity, sequence, frame and timestamp that are known; those ``given`` were told
    with it, and others its name tells. ``file`` is where it was read from, None where it came as
    bytes: a name that somebody sent along with them leads nowhere. Made by ``Probe.of``.
    """

    data: bytes = field(repr=False)
    sha256: str
    seen: Sighting
    given: frozenset[str] = frozenset()
    file: Path | None = None

    @classmethod
    def of(
        cls,
        picture: "Picture | Probe",
        *,
        camera: int | str | None = None,
        time: Time | None = None,
        name: str | None = None,
    ) -> Self:
        """Read a picture: a path, a file's bytes, a PIL image, or an H x W x 3 uint8 RGB array.

        ``camera`` is the probe's own and ``time`` when it was taken: seconds since 1970 UTC, ISO
        8601, or a datetime (of this machine's zone, where it has none). ``name`` is what answers
        call it; by default the path. Where a name like ``0002_c1s1_000451_03.jpg`` tells more, that
        counts too. A probe is taken over, with what is given here in place of its own.

        Raises ImageError where the file cannot be read, TypeError on any other kind of object.
        """
        given = {"camera": camera, "timestamp": time}
        fields = frozenset(key for key, value in given.items() if value is not None)
        if isinstance(picture, Probe):
            data, told, fields = picture.data, picture.seen, picture.given | fields
            file = picture.file
            if name is not None:
                told = replace(told, path=name)
        else:
            data, own = _read(picture)
            file = Path(picture) if isinstance(picture, str | os.PathLike) else None
            told = parse_name(Path(own if name is None else name).name)
            if told.camera is None:
                told = parse_name(Path(own).name)
            told = replace(told, path=own if name is None else name)
        if camera is not None:
            told = replace(told, camera=str(camera))
        if time is not None:
            told = replace(told, timestamp=seconds(time, None))
        return cls(data, hashlib.sha256(data).hexdigest(), told, fields, file)

    def described(self, stored: Sighting) -> "Probe":
        """The probe as what it is stored as: what is known there goes before what its name tells,
        and what was given before both."""
        known = {
            key: value
            for key in ("camera", "identity", "sequence", "frame", "timestamp")
            if (value := getattr(stored, key)) is not None and key not in self.given
        }
        return replace(self, seen=replace(self.seen, **known))

    @property
    def name(self) -> str:
        """What answers and messages call it."""
        return self.seen.path

    @property
    def short_name(self) -> str:
        """The name without its folder."""
        return Path(self.name).name

    def pixels(self, size: tuple[int, int]) -> NDArray[np.uint8]:
        """The picture at that size (height, width), H x W x 3, RGB.

        Raises ImageError, whose message names the probe, where it is no whole picture.
        """
        return self.decoded(size).pixels

    def check(self) -> None:
        """Raise ImageError as ``pixels`` does."""
        self.decoded((1, 1))

    def warnings(self, found: decoding.Picture) -> tuple[str, ...]:
        """What may be wrong with the picture, as it was ``decoded``, though it can be searched for:
        it is hardly a crop of one person, or its range of values was guessed."""
        told = []
        if found.unlike_crop is not None:
            told.append(
                f"{self.name} is hardly a crop of one person: {found.unlike_crop}. What is found "
                "is like the whole picture; cut the person out."
            )
        if found.depth is not None:
            told.append(f"{self.name} was read as {found.depth} and scaled to 8 bits.")
        return tuple(told)

    def decoded(self, size: tuple[int, int]) -> decoding.Picture:
        """The picture at that size, with what is told of it. Raises ImageError as ``pixels``
        does."""
        try:
            return decoding.picture(self.data, size=size)
        except ImageError as error:
            raise ImageError(f"{self.name}: {error.message}", hint=HINT) from None


def in_folder(folder: Path) -> tuple[list[Path], list[Path]]:
    """The pictures in a folder by the endings of their names, and what else is in it, folders too;
    both in name order, without what is hidden. Raises ImageError where it cannot be listed, or has
    no picture."""
    try:
        inside = sorted(one for one in folder.iterdir() if not one.name.startswith("."))
    except OSError as error:
        raise ImageError(f"{folder}: {error.strerror}", hint=HINT) from None
    pictures = [one for one in inside if one.suffix.lower() in contents.SUFFIXES and one.is_file()]
    if not pictures:
        endings = ", ".join(sorted(contents.SUFFIXES))
        raise ImageError(f"{folder}: no pictures in this folder", hint=f"They end in {endings}.")
    return pictures, [one for one in inside if one not in set(pictures)]


def _read(picture: Picture) -> tuple[bytes, str]:
    """The bytes of a picture's file, and its name."""
    if isinstance(picture, bytes):
        if not picture:
            raise ImageError(f"{UNNAMED}: no bytes are no picture", hint=HINT)
        if len(picture) > contents.MAX_BYTES:
            size = f"{len(picture) / 1e6:.0f} MB"
            raise ImageError(f"{UNNAMED}: {size} is too large for a picture of one person")
        return picture, UNNAMED
    if isinstance(picture, str | os.PathLike):
        name = os.fspath(picture)
        try:
            return contents.read_bytes(Path(name)), name
        except ImageError as error:
            raise ImageError(f"{name}: {error.message}", hint=HINT) from None
    if isinstance(picture, np.ndarray):
        return _encoded(_from_array(picture)), UNNAMED
    from PIL import Image  # here: whoever gives one has imported it already

    if isinstance(picture, Image.Image):
        return _encoded(picture), UNNAMED
    raise TypeError(
        "a probe is a path, bytes, a PIL image or an H x W x 3 uint8 array, not "
        f"{type(picture).__name__}"
    )


def _from_array(pixels: NDArray[np.uint8]) -> "Image.Image":
    from PIL import Image

    if pixels.dtype != np.uint8:
        raise TypeError(
            f"a probe's array is of uint8 (0 to 255), not of {pixels.dtype}: scale and convert it"
        )
    if pixels.ndim != 3 or pixels.shape[2] != 3 or not pixels.size:
        shape = " x ".join(map(str, pixels.shape)) or "0 dimensions"
        raise ImageError(
            f"{UNNAMED}: an array of {shape} is no picture",
            hint="Give an array of H x W x 3, RGB; a grey one can be repeated three times.",
        )
    return Image.fromarray(np.ascontiguousarray(pixels))


def _encoded(image: "Image.Image") -> bytes:
    """A file's bytes that hold an image without loss."""
    buffer = io.BytesIO()
    try:
        exif = image.getexif()  # it may say how the picture has to be turned
        if image.mode in ("CMYK", "YCbCr", "HSV", "LAB", "F"):  # PNG has no such
            image.save(buffer, "TIFF", exif=exif)
        else:
            image.save(buffer, "PNG", exif=exif, compress_level=1)
    except (OSError, ValueError, SystemError) as error:  # closed, or without a pixel
        raise ImageError(f"{UNNAMED}: {error}", hint=HINT) from None
    return buffer.getvalue()


def seconds(time: Time, zone: times.Zone) -> float:
    """Seconds since 1970 UTC of a number of them, a text as in ``times``, or a datetime; in
    ``zone`` where it has none of its own. Raises UsageError on anything else."""
    if isinstance(time, datetime):
        time = time.isoformat()
    if isinstance(time, str):
        try:
            return times.parse(time, zone)
        except ValueError as error:
            raise UsageError(str(error)) from None
    if not YEAR_1 <= time < YEAR_10000:  # nor NaN
        raise UsageError(f"{time!r} is not in seconds of the years 1 to 9999")
    return float(time)
