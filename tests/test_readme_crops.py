"""The README's three ways that people have their crops are walked as it writes them."""

import re
import shlex
from collections.abc import Callable
from pathlib import Path

import pytest
from typer.testing import Result

from tests.conftest import COLORS, Run, write_crop
from tests.test_docs import README, blocks

SECTION = README.split("## Your own crops")[1].split("\n## ")[0]
WAYS = re.split(r"^\*\*(?=A published data set|A table|Folders)", SECTION, flags=re.MULTILINE)[1:]


def lines(way: str) -> list[list[str]]:
    """The words of its command lines, without the program's name."""
    found = re.search(r"```bash\n(.*?)```", way, re.DOTALL)
    assert found is not None
    commands = [shlex.split(line, comments=True) for line in found[1].splitlines()]
    assert {words[0] for words in commands} == {"reidsearch"}
    return [words[1:] for words in commands]


def published() -> None:
    root = Path("MSMT17_V1")
    lists: dict[str, list[str]] = {"query": [], "gallery": []}
    for person in (0, 1):
        for camera, split in ((1, "query"), (2, "gallery"), (3, "gallery")):
            extra = "_ex" if camera == 3 else ""
            name = f"{person:04d}_{camera - 1:03d}_{camera:02d}_0303morning_0015_0{extra}.jpg"
            write_crop(root / f"test/{person:04d}/{name}", color=COLORS[1 + person], seed=camera)
            lists[split].append(f"{person:04d}/{name} {person}\n")
    for split, paths in lists.items():
        (root / f"list_{split}.txt").write_text("".join(paths))


def table() -> None:
    (block,) = blocks("csv")
    Path("crops.csv").write_bytes(b"\xef\xbb\xbf" + block.replace("\n", "\r\n").encode())
    for seed, name in enumerate(("lobby/001.jpg", "garage/017.jpg", "garage/018.jpg")):
        write_crop(Path(name), color=COLORS[1], seed=seed)


def folders() -> None:
    for where in ("crops/lobby", "crops/garage", "people/alice", "people/bob"):
        write_crop(Path(where) / "0001.jpg", color=COLORS[2], seed=len(where))
    write_crop(Path("timed/lobby_20240501T090132_7.jpg"), color=COLORS[2], seed=40)


@pytest.mark.parametrize(
    ("way", "prepare"),
    list(zip(WAYS, (published, table, folders), strict=True)),
    ids=["researcher", "engineer", "operator"],
)
def test_from_nothing_to_an_answer_in_the_readmes_words(
    way: str, prepare: Callable[[], None], run: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    prepare()
    write_crop(Path("somebody.jpg"), color=COLORS[2], seed=41)
    monkeypatch.setenv("COLUMNS", "200")
    said: dict[str, Result] = {}
    for command, *words in lines(way):
        if command == "forget":
            words.append("--yes")
        if command == "trace":  # the tests' encoder brings no threshold
            words += ["--min-score", "0.5"]
        result = run(command, *words)
        assert "Rejected" not in result.stderr
        said.setdefault(command, result)
    hits = [line.split() for line in said["query"].stdout.splitlines() if re.match(r" +\d", line)]
    assert hits
    if "MSMT17" in way:
        assert hits[0][2] == "test-0000"
        assert "100.00%" in said["evaluate"].stdout
    elif "crops.csv" in way:
        assert hits[0][2] in ("alice", "Garage")  # two crops of one person, of whom one is named
        assert "3 crops, 2 cameras, 1 person" in said["ingest"].stderr
        assert "forgotten" in said["forget"].stdout
    else:
        assert hits[0][2] == "garage"
        assert "2 cameras" in said["ingest"].stderr
