"""A page for each command, from its help and its examples."""

from collections.abc import Mapping
from inspect import cleandoc
from types import SimpleNamespace

from typer.main import get_command

from docs.made.text import code, page, paragraphs, plain, table
from reidsearch.cli import app
from reidsearch.cli.examples import EXAMPLES
from reidsearch.cli.help import FIRST, LAST, Parameter
from reidsearch.cli.options import GLOBAL, REJECTED

COMMANDS: Mapping[str, SimpleNamespace] = get_command(app).commands  # type: ignore[attr-defined]
SHARED = {one.name for one in GLOBAL} | {"help"}
EXIT = f"""The exit code is 0 where all went well, {REJECTED} where some pictures were not taken; \
[the others](../errors.md) tell what went wrong."""


def command(name: str) -> str:
    """The page of one."""
    found = COMMANDS[name]
    own = [one for one in found.params if one.name not in SHARED]
    words = [
        one.metavar if one.required else f"[{one.metavar or one.name.upper()}]"
        for one in own
        if one.param_type_name == "argument"
    ]
    usage = " ".join(["reidsearch", name, "[OPTIONS]", *words])
    text = cleandoc(found.help)
    parts = [paragraphs(text), _block(usage)]
    groups: dict[str, list[Parameter]] = {}
    for one in map(Parameter.of, own):
        groups.setdefault(one.group, []).append(one)
    for group in sorted(groups, key=_place):
        rows = [(code(one.names), plain(one.said)) for one in groups[group]]
        kind = "argument" if group == FIRST[0] else "option"
        parts += [f"## {group}", table((kind, "what it does"), rows)]
    parts += [
        "Every command also takes the [global options](index.md#global-options).",
        f"## Example{'s' * (len(EXAMPLES[name]) > 1)}",
        _block(*EXAMPLES[name]),
    ]
    return page(f"reidsearch {name}", text.split("\n\n")[0].replace("\n", " "), *parts)


def index() -> str:
    """All of them on one page, with what they share."""
    rows = [
        (f"[{name}]({name}.md)", plain(cleandoc(one.help).split("\n\n")[0]))
        for name, one in COMMANDS.items()
    ]
    shared = [
        Parameter.of(one) for one in COMMANDS["status"].params if one.name in SHARED - {"help"}
    ]
    return page(
        "Commands",
        "Every command with its options and examples.",
        table(("command", "what it does"), rows),
        "Data goes to stdout and everything else to stderr. With `--json` a command prints one "
        "JSON document, `query` one for each probe; [Documents](../documents.md) lists their keys. "
        + EXIT,
        "## Global options",
        "They may stand before or after the command; of two the later one counts. "
        "[Settings](../settings.md) says what else sets them.",
        table(("option", "what it does"), [(code(one.names), plain(one.said)) for one in shared]),
    )


def _place(group: str) -> int:
    """Where a group stands: as in the help."""
    middle = len(FIRST)
    ordered = {name: at for at, name in enumerate(FIRST)}
    ordered |= {name: middle + 1 + at for at, name in enumerate(LAST)}
    return ordered.get(group, middle)


def _block(*lines: str) -> str:
    return "\n".join(["```sh", *lines, "```"])
