"""The file that a backup is: a ZIP whose members are stored as they are, and a manifest of them.

``catalog.sqlite`` has the catalog's rows; ``vectors/FINGERPRINT/`` an encoder's vectors in id
order, as arrays of little-endian numbers (``plain.ids``, ``plain.f4``, ``expanded.ids``,
``expanded.f4``); ``crops/`` the files of pushed crops, ``waiting/`` those of crops that wait to be
stored (see ``pushing.aside``). ``manifest.json`` comes last, with the size and SHA-256 of every
other: an archive without it was never finished.

An archive may come from anybody. Nothing of it becomes a path, and nothing is compressed, so that
it cannot grow; what is not in the manifest, or is not as it says, is refused before anything is
made of it.
"""

import hashlib
import json
import re
import struct
import zipfile
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO

import numpy as np
from numpy.typing import NDArray

from reidsearch.errors import BackupError
from reidsearch.files import open_regular
from reidsearch.types import Ids, Kind, Vectors

FORMAT, WITH_WAITING = 1, 2  # the second only where crops wait: who knows the first reads the rest
MANIFEST, CATALOG = "manifest.json", "catalog.sqlite"
LONGEST = 256 << 20  # bytes of a manifest: about 1,000,000 pushed crops
READ = 1 << 20  # bytes at a time
MOST = 1 << 20  # numbers in a vector
_CROP = re.compile(r"crops/([0-9a-f]{16}/[0-9a-f]{2}/[0-9a-f]{64})")
_WAITING = re.compile(r"waiting/([0-9]{20}-[0-9a-f]{8}\.crop)")
_FINGERPRINT = re.compile(r"[0-9a-f]{8,128}")
_LOCAL = struct.Struct("<4s22xHH")  # a member's header before its name and extra bytes
_SIGNATURE = b"PK\3\4"


@dataclass(frozen=True, slots=True, kw_only=True)
class Encoded:
    """An encoder's vectors in an archive: their ``dimension``, how many, and how many expanded."""

    fingerprint: str
    name: str
    dimension: int
    vectors: int
    expanded: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Manifest:
    """What an archive says of itself: the ``version`` of reidsearch that ``made`` it, when (seconds
    since 1970 UTC), of which ``gallery`` (its key), with how many images."""

    version: str
    made: float
    gallery: str
    images: int
    encoders: tuple[Encoded, ...]


class Writer:
    """Writes an archive, member by member; ``finish`` adds the manifest."""

    def __init__(self, file: Path) -> None:
        self._zip = zipfile.ZipFile(file, "x", zipfile.ZIP_STORED, allowZip64=True)
        self._members: dict[str, dict[str, object]] = {}

    def add(self, name: str, pieces: Iterable[bytes]) -> None:
        """Write a member."""
        digest, size = hashlib.sha256(), 0
        with self._zip.open(zipfile.ZipInfo(name), "w", force_zip64=True) as member:
            for piece in pieces:
                member.write(piece)
                digest.update(piece)
                size += len(piece)
        self._members[name] = {"size": size, "sha256": digest.hexdigest()}

    def add_file(self, name: str, file: Path) -> None:
        """Write a member that is a file's content. Raises OSError."""
        with open_regular(file) as source:
            self.add(name, iter(lambda: source.read(READ), b""))

    def finish(self, manifest: Manifest) -> None:
        """Write the manifest, and close the archive."""
        told = {
            "format": WITH_WAITING if any(map(_WAITING.fullmatch, self._members)) else FORMAT,
            "version": manifest.version,
            "made": manifest.made,
            "gallery": manifest.gallery,
            "images": manifest.images,
            "encoders": [
                {field: getattr(one, field) for field in Encoded.__slots__}
                for one in manifest.encoders
            ],
            "members": self._members,
        }
        with self._zip.open(zipfile.ZipInfo(MANIFEST), "w") as member:
            member.write(json.dumps(told).encode())
        self.close()

    def close(self) -> None:
        """Let go of the file, which is no archive unless it was finished. Idempotent."""
        self._zip.close()


def member_of(encoder: str, kind: Kind, what: str) -> str:
    """The name of the member with an encoder's (its fingerprint's) ``ids`` or ``f4`` of a kind."""
    return f"vectors/{encoder}/{kind}.{what}"


class Archive:
    """An archive that has been looked at whole: made by ``opened``."""

    def __init__(
        self, file: Path, manifest: Manifest, places: Mapping[str, tuple[int, int]]
    ) -> None:
        self.file = file
        self.manifest = manifest
        self._places = places  # of members: where their bytes begin, and how many there are

    @property
    def crops(self) -> tuple[str, ...]:
        """The files of pushed crops, by their paths below that folder of a data dir."""
        return self._named(_CROP)

    @property
    def waiting(self) -> tuple[str, ...]:
        """The names of the files of crops that wait."""
        return self._named(_WAITING)

    def _named(self, pattern: re.Pattern[str]) -> tuple[str, ...]:
        found = map(pattern.fullmatch, self._places)
        return tuple(match[1] for match in found if match)

    def extract(self, name: str, to: Path) -> None:
        """Write a member's content to a new file. Raises OSError."""
        at, size = self._places[name]
        with open_regular(self.file) as source, to.open("xb") as target:
            source.seek(at)
            while size:
                piece = source.read(min(size, READ))
                size -= target.write(piece)

    def vectors(self, encoder: Encoded, kind: Kind) -> tuple[Ids, Vectors]:
        """An encoder's vectors of a kind with their ids, ascending; of the file, not in memory."""
        at, size = self._places[member_of(encoder.fingerprint, kind, "ids")]
        ids = np.asarray(self._array(at, size // 8, "<i8"), dtype=np.int64)
        at, size = self._places[member_of(encoder.fingerprint, kind, "f4")]
        rows = np.asarray(self._array(at, size // 4, "<f4"), dtype=np.float32)
        return ids, rows.reshape(len(ids), encoder.dimension)

    def _array(self, at: int, count: int, dtype: str) -> NDArray[np.generic]:
        if not count:
            return np.empty(0, dtype=dtype)
        return np.memmap(self.file, dtype=dtype, mode="r", offset=at, shape=(count,))


@contextmanager
def refusing(file: Path) -> Iterator[None]:
    """Turn whatever reading an archive raises into BackupError."""
    try:
        yield
    except BackupError:
        raise
    except OSError as error:
        raise BackupError(f"the backup {file} cannot be read: {error.strerror}") from None
    except (ValueError, KeyError, TypeError, RecursionError, zipfile.BadZipFile,
            NotImplementedError, struct.error, OverflowError) as error:  # fmt: skip
        raise _refused(file, f"it is damaged, or none: {error}") from None


def opened(file: Path) -> Archive:
    """The archive in a file, each byte of which was read and found as the manifest says. Raises
    BackupError where it is no whole archive, or of a newer version."""
    with refusing(file), open_regular(file) as source, zipfile.ZipFile(source) as archive:
        size = source.seek(0, 2)
        infos = {info.filename: info for info in archive.infolist()}
        if len(infos) < len(archive.infolist()):
            raise _refused(file, "two members have one name")
        for info in infos.values():
            if info.compress_type != zipfile.ZIP_STORED or info.file_size != info.compress_size:
                raise _refused(file, f"{info.filename!r} is not stored as it is")
        if sum(info.file_size for info in infos.values()) > size:
            raise _refused(file, "its members are larger than the file")
        if MANIFEST not in infos:
            raise _refused(file, "it was never finished: there is no manifest")
        if infos[MANIFEST].file_size > LONGEST:
            raise _refused(file, "its manifest is too large")
        told = json.loads(archive.read(MANIFEST))
        if told["format"] not in (FORMAT, WITH_WAITING):
            raise BackupError(
                f"the backup {file} is of format {told['format']!r}, and this version reads "
                f"{FORMAT} and {WITH_WAITING}",
                hint="Upgrade with: pip install --upgrade reidsearch",
            )
        manifest = _manifest(told)
        members = {
            str(name): (int(m["size"]), str(m["sha256"])) for name, m in told["members"].items()
        }
        _require_members(file, manifest, members, set(infos) - {MANIFEST})
        places = {}
        for name, (length, digest) in members.items():
            at = _beginning(source, infos[name])
            if infos[name].file_size != length or at + length > size:
                raise _refused(file, f"{name!r} has another size")
            if _digest(source, at, length) != digest:
                raise _refused(file, f"{name!r} is not what was written")
            places[name] = (at, length)
    return Archive(file, manifest, places)


def _manifest(told: Mapping[str, object]) -> Manifest:
    encoders = told["encoders"]
    if not isinstance(encoders, list):
        raise ValueError("encoders are no list")
    found = Manifest(
        version=str(told["version"]),
        made=float(str(told["made"])),
        gallery=str(told["gallery"]),
        images=int(str(told["images"])),
        encoders=tuple(
            Encoded(
                fingerprint=str(one["fingerprint"]),
                name=str(one["name"]),
                dimension=int(one["dimension"]),
                vectors=int(one["vectors"]),
                expanded=int(one["expanded"]),
            )
            for one in encoders
        ),
    )
    for one in found.encoders:
        if not _FINGERPRINT.fullmatch(one.fingerprint) or not 0 < one.dimension <= MOST:
            raise ValueError(f"{one.fingerprint!r} is no encoder's")
    return found


def _require_members(
    file: Path, manifest: Manifest, members: Mapping[str, tuple[int, str]], there: set[str]
) -> None:
    """That just those members are there that the manifest speaks of, of the right length."""
    if members.keys() != there:
        raise _refused(file, "its members are not those of the manifest")
    sizes: dict[str, int | None] = {CATALOG: None}
    for one in manifest.encoders:
        for kind, count in ((Kind.PLAIN, one.vectors), (Kind.EXPANDED, one.expanded)):
            sizes[member_of(one.fingerprint, kind, "ids")] = 8 * count
            sizes[member_of(one.fingerprint, kind, "f4")] = 4 * count * one.dimension
    for name in there:
        if name not in sizes and not _CROP.fullmatch(name) and not _WAITING.fullmatch(name):
            raise _refused(file, f"{name!r} belongs to no backup")
        if sizes.get(name) not in (None, members[name][0]):
            raise _refused(file, f"{name!r} has not the length of its vectors")
    if missing := sizes.keys() - there:
        raise _refused(file, f"{min(missing)!r} is missing")


def _beginning(source: BinaryIO, info: zipfile.ZipInfo) -> int:
    """Where a member's own bytes begin."""
    source.seek(info.header_offset)
    signature, name, extra = _LOCAL.unpack(source.read(_LOCAL.size))
    if signature != _SIGNATURE:
        raise ValueError("a member is not where it should be")
    return info.header_offset + _LOCAL.size + int(name) + int(extra)


def _digest(source: BinaryIO, at: int, length: int) -> str:
    source.seek(at)
    digest = hashlib.sha256()
    while length and (piece := source.read(min(length, READ))):
        digest.update(piece)
        length -= len(piece)
    return digest.hexdigest()


def _refused(file: Path, why: str) -> BackupError:
    return BackupError(
        f"the backup {file} cannot be used: {why}",
        hint="Take another; nothing was changed.",
    )
