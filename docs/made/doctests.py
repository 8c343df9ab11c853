"""Examples in docstrings are shown as code."""

import re

import griffe

EXAMPLE = re.compile(r"^>>> .*(?:\n(?!\n).*)*", re.MULTILINE)


class Doctests(griffe.Extension):
    """Puts a fence around every run of lines that begins with a prompt."""

    def on_object(self, *, obj: griffe.Object, **kwargs: object) -> None:
        """As Griffe calls it, for everything that it has read."""
        if obj.docstring is not None:
            obj.docstring.value = fenced(obj.docstring.value)


def fenced(docstring: str) -> str:
    """A docstring with its examples as blocks of code."""
    return EXAMPLE.sub(lambda found: f"```pycon\n{found[0]}\n```", docstring)
