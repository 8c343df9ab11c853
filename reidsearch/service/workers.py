"""The threads in which the gallery is asked, so many at a time."""

import asyncio
import contextvars
import functools
import os
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import ParamSpec, TypeVar

from reidsearch.service.problems import busy

P = ParamSpec("P")
T = TypeVar("T")

# One more than processors: while one thread waits for a disk, or the interpreter, another computes.
# Beyond that threads only stand in each other's way.
THREADS = (os.cpu_count() or 1) + 1
WAITING = 128  # requests at most that wait for a thread; more are told to come again


class Workers:
    """A gallery may be shared by threads, and these are they."""

    def __init__(self, threads: int = THREADS, *, waiting: int = WAITING) -> None:
        self._pool = ThreadPoolExecutor(threads, thread_name_prefix="gallery")
        self._most = threads + waiting
        self.asked = 0  # requests that are worked on, or wait for it

    async def run(self, action: Callable[P, T], *args: P.args, **kwargs: P.kwargs) -> T:
        """What ``action`` returns, computed by one of the threads, in the caller's context.

        Raises Problem (503) where too many wait already.
        """
        if self.asked >= self._most:
            raise busy("too many requests wait to be answered")
        self.asked += 1
        try:
            context = contextvars.copy_context()
            call = functools.partial(context.run, action, *args, **kwargs)
            return await asyncio.get_running_loop().run_in_executor(self._pool, call)
        finally:
            self.asked -= 1

    def close(self) -> None:
        """Wait for what is worked on."""
        self._pool.shutdown(wait=True, cancel_futures=True)
