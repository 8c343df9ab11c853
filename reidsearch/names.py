"""Names of cameras, people and sites: texts that mean what people call them, and nothing else.

A whole number is a name like any other, written in one way: ``0002`` is ``2``. Where names leave as
JSON or arrays of numbers, those read as numbers again.
"""

import re
import unicodedata
from collections.abc import Iterable
from functools import lru_cache

from reidsearch.errors import UsageError

JUNK = "-1"  # stands in an identity's place for a bad detection
DISTRACTOR = "0"  # and for people nobody asks for
LONGEST = 255  # bytes of UTF-8
_WHOLE = re.compile(r"(-?)0*(\d{1,18})", re.ASCII)
# Marks that turn the direction of what follows them would change how whole lines read.
_TURNING = frozenset("\u202a\u202b\u202c\u202d\u202e\u2066\u2067\u2068\u2069")


def name(text: str, of: str) -> str:
    """The one way to write a name: Unicode's composed form, without space around it, and a whole
    number without leading zeros.

    ``of`` is what has that name, for the message. Raises UsageError where it is empty, longer than
    LONGEST bytes, holds control characters or is no Unicode, and on numbers below zero other than
    an identity of JUNK.
    """
    if text.isascii() and text.isalnum() and len(text) <= LONGEST and text[0] != "0":
        return text  # as most are, and there may be millions
    return _written(text, of)


@lru_cache(maxsize=4096)
def _written(text: str, of: str) -> str:
    text = unicodedata.normalize("NFC", text[: LONGEST + 1].strip())
    try:
        size = len(text.encode())
    except UnicodeEncodeError:
        raise UsageError(f"the name of a {of} is no valid Unicode", hint="Rename it.") from None
    if size > LONGEST:
        raise UsageError(
            f"the name of a {of} has more than {LONGEST} bytes", hint="Give it a shorter one."
        )
    if not text:
        raise UsageError(f"the name of a {of} is empty", hint="Leave it out where it is not known.")
    if any(unicodedata.category(c) in ("Cc", "Zl", "Zp") or c in _TURNING for c in text):
        raise UsageError(f"{of} {text!r} holds control characters", hint="Rename it.")
    whole = _WHOLE.fullmatch(text)
    if whole is None:
        return text
    sign, digits = whole.groups()
    if digits == "0":
        return digits
    if sign and not (of == "identity" and digits == "1"):
        raise UsageError(
            f"{of} {text} is negative",
            hint="Use -1 for junk, 0 for distractors, and other names for people."
            if of == "identity"
            else "Number from 0 up, or give names.",
        )
    return sign + digits


def number(name: str) -> int | str:
    """A whole number as a number, and every other name as it is."""
    return int(name) if _WHOLE.fullmatch(name) else name


def numbered(name: str | None) -> int | str | None:
    """The same of a name that may not be known."""
    return None if name is None else number(name)


def in_order(names: Iterable[str]) -> list[str]:
    """Numbers first, ascending, then texts; 2 comes before 10."""
    return sorted(names, key=order)


def order(name: str) -> tuple[bool, int, str]:
    """By which ``in_order`` sorts."""
    value = number(name)
    return (True, 0, value) if isinstance(value, str) else (False, value, "")


def listed(texts: Iterable[str]) -> tuple[str, ...]:
    """``["lobby, 2", "3"]`` as ``("lobby", "2", "3")``, each once."""
    parts = (part.strip() for text in texts for part in text.split(","))
    return tuple(dict.fromkeys(filter(None, parts)))
