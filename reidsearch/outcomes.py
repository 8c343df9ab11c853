"""What becomes of each of several things that are done together: the error of one stays in its
place, and is nothing to the others."""

from collections.abc import Callable, Sequence
from typing import TypeVar

from reidsearch.errors import ReidsearchError

A = TypeVar("A")
B = TypeVar("B")


def each(work: Callable[[A], B], given: Sequence[A | ReidsearchError]) -> list[B | ReidsearchError]:
    """What ``work`` makes of each that is no error yet, or the ReidsearchError that it raises."""

    def outcome(one: A | ReidsearchError) -> B | ReidsearchError:
        if isinstance(one, ReidsearchError):
            return one
        try:
            return work(one)
        except ReidsearchError as error:
            return error

    return [outcome(one) for one in given]


def together(
    work: Callable[[list[A]], Sequence[B | ReidsearchError]], given: Sequence[A | ReidsearchError]
) -> list[B | ReidsearchError]:
    """What ``work`` makes of all that are no errors yet, which it is given at once and answers in
    their order. What it raises is raised."""
    left = [one for one in given if not isinstance(one, ReidsearchError)]
    made = iter(work(left) if left else ())
    return [one if isinstance(one, ReidsearchError) else next(made) for one in given]
