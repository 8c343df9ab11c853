"""Settings: a flag beats the environment, that beats ./reidsearch.toml, that beats the default.

A setting is one field of Config: its type, its default, and beside them what a Setting says.
Everything else follows from there: its key in the file, its variable, its flag, its help.
"""

import codecs
import math
import os
import socket
import time
import tomllib
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from pathlib import Path
from typing import Annotated, Any, get_type_hints
from urllib.parse import urlsplit, urlunsplit

import platformdirs

from reidsearch import times
from reidsearch.errors import UsageError

FILE = Path("reidsearch.toml")
PREFIX = "REIDSEARCH_"
OPERATOR = PREFIX + "OPERATOR"
MACHINE = PREFIX + "MACHINE"
API_KEY = PREFIX + "QDRANT_API_KEY"
API_KEY_FILE = f"{API_KEY}_FILE"
CATALOG_PASSWORD_FILE = PREFIX + "CATALOG_PASSWORD_FILE"
TOKEN = PREFIX + "TOKEN"
DEFAULT_ENCODER = Path(__file__).parent / "weights" / "osnet-market1501.onnx"
SECONDS_A_DAY = 86_400
# An exact search among more takes longer than all else that an answer needs, and opening vectors
# that are not optimised longer than starting the process.
EXACT_UP_TO = 50_000
CATALOG_SCHEMES = ("postgresql+psycopg", "postgresql", "postgres")

VARIABLES: Mapping[str, str] = {
    OPERATOR: "Who is at work, for the log of searches; by default the user.",
    MACHINE: "What this machine is called beside the images on its disk; by default its host name. "
    "Machines that see the same disk are given the same.",
    API_KEY: "The Qdrant server's key.",
    API_KEY_FILE: "A file that holds the Qdrant server's key.",
    CATALOG_PASSWORD_FILE: "A file that holds the password for the catalog's database, where its "
    "URL holds none.",
    TOKEN: "The token for the service.",
}
"""What is read from the environment alone, with its help. None of it is a setting: nothing but the
code that needs one reads it, at the moment it does, so that a key can never be printed."""


class Audit(StrEnum):
    """What a search leaves in the catalog."""

    ON = "on"  # who, when, how, and the hash of the probe
    PICTURES = "pictures"  # the probe's file too
    OFF = "off"


@dataclass(frozen=True, slots=True)
class Given:
    """What was given for a setting, and where."""

    key: str
    text: str
    source: str


@dataclass(frozen=True, slots=True)
class Setting:
    """What a setting is for, and how its text is read.

    ``parse`` raises UsageError. With ``flag`` the command line has an option for it on every
    command, whose value is called ``metavar`` there. ``number`` lets the file hold it without
    quotes, ``switch`` as true or false.
    """

    help: str
    parse: Callable[[Given], object]
    flag: bool = False
    metavar: str | None = None
    number: bool = False
    switch: bool = False


def _text(given: Given) -> str:
    return given.text


def _path(given: Given) -> Path:
    try:
        path = Path(given.text).expanduser()
    except RuntimeError:  # ~somebody, whom the system does not know
        raise UsageError(f"{given.key}: {given.text!r} names nobody's home folder") from None
    if "\0" in given.text:
        raise UsageError(f"{given.key}: {given.text!r} cannot be a path")
    return path


def _url(given: Given) -> str:
    """The same, of a server or of several with commas between, where it holds no secret: a URL is
    shown and logged, a key must never be."""
    if _holds_secret(given.text):
        raise UsageError(
            "the Qdrant URL holds a user or a password",
            hint=f"Write it without, and put the server's key into {API_KEY}.",
        )
    return given.text


def _service(given: Given) -> str:
    """A service's URL, which is one, and holds no secret."""
    if _holds_secret(given.text):
        raise UsageError(
            "the service's URL holds a user or a password",
            hint=f"Write it without, and put its token into {TOKEN}.",
        )
    try:
        parts = urlsplit(given.text)
        usable = parts.scheme in ("http", "https") and parts.hostname and parts.port != 0
    except ValueError:
        usable = False
    if not usable or not given.text.isprintable():
        raise UsageError(
            f"server {given.text!r} ({given.source}) is no URL of a service",
            hint="Write it like http://localhost:8733.",
        )
    return given.text.rstrip("/")


def _holds_secret(url: str) -> bool:
    return any("@" in one.split("://")[-1].split("/")[0] for one in url.split(","))


@dataclass(frozen=True, slots=True)
class CatalogUrl:
    """The URL of a catalog on a server, as SQLAlchemy reads it. It may hold a password: as a text
    it is shown without."""

    secret: str = field(repr=False)

    def __str__(self) -> str:
        parts = urlsplit(self.secret)
        user, at, host = parts.netloc.rpartition("@")
        return urlunsplit((parts.scheme, user.partition(":")[0] + at + host, parts.path, "", ""))

    def __repr__(self) -> str:
        return f"CatalogUrl({str(self)!r})"


def _catalog(given: Given) -> CatalogUrl:
    url = CatalogUrl(given.text)
    try:
        known = urlsplit(given.text).scheme in CATALOG_SCHEMES
        _ = str(url)
    except ValueError:
        known = False
    if not known:
        raise UsageError(  # without the text, as it may hold a password
            f"catalog_url ({given.source}) is none of {', '.join(CATALOG_SCHEMES)}",
            hint="Write it like postgresql+psycopg://user@host:5432/database.",
        )
    return url


def _switch(given: Given) -> bool:
    try:
        return {"true": True, "false": False}[given.text.lower()]
    except KeyError:
        raise UsageError(
            f"{given.key} {given.text!r} ({given.source}) is neither true nor false"
        ) from None


def _audit(given: Given) -> Audit:
    try:
        return Audit(given.text.lower())
    except ValueError:
        raise UsageError(
            f"audit {given.text!r} ({given.source}) is none of {', '.join(Audit)}",
            hint="pictures also keeps the probes themselves.",
        ) from None


def _days(given: Given) -> int:
    text = given.text
    if not (text.isascii() and text.isdecimal() and 0 < int(text[:9]) < 100_000):
        raise UsageError(
            f"retain_days {text!r} ({given.source}) is not a number of days",
            hint="Write it like 30, or leave it out to keep images for good.",
        )
    return int(text)


def _count(given: Given) -> int:
    text = given.text
    if not (text.isascii() and text.isdecimal() and len(text) < 13):
        raise UsageError(
            f"{given.key} {text!r} ({given.source}) is not a number of images",
            hint="Write it like 50000.",
        )
    return int(text)


def _few(given: Given) -> int:
    text = given.text
    if not (text.isascii() and text.isdecimal() and 0 < int(text[:4]) < 1000):
        raise UsageError(
            f"{given.key} {text!r} ({given.source}) is not a number from 1 to 999",
            hint="Write it like 2, or leave it out: it follows from the number of nodes.",
        )
    return int(text)


def _zone(given: Given) -> times.Zone:
    try:
        return times.named(given.text)
    except ValueError as error:
        raise UsageError(
            f"timezone {error} ({given.source})",
            hint="Write it like Europe/Berlin or UTC. Where a system brings no list of zones: "
            "pip install tzdata",
        ) from None


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
        Setting("Where catalog and vectors are kept.", _path, flag=True, metavar="DIR"),
    ] = field(default_factory=_users_folder)
    qdrant_url: Annotated[
        str | None,
        Setting(
            "A Qdrant server, or the nodes of a cluster with commas between; without it, vectors "
            "are kept in the data dir.",
            _url,
            flag=True,
            metavar="URL",
        ),
    ] = None
    encoder: Annotated[Path, Setting("An ONNX encoder.", _path, flag=True, metavar="FILE")] = (
        DEFAULT_ENCODER
    )
    device: Annotated[
        str, Setting("cpu, cuda, openvino or coreml.", _text, flag=True, metavar="NAME")
    ] = "cpu"
    sources: dict[str, str] = field(default_factory=dict)
    audit: Annotated[
        Audit,
        Setting("What a search leaves in the log: on, pictures (the probes too), off.", _audit),
    ] = Audit.ON
    retain_days: Annotated[
        int | None, Setting("Forget images that are older.", _days, number=True)
    ] = None
    exact_up_to: Annotated[
        int,
        Setting(
            "Images among which every search compares all; more are searched through smaller "
            "copies of their vectors, unless it is to be exact.",
            _count,
            number=True,
        ),
    ] = EXACT_UP_TO
    qdrant_shards: Annotated[
        int | None,
        Setting(
            "Into how many shards a Qdrant cluster divides the vectors; by default one a node.",
            _few,
            number=True,
        ),
    ] = None
    qdrant_replicas: Annotated[
        int | None,
        Setting(
            "On how many nodes of a Qdrant cluster each shard is; by default two, where there are "
            "as many.",
            _few,
            number=True,
        ),
    ] = None
    qdrant_write_consistency: Annotated[
        int | None,
        Setting(
            "How many of the replicas must have taken what is written; by default all but one.",
            _few,
            number=True,
        ),
    ] = None
    qdrant_on_disk: Annotated[
        bool,
        Setting(
            "Whether a Qdrant server keeps the vectors on disk, not in memory: true or false.",
            _switch,
            switch=True,
        ),
    ] = True
    qdrant_quantised: Annotated[
        bool,
        Setting(
            "Whether a Qdrant server keeps smaller copies of the vectors in memory, through which "
            "more than exact_up_to are searched: true or false.",
            _switch,
            switch=True,
        ),
    ] = True
    timezone: Annotated[
        times.Zone,
        Setting(
            "Where times without an offset hold, and in which they are shown, like Europe/Berlin; "
            "without it, this machine's zone (TZ).",
            _zone,
        ),
    ] = None
    server: Annotated[
        str | None,
        Setting(
            "A service to ask from afar, in place of a data dir.",
            _service,
            flag=True,
            metavar="URL",
        ),
    ] = None
    token_file: Annotated[
        Path | None,
        Setting("A file that holds the token for a service.", _path, flag=True, metavar="FILE"),
    ] = None

    catalog_url: Annotated[
        CatalogUrl | None,
        Setting(
            "A PostgreSQL database for a catalog that many machines share; without it, it is a "
            "file in the data dir.",
            _catalog,
            flag=True,
            metavar="URL",
        ),
    ] = None
    thumbnails: Annotated[
        bool,
        Setting(
            "Whether small pictures of what is taken in are kept in the catalog, for machines that "
            "cannot read its files: true or false.",
            _switch,
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


def api_key(environment: Mapping[str, str] = os.environ) -> str | None:
    """The server's key: REIDSEARCH_QDRANT_API_KEY, or the content of the file that
    REIDSEARCH_QDRANT_API_KEY_FILE names; None where there is neither.

    Raises UsageError, which never shows the key, where both are given, the file cannot be read or
    the key could not be sent.
    """
    key = environment.get(API_KEY)
    file = environment.get(API_KEY_FILE)
    if key and file:
        raise UsageError(f"{API_KEY} and {API_KEY_FILE} are both set", hint="Unset one of them.")
    if file:
        key = _content(Path(file).expanduser(), of=API_KEY_FILE)
    where = f"{API_KEY} or {API_KEY_FILE}"
    return _sendable(key, of="the Qdrant server's key", where=where)


def catalog_password(environment: Mapping[str, str] = os.environ) -> str | None:
    """What the file holds that REIDSEARCH_CATALOG_PASSWORD_FILE names; None where it names none.

    Raises UsageError, which never shows the password, where the file cannot be read or holds none.
    """
    file = environment.get(CATALOG_PASSWORD_FILE)
    if not file:
        return None
    password = _content(Path(file).expanduser(), of=CATALOG_PASSWORD_FILE)
    if not password or "\0" in password:
        raise UsageError(
            f"{CATALOG_PASSWORD_FILE}: {file} holds no password",
            hint="It is a file of text, with the password and nothing else.",
        )
    return password


def token(file: Path | None = None, environment: Mapping[str, str] = os.environ) -> str | None:
    """The token for a service: what the file holds, or without one REIDSEARCH_TOKEN; None where
    there is neither. Raises UsageError as ``api_key`` does."""
    if file is None:
        return _sendable(environment.get(TOKEN), of="the token", where=TOKEN)
    return _sendable(_content(file, of="token_file"), of="the token", where=str(file))


def _content(file: Path, *, of: str) -> str:
    """What a file with a secret holds; something that cannot be sent where it is no text."""
    try:
        return file.read_text(encoding="utf-8").strip()
    except OSError as error:
        raise UsageError(f"{of}: {file} cannot be read: {error.strerror}") from None
    except UnicodeDecodeError:
        return "\0"


def _sendable(secret: str | None, *, of: str, where: str) -> str | None:
    """The same, where a header can hold it."""
    if secret and not (secret.isascii() and secret.isprintable()):
        raise UsageError(
            f"{of} has characters that none has",
            hint=f"Look for a line break or a wrong file in {where}.",
        )
    return secret or None


def catalog_file(data_dir: Path) -> Path:
    """Where a data dir has its catalog, where that is a file."""
    return data_dir / "catalog.sqlite"


def machine(environment: Mapping[str, str] = os.environ) -> str:
    """What this machine is called beside the images on its disk."""
    return environment.get(MACHINE) or socket.gethostname()


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
