"""The threads in which the gallery is asked, so many at a time.

Questions that wait are answered together, as that takes far less than one after the other, by one
thread: it takes the one that waits longest, and others beside it. Several would hardly be faster,
as searches hold the interpreter, and each would take fewer. Those who were answered together tend
to ask again together: the next turn waits for as many, for a moment. Else the first of them would
be answered alone, and all others after that. Who asks alone waits for nobody.
"""

import asyncio
import contextvars
import functools
import os
import threading
import time
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager, suppress
from typing import NamedTuple, ParamSpec, TypeAlias, TypeVar

from reidsearch import outcomes
from reidsearch.errors import ReidsearchError
from reidsearch.search.answer import Answer
from reidsearch.search.inquiry import Inquiry
from reidsearch.service.problems import busy

P = ParamSpec("P")
T = TypeVar("T")

# One more than processors: while one thread waits for a disk, or the interpreter, another computes.
# Beyond that threads only stand in each other's way.
THREADS = (os.cpu_count() or 1) + 1
WAITING = 128  # requests at most that wait for a thread; more are told to come again
TOGETHER = 16  # questions at most that are answered at once: all of them wait for the last
PATIENCE = 0.25  # of what the last turn took, at most, until as many questions are there again

AnswerAll: TypeAlias = Callable[[Sequence[Inquiry]], Sequence[Answer | ReidsearchError]]


class _Question(NamedTuple):
    """What is asked, in the context of who asks, and what becomes of it."""

    ask: Callable[[], Inquiry]
    answer: "Future[Answer]"


class Workers:
    """A gallery may be shared by threads, and these are they. ``answer_all`` is how it answers
    several questions at once."""

    def __init__(
        self, answer_all: AnswerAll, threads: int = THREADS, *, waiting: int = WAITING
    ) -> None:
        self._answer_all = answer_all
        self._pool = ThreadPoolExecutor(threads, thread_name_prefix="gallery")
        self._answering = ThreadPoolExecutor(1, thread_name_prefix="questions")
        self._most = threads + waiting
        self._questions: deque[_Question] = deque()  # that no thread has taken yet
        self._asked = threading.Condition()  # that there is one more of them
        self._answered = 0  # how many were, in the last turn
        self._patient_until = 0.0  # by the clock of time.monotonic
        self.asked = 0  # requests that are worked on, or wait for it

    async def run(self, action: Callable[P, T], *args: P.args, **kwargs: P.kwargs) -> T:
        """What ``action`` returns, computed by one of the threads, in the caller's context.

        Raises Problem (503) where too many wait already.
        """
        with self._asking():
            return await self._run(functools.partial(action, *args, **kwargs))

    async def answer(self, ask: Callable[[], Inquiry]) -> Answer:
        """The answer to what ``ask`` asks when a thread calls it, in the caller's context, along
        with other questions that wait. Raises what is wrong with this one, and as ``run`` does."""
        with self._asking():
            return await self._answer(ask)

    async def drawn(self, ask: Callable[[], Inquiry], draw: Callable[[Answer], T]) -> T:
        """What ``draw`` makes of the answer to what ``ask`` asks, in one turn: whose search was
        answered, and so logged, is not sent away before it is drawn. Raises as ``answer`` does."""
        with self._asking():
            found = await self._answer(ask)
            return await self._run(functools.partial(draw, found))

    def close(self) -> None:
        """Wait for what is worked on."""
        for pool in (self._pool, self._answering):
            pool.shutdown(wait=True, cancel_futures=True)
        while self._questions:
            self._questions.popleft().answer.cancel()

    async def _run(self, action: Callable[[], T]) -> T:
        return await asyncio.wrap_future(self._pool.submit(_here(action)))

    async def _answer(self, ask: Callable[[], Inquiry]) -> Answer:
        future: Future[Answer] = Future()
        with self._asked:
            self._questions.append(_Question(_here(ask), future))
            self._asked.notify()
        self._answering.submit(self._answer_waiting)
        return await asyncio.wrap_future(future)

    @contextmanager
    def _asking(self) -> Iterator[None]:
        if self.asked >= self._most:
            raise busy("too many requests wait to be answered")
        self.asked += 1
        try:
            yield
        finally:
            self.asked -= 1

    def _answer_waiting(self) -> None:
        """Answer the question that waits longest, and others beside it."""
        if not self._questions:  # it was taken along with another
            return
        self._await_as_many()
        taken: list[_Question] = []
        with suppress(IndexError):
            while len(taken) < TOGETHER:
                taken.append(self._questions.popleft())
        left = [one for one in taken if one.answer.set_running_or_notify_cancel()]
        started = time.monotonic()
        for one, found in zip(left, self._answers(left), strict=True):
            if isinstance(found, Exception):
                one.answer.set_exception(found)
            else:
                one.answer.set_result(found)
        ended = time.monotonic()
        self._answered, self._patient_until = len(left), ended + PATIENCE * (ended - started)

    def _await_as_many(self) -> None:
        """Wait until as many questions are there as were answered in the last turn, or there is no
        patience left."""
        with self._asked:
            while len(self._questions) < self._answered:
                left = self._patient_until - time.monotonic()
                if left <= 0:
                    return
                self._asked.wait(left)

    def _answers(self, questions: Sequence[_Question]) -> list[Answer | Exception]:
        try:
            inquiries = outcomes.each(lambda one: one.ask(), questions)
            return list(outcomes.together(self._answer_all, inquiries))
        except Exception as error:
            if len(questions) == 1:
                return [error]
            # Whosever fault it is, the others are to have their answers.
            return [found for one in questions for found in self._answers([one])]


def _here(call: Callable[[], T]) -> Callable[[], T]:
    """The same in the context of now, wherever it is called."""
    return functools.partial(contextvars.copy_context().run, call)
