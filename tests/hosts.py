"""Several machines on one, for tests: network namespaces of Linux, each with an address and a cable
of its own to a router between them, where packets can be made to vanish. Nothing else on this
machine sees any of it."""

import ctypes
import os
import shutil
import subprocess
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

NAMESPACES = Path("/run/netns")
NEW_NETWORK = 0x40000000  # CLONE_NEWNET
ROUTER = "router"


@dataclass(frozen=True, slots=True)
class Host:
    """A machine on the network."""

    name: str
    namespace: str
    address: str

    @property
    def prefix(self) -> list[str]:
        """What comes before a command that is to run on it."""
        return ["nsenter", f"--net={NAMESPACES / self.namespace}"]

    @contextmanager
    def inside(self) -> Iterator[None]:
        """Sockets that this thread makes within the block, or a thread that it starts, are this
        machine's."""
        before = os.open("/proc/thread-self/ns/net", os.O_RDONLY)
        try:
            with (NAMESPACES / self.namespace).open() as own:
                _enter(own.fileno())
            try:
                yield
            finally:
                _enter(before)
        finally:
            os.close(before)


class Network:
    """Machines of these names, and a router; until it is closed."""

    def __init__(self, *names: str) -> None:
        self._made: list[str] = []
        self._hosts: dict[str, Host] = {}
        self._cut: set[str] = set()
        key = f"reid{os.getpid()}x{time.monotonic_ns() % 1_000_000}"
        self._router = f"{key}-{ROUTER}"
        try:
            self._make(self._router)
            for nth, name in enumerate(names, 1):
                self._connect(Host(name, f"{key}-{name}", f"10.77.{nth}.2"), nth)
        except BaseException:
            self.close()
            raise

    def __getitem__(self, name: str) -> Host:
        return self._hosts[name]

    def cut(self, name: str) -> None:
        """Let all packets from and to that machine vanish, without a word to anybody."""
        if name not in self._cut:
            self._cut.add(name)
            self._rule("add", name)

    def mend(self, *names: str) -> None:
        """Let them through again; without names, those of all machines."""
        for name in self._cut & set(names or self._cut):
            self._cut.remove(name)
            self._rule("del", name)

    @contextmanager
    def bad(self, name: str, *, lost: float = 0.15, arriving: float = 0.25) -> Iterator[None]:
        """Let packets of that machine vanish for so many seconds, and arrive for so many, in turn,
        as on a bad line."""
        enough = threading.Event()

        def flicker() -> None:
            while not enough.wait(arriving):
                self.cut(name)
                enough.wait(lost)
                self.mend(name)

        thread = threading.Thread(target=flicker)
        thread.start()
        try:
            yield
        finally:
            enough.set()
            thread.join()
            self.mend(name)

    def close(self) -> None:
        """Idempotent. Whatever runs on a machine is to have ended."""
        for namespace in self._made:
            with suppress(subprocess.CalledProcessError):
                _ip("netns", "del", namespace)
        self._made.clear()

    def _make(self, namespace: str) -> None:
        _ip("netns", "add", namespace)
        self._made.append(namespace)
        _ip("-n", namespace, "link", "set", "lo", "up")

    def _connect(self, host: Host, nth: int) -> None:
        self._make(host.namespace)
        there, here, router = host.namespace, f"to{nth}", self._router
        _ip("link", "add", here, "netns", router, "type", "veth",
            "peer", "name", "eth0", "netns", there)  # fmt: skip
        _ip("-n", router, "addr", "add", f"10.77.{nth}.1/24", "dev", here)
        _ip("-n", router, "link", "set", here, "up")
        _ip("-n", there, "addr", "add", f"{host.address}/24", "dev", "eth0")
        _ip("-n", there, "link", "set", "eth0", "up")
        _ip("-n", there, "route", "add", "default", "via", f"10.77.{nth}.1")
        if nth == 1:
            forward = "echo 1 > /proc/sys/net/ipv4/ip_forward"
            _run("nsenter", f"--net={NAMESPACES / router}", "sh", "-c", forward)
        self._hosts[host.name] = host

    def _rule(self, verb: str, name: str) -> None:
        for way in ("from", "to"):
            _ip("-n", self._router, "rule", verb, way, self._hosts[name].address, "blackhole")


def impossible() -> str | None:
    """Why there can be no such network here; None where there can be."""
    missing = [one for one in ("ip", "nsenter") if shutil.which(one) is None]
    if missing:
        return f"{' and '.join(missing)} of iproute2 and util-linux are not installed"
    if os.geteuid() != 0:
        return "network namespaces need root"
    try:
        network = Network("one")
    except (OSError, subprocess.CalledProcessError) as error:
        said = error.stderr if isinstance(error, subprocess.CalledProcessError) else error
        return f"network namespaces cannot be made: {said}"
    try:
        network.cut("one")
    except subprocess.CalledProcessError as error:
        return f"packets cannot be made to vanish: {error.stderr}"
    finally:
        network.close()
    return None


def _ip(*words: str) -> None:
    _run("ip", *words)


def _run(*words: str) -> None:
    subprocess.run(words, check=True, capture_output=True, text=True)


def _enter(descriptor: int) -> None:
    libc = ctypes.CDLL(None, use_errno=True)
    if libc.setns(descriptor, NEW_NETWORK):
        raise OSError(ctypes.get_errno(), "setns")
