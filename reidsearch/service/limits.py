"""How much one client may ask for, and all of them together."""

import time
from collections import OrderedDict
from collections.abc import Callable
from dataclasses import dataclass

MEGABYTE = 1_000_000
KEYS = 10_000  # clients that are told apart; the one that was quiet for longest is forgotten


@dataclass(frozen=True, slots=True)
class Limits:
    """``body`` bytes of one request, ``bodies`` of all that are not answered yet; ``seconds`` until
    a request's head, and again until its body, has come whole; ``rate`` requests a second of one
    token, or of one address where there are no tokens, and ``burst`` at once."""

    body: int = 32 * MEGABYTE
    bodies: int = 256 * MEGABYTE
    seconds: float = 30.0
    rate: float = 200.0
    burst: int = 400


class Rate:
    """A bucket of ``burst`` requests for each key, refilled at ``rate`` a second."""

    def __init__(self, limits: Limits, *, clock: Callable[[], float] = time.monotonic) -> None:
        self._limits = limits
        self._clock = clock
        self._left: OrderedDict[str, tuple[float, float]] = OrderedDict()

    def admits(self, key: str) -> bool:
        """Whether that client may ask once more; it is counted where it may."""
        now = self._clock()
        left, then = self._left.pop(key, (float(self._limits.burst), now))
        left = min(left + (now - then) * self._limits.rate, float(self._limits.burst))
        admitted = left >= 1
        self._left[key] = (left - 1 if admitted else left, now)
        if len(self._left) > KEYS:
            self._left.popitem(last=False)
        return admitted
