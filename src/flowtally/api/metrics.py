"""What /metrics says, in Prometheus' text format: numbers about the server, never about a customer.

Owns a registry of its own (no globals: many applications live in one test process). Gauges of the stores are asked for
when they are read.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from typing import Final

import structlog
from prometheus_client import CollectorRegistry, Counter, Histogram, disable_created_metrics
from prometheus_client.core import GaugeMetricFamily, Metric
from prometheus_client.exposition import generate_latest
from prometheus_client.registry import Collector

from flowtally.protocol import CorrectionsAnswer, EventsAnswer, ReadingsAnswer

MEDIA_TYPE: Final = "text/plain; version=0.0.4"  # the framework adds the charset
SECONDS: Final = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0)
OUTCOMES: Final = ("stored", "duplicate", "conflict", "refused")

log = structlog.get_logger("flowtally.api")

disable_created_metrics()  # type: ignore[no-untyped-call]  # one line less for each counter, and nobody asks for them


class _Gauges(Collector):
    """Numbers of a store, read when somebody asks: `flowtally_<prefix>_<name>`; `_up` says whether it answered. A store
    that does not must not take the others' numbers with it."""

    def __init__(self, prefix: str, read: Callable[[], Mapping[str, float]]) -> None:
        self._prefix, self._read = prefix, read

    def collect(self) -> Iterable[Metric]:
        for name, value in self._values().items():
            yield GaugeMetricFamily(f"flowtally_{self._prefix}_{name}", f"{name} of {self._prefix}", value)

    def _values(self) -> Mapping[str, float]:
        try:
            return {"up": 1.0, **self._read()}
        except Exception as error:
            log.warning("gauges_failed", of=self._prefix, error=f"{type(error).__name__}: {error}")
            return {"up": 0.0}

    def describe(self) -> Iterable[Metric]:
        return ()  # nothing to ask the stores for at registration


class Metrics:
    """Counters of one server."""

    def __init__(self) -> None:
        self.registry = CollectorRegistry()
        self._requests = Counter(
            "flowtally_http_requests", "Requests answered", ("method", "route", "status"), registry=self.registry
        )
        self._seconds = Histogram(
            "flowtally_http_request_seconds",
            "Time from the request's head to the end of the answer",
            ("method", "route"),
            buckets=SECONDS,
            registry=self.registry,
        )
        self._events = Counter("flowtally_events", "Events by receipt", ("outcome",), registry=self.registry)
        self._outcomes = {outcome: self._events.labels(outcome) for outcome in OUTCOMES}
        self._refused = Counter(
            "flowtally_refused", "Requests refused so that others are answered", ("code",), registry=self.registry
        )
        self._corrections = Counter(
            "flowtally_corrections", "Corrections and adjustments by receipt", ("outcome",), registry=self.registry
        )
        self._readings = Counter("flowtally_readings", "Readings by receipt", ("outcome",), registry=self.registry)

    def answered(self, method: str, route: str, status: int, seconds: float) -> None:
        self._requests.labels(method, route, str(status)).inc()
        self._seconds.labels(method, route).observe(seconds)

    def refused(self, code: str) -> None:
        """A credential or an account had more than its share."""
        self._refused.labels(code).inc()

    def events(self, answer: EventsAnswer) -> None:
        for outcome, counter in self._outcomes.items():
            if count := getattr(answer, outcome):
                counter.inc(count)

    def corrections(self, answer: CorrectionsAnswer) -> None:
        for outcome in OUTCOMES:
            self._corrections.labels(outcome).inc(getattr(answer, outcome))

    def readings(self, answer: ReadingsAnswer) -> None:
        for outcome in ("stored", "duplicate", "refused"):
            self._readings.labels(outcome).inc(getattr(answer, outcome))

    def watch(self, prefix: str, read: Callable[[], Mapping[str, float]]) -> None:
        """Show the numbers `read` gives at the time of asking."""
        self.registry.register(_Gauges(prefix, read))

    def text(self) -> bytes:
        return generate_latest(self.registry)
