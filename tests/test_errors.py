"""The library says what is needed; each door says it in its own words."""

import ast
import pickle
import re
from collections.abc import Iterator
from pathlib import Path

import pytest
from typer.main import get_command

from reidsearch import errors
from reidsearch.cli import app
from reidsearch.cli.vocabulary import COMMAND_LINE
from reidsearch.errors import PYTHON, ReidsearchError
from reidsearch.service.asking import QUERY, TRACE
from reidsearch.service.overview import FORGET
from reidsearch.service.vocabulary import HTTP

PACKAGE = Path(errors.__file__).parent
COMMANDS = get_command(app).commands  # type: ignore[attr-defined]
NAME = re.compile(r"\{([a-z_]+)\}")
FLAG = re.compile(r"(?<![\w-])--[a-z][a-z-]*")
COMMAND = re.compile(rf"\breidsearch ({'|'.join(COMMANDS)})\b")


def library() -> Iterator[tuple[str, ast.Module]]:
    """Each module outside the doors, by its name within the package."""
    for path in sorted(PACKAGE.rglob("*.py")):
        if path.parent.name not in ("cli", "service"):
            name = ".".join(path.relative_to(PACKAGE).with_suffix("").parts)
            yield name, ast.parse(path.read_text(encoding="utf-8"))


def texts(tree: ast.AST) -> list[str]:
    nodes = (node for node in ast.walk(tree) if isinstance(node, ast.Constant))
    return [node.value for node in nodes if isinstance(node.value, str)]


def test_a_hint_reads_as_each_door_speaks() -> None:
    error = ReidsearchError("a camera is needed", hint="Give {camera}, or see {status}.")
    assert error.hint == "Give `camera=...`, or see `gallery.status()`."
    assert error.hint_in(COMMAND_LINE) == "Give --camera NAME, or see reidsearch status."
    assert error.hint_in({"camera": "the field camera"}).startswith("Give the field camera, or")


def test_braces_of_others_are_left_alone() -> None:
    path = "{camera}/{path}/{0}/{}/{a b}.jpg"
    error = ReidsearchError(f"{path} is odd", hint="See {query_path} and {nobody} {}.", path=path)
    assert error.message == str(error) == f"{path} is odd"
    assert error.hint_in(COMMAND_LINE) == f"See reidsearch query {path} and {{nobody}} {{}}."
    assert error.hint == f"See `gallery.query({path})` and {{nobody}} {{}}."
    assert ReidsearchError("nothing to try").hint == ""


def test_an_error_travels_between_processes_with_its_hint() -> None:
    error = pickle.loads(pickle.dumps(ReidsearchError("no", hint="See {query_path}.", path="a")))
    assert (error.message, error.hint) == ("no", "See `gallery.query(a)`.")


def test_the_tree_in_the_docstring_is_the_tree_of_classes() -> None:
    drawn: dict[str, tuple[str, int]] = {}
    above: list[str] = []
    assert errors.__doc__
    for line in errors.__doc__.splitlines():
        if found := re.match(r"([│├└─ ]*)(\w+) +(\d)  ", line):
            del above[len(found[1]) // 4 :]
            drawn[found[2]] = (above[-1] if above else "Exception", int(found[3]))
            above.append(found[2])
    classes = [one for one in vars(errors).values() if isinstance(one, type)]
    assert drawn == {
        one.__name__: (one.__base__.__name__, one.exit_code)
        for one in classes
        if issubclass(one, ReidsearchError) and one.__base__
    }


def test_the_library_names_no_flag_and_no_command() -> None:
    speaking = {
        name
        for name, tree in library()
        for text in texts(tree)
        if COMMAND.search(text) or FLAG.search(text.replace("pip install --upgrade", ""))
    }
    assert speaking == set()


def test_every_name_in_a_hint_has_a_word_in_every_vocabulary() -> None:
    used = set()
    for _, tree in library():
        for call in (node for node in ast.walk(tree) if isinstance(node, ast.Call)):
            values = {keyword.arg for keyword in call.keywords}
            for keyword in call.keywords:
                if keyword.arg == "hint":
                    names = {name for text in texts(keyword.value) for name in NAME.findall(text)}
                    used |= names - values
    assert used >= {"data_dir", "qdrant_url", "name", "same_call"}
    assert used <= PYTHON.keys()
    assert COMMAND_LINE.keys() == HTTP.keys() == PYTHON.keys()


def test_names_stand_in_plain_texts_where_nothing_from_outside_can_look_like_one() -> None:
    for name, tree in library():
        for joined in (node for node in ast.walk(tree) if isinstance(node, ast.JoinedStr)):
            assert not any(NAME.search(text) for text in texts(joined)), name


@pytest.mark.parametrize("words", HTTP.values())
def test_the_http_doors_vocabulary_is_what_it_understands(words: str) -> None:
    if words.startswith("the field "):
        assert words.removeprefix("the field ") in {*QUERY, *TRACE, *FORGET}
    for verb in re.findall(r"`reidsearch (\w+)", words):
        assert verb in COMMANDS


@pytest.mark.parametrize("words", COMMAND_LINE.values())
def test_the_command_lines_vocabulary_is_what_it_understands(words: str) -> None:
    verb = next((word for word in words.split() if word in COMMANDS), None)
    commands = [COMMANDS[verb]] if verb else COMMANDS.values()
    options = {option for one in commands for parameter in one.params for option in parameter.opts}
    assert set(FLAG.findall(words)) <= options
    assert verb or FLAG.search(words) or words == COMMAND_LINE["same_call"]
