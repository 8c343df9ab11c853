"""Pushed crops that wait until somebody else has changed the gallery: a file each in the data dir,
private and durable, in the order in which they came."""

import json
import secrets
import time
from collections.abc import Mapping
from pathlib import Path
from typing import cast

from reidsearch.errors import StoreError
from reidsearch.files import replacing


def put(folder: Path, told: Mapping[str, object], data: bytes) -> None:
    """Keep a picture's bytes with what is told of it, as JSON has it. Raises StoreError."""
    file = folder / f"{time.time_ns():020d}-{secrets.token_hex(4)}.crop"
    try:
        folder.mkdir(parents=True, exist_ok=True)
        with replacing(file) as partial:
            partial.chmod(0o600)
            partial.write_bytes(json.dumps(told).encode() + b"\n" + data)
    except OSError as error:
        raise StoreError(f"the crop cannot be kept in {folder}: {error.strerror}") from None


def waiting(folder: Path) -> list[Path]:
    """The files that are there, the first first."""
    return sorted(folder.glob("*.crop")) if folder.is_dir() else []


def read(file: Path) -> tuple[dict[str, object], bytes]:
    """What is told, and the bytes. Raises OSError, ValueError where it was not written here."""
    head, _, data = file.read_bytes().partition(b"\n")
    told = json.loads(head)
    if not isinstance(told, dict):
        raise ValueError("no object")
    return cast("dict[str, object]", told), data
