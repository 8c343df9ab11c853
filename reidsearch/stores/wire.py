"""Messages between two processes of one user on one machine: words as JSON, arrays as they are.

Before anything else either side proves that it knows a key which only that user can read, without
sending it: neither another user's program, which may connect to any port of this machine, nor one
that has taken a port over, is told or believed anything. What is read is never more than numbers
and text: no message makes an object of a kind that it names.
"""

import hmac
import json
import secrets
import socket
import struct
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from typing import Self, TypeAlias

import numpy as np
from numpy.typing import NDArray

from reidsearch import errors
from reidsearch.errors import ReidsearchError, StoreError

Array: TypeAlias = NDArray[np.int64] | NDArray[np.float32] | NDArray[np.float64]

HOST = "127.0.0.1"
KEY = 32  # bytes
PROOF = 32  # bytes of SHA-256
GREETING = 5.0  # seconds that either side has to prove itself
WORDS = 256 << 20  # bytes of JSON at most
DTYPES = ("<i8", "<f4", "<f8")
FAILED = "failed"
_LENGTH = struct.Struct("!I")


class Ended(Exception):
    """There is nobody at the other end, or nobody who knows the key."""


@dataclass(frozen=True, slots=True)
class Message:
    """What is asked or answered: a ``verb``, ``told`` as JSON has it, and ``arrays``."""

    verb: str
    told: Mapping[str, object] = field(default_factory=dict)
    arrays: tuple[Array, ...] = ()


class Line:
    """A connection whose other end has proved itself. One thread at a time uses it; any may close
    it, and whoever waits at it then finds that it has Ended."""

    def __init__(self, connection: socket.socket) -> None:
        self._socket = connection

    @classmethod
    def connected(cls, port: int, key: bytes) -> Self:
        """A line to whoever listens at that port and knows the key. Raises Ended."""
        try:
            connection = socket.create_connection((HOST, port), timeout=GREETING)
        except OSError as error:
            raise Ended(str(error)) from None
        return cls._greeted(connection, key, answers=False)

    @classmethod
    def accepted(cls, connection: socket.socket, key: bytes) -> Self:
        """The same at the other end. Raises Ended, and closes the connection, where whoever has
        connected does not know the key."""
        connection.settimeout(GREETING)
        return cls._greeted(connection, key, answers=True)

    @classmethod
    def _greeted(cls, connection: socket.socket, key: bytes, *, answers: bool) -> Self:
        """Both send random bytes, and prove themselves by a hash of both with the key, each with
        another word, so that nobody can send back what was heard. Who answers does so last."""
        line = cls(connection)
        try:
            connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            mine = secrets.token_bytes(KEY)
            connection.sendall(mine)
            theirs = bytes(line._read(KEY))
            own, other = (b"answers", b"asks") if answers else (b"asks", b"answers")
            if not answers:
                connection.sendall(_proof(key, own, mine, theirs))
            if not hmac.compare_digest(bytes(line._read(PROOF)), _proof(key, other, theirs, mine)):
                raise Ended("the other end does not know the key")
            if answers:
                connection.sendall(_proof(key, own, mine, theirs))
            connection.settimeout(None)
        except (OSError, Ended) as error:
            line.close()
            raise Ended(str(error)) from None
        return line

    def send(self, message: Message) -> None:
        """Raises Ended."""
        arrays = [np.ascontiguousarray(one, one.dtype.newbyteorder("<")) for one in message.arrays]
        shapes = [[one.dtype.str, *one.shape] for one in arrays]
        words = json.dumps([message.verb, message.told, shapes]).encode()
        try:
            self._socket.sendall(_LENGTH.pack(len(words)) + words)
            for one in arrays:
                if one.size:
                    self._socket.sendall(one.reshape(-1).view(np.uint8).data)
        except OSError as error:
            raise Ended(str(error)) from None

    def receive(self) -> Message:
        """Raises Ended, also where what came is no message."""
        (length,) = _LENGTH.unpack(self._read(_LENGTH.size))
        if length > WORDS:
            raise Ended("too long a message")
        try:
            verb, told, shapes = json.loads(bytes(self._read(length)))
            arrays = tuple(self._array(str(dtype), tuple(shape)) for dtype, *shape in shapes)
        except (ValueError, KeyError, TypeError) as error:
            raise Ended(f"no message: {error}") from None
        return Message(str(verb), told, arrays)

    def close(self) -> None:
        """Idempotent."""
        with suppress(OSError):  # the other end was first
            self._socket.shutdown(socket.SHUT_RDWR)
        self._socket.close()

    def _array(self, dtype: str, shape: tuple[int, ...]) -> Array:
        if dtype not in DTYPES:
            raise ValueError(f"arrays of {dtype}")
        found: Array = np.empty(shape, dtype=dtype)
        if found.size:
            self._fill(found.reshape(-1).view(np.uint8).data)
        return found

    def _read(self, length: int) -> bytearray:
        found = bytearray(length)
        self._fill(memoryview(found))
        return found

    def _fill(self, view: memoryview) -> None:
        try:
            while view:
                count = self._socket.recv_into(view)
                if not count:
                    raise Ended("the other end has closed the line")
                view = view[count:]
        except OSError as error:
            raise Ended(str(error)) from None


def failure(error: Exception) -> Message:
    """An error as a message."""
    if not isinstance(error, ReidsearchError):
        what = f"unexpected {type(error).__name__}: {error}"
        return Message(FAILED, {"kind": "StoreError", "message": what, "hint": "", "values": {}})
    hint, values = error.unfilled
    kind = type(error).__name__
    return Message(
        FAILED, {"kind": kind, "message": error.message, "hint": hint, "values": dict(values)}
    )


def raised(message: Message) -> ReidsearchError:
    """The error that a message tells of."""
    told = message.told
    values = told.get("values")
    kind = errors.of_kind(str(told.get("kind")))
    if kind is ReidsearchError:  # one that only a store knows
        kind = StoreError
    known = {str(k): str(v) for k, v in values.items()} if isinstance(values, dict) else {}
    return kind.like(str(told.get("message")), hint=str(told.get("hint")), values=known)


def _proof(key: bytes, word: bytes, own: bytes, other: bytes) -> bytes:
    return hmac.digest(key, word + own + other, "sha256")
