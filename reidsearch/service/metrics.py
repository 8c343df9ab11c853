"""What is counted, in Prometheus' text format."""

import math
from collections.abc import Iterator

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, generate_latest

from reidsearch.inspection.status import Status

# From a cached answer to a photograph on a busy machine, in seconds.
BUCKETS = (0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0)
ELSEWHERE = "other"  # the route of what leads nowhere: not a series for each path that is tried


class Metrics:
    """One service's."""

    def __init__(self) -> None:
        self._registry = CollectorRegistry()
        self._requests = Counter(
            "reidsearch_requests",
            "Requests answered.",
            ("method", "route", "status"),
            registry=self._registry,
        )
        self._seconds = Histogram(
            "reidsearch_request_seconds",
            "From a request's first byte to its answer's last.",
            ("method", "route"),
            buckets=BUCKETS,
            registry=self._registry,
        )
        self._gauges = {
            name: Gauge(f"reidsearch_{name}", text, registry=self._registry)
            for name, text in (
                ("requests_running", "Requests that are not answered yet."),
                ("requests_asked", "Requests that a thread works on, or that wait for one."),
                ("body_bytes", "Bytes of requests that are not answered yet."),
                ("crops_waiting", "Pushed crops that are not durable yet."),
            )
        }
        self._aside = Gauge(
            "reidsearch_crops_aside",
            "Pushed crops that are durable, and wait until nobody else changes the gallery.",
            registry=self._registry,
        )
        self._images = Gauge(
            "reidsearch_images",
            "Images by encoder, split and state.",
            ("encoder", "split", "state"),
            registry=self._registry,
        )

    def answered(self, method: str, route: str | None, status: int, seconds: float) -> None:
        """Count a request."""
        place = route or ELSEWHERE
        self._requests.labels(method, place, str(status)).inc()
        self._seconds.labels(method, place).observe(seconds)

    def text(self, gauges: dict[str, int], status: Status | None) -> bytes:
        """All of it now; without images, and crops that are put aside, where the gallery cannot
        tell."""
        for name, value in gauges.items():
            self._gauges[name].set(value)
        self._aside.set(math.nan if status is None else status.waiting)
        self._images.clear()
        for labels, images in _counts(status):
            self._images.labels(*labels).inc(images)
        return generate_latest(self._registry)


def _counts(status: Status | None) -> Iterator[tuple[tuple[str, str, str], int]]:
    for one in () if status is None else status.images:
        yield (one.encoder, str(one.split), str(one.state)), one.images
