"""What Prometheus reads, over a real socket; and how long what waits has waited."""

from __future__ import annotations

import socket
import time
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import httpx
import msgspec
import pytest
from prometheus_client.parser import text_string_to_metric_families

from flowtally.agents.follow.addresses import address_of
from flowtally.agents.follow.counts import LineCounts
from flowtally.agents.reasons import Reason
from flowtally.agents.watch.endpoint import HUNG_S, Endpoint
from flowtally.agents.watch.metrics import FACTS, OF_ALL, Lags, MetricsSnapshot, listed, shown
from flowtally.core.errors import ConfigError


@pytest.fixture
def endpoint() -> Iterator[Endpoint]:
    one = Endpoint(("127.0.0.1", 0))
    yield one
    one.close()


def snapshot(**inputs: dict[str, object]) -> MetricsSnapshot:
    return MetricsSnapshot(time.time(), inputs, dict.fromkeys(OF_ALL, 1.0))


def read(text: bytes) -> dict[str, float]:
    """`name{label=value}` -> number."""
    found = {}
    for family in text_string_to_metric_families(text.decode()):
        for sample in family.samples:
            labels = ",".join(f"{name}={value}" for name, value in sample.labels.items())
            found[sample.name.removeprefix("flowtally_agent_") + f"{{{labels}}}"] = sample.value
    return found


def test_counts_are_shown_by_input_outcome_and_reason() -> None:
    squid = LineCounts(lines=9, stored=5, duplicate=1, unreadable={"no_account": 2}).facts()
    told = read(shown(snapshot(squid=squid, proxy={"lines": 3, "spool_bytes": 77})))
    assert told["lines_total{log=squid}"] == 9
    assert told["lines_total{log=proxy}"] == 3
    assert told["events_total{log=squid,outcome=stored}"] == 5
    assert told["events_total{log=squid,outcome=refused}"] == 0
    assert told["unreadable_total{log=squid,reason=no_account}"] == 2
    assert told["syslog_spool_bytes{log=proxy}"] == 77
    assert told["server_up{}"] == 1
    assert "events_total{log=proxy,outcome=stored}" not in told


def test_every_count_of_an_input_is_shown() -> None:
    made = {"stored", "duplicate", "conflict", "refused", "held", "unreadable"}
    assert set(LineCounts.__struct_fields__) <= set(FACTS) | made


def test_no_two_metrics_have_one_name() -> None:
    names = [name for name, _, _ in listed()]
    assert len(names) == len(set(names))
    assert all(help_text for _, _, help_text in listed())


def test_labels_are_bounded() -> None:
    assert len(msgspec.inspect.type_info(Reason).values) < 30  # type: ignore[attr-defined]


def test_lag_is_how_long_something_waits_and_nothing_was_stored() -> None:
    lags = Lags()

    def lag(at: float, waiting: int, last: float) -> float:
        return float(lags.seen({"a": {"waiting": waiting, "last_stored_at": last}}, at)["a"]["lag"])

    assert [lag(100, 0, 0), lag(101, 5, 0), lag(103, 5, 0)] == [0, 0, 2]  # begun at 101
    assert [lag(104, 5, 103.5), lag(109, 5, 103.5)] == [0.5, 5.5]  # busy, and stored meanwhile; then no more
    assert [lag(110, 0, 110), lag(150, 1, 110), lag(151, 1, 110)] == [0, 0, 1]


def test_prometheus_and_a_health_check_ask_over_http(endpoint: Endpoint) -> None:
    base = f"http://127.0.0.1:{endpoint.port}"
    endpoint.snapshot = snapshot(squid=LineCounts(lines=4).facts())
    answer = httpx.get(f"{base}/metrics")
    assert (answer.status_code, answer.headers["Content-Type"]) == (200, "text/plain; version=0.0.4; charset=utf-8")
    assert read(answer.content)["lines_total{log=squid}"] == 4
    assert httpx.get(f"{base}/healthz").text == "ok\n"
    assert httpx.get(f"{base}/other").status_code == 404
    assert httpx.post(f"{base}/metrics").status_code == 501


def test_a_loop_that_hangs_is_not_healthy(endpoint: Endpoint) -> None:
    endpoint.snapshot = MetricsSnapshot(time.time() - HUNG_S - 1, {}, dict.fromkeys(OF_ALL, 0.0))
    assert httpx.get(f"http://127.0.0.1:{endpoint.port}/healthz").status_code == 503


def test_who_asks_nothing_keeps_nobody_out_for_long(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("flowtally.agents.watch.endpoint._SLOW_S", 0.05)
    with closing(Endpoint(("127.0.0.1", 0))) as endpoint, socket.create_connection(("127.0.0.1", endpoint.port)):
        assert httpx.get(f"http://127.0.0.1:{endpoint.port}/healthz", timeout=30).status_code == 200


@pytest.mark.parametrize("text", ["9100", "localhost:9100", "127.0.0.1:99999", ""])
def test_what_is_no_address_is_refused(text: str) -> None:
    with pytest.raises(ConfigError, match="metrics"):
        address_of(text, "metrics")


def test_the_documentation_lists_every_metric() -> None:
    page = (Path(__file__).parents[3] / "docs/agent.md").read_text()
    for name, labels, help_text in listed():
        shown_labels = ", ".join(f"`{label}`" for label in filter(None, labels.split(", ")))
        assert f"| `{name}` | {shown_labels} | {help_text} |" in page
