"""The program against a real server: everything a new operator does, in order, and what scripts rely on.

The first story, pipes, Ctrl-C and the demo that stays up are processes from nothing; the other demos are forks, and
the rest runs in this process.
"""

from __future__ import annotations

import json
import re
import shutil
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from tests import fork_server
from tests.live import Live, clean_environment, live_server
from tests.program import run_here

Run = Callable[..., subprocess.CompletedProcess[str]]

FLOWTALLY = [sys.executable, "-m", "flowtally"]
FIELD = Path(__file__).parents[1] / "fixtures/field"
HAPROXY = "%ci:%cp [%tr] %ft %b/%s %TR/%Tw/%Tc/%Tr/%Ta %ST %B %CC %CS %tsc %ac/%fc/%bc/%sc/%rc %sq/%bq %hr %hs %{+Q}r"
THREEPROXY = "L%d-%m-%Y %H:%M:%S.%. %N.%p %E %U %C:%c %R:%r %O %I %h %T"


@pytest.fixture(scope="module")
def live(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Live]:
    with live_server(tmp_path_factory.mktemp("live") / "data") as one:
        yield one


def run(live: Live, *arguments: str, stdin: str | None = None) -> subprocess.CompletedProcess[str]:
    return run_here(live.environment, *arguments, stdin=stdin)


def run_process(live: Live, *arguments: str, stdin: str | None = None) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [*FLOWTALLY, *arguments],
        env=live.environment,
        input=stdin,
        capture_output=True,
        text=True,
        check=False,
        timeout=120,
    )


def ask(live: Live, *arguments: str, run: Run = run) -> Any:
    done = run(live, *arguments, "--json")
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)


def squid_line(second: int, user: str, size: int) -> str:
    return (
        f"{1_740_000_000 + second}.123    42 10.0.0.1 TCP_MISS/200 {size} GET http://example.test/ {user} "
        "HIER_DIRECT/10.0.0.9 text/html\n"
    )


def make_account(live: Live, account: str, amount: str = "1GB") -> None:
    begins = "2025-01-01T00:00:00Z"
    ask(live, "account", "create", account, "--tz", "Asia/Kolkata", "--carry-from", begins)
    ask(live, "grant", "give", account, amount, "--starts", begins)


def test_a_log_is_counted_once_however_often_it_is_imported(live: Live, tmp_path: Path) -> None:
    make_account(live, "once")
    log = tmp_path / "access.log"
    log.write_text("".join(squid_line(i, "ann", 1000) for i in range(250)))
    command = (
        "import",
        str(log),
        "--format",
        "squid",
        "--account",
        "once",
        "--product",
        "residential",
        "--batch",
        "100",
    )
    assert ask(live, *command, run=run_process)["stored"] == 250
    assert ask(live, *command, run=run_process)["stored"] == 0
    with log.open("a") as growing:
        growing.write(squid_line(251, "bob", 500))
    assert ask(live, *command, run=run_process)["stored"] == 1
    asked = ("usage", "once", "--from", "2025-02-01", "--to", "2025-03-01", "--bucket", "total", "--by", "user")
    usage = ask(live, *asked, run=run_process)
    assert {row["user"]: row["bytes_down"] for row in usage["rows"]} == {"ann": 250_000, "bob": 500}
    assert (
        ask(live, "balance", "once", run=run_process)["pools"]["traffic"]["left"]
        == 1_000_000_000 - usage["total"]["bytes"]
    )


def test_each_log_is_read_as_it_is_declared(live: Live) -> None:
    declared = {
        "case29-iis.log": ("--format", "iis"),  # 810 up, 5,640 down
        "case28-haproxy.log": ("--haproxy-log-format", HAPROXY, "--envelope", "syslog", "--zone", "UTC"),  # 0, 1,900
        "case30-3proxy.log": ("--3proxy-logformat", THREEPROXY, "--zone", "Europe/Berlin"),  # 412, 48,211
        "case27-caddy.json": ("--json-fields", "time=ts,bytes_up=bytes_read,bytes_down=size"),  # 2,048, 14,000
        "case11-docker-json-file.log": ("--format", "docker"),  # 0, 1,300
    }
    make_account(live, "declared")
    for name, options in declared.items():
        assert ask(live, "import", str(FIELD / name), "--account", "declared", *options)["unreadable"] == 0
    usage = ask(live, "usage", "declared", "--from", "2026-03-10", "--to", "2026-03-11", "--bucket", "total")
    assert (usage["total"]["bytes_up"], usage["total"]["bytes_down"]) == (3_270, 71_051)


def test_a_log_that_is_declared_twice_or_of_no_use_is_not_read(live: Live) -> None:
    log = str(FIELD / "case29-iis.log")
    for options, says in [
        (("--format", "iis", "--json-fields", "time=t"), "exactly one of --format, --json-fields"),
        (("--format", "iis", "--zone", "Berlin"), "not an IANA time zone"),
    ]:
        done = run(live, "import", log, "--account", "nobody", *options)
        assert done.returncode == 2
        assert says in done.stderr


def test_lines_that_cannot_be_read_are_shown_and_the_exit_says_so(live: Live, tmp_path: Path) -> None:
    make_account(live, "partly")
    log = tmp_path / "access.log"
    log.write_text(squid_line(1, "ann", 10) + "what is this\n" + squid_line(2, "ann", 10))
    done = run(live, "import", str(log), "--format", "squid", "--account", "partly")
    assert done.returncode == 3
    assert "3 lines: 2 stored, 1 unreadable" in done.stdout
    assert "line 2:" in done.stdout
    assert "what is this" in done.stdout


def test_a_pipe_needs_a_source_and_then_goes_on_too(live: Live) -> None:
    make_account(live, "piped")
    lines = squid_line(1, "ann", 10) + squid_line(2, "ann", 10)
    refused = run_process(live, "import", "-", "--format", "squid", "--account", "piped", stdin=lines)
    assert refused.returncode == 2
    assert "--source" in refused.stderr
    command = ("import", "-", "--format", "squid", "--account", "piped", "--source", "nightly", "--json")
    first, second = (json.loads(run_process(live, *command, stdin=lines).stdout) for _ in range(2))
    assert (first["stored"], second["stored"]) == (2, 0)


def test_ctrl_c_stops_an_import_that_goes_on_later(live: Live, tmp_path: Path) -> None:
    make_account(live, "stopped")
    log = tmp_path / "access.log"
    log.write_text("".join(squid_line(i, "eve", 1000) for i in range(20_000)))
    command = ["import", str(log), "--format", "squid", "--account", "stopped"]
    running = subprocess.Popen(
        [*FLOWTALLY, *command, "--batch", "10"],
        env=live.environment,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    with running:
        assert running.stderr is not None
        assert "10%" in running.stderr.readline()
        running.send_signal(signal.SIGINT)
        try:
            told, warned = running.communicate(timeout=60)
        finally:
            running.kill()
    assert running.returncode == 130, warned
    assert "Run the same command again" in warned
    stored = int(re.findall(r"([\d,]+) stored", told)[0].replace(",", ""))
    rest = ask(live, *command)
    assert 0 < stored < 20_000
    # The request under way when Ctrl-C came may have been stored without its answer being heard.
    assert 20_000 - 10 <= stored + rest["stored"] <= 20_000
    assert ask(live, "usage", "stopped", "--from", "2025-02-01", "--to", "2025-03-01")["total"]["requests"] == 20_000


def test_everything_a_terminal_shows_fits_it_and_pipes_carry_no_escapes(live: Live) -> None:
    make_account(live, "wide", "5GB")
    for command in (("usage", "wide"), ("balance", "wide")):
        done = run_process(live, *command)
        assert done.returncode == 0, done.stderr
        assert "\x1b" not in done.stdout
        assert max(len(line) for line in done.stdout.splitlines()) <= 80


def test_a_grant_is_voided_and_the_balance_says_so(live: Live) -> None:
    make_account(live, "void", "1GB")
    (grant,) = ask(live, "grant", "list", "void")
    ask(live, "grant", "void", "void", grant["id"])
    balance = ask(live, "balance", "void")
    assert balance["pools"]["traffic"]["voided"] == 1_000_000_000
    assert balance["grants"][0]["state"] == "voided"
    assert "voided" in run(live, "balance", "void").stdout


def test_a_correction_moves_usage_balance_changes_and_explanation(live: Live, tmp_path: Path) -> None:
    make_account(live, "fixed")
    log = tmp_path / "fixed.log"
    log.write_text("".join(squid_line(i, "ann", 1000) for i in range(5)))
    ask(
        live,
        "import",
        str(log),
        "--format",
        "squid",
        "--account",
        "fixed",
        "--product",
        "residential",
        "--source",
        "fixed-log",
    )
    mine = ("changes", "--account", "fixed")
    cursor = ask(live, *mine, "--since", "today", "--limit", "1000")["next"]
    done = ask(live, "correction", "event", "fixed-log", "2", "--void", "--expects-down", "1000", "--id", "c1")
    assert done["receipts"][0]["added"] == {"bytes_up": 0, "bytes_down": -1000, "requests": -1}
    again = ask(live, "correction", "event", "fixed-log", "2", "--void", "--expects-down", "1000", "--id", "c1")
    assert again["duplicate"] == 1
    refused = run(live, "correction", "event", "fixed-log", "2", "--void", "--expects-down", "1000")
    assert (refused.returncode, "not_as_expected" in refused.stderr) == (1, True)
    adjusted = ("correction", "adjust", "fixed", "--down=-500", "--product", "residential")
    ask(live, *adjusted, "--time", "2025-02-20T00:00:00Z", "--reason", "goodwill")
    assert ask(live, "correction", "show", "fixed-log", "2")["sum"]["bytes_down"] == 0
    spent = ask(live, "balance", "fixed")["pools"]["traffic"]["spent"]
    assert spent == 3500
    changed = ask(live, *mine, "--since", cursor)["items"]
    assert [(one["account"], one["corrections"], one["adjustments"], one["bytes"]) for one in changed] == [
        ("fixed", 1, 0, -1000),
        ("fixed", 0, 1, -500),
    ]
    explained = ask(live, "explain", "fixed")["pools"]["traffic"]
    assert explained["used"] == spent == explained["grants"][0]["paid"][0]["amount"]
    book = run(live, "explain", "fixed", "--top", "10")
    assert book.returncode == 0
    for words in ("used 3,500 = spent 3,500", "of that corrections", "corrects fixed-log 2", "goodwill"):
        assert words in book.stdout
    assert "1 correction" in run(live, *mine, "--since", cursor).stdout


def test_a_revoked_key_is_refused_with_what_to_do(live: Live) -> None:
    make_account(live, "keys")
    made = ask(live, "key", "create", "keys", "--scope", "account")
    theirs = Live(live.url, made["token"], live.data)
    assert ask(theirs, "balance", "keys")["account"] == "keys"
    assert run(theirs, "account", "list").returncode == 1
    ask(live, "key", "revoke", made["id"])
    refused = run(theirs, "balance", "keys")
    assert refused.returncode == 1
    assert "FLOWTALLY_TOKEN" in refused.stderr
    assert made["token"] not in refused.stderr


def test_users_are_made_limited_funded_renamed_and_deleted(live: Live, tmp_path: Path) -> None:
    make_account(live, "people", "1GB")
    limited = ask(live, "user", "create", "people", "ann", "--limit", "5MB", "--window", "month")
    assert limited["limit"] == {"amount": 5_000_000, "unit": "bytes", "window": "month"}
    made = run(live, "user", "create", "people", "p-shop", "--funded", "--password", "--json", stdin="a secret\n")
    assert json.loads(made.stdout)["has_password"]
    key = Path(live.data) / "passwords.key"
    assert key.stat().st_mode & 0o777 == 0o600
    allocation = ask(live, "user", "allocate", "people", "p-shop", "300MB")
    refused = run(live, "user", "allocate", "people", "p-shop", "701MB")
    assert refused.returncode == 1
    assert "'people' has 700 MB left in pool 'traffic'; 701 MB are asked for (not_covered)" in refused.stderr
    log = tmp_path / "access.log"
    log.write_text(squid_line(1, "ann", 4_000_000) + squid_line(2, "ann", 1_000_000))
    ask(live, "import", str(log), "--format", "squid", "--account", "people")
    used = ask(live, "user", "usage", "people", "ann", "--from", "2025-02-01", "--to", "2025-03-01")
    assert used["total"]["requests"] == 2
    shown = run(live, "user", "balance", "people", "p-shop").stdout
    assert "300 MB left" in shown
    assert allocation["id"] in shown
    assert ask(live, "user", "return", "people", "p-shop", allocation["id"], "100MB")["returned"] == 100_000_000
    assert "300 MB" in run(live, "user", "return", "people", "p-shop", allocation["id"]).stdout
    assert ask(live, "balance", "people")["pools"]["traffic"]["drawn"] == 0
    assert ask(live, "user", "rename", "people", "ann", "anna")["name"] == "anna"
    assert "called ann until" in run(live, "user", "show", "people", "anna").stdout
    assert ask(live, "user", "change", "people", "anna", "--no-limit", "--status", "disabled")["limit"] is None
    assert ask(live, "user", "delete", "people", "anna")["status"] == "deleted"
    assert [one["name"] for one in ask(live, "user", "list", "people")] == ["p-shop"]
    assert len(ask(live, "user", "list", "people", "--deleted")) == 2
    assert "a secret" not in (Path(live.data).parent / f"{Path(live.data).name}.log").read_text()


def test_a_rename_holds_for_events_from_then_on(live: Live, tmp_path: Path) -> None:
    """Over the real stores: events of before, arriving after it, stay with the old bearer of the name."""
    make_account(live, "renamed")
    log = tmp_path / "access.log"
    log.write_text(squid_line(1, "zoe", 10))
    ask(live, "import", str(log), "--format", "squid", "--account", "renamed")
    old = ask(live, "user", "rename", "renamed", "zoe", "zoe2")
    with log.open("a") as growing:
        growing.write(squid_line(2, "zoe", 20))  # of last year
    ask(live, "import", str(log), "--format", "squid", "--account", "renamed")
    total = ask(live, "user", "usage", "renamed", old["id"], "--from", "2025-02-01", "--to", "2025-03-01")["total"]
    assert total["bytes_down"] == 30
    assert [one["name"] for one in ask(live, "user", "list", "renamed")] == ["zoe2"]


def test_pools_and_products_are_listed_and_mapped(live: Live) -> None:
    ask(live, "pool", "create", "captcha", "--charge", "requests")
    ask(live, "pool", "map", "solver", "captcha")
    assert "solver" in next(one for one in ask(live, "pool", "list") if one["name"] == "captcha")["products"]


def test_a_reader_that_has_seen_enough_is_no_error(live: Live) -> None:
    make_account(live, "enough")
    command = f"{sys.executable} -m flowtally usage enough --bucket 15m --from 2025-01-01 --to 2025-02-01 | head -1"
    done = subprocess.run(["bash", "-c", command], env=live.environment, capture_output=True, text=True, check=False)
    assert done.stdout.count("\n") == 1
    assert done.stderr == ""


def test_a_grant_is_given_once_under_a_key_and_under_a_reference(live: Live) -> None:
    ask(live, "account", "create", "orders")
    command = ("grant", "give", "orders", "5GB", "--source", "order", "--reference", "4711")
    assert ask(live, *command, "--once", "order-4711") == ask(live, *command, "--once", "order-4711")
    told = run(live, *command, "--once", "order-4711")
    assert "Nothing was done again" in told.stderr
    refused = run(live, *command)
    assert (refused.returncode, "--again" in refused.stderr) == (1, True)
    other = run(live, "grant", "give", "orders", "6GB", "--once", "order-4711")
    assert (other.returncode, "choose another --once" in other.stderr) == (1, True)
    assert len(ask(live, "grant", "list", "orders")) == 1


def test_an_import_of_an_account_that_is_not_there_says_what_to_do_before_it_sends(live: Live, tmp_path: Path) -> None:
    ask(live, "account", "create", "tidy")
    log = tmp_path / "access.log"
    log.write_text(squid_line(1, "ann", 1000))
    command = ("import", str(log), "--format", "squid", "--account", "tidi")
    told = run(live, *command)
    assert told.returncode == 1
    said = "there is no account 'tidi'; there is tidy. Make it: `flowtally account create tidi` (no_such_account)."
    assert said in told.stderr
    gateway = Live(live.url, ask(live, "key", "create", "--scope", "ingest")["token"], live.data)
    assert "there is no account 'tidi'. Make it" in run(gateway, *command).stderr
    ask(live, "account", "create", "tidi")
    assert ask(gateway, *command)["stored"] == 1


def test_a_second_server_on_the_same_data_is_refused_in_one_line(live: Live) -> None:
    done = run_process(live, "serve", "--data", live.data, "--port", "0", "--log-level", "error")
    assert done.returncode in (1, 2)
    assert done.stdout == ""
    assert done.stderr.splitlines()[-1].startswith("error: ")
    assert "Traceback" not in done.stderr


def test_the_demo_shows_a_real_log_and_balances_that_moved(tmp_path: Path) -> None:
    command = ("demo", "--exit", "--json", "--data", str(tmp_path / "demo"))
    for imported_anew in (True, False):
        done = fork_server.run(*command, env=clean_environment(), timeout=180)
        assert done.returncode == 0, done.stderr
        told = json.loads(done.stdout)
        assert (told["imported"]["stored"] >= 2000) is imported_anew
    pools = {one["account"]: one["pools"]["traffic"] for one in told["after"]}
    assert pools["initech"]["overage"] > 0
    assert 0 < pools["globex"]["left"] < pools["globex"]["granted"] // 5
    assert pools["acme"]["left"] > pools["acme"]["granted"] // 5
    for usage in told["usage"]:
        assert usage["total"]["bytes"] == pools[usage["account"]]["spent"] + pools[usage["account"]]["overage"]


def test_a_demo_that_ends_invites_to_no_server_that_is_gone(tmp_path: Path) -> None:
    command = ("demo", "--exit", "--data", str(tmp_path / "demo"))
    done = fork_server.run(*command, env=clean_environment(), timeout=180)
    assert done.returncode == 0, done.stderr
    assert "In another terminal" not in done.stdout
    assert "ft_demo_" not in done.stdout
    assert done.stdout.splitlines()[-1].strip() == f"flowtally demo --data {tmp_path / 'demo'}"


@pytest.mark.system
@pytest.mark.skipif(shutil.which("curl") is None, reason="curl is not installed")
def test_the_demo_stays_up_and_its_commands_can_be_pasted(tmp_path: Path) -> None:
    """As a person would: wait for the invitation, paste it into a shell, press Ctrl-C."""
    environment = {**clean_environment(), "TMPDIR": str(tmp_path)}
    demo = subprocess.Popen(
        [*FLOWTALLY, "demo"], env=environment, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True
    )
    try:
        assert demo.stdout is not None
        told = "".join(iter(demo.stdout.readline, "Serving until Ctrl-C.\n"))
        commands = "set -euo pipefail\n" + told.split("In another terminal:")[1]
        pasted = subprocess.run(["bash", "-c", commands], env=environment, capture_output=True, text=True, check=False)
    finally:
        demo.send_signal(signal.SIGINT)
        code = demo.wait(60)
    assert code == 0
    assert pasted.returncode == 0, pasted.stderr
    decoder, answers, rest = json.JSONDecoder(), [], pasted.stdout
    while rest:
        answer, end = decoder.raw_decode(rest)
        answers.append(answer)
        rest = rest[end:].lstrip()
    usage, balance, grant, sent = answers
    assert {row["user"] for row in usage["rows"]} == {"ana", "bob", "ci"}
    assert balance["account"] == "globex"
    assert grant["amount"] == 1_000_000_000
    assert sent["stored"] == 1
    assert list(tmp_path.iterdir()) == []
