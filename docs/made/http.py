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
            fields = [
                (code(name), where, kind, plain(said))
                for name, where, kind, said in _fields(told, one)
            ]
            if fields:
                parts.append(table(("name", "where", "type", "what it is"), fields))
            answers = [
                (status, plain(answer["description"]), _answered(answer.get("content", {})))
                for status, answer in one["responses"].items()
                if status.isdigit() and int(status) < 300
            ]
            parts.append(table(("status", "when", "answer"), answers))
    return page("HTTP", "Every route of the HTTP service, from its OpenAPI description.", *parts)


def _fields(told: Json, operation: Json) -> Iterator[tuple[str, str, str, str]]:
    for one in operation.get("parameters", ()):
        yield one["name"], one["in"], _kind(one["schema"]), one.get("description", "")
    for content in operation.get("requestBody", {}).get("content", {}).values():
        schema = content["schema"]
        required = _resolved(told, schema).get("required", ())
        for name, one in _resolved(told, schema)["properties"].items():
            where = "form, needed" if name in required else "form"
            yield name, where, _kind(one), one.get("description", "")


def _resolved(told: Json, schema: Json) -> Json:
    if "$ref" in schema:
        found: Json = told["components"]["schemas"][schema["$ref"].rpartition("/")[2]]
        return found
    return schema


def _kind(schema: Json) -> str:
    """A type in a word or two."""
    if "anyOf" in schema:
        return " or ".join(_kind(one) for one in schema["anyOf"] if one.get("type") != "null")
    if "$ref" in schema:
        return str(schema["$ref"]).rpartition("/")[2]
    if schema.get("type") == "array":
        return f"{_kind(schema['items'])}, repeatable"
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
