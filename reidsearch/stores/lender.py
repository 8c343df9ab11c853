"""Let other processes of this user, on this machine, use the vectors that this one holds.

Qdrant Edge lets one process at a time have a shard. While this one has it for long, as a service
does, the others ask it for what they would have done with the shard themselves, and so do all that
they do for people, in their own words, as if they were alone. They find the way and the key in a
file of the data dir that nobody but the user can read: whoever can read it could read and write the
vectors without asking.
"""

import json
import logging
import os
import secrets
import socket
import threading
from collections.abc import Iterator, Mapping
from contextlib import AbstractContextManager, closing, suppress
from pathlib import Path
from typing import Protocol, cast

import numpy as np

from reidsearch import __version__
from reidsearch.errors import StoreError
from reidsearch.stores import wire
from reidsearch.stores.base import VectorStore
from reidsearch.stores.wire import Ended, Line, Message
from reidsearch.types import Filter, Kind, Payload, Points, Split

log = logging.getLogger(__name__)

FILE = "lender.json"  # in the data dir
LONGEST = 10.0  # seconds that a line waits for its turn, as nobody may be at its end any more
LINES = 256  # at once; those that have not proved themselves count, too
DONE, BLOCK = "done", "block"


class Lending(Protocol):
    """What is lent: whose process this is, and the right to change the gallery beside the rest."""

    def lend(self, fingerprint: str, dimension: int) -> VectorStore:
        """The store of an encoder's vectors, made where it is new. Raises StoreError."""

    def took_back(self, fingerprint: str) -> None:
        """The collection of that encoder has been deleted."""

    def turn(self, borrower: str, *, patience: float) -> AbstractContextManager[None]:
        """The right to change the gallery, for a borrower, called so in messages to others that
        wait for it. Raises StoreLocked where others have it for more than ``patience`` (seconds),
        Ended where nothing is lent any more."""


class Lender:
    """Answers whoever knows the key, each line in a thread of its own, until it is closed."""

    def __init__(self, data_dir: Path, lending: Lending) -> None:
        """Raises StoreError where the way to it cannot be written down."""
        self._lending = lending
        self._key = secrets.token_bytes(wire.KEY)
        self._record = data_dir / FILE
        self._state = threading.Lock()
        self._threads: dict[threading.Thread, socket.socket] = {}  # one for each connection
        self._closed = False
        self._listening = socket.create_server((wire.HOST, 0), backlog=LINES)
        try:
            self._write_record()
        except OSError as error:
            self._listening.close()
            raise StoreError(f"{self._record} cannot be written: {error.strerror}") from None
        self._accepting = threading.Thread(target=self._accept, name="lender", daemon=True)
        self._accepting.start()

    def close(self) -> None:
        """End all lines, when what they are at is done. Idempotent."""
        with self._state:
            self._closed = True
            threads = dict(self._threads)
        for one in (self._listening, *threads.values()):
            with suppress(OSError):  # wakes whoever waits there
                one.shutdown(socket.SHUT_RDWR)
        self._listening.close()
        for thread in (self._accepting, *threads):
            thread.join()
        self._record.unlink(missing_ok=True)

    def _write_record(self) -> None:
        port = self._listening.getsockname()[1]
        record = {"port": port, "key": self._key.hex(), "pid": os.getpid()}
        new = self._record.with_name(f"{FILE}.new")
        new.unlink(missing_ok=True)
        descriptor = os.open(new, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
        with open(descriptor, "w", encoding="utf-8") as file:
            json.dump(record, file)
        new.replace(self._record)

    def _accept(self) -> None:
        while True:
            try:
                connection, _ = self._listening.accept()
            except OSError:
                if self._closed:
                    return
                continue  # a client that has gone again
            with self._state:
                if self._closed or len(self._threads) >= LINES:
                    connection.close()
                    continue
                thread = threading.Thread(
                    target=self._answer, args=(connection,), name="lending", daemon=True
                )
                self._threads[thread] = connection
                thread.start()

    def _answer(self, connection: socket.socket) -> None:
        try:
            with closing(Line.accepted(connection, self._key)) as line:
                self._answer_all(line)
        except Ended:
            pass
        finally:
            with self._state:
                del self._threads[threading.current_thread()]

    def _answer_all(self, line: Line) -> None:
        """Until the line has Ended."""
        borrower = _introduced(line)
        while True:
            asked = line.receive()
            try:
                if asked.verb == "change":
                    patience = min(float(str(asked.told["patience"])), LONGEST)
                    with self._lending.turn(borrower, patience=patience):
                        line.send(Message(DONE))
                        line.receive()  # that it is over; or the line ends, and so does the turn
                else:
                    for block in self._blocks(asked):
                        line.send(block)
                answer = Message(DONE)
            except Ended:
                raise
            except Exception as error:
                answer = wire.failure(error)
                if not isinstance(error, StoreError):
                    log.exception("Unexpected %s in what was lent", type(error).__name__)
            line.send(answer)

    def _blocks(self, asked: Message) -> Iterator[Message]:
        """What a store answers, a message for each block of it."""
        told, arrays = asked.told, asked.arrays
        fingerprint = _fingerprint(told)
        store = self._lending.lend(fingerprint, int(str(told["dimension"])))
        kind = Kind(str(told.get("kind", Kind.PLAIN)))
        match asked.verb:
            case "owner":
                yield Message(BLOCK, {"owner": store.owner})
            case "claim":
                store.claim(str(told["owner"]))
            case "upsert":
                store.upsert(Points(_ids(arrays[0]), _floats(arrays[1]), _payloads(told)))
            case "write expanded":
                store.write_expanded(_ids(arrays[0]), _floats(arrays[1]))
            case "drop expanded":
                store.drop_expanded()
            case "describe":
                store.describe(arrays[0].tolist(), _payloads(told))
            case "delete":
                store.delete(arrays[0].tolist())
            case "search":
                where, limit = _filter(told["where"]), int(str(told["limit"]))
                exact = told["exact"] is True
                for found in store.search(
                    _floats(arrays[0]), limit=limit, where=where, kind=kind, exact=exact
                ):
                    yield Message(BLOCK, arrays=(found.ids, found.scores))
            case "scroll":
                splits = [Split(str(one)) for one in cast("list[object]", told["splits"])]
                for block in store.scroll(splits=splits, kind=kind):
                    yield Message(BLOCK, arrays=block)
            case "retrieve":
                yield Message(BLOCK, arrays=store.retrieve(arrays[0].tolist(), kind=kind))
            case "records":
                for ids, vectors, payloads in store.records():
                    yield Message(BLOCK, {"payloads": payloads}, (ids, vectors))
            case "scan":
                yield Message(BLOCK, {"scan": store.scan})
            case "optimise_due":
                yield Message(BLOCK, {"due": store.optimise_due})
            case "optimise":
                yield Message(BLOCK, {"optimised": store.optimise()})
            case "stored":
                there = sorted(store.stored(arrays[0].tolist()))
                yield Message(BLOCK, arrays=(np.array(there, dtype=np.int64),))
            case "ids":
                yield Message(BLOCK, arrays=(np.array(sorted(store.ids()), dtype=np.int64),))
            case "count":
                yield Message(BLOCK, {"count": store.count()})
            case "compact":
                yield Message(BLOCK, {"compacted": store.compact()})
            case "recreate":
                store.recreate()
            case "delete collection":
                store.delete_collection()
                self._lending.took_back(fingerprint)
            case verb:
                raise StoreError(f"nothing is called {verb!r} that can be done with vectors")


def _introduced(line: Line) -> str:
    """Who borrows, in words. Raises Ended where it is of another version: they might mean different
    things by the same words, and write the catalog in different ways."""
    hello = line.receive()
    version = str(hello.told.get("version"))
    line.send(Message("hello", {"version": __version__}))
    if hello.verb != "hello" or version != __version__:
        raise Ended("another version")
    return str(hello.told.get("borrower"))


def _fingerprint(told: Mapping[str, object]) -> str:
    """Part of it becomes the name of a folder."""
    found = str(told["fingerprint"])
    if not found.isalnum() or not found.isascii():
        raise StoreError(f"{found!r} is no encoder's fingerprint")
    return found


def _ids(array: wire.Array) -> "np.ndarray[tuple[int, ...], np.dtype[np.int64]]":
    return array.astype(np.int64, copy=False)


def _floats(array: wire.Array) -> "np.ndarray[tuple[int, ...], np.dtype[np.float32]]":
    return array.astype(np.float32, copy=False)


def _payloads(told: Mapping[str, object]) -> list[Payload]:
    return cast("list[Payload]", told["payloads"])


def _filter(told: object) -> Filter:
    where = cast("dict[str, object]", told)
    since, until = where["since"], where["until"]
    cameras, without, datasets = (
        tuple(cast("list[int]", where[key])) for key in ("cameras", "without_cameras", "datasets")
    )
    return Filter(
        split=Split(str(where["split"])),
        cameras=cameras,
        without_cameras=without,
        datasets=datasets,
        since=None if since is None else float(str(since)),
        until=None if until is None else float(str(until)),
    )
