"""The units, rules and scripts on docs/deploy.md, as they stand there: systemd, Prometheus and a shell take
them."""

from __future__ import annotations

import json
import os
import re
import shutil
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

import httpx
import pytest
from tests.live import STOP_S, clean_environment, live_server
from tests.nginx import free_port

from flowtally.agents.watch import metrics as agent
from flowtally.web.metrics import listed

PAGE = (Path(__file__).parent.parent / "docs/deploy.md").read_text()
UNITS = dict(re.findall(r"^```ini\n# /etc/systemd/system/(\S+)\n(.*?)^```$", PAGE, re.MULTILINE | re.DOTALL))
SCRAPE, RULES = re.findall(r"^```yaml\n(.*?)^```$", PAGE, re.MULTILINE | re.DOTALL)
[SCRIPT] = re.findall(r"^```sh\n(#!/bin/sh\n.*?)^```$", PAGE, re.MULTILINE | re.DOTALL)
PROMTOOL = shutil.which("promtool")
PROMETHEUS = shutil.which("prometheus")
ANALYZE = shutil.which("systemd-analyze")
TOKEN_FILE = "/etc/prometheus/flowtally.token"

with_prometheus = [
    pytest.mark.system,
    pytest.mark.skipif(PROMTOOL is None or PROMETHEUS is None, reason="Prometheus is not installed"),
]
# For each alert a series that lets it fire, and what it has been before.
FIRES = {
    "FlowtallyDown": [('up{job="flowtally"}', "0x20")],
    "FlowtallyNotReady": [("flowtally_ledger_up", "1 0x20")],
    "FlowtallyFlushBehind": [("flowtally_tail_oldest_seconds", "90x20")],
    "FlowtallyBlocksSetAside": [("flowtally_flush_refused_blocks", "1x20")],
    "FlowtallyClockJumped": [("flowtally_clock_right", "0x20")],
    "FlowtallyFiguresMissing": [("flowtally_care_up", "0x20")],
    "FlowtallyDiskLow": [("flowtally_disk_free_bytes", "9x20"), ("flowtally_disk_size_bytes", "100x20")],
    "FlowtallyRestartedAfterCrash": [
        ("flowtally_ingest_started_clean", "0x20"),
        ("flowtally_ingest_starts_total", "1x10 2x10"),
    ],
    "FlowtallyHeldEvents": [("flowtally_ingest_held_events", "3x60")],
    "FlowtallyRefusedEvents": [('flowtally_events_total{outcome="refused"}', "0x10 1x10")],
    "FlowtallyErrors": [('flowtally_http_requests_total{status="503"}', "0+2x20")],
    "FlowtallyTooMuchAsked": [('flowtally_refused_total{code="budget_used"}', "0+20x20")],
    "FlowtallyBackupTooOld": [("flowtally_backup_last_timestamp_seconds", "-100000x20")],
    "FlowtallyBackupFailed": [("flowtally_backup_failed", "1x20")],
    "FlowtallyVerifyFailed": [("flowtally_verify_findings", "2x20")],
    "FlowtallyAgentDown": [("flowtally_agent_server_up", "0x20")],
    "FlowtallyAgentBehind": [('flowtally_agent_lag_seconds{log="squid"}', "90x20")],
    "FlowtallyAgentLosesLines": [('flowtally_agent_unreadable_total{log="squid"}', "0x10 4x10")],
}
# As a healthy installation is: nothing fires.
QUIET = [
    ("flowtally_ingest_up", "1x60"), ("flowtally_care_up", "1x60"),
    ('up{job="flowtally"}', "1x60"), ('up{job="flowtally-agent"}', "1x60"), ("flowtally_ingest_writing", "1x60"),
    ("flowtally_usage_up", "1x60"), ("flowtally_ledger_up", "1x60"), ("flowtally_ledger_lease_held", "1x60"),
    ("flowtally_tail_oldest_seconds", "1x60"), ("flowtally_flush_refused_blocks", "0x60"),
    ("flowtally_clock_right", "1x60"), ("flowtally_disk_free_bytes", "60x60"), ("flowtally_disk_size_bytes", "100x60"),
    ("flowtally_disk_reserve_bytes", "1x60"), ("flowtally_ingest_started_clean", "1x60"),
    ("flowtally_ingest_starts_total", "3x60"), ("flowtally_ingest_held_events", "0x60"),
    ('flowtally_events_total{outcome="refused"}', "5x60"), ('flowtally_http_requests_total{status="200"}', "0+9x60"),
    ("flowtally_backup_last_timestamp_seconds", "0x60"), ("flowtally_backup_failed", "0x60"),
    ("flowtally_verify_findings", "0x60"), ("flowtally_verify_failed", "0x60"), ("flowtally_agent_server_up", "1x60"),
    ('flowtally_agent_lag_seconds{log="squid"}', "1x60"), ('flowtally_agent_unreadable_total{log="squid"}', "4x60"),
]  # fmt: skip


def test_the_page_has_all_units() -> None:
    assert set(UNITS) == {"flowtally.service", "flowtally-backup.service", "flowtally-backup.timer"}


@pytest.mark.system
@pytest.mark.skipif(ANALYZE is None, reason="systemd-analyze is not installed")
def test_systemd_takes_the_units(tmp_path: Path) -> None:
    for name, text in UNITS.items():
        (tmp_path / name).write_text(re.sub(r"^ExecStart=\S+", "ExecStart=/bin/true", text, flags=re.MULTILINE))
    names = [str(tmp_path / name) for name in UNITS]
    done = subprocess.run([str(ANALYZE), "verify", *names], capture_output=True, text=True, check=False)
    said = [line for line in done.stderr.splitlines() if "flowtally" in line or "Failed" in line]
    assert said == []


def test_a_server_tells_systemd_when_it_is_ready_that_it_lives_and_that_it_stops(tmp_path: Path) -> None:
    address = str(tmp_path / "notify")
    command = [sys.executable, "-m", "flowtally", "serve", "--data", str(tmp_path / "data"), "--port", "0", "--json"]
    told = {"NOTIFY_SOCKET": address, "WATCHDOG_USEC": "2000000"}
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as heard:
        heard.bind(address)
        heard.settimeout(60)
        with subprocess.Popen(
            command, env={**clean_environment(), **told}, stdout=subprocess.PIPE, text=True
        ) as server:
            try:
                said = [heard.recv(4096).decode() for _ in range(4)]
            finally:
                server.terminate()
                assert server.wait(STOP_S) == 0
        while said[-1] != "STOPPING=1":
            said.append(heard.recv(4096).decode())
    assert said.count("READY=1") == 1
    assert said.count("WATCHDOG=1") >= 2
    assert any(one.startswith("STATUS=listening at http://127.0.0.1:") for one in said)


def test_every_metric_of_a_rule_is_one_that_is_told() -> None:
    told = {name for name, *_ in listed()} | {name for name, *_ in agent.listed()}
    assert set(re.findall(r"\bflowtally_[a-z_]+", RULES)) <= told


def test_every_alert_says_what_happened_what_to_do_and_how_urgent_it_is() -> None:
    alerts = RULES.split("- alert: ")[1:]
    assert [one.split("\n")[0] for one in alerts] == list(FIRES)
    for one in alerts:
        assert re.search(r"severity: (page|ticket)", one)
        assert re.search(r"summary: .*\.", one)
        assert re.search(r"todo: .*\.", one)


class TestPrometheus:
    pytestmark = with_prometheus

    def test_takes_the_configuration_and_the_rules(self, tmp_path: Path) -> None:
        config = placed(tmp_path, "127.0.0.1:9", "x")
        done = promtool("check", "config", str(config))
        assert done.returncode == 0, done.stdout + done.stderr
        assert f"{len(FIRES)} rules found" in done.stdout + done.stderr

    def test_each_alert_fires_and_none_does_while_all_is_well(self, tmp_path: Path) -> None:
        placed(tmp_path, "127.0.0.1:9", "x")
        tests = [case(series, [(name, True)]) for name, series in FIRES.items()]
        tests.append(case(QUIET, [(name, False) for name in FIRES]))
        file = tmp_path / "tests.yml"
        file.write_text("rule_files: [flowtally.rules.yml]\nevaluation_interval: 1m\ntests:\n" + "".join(tests))
        done = promtool("test", "rules", str(file))
        assert done.returncode == 0, done.stdout + done.stderr

    def test_reads_a_server_with_its_key(self, tmp_path: Path) -> None:
        with live_server(tmp_path / "data") as live:
            with httpx.Client(base_url=live.url, headers={"Authorization": f"Bearer {live.token}"}) as client:
                asked = {"scope": "custom", "name": "prometheus", "rights": ["metrics:read"]}
                token = client.post("/v1/credentials", json=asked).json()["token"]
            config = placed(tmp_path, live.url.removeprefix("http://"), token)
            with prometheus(config, tmp_path) as url:
                assert asked_of(url, 'up{job="flowtally"} == 1')
                assert asked_of(url, "flowtally_ledger_up") == "1"


def placed(folder: Path, target: str, token: str) -> Path:
    """The files of the page in `folder`."""
    (folder / "flowtally.rules.yml").write_text(RULES)
    (folder / "flowtally.token").write_text(token)
    text = SCRAPE.replace("/etc/prometheus/", f"{folder}/").replace("127.0.0.1:8120", target)
    config = folder / "prometheus.yml"
    config.write_text(text.replace("15s", "1s").replace("127.0.0.1:9100", "127.0.0.1:9"))
    return config


def promtool(*arguments: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run([str(PROMTOOL), *arguments], capture_output=True, text=True, check=False, timeout=120)


def case(series: list[tuple[str, str]], alerts: list[tuple[str, bool]]) -> str:
    """A test of `promtool test rules`: with these series, whether these alerts fire at the end."""
    values = "".join(f"      - {{series: '{name}', values: '{value}'}}\n" for name, value in series)
    at = max(sum(int(n) for n in re.findall(r"x(\d+)", value)) for _, value in series)
    wanted = ""
    for name, fires in alerts:
        op = ">" if fires else "=="
        expr = f'count(ALERTS{{alertname="{name}", alertstate="firing"}}) {op} 0' if fires else ""
        expr = expr or f'absent(ALERTS{{alertname="{name}", alertstate="firing"}})'
        labels = "{}" if fires else f'{{alertname="{name}", alertstate="firing"}}'
        wanted += f"      - {{expr: '{expr}', eval_time: {at}m, exp_samples: [{{labels: '{labels}', value: 1}}]}}\n"
    return f"  - interval: 1m\n    input_series:\n{values}    promql_expr_test:\n{wanted}"


@contextmanager
def prometheus(config: Path, folder: Path) -> Iterator[str]:
    url = f"127.0.0.1:{free_port()}"
    command = [str(PROMETHEUS), f"--config.file={config}", f"--storage.tsdb.path={folder}/tsdb"]
    with (folder / "prometheus.log").open("w") as said:
        running = subprocess.Popen([*command, f"--web.listen-address={url}"], stdout=said, stderr=said)
        try:
            yield f"http://{url}"
        finally:
            running.terminate()
            running.wait(60)


def asked_of(url: str, query: str) -> str:
    """The value of the one series that Prometheus has for it, within a minute."""
    end = time.monotonic() + 60
    while time.monotonic() < end:
        found = []
        with suppress(httpx.HTTPError):  # it refuses connections first, and then says 503, until it has read its files
            answer = httpx.get(f"{url}/api/v1/query", params={"query": query}, timeout=10)
            if answer.is_success:
                found = answer.json()["data"]["result"]
        if found:
            return str(found[0]["value"][1])
        time.sleep(0.3)
    raise AssertionError(f"Prometheus has nothing for {query}")


def test_the_nightly_script_makes_keeps_copies_and_checks(tmp_path: Path) -> None:
    copies = tmp_path / "copies"
    copies.mkdir()
    old = [f"202501{day:02}T031700Z" for day in range(1, 32)]
    for name in (*old, "mine", ".new"):
        (copies / name).mkdir()
    (tmp_path / "by-link").symlink_to(copies)
    script = tmp_path / "flowtally-backup"
    script.write_text(SCRIPT)
    with live_server(tmp_path / "data") as live:
        with httpx.Client(base_url=live.url, headers={"Authorization": f"Bearer {live.token}"}) as client:
            asked = {"scope": "custom", "name": "nightly", "rights": ["backups:write", "backups:read"]}
            token = client.post("/v1/credentials", json=asked).json()["token"]
        environment = {**live.environment, "FLOWTALLY_TOKEN": token, "COPIES": str(tmp_path / "by-link")}
        done = subprocess.run(["sh", str(script)], env=environment, capture_output=True, text=True, check=False)
        assert done.returncode == 0, done.stdout + done.stderr
        assert "Every file is as it was written." in done.stdout
        left = sorted(one.name for one in copies.iterdir())
        made = left[-2]
        assert left == [*old[2:], made, "mine"]
        unmounted = {**environment, "COPIES": str(tmp_path / "mnt/copies")}
        done = subprocess.run(["sh", str(script)], env=unmounted, capture_output=True, text=True, check=False)
        assert done.returncode != 0
        assert not (tmp_path / "mnt").exists(), "a disk that is not there is not filled in its place"
        failing = {**environment, "FLOWTALLY_TOKEN": "nobody"}
        done = subprocess.run(["sh", str(script)], env=failing, capture_output=True, text=True, check=False)
        assert done.returncode != 0
        assert sorted(one.name for one in copies.iterdir()) == left
    told = json.loads((copies / made / "manifest.json").read_text())
    assert told["installation"]
    command = [sys.executable, "-m", "flowtally", "restore", str(copies / made), "--data", str(tmp_path / "restored")]
    assert subprocess.run(command, env=dict(os.environ), capture_output=True, check=False).returncode == 0
