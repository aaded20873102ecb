"""What /metrics says, in Prometheus' text format: numbers about the server, never about a customer.

Owns a registry of its own (no globals: many applications live in one test process). Gauges of the stores are asked for
when they are read.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import Final

import structlog
from prometheus_client import CollectorRegistry, Counter, Histogram, disable_created_metrics
from prometheus_client.core import Metric
from prometheus_client.exposition import generate_latest
from prometheus_client.registry import Collector

from flowtally.protocol import CorrectionsAnswer, EventsAnswer, ReadingsAnswer
from flowtally.web.metric_names import FIGURES, Figure, figure_of

MEDIA_TYPE: Final = "text/plain; version=0.0.4"  # the framework adds the charset
SECONDS: Final = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0)
OUTCOMES: Final = ("stored", "duplicate", "conflict", "refused")

log = structlog.get_logger("flowtally.api")
# Of the counters here, by name: a registry tells no labels of a metric that nothing was counted in yet.
LABELS: Final[Mapping[str, tuple[str, ...]]] = {
    "flowtally_http_requests": ("method", "route", "status"),
    "flowtally_http_request_seconds": ("method", "route"),
    "flowtally_events": ("outcome",),
    "flowtally_refused": ("code",),
    "flowtally_corrections": ("outcome",),
    "flowtally_readings": ("outcome",),
}

disable_created_metrics()  # type: ignore[no-untyped-call]  # one line less for each counter, and nobody asks for them


class _Measured(Collector):
    """Numbers of a store or of workers, read when somebody asks: what `FIGURES` lists of them. `up` says whether they
    answered: one that does not must not take the others' numbers with it."""

    def __init__(self, group: str, read: Callable[[], Mapping[str, float]]) -> None:
        self._group, self._read = group, read

    def collect(self) -> Iterable[Metric]:
        families: dict[str, Metric] = {}
        for name, value in self._values().items():
            figure = figure_of(self._group, name)
            if (family := families.get(figure.name)) is None:
                family = families[figure.name] = _family(figure)
            family.add_sample(figure.name, dict(figure.labels), value)
        return families.values()

    def _values(self) -> Mapping[str, float]:
        try:
            return {"up": 1.0, **self._read()}
        except Exception as error:
            log.warning("gauges_failed", of=self._group, error=f"{type(error).__name__}: {error}")
            return {"up": 0.0}

    def describe(self) -> Iterable[Metric]:
        return ()  # nothing to ask the stores for at registration


def _family(figure: Figure) -> Metric:
    return Metric(figure.name.removesuffix("_total"), figure.help, figure.kind)


class Metrics:
    """Counters of one server."""

    def __init__(self) -> None:
        self.registry = CollectorRegistry()
        self._requests = self._counter("flowtally_http_requests", "Requests answered, by method, route and status.")
        self._seconds = Histogram(
            "flowtally_http_request_seconds",
            "Time from the head of a request to the end of its answer.",
            LABELS["flowtally_http_request_seconds"],
            buckets=SECONDS,
            registry=self.registry,
        )
        # Of each method, route and status: looking them up by their labels is most of the cost of counting.
        self._answered: dict[tuple[str, str, int], tuple[Counter, Histogram]] = {}
        self._events = self._counter("flowtally_events", "Events, by what their receipts said.")
        self._outcomes = {outcome: self._events.labels(outcome) for outcome in OUTCOMES}
        self._refused = self._counter(
            "flowtally_refused", "Requests refused because the caller had more than its share, by error code."
        )
        self._corrections = self._counter(
            "flowtally_corrections", "Corrections and adjustments, by what their receipts said."
        )
        self._readings = self._counter("flowtally_readings", "Readings of counters, by what their receipts said.")

    def _counter(self, name: str, meaning: str) -> Counter:
        return Counter(name, meaning, LABELS[name], registry=self.registry)

    def answered(self, method: str, route: str, status: int, seconds: float) -> None:
        if (found := self._answered.get((method, route, status))) is None:
            requests, times = self._requests.labels(method, route, str(status)), self._seconds.labels(method, route)
            found = self._answered[method, route, status] = requests, times
        found[0].inc()
        found[1].observe(seconds)

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

    def watch(self, group: str, read: Callable[[], Mapping[str, float]]) -> None:
        """Show the numbers `read` gives at the time of asking, as `FIGURES` lists them for this group."""
        self.registry.register(_Measured(group, read))

    def text(self) -> bytes:
        return generate_latest(self.registry)


def listed() -> Iterator[tuple[str, str, str, str]]:
    """Name, kind, labels and meaning of every metric, for the documentation."""
    for one in Metrics().registry.collect():
        counted = "_total" if one.type == "counter" else ""
        yield one.name + counted, one.type, ", ".join(LABELS[one.name]), one.documentation
    told: set[str] = set()
    for figure in (one for group in FIGURES.values() for one in group.values()):
        if figure.name not in told:
            told.add(figure.name)
            yield figure.name, figure.kind, ", ".join(figure.labels), figure.help
