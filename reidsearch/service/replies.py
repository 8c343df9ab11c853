"""What routes answer, and how it is described."""

import json
from collections.abc import Mapping

from starlette.responses import JSONResponse

from reidsearch.service import problems
from reidsearch.service.schemas import Schemas

JSON = "application/json"
SCHEMAS = Schemas()


class Document(JSONResponse):
    """A document, byte for byte as the command line prints it with ``--json``."""

    def render(self, content: object) -> bytes:
        text = json.dumps(content, ensure_ascii=False, separators=(", ", ": "))
        try:
            return text.encode()
        except UnicodeEncodeError:  # a file's name that is no valid Unicode
            return json.dumps(content, separators=(", ", ": ")).encode()


Described = dict[int | str, dict[str, object]]


def described(kind: object, what: str, *, more: Mapping[int, str] | None = None) -> Described:
    """For OpenAPI: that a route answers a document of that type, or a problem. ``more`` are further
    statuses with the same document."""
    content = {JSON: {"schema": SCHEMAS.of(kind)}}
    every = {200: what, **(more or {})}
    found: Described = {
        status: {"description": text, "content": content} for status, text in every.items()
    }
    return found | PROBLEM


PROBLEM: Described = {
    "default": {
        "description": "What went wrong, why, and what to try.",
        "content": {
            problems.MEDIA_TYPE: {"schema": SCHEMAS.of(problems.ProblemDocument)},
        },
    }
}
