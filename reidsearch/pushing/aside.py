"""Pushed crops that wait until somebody else has changed the gallery: a file each in the data dir,
private and durable, in the order in which they came."""

import contextlib
import json
import os
import secrets
import time
from collections.abc import Mapping
from pathlib import Path
from typing import NamedTuple, cast

from reidsearch.errors import StoreError
from reidsearch.files import replacing

ENDING = ".crop"
WRITTEN = 60.0  # seconds after which a file that is not whole is of a process that was killed


class Held(NamedTuple):
    """How many crops wait, and how many ``bytes`` their files have."""

    crops: int
    bytes: int


def make(folder: Path) -> None:
    """Make the folder that they wait in. Raises StoreError."""
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise _not_kept(folder, error) from None


def put(folder: Path, told: Mapping[str, object], data: bytes) -> None:
    """Keep a picture's bytes with what is told of it, as JSON has it. Raises StoreError."""
    file = folder / f"{time.time_ns():020d}-{secrets.token_hex(4)}{ENDING}"
    try:
        with replacing(file) as partial:
            partial.chmod(0o600)
            partial.write_bytes(json.dumps(told).encode() + b"\n" + data)
    except OSError as error:
        raise _not_kept(folder, error) from None


def waiting(folder: Path) -> list[Path]:
    """The files that are there, the first first."""
    return sorted(folder.glob(f"*{ENDING}")) if folder.is_dir() else []


def held(folder: Path) -> Held:
    """How much waits there. Raises StoreError."""
    crops = size = 0
    try:
        with os.scandir(folder) as entries:
            for entry in entries:
                with contextlib.suppress(FileNotFoundError):  # it is stored by now
                    size += entry.stat().st_size
                    crops += 1
    except FileNotFoundError:
        return Held(0, 0)
    except OSError as error:
        raise StoreError(f"{folder} cannot be read: {error.strerror}") from None
    return Held(crops, size)


def read(file: Path) -> tuple[dict[str, object], bytes]:
    """What is told, and the bytes. Raises OSError, ValueError where it was not written here."""
    head, _, data = file.read_bytes().partition(b"\n")
    told = json.loads(head)
    if not isinstance(told, dict):
        raise ValueError("no object")
    return cast("dict[str, object]", told), data


def since(file: Path) -> float:
    """When it was put there, in seconds since 1970 UTC. Raises ValueError where its name does not
    tell."""
    return int(file.name.partition("-")[0]) / 1e9


def remove(file: Path) -> None:
    """Delete one that may be gone already. Raises StoreError."""
    try:
        file.unlink(missing_ok=True)
    except OSError as error:
        raise StoreError(
            f"{file} cannot be removed: {error.strerror}", hint="Check the folder's permissions."
        ) from None


def sweep(folder: Path) -> None:
    """Delete what processes that were killed left half written, which nobody was told is kept.
    Raises StoreError."""
    for file in folder.glob(f"*{ENDING}.*.partial") if folder.is_dir() else ():
        with contextlib.suppress(FileNotFoundError):
            if time.time() - file.stat().st_mtime > WRITTEN:
                remove(file)


def _not_kept(folder: Path, error: OSError) -> StoreError:
    return StoreError(f"the crop cannot be kept in {folder}: {error.strerror}")
