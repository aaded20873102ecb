"""What the agent says to Prometheus: the facts of its inputs and of the server, as text. Numbers only, never a user.

The loop takes a `MetricsSnapshot` each second; it is shown from another thread. Labels are names of the configuration
and the fixed reasons of unreadable lines, so their number is bounded whatever is in the logs.
"""

from __future__ import annotations

import time
from collections.abc import Iterator, Mapping
from typing import Any, Final

import msgspec
from prometheus_client import CollectorRegistry
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, Metric
from prometheus_client.exposition import generate_latest
from prometheus_client.registry import Collector

from flowtally.core.words import MetricKind

MEDIA_TYPE: Final = "text/plain; version=0.0.4; charset=utf-8"
OUTCOMES: Final = ("stored", "duplicate", "conflict", "refused", "held")

# Of each input, by its fact: what it is for Prometheus, and for people. Inputs without such a fact have no such line.
FACTS: Final[dict[str, tuple[str, MetricKind, str]]] = {
    "lines": ("lines", "counter", "Lines read. Those that are read again after a failure count again."),
    "skipped": ("skipped", "counter", "Lines left out on purpose: blank ones, and those of skip-status."),
    "waiting": ("waiting_events", "gauge", "Events read that the server does not have yet."),
    "behind_bytes": ("behind_bytes", "gauge", "Bytes that were written or spooled, and are not read yet."),
    "last_stored_at": (
        "last_stored_timestamp_seconds",
        "gauge",
        "When the server last stored or held an event of this input.",
    ),
    "failures": ("failures", "counter", "Requests and readings that had to be done again."),
    "failing": ("backing_off", "gauge", "Sources that wait before they try again."),
    "files": ("files", "counter", "Files begun: 1, and 1 more for each rotation."),
    "faults": ("faulty_files", "gauge", "Files that cannot be read as a whole: no permission, damaged, or no log."),
    "half_lines": ("half_lines", "gauge", "Files whose last line has had no end for a minute: it waits."),
    "cuts": ("cuts", "counter", "Files that were cut while they were read (copytruncate): lines may be lost."),
    "open_files": ("open_files", "gauge", "Files that are open."),
    "holes": ("holes", "counter", "Spans of the log that were gone before they were read."),
    "restarts": ("restarts", "counter", "Times that journalctl ended and was started again."),
    "connections": ("syslog_connections", "counter", "Connections of syslog senders that were taken."),
    "turned_away": (
        "syslog_refused_connections",
        "counter",
        "Connections of syslog senders that were refused because there were too many.",
    ),
    "messages": ("syslog_messages", "counter", "Syslog messages that were spooled."),
    "halves": ("syslog_half_messages", "counter", "Syslog messages lost because the connection ended inside them."),
    "framing_lost": (
        "syslog_framing_errors",
        "counter",
        "Connections of syslog senders that were closed because nothing said where a message ends.",
    ),
    "waited": ("syslog_waits", "counter", "Times that syslog senders had to wait for room in the spool."),
    "disk_errors": ("syslog_disk_errors", "counter", "Times that the spool could not be written."),
    "torn": ("syslog_torn_lines", "counter", "Half lines that a power cut left in the spool."),
    "polls": ("polls", "counter", "Times that a program was asked what its counters stand at."),
    "counters": ("counters", "gauge", "Counters that the program had at the last poll."),
    "nobodys": ("counters_without_account", "gauge", "Counters at the last poll whose names say no account."),
    "refused_counters": ("counters_refused", "gauge", "Counters at the last poll whose readings the server refused."),
    "readings": ("readings", "counter", "Readings that the server stored."),
    "spool_bytes": ("syslog_spool_bytes", "gauge", "Bytes in the spool."),
}
# Of the agent.
OF_ALL: Final[dict[str, tuple[str, MetricKind, str]]] = {
    "server_up": ("server_up", "gauge", "1 while the server answers, else 0."),
    "outages": ("outages", "counter", "Times that the server was away and came back."),
    "waiting_bytes": ("waiting_bytes", "gauge", "Memory taken by what the server does not have yet."),
    "started_at": ("start_timestamp_seconds", "gauge", "When the agent started."),
}
# Made of several facts: name, kind, labels beside `log`, what it is.
MADE: Final[tuple[tuple[str, MetricKind, str, str], ...]] = (
    ("events", "counter", "outcome", "Events, by what the server said of them."),
    ("unreadable", "counter", "reason", "Lines that could not be read, by reason."),
    ("lag_seconds", "gauge", "", "How long something has waited to be stored; 0 while nothing waits."),
)


class MetricsSnapshot(msgspec.Struct, frozen=True):
    """`inputs`: facts by the name of the input; `at` in seconds since 1970."""

    at: float
    inputs: Mapping[str, Mapping[str, Any]]
    agent: Mapping[str, float]


class Lags:
    """How long what waits has waited: since the server last took something, or since there was something to take."""

    def __init__(self) -> None:
        self._since: dict[str, float] = {}

    def seen(self, inputs: Mapping[str, Mapping[str, Any]], at: float) -> dict[str, dict[str, Any]]:
        """The facts, and with each the `lag`."""
        self._since = {name: since for name, since in self._since.items() if name in inputs}
        return {name: {**facts, "lag": self._lag(name, facts, at)} for name, facts in inputs.items()}

    def _lag(self, name: str, facts: Mapping[str, Any], at: float) -> float:
        if not (facts.get("waiting") or facts.get("behind_bytes")):
            self._since.pop(name, None)
            return 0.0
        since = self._since.setdefault(name, at)
        return max(0.0, at - max(since, float(facts.get("last_stored_at", 0.0))))


def shown(snapshot: MetricsSnapshot) -> bytes:
    """In Prometheus' text format."""
    registry = CollectorRegistry()
    registry.register(_Shown(snapshot))
    return generate_latest(registry)


def listed() -> Iterator[tuple[str, str, str]]:
    """Name, labels and meaning of every metric, for the documentation."""
    for name, kind, help_text in FACTS.values():
        yield _name(name, kind), "log", help_text
    for name, kind, label, help_text in MADE:
        yield _name(name, kind), ", ".join(filter(None, ("log", label))), help_text
    for name, kind, help_text in OF_ALL.values():
        yield _name(name, kind), "", help_text


def _name(name: str, kind: MetricKind) -> str:
    return f"flowtally_agent_{name}" + ("_total" if kind == "counter" else "")


class _Shown(Collector):
    def __init__(self, snapshot: MetricsSnapshot) -> None:
        self._snapshot = snapshot

    def describe(self) -> list[Metric]:
        return []

    def collect(self) -> Iterator[Metric]:
        inputs = self._snapshot.inputs
        for fact, (name, kind, help_text) in FACTS.items():
            yield _family(
                name, kind, help_text, ("log",), [((log,), of[fact]) for log, of in inputs.items() if fact in of]
            )
        yield from self._made(inputs)
        for fact, (name, kind, help_text) in OF_ALL.items():
            yield _family(name, kind, help_text, (), [((), self._snapshot.agent[fact])])

    def _made(self, inputs: Mapping[str, Mapping[str, Any]]) -> Iterator[Metric]:
        values: dict[str, list[tuple[tuple[str, ...], float]]] = {
            "events": [((log, one), of[one]) for log, of in inputs.items() for one in OUTCOMES if one in of],
            "unreadable": [
                ((log, reason), n) for log, of in inputs.items() for reason, n in of.get("unreadable", {}).items()
            ],
            "lag_seconds": [((log,), of.get("lag", 0.0)) for log, of in inputs.items()],
        }
        for name, kind, label, help_text in MADE:
            yield _family(name, kind, help_text, tuple(filter(None, ("log", label))), values[name])


def _family(
    name: str, kind: MetricKind, help_text: str, labels: tuple[str, ...], values: list[tuple[tuple[str, ...], float]]
) -> Metric:
    made = CounterMetricFamily if kind == "counter" else GaugeMetricFamily
    family = made(f"flowtally_agent_{name}", help_text, labels=labels)
    for label_values, value in values:
        family.add_metric(label_values, value)
    return family


def empty() -> MetricsSnapshot:
    """Of an agent that has just begun."""
    return MetricsSnapshot(time.time(), {}, dict.fromkeys(OF_ALL, 0.0))
