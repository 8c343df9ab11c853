"""What is read from the environment alone: who and where this is, and secrets."""

import os
import socket
from collections.abc import Mapping
from pathlib import Path

from reidsearch.errors import UsageError

PREFIX = "REIDSEARCH_"
OPERATOR = PREFIX + "OPERATOR"
MACHINE = PREFIX + "MACHINE"
API_KEY = PREFIX + "QDRANT_API_KEY"
API_KEY_FILE = f"{API_KEY}_FILE"
CATALOG_PASSWORD_FILE = PREFIX + "CATALOG_PASSWORD_FILE"
TOKEN = PREFIX + "TOKEN"

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


def machine(environment: Mapping[str, str] = os.environ) -> str:
    """What this machine is called beside the images on its disk."""
    return environment.get(MACHINE) or socket.gethostname()


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
