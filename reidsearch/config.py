"""Settings: a flag beats the environment, that beats ./reidsearch.toml, that beats the default."""

import math
import os
import time
import tomllib
from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path

import platformdirs

from reidsearch.errors import UsageError

FILE = Path("reidsearch.toml")
PREFIX = "REIDSEARCH_"
API_KEY = PREFIX + "QDRANT_API_KEY"
DEFAULT_ENCODER = Path(__file__).parent / "weights" / "osnet-market1501.onnx"
KEYS = ("data_dir", "qdrant_url", "encoder", "device", "audit", "retain_days")
SECONDS_A_DAY = 86_400


class Audit(StrEnum):
    """What a search leaves in the catalog."""

    ON = "on"  # who, when, how, and the hash of the probe
    PICTURES = "pictures"  # the probe's file too
    OFF = "off"


@dataclass(frozen=True, slots=True)
class Config:
    """Where things are. ``sources`` tells for each key where its value came from.

    The server's key is no setting and stays out of here, so that it can never be printed:
    ``api_key`` reads it at the moment of connecting.
    """

    data_dir: Path
    qdrant_url: str | None
    encoder: Path
    device: str
    sources: dict[str, str]
    audit: Audit = Audit.ON
    retain_days: int | None = None

    @property
    def oldest(self) -> float:
        """When the oldest images that may be kept were taken, in seconds since 1970 UTC."""
        if self.retain_days is None:
            return -math.inf
        return time.time() - self.retain_days * SECONDS_A_DAY


def load(
    flags: Mapping[str, str | None],
    *,
    environment: Mapping[str, str] = os.environ,
    file: Path = FILE,
) -> Config:
    """Gather the settings; a flag of None counts as not given.

    Raises UsageError on a file that is not TOML, or holds unknown keys or values that are not
    text, and on paths that cannot be one.
    """
    values: dict[str, str | None] = {
        "data_dir": platformdirs.user_data_dir("reidsearch", appauthor=False),
        "qdrant_url": None,
        "encoder": str(DEFAULT_ENCODER),
        "device": "cpu",
        "audit": str(Audit.ON),
        "retain_days": None,
    }
    sources = dict.fromkeys(KEYS, "default")

    def take(found: Mapping[str, str | None], source: str) -> None:
        for key in KEYS:
            if found.get(key):
                values[key], sources[key] = found[key], source

    take(_from_file(file), str(file))
    take({key: environment.get(PREFIX + key.upper()) for key in KEYS}, "environment")
    take(flags, "flag")
    return Config(
        data_dir=_path("data_dir", str(values["data_dir"])),
        qdrant_url=_url(values["qdrant_url"]),
        encoder=_path("encoder", str(values["encoder"])),
        device=str(values["device"]),
        sources=sources,
        audit=_audit(str(values["audit"]), sources["audit"]),
        retain_days=_days(values["retain_days"], sources["retain_days"]),
    )


def api_key(environment: Mapping[str, str] = os.environ) -> str | None:
    """The server's key: REIDSEARCH_QDRANT_API_KEY, or the content of the file that
    REIDSEARCH_QDRANT_API_KEY_FILE names; None where there is neither.

    Raises UsageError, which never shows the key, where both are given, the file cannot be read or
    the key could not be sent.
    """
    key = environment.get(API_KEY)
    file = environment.get(f"{API_KEY}_FILE")
    if key and file:
        raise UsageError(f"{API_KEY} and {API_KEY}_FILE are both set", hint="Unset one of them.")
    if file:
        try:
            key = Path(file).expanduser().read_text(encoding="utf-8").strip()
        except OSError as error:
            raise UsageError(f"{API_KEY}_FILE: {file} cannot be read: {error.strerror}") from None
        except UnicodeDecodeError:
            key = "\0"  # refused below
    if key and not (key.isascii() and key.isprintable()):
        raise UsageError(
            "the Qdrant server's key has characters that no key has",
            hint=f"Look for a line break or a wrong file in {API_KEY} or {API_KEY}_FILE.",
        )
    return key or None


def _url(text: str | None) -> str | None:
    """The same, where it holds no secret: a URL is shown and logged, a key must never be."""
    if text is not None and "@" in text.split("://")[-1].split("/")[0]:
        raise UsageError(
            "the Qdrant URL holds a user or a password",
            hint=f"Write it without, and put the server's key into {API_KEY}.",
        )
    return text


def _audit(text: str, source: str) -> Audit:
    try:
        return Audit(text.lower())
    except ValueError:
        raise UsageError(
            f"audit {text!r} ({source}) is none of {', '.join(Audit)}",
            hint="pictures also keeps the probes themselves.",
        ) from None


def _days(text: str | None, source: str) -> int | None:
    if text is None:
        return None
    if not (text.isascii() and text.isdecimal() and 0 < int(text[:9]) < 100_000):
        raise UsageError(
            f"retain_days {text!r} ({source}) is not a number of days",
            hint="Write it like 30, or leave it out to keep images for good.",
        )
    return int(text)


def _path(key: str, text: str) -> Path:
    try:
        path = Path(text).expanduser()
    except RuntimeError:  # ~somebody, whom the system does not know
        raise UsageError(f"{key}: {text!r} names nobody's home folder") from None
    if "\0" in text:
        raise UsageError(f"{key}: {text!r} cannot be a path")
    return path


def _from_file(path: Path) -> dict[str, str | None]:
    try:
        values = tomllib.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        return {}
    except (OSError, ValueError, RecursionError) as error:  # ValueError: not TOML, or not UTF-8
        raise UsageError(f"{path} cannot be read: {error}") from None
    for key, value in values.items():
        if key not in KEYS:
            raise UsageError(f"{path}: unknown key {key!r}", hint=f"Known are {', '.join(KEYS)}.")
        if key == "retain_days" and type(value) is int:
            values[key] = str(value)
        elif not isinstance(value, str):
            raise UsageError(f"{path}: {key} must be text in quotes")
    return values
