"""Settings: a flag beats the environment, that beats ./reidsearch.toml, that beats the default."""

import os
import tomllib
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import platformdirs

from reidsearch.errors import UsageError

FILE = Path("reidsearch.toml")
PREFIX = "REIDSEARCH_"
DEFAULT_ENCODER = Path(__file__).parent / "weights" / "osnet-market1501.onnx"
KEYS = ("data_dir", "qdrant_url", "encoder", "device")


@dataclass(frozen=True, slots=True)
class Config:
    """Where things are. ``sources`` tells for each key where its value came from.

    The server's key is no setting and stays out of here, so that it can never be printed: it is
    read from REIDSEARCH_QDRANT_API_KEY at the moment of connecting.
    """

    data_dir: Path
    qdrant_url: str | None
    encoder: Path
    device: str
    sources: dict[str, str]


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
        qdrant_url=values["qdrant_url"],
        encoder=_path("encoder", str(values["encoder"])),
        device=str(values["device"]),
        sources=sources,
    )


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
        if not isinstance(value, str):
            raise UsageError(f"{path}: {key} must be text in quotes")
    return values
