"""Vectors that another process of this user holds, and lends (see ``lender``)."""

import json
import threading
from collections.abc import Generator, Iterator, Sequence
from contextlib import closing, contextmanager, suppress
from dataclasses import asdict
from pathlib import Path
from typing import cast

import numpy as np

from reidsearch import __version__
from reidsearch.errors import StoreError, StoreUnreachable
from reidsearch.stores import wire
from reidsearch.stores.base import EMBEDDED, Ailment, Matches, check_expanded
from reidsearch.stores.lender import BLOCK, FILE
from reidsearch.stores.wire import Ended, Line, Message
from reidsearch.types import Filter, Ids, Kind, Payload, Points, Scan, Split, Vectors


class Loan:
    """The way to whoever holds a data dir's vectors and lends them. Many threads may use it at
    once, each with a line of its own; lines are kept for the next."""

    def __init__(self, data_dir: Path, port: int, key: bytes, *, borrower: str) -> None:
        """Raises Ended where nobody is there, StoreError where it is another version."""
        self._data_dir = data_dir
        self._port, self._key, self._borrower = port, key, borrower
        self._state = threading.Lock()
        self._idle: list[Line] = []
        self._lines: set[Line] = set()
        self._closed = self._ended = False
        self._keep(self._connected())

    @property
    def over(self) -> bool:
        """Whether it was closed, or whoever lent has ended."""
        return self._closed or self._ended

    def blocks(self, message: Message) -> Generator[Message]:
        """What is answered, block by block. Raises the error that is answered, StoreUnreachable
        where the lender ends."""
        line = self._line()
        kept = False
        try:
            line.send(message)
            while (answer := line.receive()).verb == BLOCK:
                yield answer
            self._keep(line)
            kept = True
        except Ended:
            raise self._gone() from None
        finally:
            if not kept:  # in the middle of an answer: nobody else can use it
                self._drop(line)
        if answer.verb == wire.FAILED:
            raise wire.raised(answer)

    @contextmanager
    def turn(self, *, patience: float) -> Iterator[None]:
        """The right to change the gallery. Raises StoreLocked where the lender or another borrower
        has it for more than ``patience`` (seconds), StoreUnreachable where the lender ends."""
        line = self._line()
        try:
            try:
                line.send(Message("change", {"patience": patience}))
                answer = line.receive()
            except Ended:
                raise self._gone() from None
            if answer.verb == wire.FAILED:
                raise wire.raised(answer)
            yield
            with suppress(Ended):  # then nobody has to be told that it is over
                line.send(Message("changed"))
                line.receive()
        finally:
            self._drop(line)

    def close(self) -> None:
        """End it, whatever is under way. Idempotent."""
        with self._state:
            self._closed = True
            lines = list(self._lines)
        for line in lines:
            self._drop(line)

    def _line(self) -> Line:
        with self._state:
            if self._closed:
                raise StoreError("the vector store is closed")
            if self._idle:
                return self._idle.pop()
        try:
            return self._connected()
        except Ended:
            raise self._gone() from None

    def _connected(self) -> Line:
        line = Line.connected(self._port, self._key)
        with self._state:
            self._lines.add(line)
        try:
            line.send(Message("hello", {"version": __version__, "borrower": self._borrower}))
            theirs = str(line.receive().told.get("version"))
        except BaseException:
            self._drop(line)
            raise
        if theirs != __version__:
            self._drop(line)
            raise StoreError(
                f"reidsearch {theirs} holds the gallery in {self._data_dir}, and this is "
                f"reidsearch {__version__}",
                hint="Run both in the same version: begin what holds it anew.",
            )
        return line

    def _keep(self, line: Line) -> None:
        with self._state:
            if not self.over:
                self._idle.append(line)
                return
        self._drop(line)

    def _drop(self, line: Line) -> None:
        line.close()
        with self._state:
            self._lines.discard(line)
            if line in self._idle:
                self._idle.remove(line)

    def _gone(self) -> StoreError:
        if self._closed:
            return StoreError("the vector store is closed")
        self._ended = True
        return StoreUnreachable(
            f"the reidsearch that held the gallery in {self._data_dir} has ended",
            hint="What was stored stays. Run {same_call} again.",
        )


def borrow(data_dir: Path, *, borrower: str) -> Loan | None:
    """A loan from whoever lends the vectors of a data dir; None where nobody does, or to other
    users. Raises StoreError where that is another version of reidsearch."""
    try:
        record = json.loads((data_dir / FILE).read_text(encoding="utf-8"))
        port, key = int(record["port"]), bytes.fromhex(record["key"])
        return Loan(data_dir, port, key, borrower=borrower)
    except (OSError, ValueError, KeyError, TypeError, Ended):  # a killed process's record, for one
        return None


class LentStore:
    """The collection of an encoder's vectors, D = ``dimension`` numbers each, at the other end of a
    loan, which whoever got it closes."""

    address = EMBEDDED

    def __init__(self, loan: Loan, *, fingerprint: str, dimension: int) -> None:
        self._loan = loan
        self._about: dict[str, object] = {"fingerprint": fingerprint, "dimension": dimension}
        self.dimension = dimension
        self._closed = False
        self._ask("count")  # it is opened there, and made where it is new

    @property
    def owner(self) -> str | None:
        (found,) = self._ask("owner")
        owner = found.told["owner"]
        return None if owner is None else str(owner)

    def claim(self, owner: str) -> None:
        self._ask("claim", owner=owner)

    def upsert(self, points: Points) -> None:
        arrays = (points.ids, points.vectors)
        self._ask("upsert", *arrays, payloads=points.payloads)

    def write_expanded(self, ids: Ids, vectors: Vectors) -> None:
        check_expanded(ids, vectors, self.dimension)
        self._ask("write expanded", ids, vectors)

    def drop_expanded(self) -> None:
        self._ask("drop expanded")

    def describe(self, ids: Sequence[int], payloads: Sequence[Payload]) -> None:
        self._ask("describe", _array(ids), payloads=list(payloads))

    def delete(self, ids: Sequence[int]) -> None:
        self._ask("delete", _array(ids))

    @property
    def scan(self) -> Scan:
        (found,) = self._ask("scan")
        return Scan(str(found.told["scan"]))

    @property
    def optimise_due(self) -> bool:
        (found,) = self._ask("optimise_due")
        return found.told["due"] is True

    def optimise(self) -> bool:
        (found,) = self._ask("optimise")
        return found.told["optimised"] is True

    def search(
        self,
        vectors: Vectors,
        *,
        limit: int,
        where: Filter,
        kind: Kind = Kind.PLAIN,
        exact: bool = False,
    ) -> list[Matches]:
        told = {"limit": limit, "where": asdict(where), "kind": kind, "exact": exact}
        return [
            Matches(cast(Ids, one.arrays[0]), one.arrays[1].astype(np.float64, copy=False))
            for one in self._ask("search", vectors, **told)
        ]

    def scroll(
        self, *, splits: Sequence[Split] = (), kind: Kind = Kind.PLAIN
    ) -> Iterator[tuple[Ids, Vectors]]:
        with closing(self._blocks("scroll", splits=list(splits), kind=kind)) as blocks:
            for one in blocks:
                yield _both(one)

    def retrieve(self, ids: Sequence[int], *, kind: Kind = Kind.PLAIN) -> tuple[Ids, Vectors]:
        (found,) = self._ask("retrieve", _array(ids), kind=kind)
        return _both(found)

    def records(self) -> Iterator[tuple[Ids, Vectors, list[Payload]]]:
        with closing(self._blocks("records")) as blocks:
            for one in blocks:
                yield *_both(one), cast("list[Payload]", one.told["payloads"])

    def ids(self) -> set[int]:
        (found,) = self._ask("ids")
        return {int(id) for id in found.arrays[0].tolist()}

    def stored(self, ids: Sequence[int]) -> set[int]:
        (found,) = self._ask("stored", _array(ids))
        return {int(id) for id in found.arrays[0].tolist()}

    def count(self) -> int:
        (found,) = self._ask("count")
        return int(str(found.told["count"]))

    def ailments(self) -> Sequence[Ailment]:
        return ()

    def adjust(self) -> None:
        pass  # it is always kept in one way

    def compact(self) -> bool:
        (found,) = self._ask("compact")
        return found.told["compacted"] is True

    def recreate(self) -> None:
        self._ask("recreate")

    def delete_collection(self) -> None:
        self._ask("delete collection")

    def abandon(self) -> None:
        self._loan.close()

    def close(self) -> None:
        self._closed = True

    def _ask(self, verb: str, *arrays: wire.Array, **told: object) -> list[Message]:
        return list(self._blocks(verb, *arrays, **told))

    def _blocks(self, verb: str, *arrays: wire.Array, **told: object) -> Generator[Message]:
        if self._closed:
            raise StoreError("the vector store is closed")
        return self._loan.blocks(Message(verb, self._about | told, arrays))


def _array(ids: Sequence[int]) -> Ids:
    return np.array(list(ids), dtype=np.int64)


def _both(block: Message) -> tuple[Ids, Vectors]:
    ids, vectors = block.arrays
    return cast(Ids, ids), vectors.astype(np.float32, copy=False)
