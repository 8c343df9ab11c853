"""The JSON documents' keys, from the types that the code is checked against."""

import ast
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import reidsearch
from docs.made.commands import COMMANDS
from docs.made.text import code, page, paragraphs, table
from reidsearch import documents
from reidsearch.gallery import Gallery


@dataclass(frozen=True)
class Key:
    """One key: its type as it stands in the code, and whether it may be missing."""

    name: str
    type: str
    optional: bool


@dataclass(frozen=True)
class Document:
    """A document's class: its name, docstring, the classes it builds on, and its own keys."""

    name: str
    said: str
    bases: tuple[str, ...]
    keys: tuple[Key, ...]


def classes() -> dict[str, Document]:
    """All documents, by the names of their modules, then in the order of the file."""
    modules = sorted(Path(documents.__path__[0]).glob("*.py"))
    trees = [ast.parse(module.read_text(encoding="utf-8")) for module in modules]
    return {one.name: one for tree in trees for one in _found(tree)}


def _found(tree: ast.Module) -> Iterator[Document]:
    for node in tree.body:
        if isinstance(node, ast.ClassDef):
            bases = tuple(b.id for b in node.bases if isinstance(b, ast.Name))
            keys = [
                _key(ast.unparse(one.target), one.annotation)
                for one in node.body
                if isinstance(one, ast.AnnAssign)
            ]
            yield Document(node.name, ast.get_docstring(node) or "", bases, tuple(keys))
        elif isinstance(node, ast.Assign) and isinstance(node.value, ast.Call):
            # TypedDict("Name", {"key": type}): where a key is a word of Python's.
            name, fields = node.value.args
            assert isinstance(name, ast.Constant)
            assert isinstance(fields, ast.Dict)
            pairs = zip(fields.keys, fields.values, strict=True)
            keys = [_key(key.value, kind) for key, kind in pairs if isinstance(key, ast.Constant)]
            yield Document(str(name.value), "", (), tuple(keys))


def _key(name: object, annotation: ast.expr) -> Key:
    text = ast.unparse(annotation)
    optional = text.startswith("NotRequired[")
    return Key(str(name), text.removeprefix("NotRequired[")[: -1 if optional else None], optional)


def keys(known: dict[str, Document], name: str) -> tuple[Key, ...]:
    """A document's keys with those of the classes that it builds on."""
    one = known[name]
    return tuple(k for base in one.bases if base in known for k in keys(known, base)) + one.keys


def documented() -> str:
    """The page."""
    known = classes()
    inner = {one for doc in known.values() for one in doc.bases if one in known}
    parts = [
        "Command line, HTTP and Python give the same documents: `--json` prints them, "
        "`/api/...` answers them, `document()` of a result returns them. Keys may be added in any "
        "version and are never renamed. Scores and rates are fractions, times are seconds since "
        '1970 UTC where nothing else is said, null is "not known".',
    ]
    for name in known:
        if name in inner:
            continue
        rows = [
            (code(one.name), _linked(one.type, known) + ", may be missing" * one.optional)
            for one in keys(known, name)
        ]
        parts += [
            f"## {name}",
            paragraphs(known[name].said) + _given(name),
            table(("key", "type"), rows),
        ]
    return page("Documents", "The keys of every JSON document.", *parts)


def _given(name: str) -> str:
    """Which commands print a document."""
    found = []
    for verb, method in vars(Gallery).items():
        returns = getattr(method, "__annotations__", {}).get("return")
        made = getattr(getattr(reidsearch, str(returns), None), "document", None)
        if verb in COMMANDS and getattr(made, "__annotations__", {}).get("return") is not None:
            kind = made.__annotations__["return"]
            found += [code(f"reidsearch {verb} --json")] * (kind.__name__ == name)
    return f" Printed by {' and '.join(found)}." if found else ""


def _linked(kind: str, known: dict[str, Document]) -> str:
    for name in known:
        if name in kind.replace("[", " ").replace("]", " ").replace(",", " ").split():
            return f"[{code(kind)}](#{name.lower()})"
    return code(kind)
