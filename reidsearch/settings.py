"""A setting: what it is for, and how the text that is given for it is read."""

from collections.abc import Callable
from dataclasses import dataclass, field
from enum import StrEnum
from pathlib import Path
from urllib.parse import urlsplit, urlunsplit

from reidsearch import times
from reidsearch.environment import API_KEY, TOKEN
from reidsearch.errors import UsageError

CATALOG_SCHEMES = ("postgresql+psycopg", "postgresql", "postgres")


class Audit(StrEnum):
    """What a search leaves in the catalog."""

    ON = "on"  # who, when, how, and the hash of the probe
    PICTURES = "pictures"  # the probe's file too
    OFF = "off"


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


def text(given: Given) -> str:
    return given.text


def path(given: Given) -> Path:
    try:
        path = Path(given.text).expanduser()
    except RuntimeError:  # ~somebody, whom the system does not know
        raise UsageError(f"{given.key}: {given.text!r} names nobody's home folder") from None
    if "\0" in given.text:
        raise UsageError(f"{given.key}: {given.text!r} cannot be a path")
    return path


def url(given: Given) -> str:
    """The same, of a server or of several with commas between, where it holds no secret: a URL is
    shown and logged, a key must never be."""
    if _holds_secret(given.text):
        raise UsageError(
            "the Qdrant URL holds a user or a password",
            hint=f"Write it without, and put the server's key into {API_KEY}.",
        )
    return given.text


def service(given: Given) -> str:
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


def catalog(given: Given) -> CatalogUrl:
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


def switch(given: Given) -> bool:
    try:
        return {"true": True, "false": False}[given.text.lower()]
    except KeyError:
        raise UsageError(
            f"{given.key} {given.text!r} ({given.source}) is neither true nor false"
        ) from None


def audit(given: Given) -> Audit:
    try:
        return Audit(given.text.lower())
    except ValueError:
        raise UsageError(
            f"audit {given.text!r} ({given.source}) is none of {', '.join(Audit)}",
            hint="pictures also keeps the probes themselves.",
        ) from None


def days(given: Given) -> int:
    text = given.text
    if not (text.isascii() and text.isdecimal() and 0 < int(text[:9]) < 100_000):
        raise UsageError(
            f"retain_days {text!r} ({given.source}) is not a number of days",
            hint="Write it like 30, or leave it out to keep images for good.",
        )
    return int(text)


def count(given: Given) -> int:
    text = given.text
    if not (text.isascii() and text.isdecimal() and len(text) < 13):
        raise UsageError(
            f"{given.key} {text!r} ({given.source}) is not a number of images",
            hint="Write it like 50000.",
        )
    return int(text)


def few(given: Given) -> int:
    text = given.text
    if not (text.isascii() and text.isdecimal() and 0 < int(text[:4]) < 1000):
        raise UsageError(
            f"{given.key} {text!r} ({given.source}) is not a number from 1 to 999",
            hint="Write it like 2, or leave it out: it follows from the number of nodes.",
        )
    return int(text)


def zone(given: Given) -> times.Zone:
    try:
        return times.named(given.text)
    except ValueError as error:
        raise UsageError(
            f"timezone {error} ({given.source})",
            hint="Write it like Europe/Berlin or UTC. Where a system brings no list of zones: "
            "pip install tzdata",
        ) from None


def _holds_secret(url: str) -> bool:
    return any("@" in one.split("://")[-1].split("/")[0] for one in url.split(","))
