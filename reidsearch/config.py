"""Settings: a flag beats the environment, that beats ./reidsearch.toml, that beats the default.

A setting is one field of Config: its type, its default, and beside them what a Setting says.
Everything else follows from there: its key in the file, its variable, its flag, its help.
"""

import codecs
import math
import os
import time
import tomllib
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Annotated, Any, get_type_hints

import platformdirs

from reidsearch import settings, times
from reidsearch.environment import PREFIX
from reidsearch.errors import UsageError
from reidsearch.settings import Audit, CatalogUrl, Given, Setting

FILE = Path("reidsearch.toml")
DEFAULT_ENCODER = Path(__file__).parent / "weights" / "osnet-market1501.onnx"
SECONDS_A_DAY = 86_400
# An exact search among more takes longer than all else that an answer needs, and opening vectors
# that are not optimised longer than starting the process.
EXACT_UP_TO = 50_000


def _users_folder() -> Path:
    try:
        folder = Path(platformdirs.user_data_dir("reidsearch", appauthor=False))
    except RuntimeError:  # a user whom the system does not know; older versions give ~ itself
        folder = Path()
    if not folder.is_absolute():
        raise UsageError(
            "there is no home folder to keep a gallery in",
            hint="Say where it is to be with {data_dir}, or set HOME.",
        )
    return folder


@dataclass(frozen=True, slots=True)
class Config:
    """The settings in force. ``sources`` tells for each key where its value came from."""

    data_dir: Annotated[
        Path,
        Setting("Where catalog and vectors are kept.", settings.path, flag=True, metavar="DIR"),
    ] = field(default_factory=_users_folder)
    qdrant_url: Annotated[
        str | None,
        Setting(
            "A Qdrant server, or the nodes of a cluster with commas between; without it, vectors "
            "are kept in the data dir.",
            settings.url,
            flag=True,
            metavar="URL",
        ),
    ] = None
    encoder: Annotated[
        Path, Setting("An ONNX encoder.", settings.path, flag=True, metavar="FILE")
    ] = DEFAULT_ENCODER
    device: Annotated[
        str, Setting("cpu, cuda, openvino or coreml.", settings.text, flag=True, metavar="NAME")
    ] = "cpu"
    sources: dict[str, str] = field(default_factory=dict)
    audit: Annotated[
        Audit,
        Setting(
            "What a search leaves in the log: on, pictures (the probes too), off.", settings.audit
        ),
    ] = Audit.ON
    retain_days: Annotated[
        int | None, Setting("Forget images that are older.", settings.days, number=True)
    ] = None
    exact_up_to: Annotated[
        int,
        Setting(
            "Images among which every search compares all; more are searched through smaller "
            "copies of their vectors, unless it is to be exact.",
            settings.count,
            number=True,
        ),
    ] = EXACT_UP_TO
    qdrant_shards: Annotated[
        int | None,
        Setting(
            "Into how many shards a Qdrant cluster divides the vectors; by default one a node.",
            settings.few,
            number=True,
        ),
    ] = None
    qdrant_replicas: Annotated[
        int | None,
        Setting(
            "On how many nodes of a Qdrant cluster each shard is; by default two, where there are "
            "as many.",
            settings.few,
            number=True,
        ),
    ] = None
    qdrant_write_consistency: Annotated[
        int | None,
        Setting(
            "How many of the replicas must have taken what is written; by default all but one.",
            settings.few,
            number=True,
        ),
    ] = None
    qdrant_on_disk: Annotated[
        bool,
        Setting(
            "Whether a Qdrant server keeps the vectors on disk, not in memory: true or false.",
            settings.switch,
            switch=True,
        ),
    ] = True
    qdrant_quantised: Annotated[
        bool,
        Setting(
            "Whether a Qdrant server keeps smaller copies of the vectors in memory, through which "
            "more than exact_up_to are searched: true or false.",
            settings.switch,
            switch=True,
        ),
    ] = True
    timezone: Annotated[
        times.Zone,
        Setting(
            "Where times without an offset hold, and in which they are shown, like Europe/Berlin; "
            "without it, this machine's zone (TZ).",
            settings.zone,
        ),
    ] = None
    server: Annotated[
        str | None,
        Setting(
            "A service to ask from afar, in place of a data dir.",
            settings.service,
            flag=True,
            metavar="URL",
        ),
    ] = None
    token_file: Annotated[
        Path | None,
        Setting(
            "A file that holds the token for a service.", settings.path, flag=True, metavar="FILE"
        ),
    ] = None

    catalog_url: Annotated[
        CatalogUrl | None,
        Setting(
            "A PostgreSQL database for a catalog that many machines share; without it, it is a "
            "file in the data dir.",
            settings.catalog,
            flag=True,
            metavar="URL",
        ),
    ] = None
    thumbnails: Annotated[
        bool,
        Setting(
            "Whether small pictures of what is taken in are kept in the catalog, for machines that "
            "cannot read its files: true or false.",
            settings.switch,
            switch=True,
        ),
    ] = False

    @property
    def oldest(self) -> float:
        """When the oldest images that may be kept were taken, in seconds since 1970 UTC."""
        if self.retain_days is None:
            return -math.inf
        return time.time() - self.retain_days * SECONDS_A_DAY


SETTINGS: Mapping[str, Setting] = {
    key: said
    for key, hint in get_type_hints(Config, include_extras=True).items()
    for said in getattr(hint, "__metadata__", ())
}
KEYS = tuple(SETTINGS)


def variable(key: str) -> str:
    """The environment variable of a setting."""
    return PREFIX + key.upper()


def load(
    given: Mapping[str, str | None],
    *,
    environment: Mapping[str, str] = os.environ,
    file: Path = FILE,
    source: str = "flag",
) -> Config:
    """Gather the settings; what is None or empty counts as not given.

    ``source`` says what ``given`` holds: flags, or arguments from Python. Raises UsageError on a
    file that is not TOML, or holds unknown keys or values that are not text, and on values that
    cannot be.
    """
    found: dict[str, Given] = {}
    ranks: dict[str, int] = {}
    for rank, (place, texts) in enumerate(
        (
            (str(file), _from_file(file)),
            ("environment", {key: environment.get(variable(key)) for key in KEYS}),
            (source, given),
        )
    ):
        for key in KEYS:
            if text := texts.get(key):
                found[key], ranks[key] = Given(key, text, place), rank
    if ranks.get("data_dir", -1) > ranks.get("server", -1):
        found.pop("server", None)  # one of both is meant: the one that was given nearer at hand
    values: dict[str, Any] = {key: SETTINGS[key].parse(one) for key, one in found.items()}
    sources = {key: found[key].source if key in found else "default" for key in KEYS}
    return Config(**values, sources=sources)


def catalog_file(data_dir: Path) -> Path:
    """Where a data dir has its catalog, where that is a file."""
    return data_dir / "catalog.sqlite"


def _from_file(path: Path) -> dict[str, str | None]:
    try:
        data = path.read_bytes()
    except FileNotFoundError:
        return {}
    except OSError as error:
        raise UsageError(f"{path} cannot be read: {error}") from None
    if data.startswith((codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)):
        raise UsageError(f"{path} is in UTF-16", hint="Save it as UTF-8: TOML is nothing else.")
    try:
        values = tomllib.loads(data.decode("utf-8-sig"))  # some editors begin it with a mark
    except (ValueError, RecursionError) as error:  # ValueError: not TOML, or not UTF-8
        raise UsageError(f"{path} cannot be read: {error}") from None
    for key, value in values.items():
        if key not in SETTINGS:
            raise UsageError(f"{path}: unknown key {key!r}", hint=f"Known are {', '.join(KEYS)}.")
        if SETTINGS[key].number and type(value) is int:
            values[key] = str(value)
        elif SETTINGS[key].switch and type(value) is bool:
            values[key] = str(value).lower()
        elif not isinstance(value, str):
            raise UsageError(f"{path}: {key} must be text in quotes")
    return values
