"""HTML pages from the templates beside this file; each holds all that it shows."""

import functools
import re
from typing import TYPE_CHECKING

from reidsearch.views import palette, verdicts

if TYPE_CHECKING:
    from jinja2 import Environment
    from markupsafe import Markup


def render(template: str, **values: object) -> str:
    """The page of that name, with these values in it, escaped.

    Its CSS touches nothing outside, so that a notebook can show it in a cell.
    """
    page = _environment().get_template(template).render(values)
    # Bytes of a file name that are no text cannot be written as UTF-8: they show as question marks.
    return page.encode("utf-8", "replace").decode("utf-8")


def stylesheet() -> str:
    """The one style sheet that every page holds, as text."""
    return _environment().get_template("style.css").render()


def breakable(text: str, fits: int) -> "Markup":
    """The text, escaped, whose words of more than ``fits`` characters may be broken after ``_`` and
    ``/``: a file's name is then broken between its parts, and not within a number."""
    from markupsafe import Markup, escape

    def parts(word: str) -> str:
        shown = str(escape(word))
        return re.sub(r"(?<=[_/])(?=.)", "<wbr>", shown) if len(word) > fits else shown

    return Markup(" ".join(map(parts, text.split(" "))))


def coded(text: str) -> "Markup":
    """The text, escaped, with what stands between grave accents as code. An accent without a second
    one stays."""
    from markupsafe import Markup, escape

    return Markup(re.sub("`([^`]+)`", r"<code>\1</code>", str(escape(text))))


@functools.cache
def _environment() -> "Environment":
    from jinja2 import Environment, PackageLoader, StrictUndefined  # here: few commands need it

    made = Environment(
        loader=PackageLoader("reidsearch.views"),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    made.filters.update(breakable=breakable, coded=coded)
    made.globals.update(light=palette.LIGHT, dark=palette.DARK, meanings=verdicts.MEANINGS)
    return made
