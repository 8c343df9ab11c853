"""The HTTP service's routes, from its OpenAPI description."""

import json
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any, TypeAlias

from docs.made.text import code, page, plain, table
from reidsearch.config import Config
from reidsearch.gallery import Gallery
from reidsearch.service.app import App

Json: TypeAlias = Mapping[str, Any]  # a description, as json reads it


def description() -> Json:
    """What ``/openapi.json`` answers."""
    with TemporaryDirectory() as folder, Gallery(Config(data_dir=Path(folder))) as gallery:
        told: Json = json.loads(json.dumps(App(gallery).openapi()))
        return told


def documented(told: Json) -> str:
    """The page."""
    parts = [
        "`reidsearch serve` answers at `http://127.0.0.1:8733`; [Serve](../how-to/serve.md) says "
        "how it is set up. A service describes itself at `/openapi.json`; [the same "
        "file](openapi.json) lies here. Where there are tokens, send "
        "`Authorization: Bearer TOKEN`. Errors are `application/problem+json` with `detail`, "
        "`hint` and `kind`, which is one of [these](errors.md).",
    ]
    for path, methods in told["paths"].items():
        for method, one in methods.items():
            parts += [f"## {method.upper()} {path}", plain(one.get("description", one["summary"]))]
            fields = [(code(n), kind, plain(said)) for n, kind, said in _fields(told, one)]
            if fields:
                what = "form field" if "requestBody" in one else "parameter"
                parts.append(table((what, "type", "what it is"), fields))
            answers = [
                (status, plain(answer["description"]), _answered(answer.get("content", {})))
                for status, answer in one["responses"].items()
                if status.isdigit() and int(status) < 300
            ]
            parts.append(table(("status", "when", "answer"), answers))
    return page("HTTP", "Every route of the HTTP service, from its OpenAPI description.", *parts)


def _fields(told: Json, operation: Json) -> Iterator[tuple[str, str, str]]:
    """What may be sent: a name, its type, what it is."""
    for one in operation.get("parameters", ()):
        kind = _kind(told, one["schema"])
        where = " in the path" if one["in"] == "path" else ""
        yield one["name"], kind + where, one.get("description", "")
    for content in operation.get("requestBody", {}).get("content", {}).values():
        schema = _resolved(told, content["schema"])
        for name, one in schema["properties"].items():
            needed = ", needed" if name in schema.get("required", ()) else ""
            yield name, _kind(told, one) + needed, one.get("description", "")


def _resolved(told: Json, schema: Json) -> Json:
    if "$ref" in schema:
        found: Json = told["components"]["schemas"][schema["$ref"].rpartition("/")[2]]
        return found
    return schema


def _kind(told: Json, schema: Json) -> str:
    """A type in a word or two."""
    schema = _resolved(told, schema)
    if "anyOf" in schema:
        kinds = [_kind(told, one) for one in schema["anyOf"] if one.get("type") != "null"]
        return " or ".join(kinds)
    if "enum" in schema:
        return ", ".join(schema["enum"])
    if schema.get("type") == "array":
        return f"{_kind(told, schema['items'])}, repeatable"
    if "contentMediaType" in schema or schema.get("format") == "binary":
        return "file"
    return str(schema.get("type", "any"))


def _answered(contents: Json) -> str:
    """What comes back: a document, or a media type."""
    said: list[str] = []
    for media, content in contents.items():
        names = [*_documents(content.get("schema", {}))]
        said += names if media == "application/json" and names else [code(media)]
    return ", ".join(dict.fromkeys(said))


def _documents(schema: Json) -> Sequence[str]:
    if "$ref" in schema:
        name = str(schema["$ref"]).rpartition("/")[2]
        if name == "HealthDocument":
            return ['`{"status": ...}`']
        return [f"[{name}](documents.md#{name.lower()})"]
    inner = [*schema.get("anyOf", ()), *([schema["items"]] if "items" in schema else ())]
    lists = "a list of " if "items" in schema else ""
    return [f"{lists}{name}" for one in inner for name in _documents(one)]
