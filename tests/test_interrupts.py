"""Ctrl-C ends the command line wherever it lands, also where Python can tell nobody."""

import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

# A command of the real group: it falls asleep in ``{busy}``, is interrupted there, and would go on.
PROGRAM = """
import gc, sys, threading, time, weakref
from pathlib import Path

import typer
from sqlalchemy import event

from reidsearch.catalog import sqlite
from reidsearch.cli.group import Commands

app = typer.Typer(cls=Commands)


def sleep(*ignored):
    print("asleep", flush=True)
    time.sleep(60)


class Thing:
    pass


class Dying:
    def __del__(self):
        sleep()


def generator():
    try:
        yield
    finally:
        sleep()


@app.callback()
def main(): pass


@app.command()
def work():
    engine = sqlite.connect(Path(sys.argv[1]))
    event.listen(engine, "reset", sleep)
    {busy}
    threading.Event().wait(60)
    print("went on")


app(["work"])
"""
LOST = {
    "a finalizer": "Dying()",
    "three finalizers, one after the other": "things = [Dying(), Dying(), Dying()]; things.clear()",
    "a finalizer that the collector calls": "one = Dying(); one.me = one; del one; gc.collect()",
    "the callback of a weak reference": (
        "thing = Thing(); watched = weakref.ref(thing, sleep); del thing"
    ),
    "a generator that nobody wants any more": "one = generator(); next(one); del one",
    "the catalog's pool, for a connection that was left": "one = engine.connect(); del one",
}
HEARD = {
    "the command itself": "sleep()",
    "the catalog's pool, for a connection that was closed": "engine.connect().close()",
}


@contextmanager
def program(busy: str, tmp_path: Path) -> "Iterator[subprocess.Popen[str]]":
    code = PROGRAM.replace("{busy}", busy)
    with subprocess.Popen(
        [sys.executable, "-c", code, str(tmp_path / "catalog")],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    ) as process:
        yield process
        process.kill()


@pytest.mark.parametrize("where", [*LOST, *HEARD])
def test_an_interruption_ends_the_command_wherever_it_lands(where: str, tmp_path: Path) -> None:
    with program((LOST | HEARD)[where], tmp_path) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == "asleep\n"
        process.send_signal(signal.SIGINT)
        stdout, stderr = process.communicate()
    assert process.returncode == 130, stderr
    assert "went on" not in stdout
    (line,) = stderr.splitlines()  # no traceback, nothing that was ignored
    assert line.startswith("Interrupted.")


def test_what_else_cannot_be_raised_is_shown_as_ever(tmp_path: Path) -> None:
    with program("Dying.__del__ = lambda self: 1 / 0; Dying(); return", tmp_path) as process:
        _, stderr = process.communicate()
    assert process.returncode == 0
    assert "Exception ignored in" in stderr
    assert "ZeroDivisionError" in stderr
