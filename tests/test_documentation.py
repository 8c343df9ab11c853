"""The documentation builds, loads nothing from elsewhere, and every line of it that can run does.

Blocks of a page marked ``bash`` and ``python`` run, one after the other, as its reader would type
them; those marked ``sh`` are for what cannot: installing, docker, real data sets.
"""

import importlib
import os
import pkgutil
import re
import shlex
import shutil
import signal
import socket
import subprocess
import sys
import tomllib
from pathlib import Path
from urllib.parse import unquote, urlsplit

import pytest
from typer.main import get_command
from typer.testing import CliRunner

import reidsearch
from reidsearch import documents
from reidsearch.cli import app
from reidsearch.demo import pedestrians

ROOT = Path(__file__).parent.parent
DOCS = ROOT / "docs"
PAGES = {str(page.relative_to(DOCS)): page for page in sorted(DOCS.rglob("*.md"))}
PEOPLE = 12  # of those that the demo draws: pages name some of them
PORT = "8733"
LONG = 600  # seconds after which a page hangs
LOADED = re.compile(r"<(?:script|img|iframe|source|link)\b[^>]*?\b(?:src|href|srcset)=\"([^\"]+)\"")
LINKED = re.compile(r"<a\b[^>]*?\bhref=\"([^\"]+)\"")
IDS = re.compile(r"\bid=\"([^\"]+)\"")


def blocks(page: str) -> list[tuple[str, str]]:
    """The language and the text of each block of code."""
    text = PAGES[page].read_text(encoding="utf-8")
    return re.findall(r"^```(\w+)\n(.*?)^```", text, re.DOTALL | re.MULTILINE)


def free_port() -> int:
    with socket.socket() as one:
        one.bind(("127.0.0.1", 0))
        port: int = one.getsockname()[1]
        return port


def runs(page: str) -> bool:
    return any(language in ("bash", "python") for language, _ in blocks(page))


# ---- what pages say to type -------------------------------------------------------------------


@pytest.fixture(scope="session")
def drawn(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """What ``reidsearch demo`` draws, of fewer people."""
    folder = tmp_path_factory.mktemp("drawn") / "reidsearch-demo"
    pedestrians.draw_dataset(folder / "data", identities=PEOPLE)
    return folder


SHIM = """#!/bin/sh
# The people are drawn once for all pages; test_demo.py runs the whole demo.
[ "$1" = demo ] && exit 0
for word; do
  [ "$word" = serve ] && set -- "$@" --port "$FREE_PORT"
done
exec python -m reidsearch "$@"
"""


@pytest.fixture
def reader(drawn: Path, tmp_path: Path) -> Path:
    """Where a page's reader sits: in a folder with the demo's people, beside the programs."""
    programs = tmp_path / "bin"
    programs.mkdir()
    python = f'#!/bin/sh\nexec {shlex.quote(sys.executable)} "$@"\n'
    for name, script in {"python": python, "reidsearch": SHIM}.items():
        (programs / name).write_text(script)
        (programs / name).chmod(0o755)
    folder = tmp_path / "page"
    folder.mkdir()
    shutil.copytree(drawn, folder / "reidsearch-demo")
    return folder


@pytest.mark.skipif(os.name == "nt", reason="pages are written for a POSIX shell")
@pytest.mark.parametrize("page", [page for page in PAGES if runs(page)])
def test_every_block_of_a_page_runs(page: str, reader: Path) -> None:
    script = ["set -euo pipefail", "trap 'kill $(jobs -p) 2>/dev/null || true' EXIT"]
    for language, text in blocks(page):
        if language == "bash":
            script.append(text)
        elif language == "python":
            script.append(f"python - <<'END OF BLOCK'\n{text}END OF BLOCK\n")
    port = str(free_port())
    process = subprocess.Popen(
        ["bash", "-c", "\n".join(script).replace(PORT, port)],
        cwd=reader,
        env={
            **os.environ,
            "FREE_PORT": port,
            "PATH": os.pathsep.join([str(reader.parent / "bin"), os.environ["PATH"]]),
            "PYTHONPATH": str(ROOT),
            "XDG_DATA_HOME": str(reader / "home"),
        },
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        start_new_session=True,
    )
    try:
        said, _ = process.communicate(timeout=LONG)
    finally:
        if process.poll() is None:
            os.killpg(process.pid, signal.SIGKILL)
            process.communicate()
    assert process.returncode == 0, said
    assert "Traceback" not in said


def command_lines() -> list[tuple[str, list[str]]]:
    """The words of every command of reidsearch in what is only shown."""
    lines = [
        (page, shlex.split(part, comments=True))
        for page in PAGES
        for language, text in blocks(page)
        if language == "sh"
        for line in text.replace("\\\n", " ").splitlines()
        for part in line.split("&&")
    ]
    return [(page, words) for page, words in lines if words and words[0] == "reidsearch"]


@pytest.mark.parametrize(("page", "words"), command_lines())
def test_what_a_page_only_shows_uses_options_that_exist(page: str, words: list[str]) -> None:
    commands = get_command(app).commands  # type: ignore[attr-defined]
    (name, *_) = [word for word in words[1:] if word in commands]
    known = CliRunner().invoke(app, [name, "--help"]).output
    for option in (word.split("=")[0] for word in words if word.startswith("--")):
        assert option in known, page


@pytest.mark.parametrize("page", PAGES)
def test_a_pages_toml_is_toml(page: str) -> None:
    for language, text in blocks(page):
        if language == "toml":
            assert tomllib.loads(text)


@pytest.mark.parametrize("file", sorted(file.name for file in ROOT.glob("*.md")))
def test_links_of_the_files_beside_the_readme_lead_somewhere(file: str) -> None:
    for link in re.findall(r"\]\((?!http|#)([^)#]+)", (ROOT / file).read_text(encoding="utf-8")):
        assert (ROOT / link).exists(), link


# ---- the site ---------------------------------------------------------------------------------


@pytest.fixture(scope="session")
def site(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The documentation, built strictly: pages without a place, and links and anchors of Markdown
    that lead nowhere, are errors of MkDocs."""
    folder = tmp_path_factory.mktemp("site")
    done = subprocess.run(
        [sys.executable, "-m", "mkdocs", "build", "--strict", "--site-dir", str(folder)],
        cwd=ROOT, capture_output=True, text=True, check=False,
        env={**os.environ, "NO_MKDOCS_2_WARNING": "1"},
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    return folder


def test_the_site_is_whole(site: Path) -> None:
    pages = {page: page.read_text(encoding="utf-8") for page in site.rglob("*.html")}
    assert len(pages) > len(PAGES)

    # No page loads anything from another host: who reads about searching people is not told on.
    for page, text in pages.items():
        for address in LOADED.findall(text):
            assert not urlsplit(address).netloc, (page, address)
    for sheet in site.rglob("*.css"):
        assert not re.search(r"(?:url\(|@import)\s*[\"']?(?:https?:)?//", sheet.read_text()), sheet

    # Links lead to pages and to places on them, those in what is made from the code as well.
    ids = {page: set(IDS.findall(text)) for page, text in pages.items()}
    for page, text in pages.items():
        if page.name == "404.html":  # made for any depth
            continue
        for address in LINKED.findall(text):
            parts = urlsplit(address.replace("&amp;", "&"))
            if parts.scheme or parts.netloc:
                continue
            target = (page.parent / unquote(parts.path)).resolve() if parts.path else page
            target = target / "index.html" if target.is_dir() else target
            assert target.exists(), (page, address)
            if parts.fragment and target in ids:
                assert unquote(parts.fragment) in ids[target], (page, address)

    # What is made from the code is all there.
    commands = get_command(app).commands  # type: ignore[attr-defined]
    assert {p.parent.name for p in (site / "reference/commands").glob("*/index.html")} == {
        *commands
    }
    python = pages[site / "reference/python/index.html"]
    for name in reidsearch.__all__:
        home = getattr(reidsearch, name)
        if isinstance(home, type) and not issubclass(home, Exception):
            assert f'id="{home.__module__}.{home.__name__}"' in python, name
    known = pages[site / "reference/documents/index.html"]
    modules = pkgutil.iter_modules(documents.__path__, f"{documents.__name__}.")
    for name in {key for one in modules for key in vars(importlib.import_module(one.name))}:
        if name.endswith("Document") and name != "PicturesDocument":
            assert f'id="{name.lower()}"' in known, name

    # Machines that read are told of every page.
    told = (site / "llms.txt").read_text(encoding="utf-8")
    for page in pages:
        if page.name == "index.html":
            where = page.parent.relative_to(site).as_posix()
            assert f"({'./' if where == '.' else where + '/'})" in told, where
