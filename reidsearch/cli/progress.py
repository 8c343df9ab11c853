"""How an ingest goes: a bar on a terminal, else lines."""

import sys
import time
from collections import deque
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, TypeAlias

from reidsearch.cli.output import say

if TYPE_CHECKING:
    from reidsearch.ingest.summary import IngestSummary
    from reidsearch.transport.parts import Progress as MoveProgress

    Show: TypeAlias = Callable[[IngestSummary], None]

LINE_EVERY = 10.0  # seconds between lines where stderr is no terminal
RECENT = 15.0  # seconds that the rate is measured over


class Pace:
    """How many images a second are encoded: of the last seconds alone, without what was stored
    before."""

    def __init__(self) -> None:
        self._seen: deque[tuple[float, int]] = deque()

    def at(self, encoded: int, now: float) -> float | None:
        """The rate when so many have been encoded; None as long as it cannot be told."""
        self._seen.append((now, encoded))
        while len(self._seen) > 2 and now - self._seen[0][0] > RECENT:
            self._seen.popleft()
        before, count = self._seen[0]
        return (encoded - count) / (now - before) if encoded > count and now > before else None


@contextmanager
def ingest_progress(*, quiet: bool) -> "Iterator[Show]":
    """Yields a callback that shows how an ingest goes."""
    if quiet:
        yield lambda summary: None
    elif sys.stderr.isatty():
        with _bar() as show:
            yield show
    else:
        yield _lines()


@contextmanager
def _bar() -> "Iterator[Show]":
    from rich.console import Console
    from rich.progress import BarColumn, Progress, TextColumn

    columns = (
        TextColumn("{task.description}"),
        BarColumn(bar_width=None),
        TextColumn("{task.fields[told]}"),
    )
    pace = Pace()
    with Progress(*columns, console=Console(stderr=True), transient=True, expand=True) as progress:
        task = progress.add_task("Looking at the files", total=None, told="")

        def show(summary: "IngestSummary") -> None:
            told = _told(summary, pace.at(summary.encoded, time.monotonic()))
            progress.update(
                task,
                description="Ingesting",
                total=summary.found,
                completed=summary.seen,
                told=told,
                refresh=True,
            )
            if summary.done >= summary.found:
                progress.stop()  # somebody may be asked something now

        yield show


def _lines() -> "Show":
    last = time.monotonic()
    pace = Pace()

    def show(summary: "IngestSummary") -> None:
        nonlocal last
        now = time.monotonic()
        rate = pace.at(summary.encoded, now)
        if now - last < LINE_EVERY or rate is None:
            return
        last = now
        say(_told(summary, rate))

    return show


def _told(summary: "IngestSummary", rate: float | None) -> str:
    said = [f"{summary.seen:,} of {summary.found:,} images"]
    if rate is not None:
        said += [f"{rate:,.0f}/s", f"{_lasting((summary.found - summary.seen) / rate)} left"]
    if summary.failures:
        said.append(f"{len(summary.failures):,} rejected")
    return ", ".join(said)


def _lasting(seconds: float) -> str:
    """``9 s``, ``12:05`` or ``1:02:03``."""
    whole = round(seconds)
    if whole < 60:
        return f"{whole} s"
    clock = f"{whole // 60 % 60:02}:{whole % 60:02}"
    return f"{whole // 3600}:{clock}" if whole >= 3600 else clock.removeprefix("0")


@contextmanager
def moving(*, quiet: bool) -> "Iterator[Callable[[MoveProgress], None]]":
    """Yields a callback that tells how a move goes: a line now and then."""
    last = time.monotonic()

    def show(progress: "MoveProgress") -> None:
        nonlocal last
        now = time.monotonic()
        if quiet or now - last < LINE_EVERY:
            return
        last = now
        of = "" if progress.of is None else f" of {progress.of:,}"
        what = "vectors" if progress.of is not None else "rows of the catalog"
        say(f"{progress.done:,}{of} {what}")

    yield show
