"""Who may ask for what: named tokens with a role each, in a file that holds their hashes alone.

A token is 256 random bits, so that its SHA-256 needs no salt and cannot be tried out. It is shown
once, when it is made. The file is read again whenever it has changed: a token that was taken away
is worth nothing from then on, without a restart.
"""

import hashlib
import hmac
import json
import os
import secrets
import threading
import time
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from enum import StrEnum
from pathlib import Path

from reidsearch import names
from reidsearch.errors import ReidsearchError, UsageError
from reidsearch.files import replacing

FILE = "tokens.json"  # in the data dir
PREFIX = "reid_"  # so that scanners for secrets, and people, see what it is


class Role(StrEnum):
    """What a token is for; admin is for everything."""

    SEARCH = "search"
    INGEST = "ingest"
    ADMIN = "admin"


@dataclass(frozen=True, slots=True)
class Token:
    """Who has a token, what for, and since when (seconds since 1970 UTC)."""

    name: str
    role: Role
    sha256: str
    made: float


@dataclass(frozen=True, slots=True)
class Principal:
    """Who asks: a token's ``name``, None where none is needed, and what it may."""

    name: str | None
    role: Role

    def may(self, role: Role) -> bool:
        return self.role in (role, Role.ADMIN)


ANYBODY = Principal(None, Role.ADMIN)
"""Whoever reaches a service that needs no tokens: a program of this machine."""


class Tokens:
    """The tokens in a data dir's file; threads may share it. Raises ReidsearchError on a file that
    cannot be read: then nobody gets in, rather than everybody."""

    def __init__(self, data_dir: Path) -> None:
        self.file = data_dir / FILE
        self._reading = threading.Lock()
        self._stamp: tuple[int, int, int] | None = None
        self._known: Mapping[str, Token] = {}

    @property
    def needed(self) -> bool:
        """Whether a token is needed: there is a file, if only with no token in it."""
        return self.file.exists()

    def all(self) -> tuple[Token, ...]:
        """Those there are, by name."""
        return tuple(one for _, one in sorted(self._read().items()))

    def add(self, name: str, role: Role) -> str:
        """Make a token; the text to send is returned, and kept nowhere. Raises UsageError where
        the name is taken, or cannot be one."""
        name = names.name(name, of="token")
        known = dict(self._read())
        if name in known:
            raise UsageError(f"there is a token named {name!r} already", hint="Remove it first.")
        text = PREFIX + secrets.token_urlsafe(32)
        known[name] = Token(name, role, _hash(text), time.time())
        self._write(known)
        return text

    def remove(self, name: str) -> None:
        """Take a token away. Raises UsageError where there is none of that name."""
        known = dict(self._read())
        if known.pop(names.name(name, of="token"), None) is None:
            here = ", ".join(sorted(known)) or "none"
            raise UsageError(f"there is no token named {name!r}", hint=f"There are: {here}.")
        self._write(known)

    def principal(self, text: str) -> Principal | None:
        """Whose token that is; None where it is nobody's. Takes as long for any text."""
        given, found = _hash(text), None
        for token in self._read().values():
            if hmac.compare_digest(token.sha256, given):
                found = Principal(token.name, token.role)
        return found

    def _read(self) -> Mapping[str, Token]:
        with self._reading:
            try:
                stat = self.file.stat()
                stamp = (stat.st_mtime_ns, stat.st_size, stat.st_ino)
                if stamp != self._stamp:
                    rows = json.loads(self.file.read_text(encoding="utf-8"))
                    found = [
                        Token(str(r["name"]), Role(r["role"]), str(r["sha256"]), float(r["made"]))
                        for r in rows
                    ]
                    self._known, self._stamp = {one.name: one for one in found}, stamp
            except FileNotFoundError:
                self._known, self._stamp = {}, None
            except (OSError, ValueError, KeyError, TypeError) as error:
                self._known, self._stamp = {}, None
                raise ReidsearchError(
                    f"the tokens in {self.file} cannot be read: {type(error).__name__}",
                    hint="Restore the file, or delete it and make new tokens.",
                ) from None
            return self._known

    def _write(self, known: Mapping[str, Token]) -> None:
        try:
            self.file.parent.mkdir(parents=True, exist_ok=True)
            if not self.file.exists():
                os.close(os.open(self.file, os.O_WRONLY | os.O_CREAT, 0o600))
            with replacing(self.file) as partial:
                rows = [asdict(one) for _, one in sorted(known.items())]
                partial.write_text(json.dumps(rows, indent=1) + "\n", encoding="utf-8")
        except OSError as error:
            raise ReidsearchError(
                f"the tokens in {self.file} cannot be written: {error.strerror}"
            ) from None


def _hash(text: str) -> str:
    return hashlib.sha256(text.encode(errors="surrogateescape")).hexdigest()
