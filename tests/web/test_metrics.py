"""What a server and an agent tell Prometheus: named, explained and counted by the rules that `promtool` checks."""

from __future__ import annotations

import re
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest
from prometheus_client.parser import text_string_to_metric_families
from tests.live import Live, live_server
from tests.nginx import NGINX, plain_nginx

from flowtally.agents.follow.counts import LineCounts
from flowtally.agents.watch import metrics as agent
from flowtally.care import backup
from flowtally.web.metric_names import FIGURES
from flowtally.web.metrics import Metrics, listed

PROMTOOL = shutil.which("promtool")
PAGE = (Path(__file__).parents[2] / "docs/reference/metrics.md").read_text()
UNITS = ("seconds", "bytes")  # Prometheus' base units; a name that has one ends with it


@pytest.fixture(scope="module")
def live(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Live]:
    with live_server(tmp_path_factory.mktemp("metrics") / "data") as one:
        yield one


@pytest.fixture(scope="module")
def told(live: Live) -> str:
    """What a server tells that has been asked for something."""
    headers = {"Authorization": f"Bearer {live.token}"}
    with httpx.Client(base_url=live.url, headers=headers, timeout=60) as client:
        client.post("/v1/accounts", json={"id": "acme"}).raise_for_status()
        event = {"source": "a", "id": "1", "account": "acme", "time": "2026-03-01T00:00:00Z", "bytes_down": 5}
        client.post("/v1/events", json=[event]).raise_for_status()
        client.get("/nowhere")
        return client.get("/metrics").text


def of_agent() -> str:
    facts = {**dict.fromkeys(agent.FACTS, 1.0), **LineCounts(unreadable={"no_account": 2}).facts(), "lag": 0.0}
    return agent.shown(agent.MetricsSnapshot(1.0, {"squid": facts}, dict.fromkeys(agent.OF_ALL, 1.0))).decode()


def check_names(text: str) -> None:
    for family in text_string_to_metric_families(text):
        assert family.documentation.endswith("."), f"{family.name}: {family.documentation!r} is no sentence"
        assert len(family.documentation.split()) >= 3, family.name
        assert family.type != "unknown", family.name
        words = family.name.split("_")
        assert words[-1] in UNITS or not set(words) & set(UNITS), f"{family.name}: the unit is not last"
        for sample in family.samples:
            assert (family.type == "counter") == sample.name.endswith("_total"), sample.name
    names = set(re.findall(r"^([a-z_]+)[{ ]", text, re.MULTILINE))
    for name in names:
        family_name = re.sub(r"_(bucket|sum|count)$", "", name)
        assert f"# HELP {family_name} " in text
        assert f"# TYPE {family_name} " in text


def check_with_promtool(text: str) -> None:
    assert PROMTOOL is not None
    done = subprocess.run([PROMTOOL, "check", "metrics"], input=text, capture_output=True, text=True, check=False)
    assert (done.returncode, done.stdout + done.stderr) == (0, "")


with_promtool = [
    pytest.mark.system,
    pytest.mark.skipif(PROMTOOL is None, reason="promtool is not installed"),
]


class TestPromtool:
    pytestmark = with_promtool

    def test_finds_nothing_in_the_metrics_of_a_server(self, told: str) -> None:
        check_with_promtool(told)

    def test_finds_nothing_in_the_metrics_of_an_agent(self) -> None:
        check_with_promtool(of_agent())


def test_every_metric_of_a_server_has_a_sentence_a_kind_and_its_unit_last(told: str) -> None:
    check_names(told)


def test_every_metric_of_an_agent_has_a_sentence_a_kind_and_its_unit_last() -> None:
    check_names(of_agent())


def test_everything_that_is_measured_is_told_and_listed(told: str) -> None:
    assert not re.findall(r"^flowtally_\w+_up 0\.0$", told, re.MULTILINE)
    shown = {family.name for family in text_string_to_metric_families(told)}
    figures = {one.name.removesuffix("_total") for group in FIGURES.values() for one in group.values()}
    assert figures - shown == {"flowtally_verify_findings"}  # nothing was checked yet
    assert shown <= {name.removesuffix("_total") for name, *_ in listed()}
    for name, kind, _, meaning in listed():
        assert f"| `{name}` | {kind} |" in PAGE
        assert meaning in PAGE


def test_labels_are_listed_as_they_are(told: str) -> None:
    found: dict[str, set[str]] = {}
    for family in text_string_to_metric_families(told):
        for sample in family.samples:
            found.setdefault(family.name, set()).update(sample.labels.keys() - {"le"})
    for name, _, labels, _ in listed():
        if labels_shown := found.get(name.removesuffix("_total")):
            assert labels_shown == set(labels.split(", ")), name


def test_a_group_that_fails_takes_no_other_with_it() -> None:
    made = Metrics()

    def fails() -> dict[str, float]:
        raise OSError("gone")

    made.watch("care", fails)
    made.watch("exports", lambda: {"under_way": 3.0})
    text = made.text().decode()
    assert "flowtally_care_up 0.0" in text
    assert "flowtally_exports_under_way 3.0" in text


def test_counts_of_backups_come_from_their_manifests(tmp_path: Path) -> None:
    assert backup.newest_of(tmp_path / "none") == (0, 0)
    for name, text in (("a", "no manifest"), (".partial-b", "{}")):
        (tmp_path / name).mkdir()
        (tmp_path / name / "manifest.json").write_text(text)
    assert backup.newest_of(tmp_path) == (0, 0)


@pytest.mark.system
@pytest.mark.skipif(NGINX is None, reason="nginx is not installed")
def test_a_plain_proxy_on_this_machine_opens_the_metrics_to_nobody(live: Live, tmp_path: Path) -> None:
    """A bare `proxy_pass` adds nothing that would tell its callers from those of this machine."""
    with plain_nginx(tmp_path, live.url.removeprefix("http://")) as front:
        refused = httpx.get(f"{front}/metrics", timeout=60)
        asked = httpx.get(f"{front}/metrics", headers={"Authorization": f"Bearer {live.token}"}, timeout=60)
    assert (refused.status_code, asked.status_code) == (401, 200)
    assert "flowtally key create --name prometheus --right metrics:read" in refused.json()["detail"]
