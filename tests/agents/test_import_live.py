"""`flowtally import` against a real server, with files from the field and the figures they must come to."""

from __future__ import annotations

import gzip
import json
import os
import pty
import re
import shutil
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from tests.agents.test_ship import FIELD
from tests.live import Live, live_server

from flowtally.cli.app import main
from flowtally.client import Client
from flowtally.protocol import AccountRequest, HeldFilter

SQUID = ("--format", "squid")


@pytest.fixture(scope="module")
def live(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Live]:
    with live_server(tmp_path_factory.mktemp("live") / "data", {}) as one:
        yield one


class Shell:
    """Runs the command line in this process, as an administrator of the server, and asks what an account used."""

    def __init__(self, live: Live, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> None:
        self.live = live
        self._capsys = capsys
        for name in ("FLOWTALLY_URL", "FLOWTALLY_TOKEN"):
            monkeypatch.setenv(name, live.environment[name])
        self.account = ""

    def new_account(self, name: str) -> str:
        with self.client() as admin:
            admin.create_account(AccountRequest(id=name))
        self.account = name
        return name

    def client(self) -> Client:
        return Client(self.live.url, self.live.token, retry_s=0)

    def run(self, *arguments: str | Path) -> tuple[int, str]:
        """Exit code, and what was written to both."""
        code = main([str(one) for one in arguments])
        written = self._capsys.readouterr()
        return code, written.out + written.err

    def load(self, *arguments: str | Path) -> tuple[int, str]:
        """An import for the account, whose source no other test knows."""
        return self.run("import", *arguments, "--account", self.account)

    def used(self) -> tuple[int, int, int]:
        with self.client() as admin:
            total = admin.usage(self.account, start="2026-03-01", end="2026-04-01", bucket="total").total
        return total.bytes_up, total.bytes_down, total.requests


@pytest.fixture
def shell(live: Live, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> Shell:
    return Shell(live, capsys, monkeypatch)


@pytest.mark.parametrize(
    ("name", "said"),
    [
        ("case20a-nul-small.log", "300 NUL bytes left out"),
        ("case21-rotated.log.bz2", "5 lines (bzip2): 5 stored"),
        ("case21-rotated.log.xz", "5 lines (xz): 5 stored"),
        ("case21-rotated.log.zst", "5 lines (zstd): 5 stored"),
        ("case22a-bom.log", "5 lines: 5 stored"),
        ("case22b-utf16.log", "5 lines (UTF-16): 5 stored"),
    ],
)
def test_files_that_are_not_plain_text_count_all_their_lines(shell: Shell, name: str, said: str) -> None:
    shell.new_account(name)
    code, shown = shell.load(FIELD / name, *SQUID, "--source", name)
    assert (code, shell.used()) == (0, (0, 5000, 5)), shown
    assert said in shown


def test_a_byte_order_mark_makes_no_user(shell: Shell) -> None:
    shell.new_account("bom")
    code, shown = shell.load(FIELD / "case22c-bom-combined.log", "--format", "combined")
    assert (code, shell.used()[2]) == (0, len((FIELD / "case22c-bom-combined.log").read_bytes().splitlines())), shown
    assert "control characters" not in shown
    assert re.search(r"requests +3\n +users +2\n", shown)


def test_half_a_line_of_a_live_log_waits_for_its_rest(shell: Shell, tmp_path: Path) -> None:
    shell.new_account("live")
    log = tmp_path / "access.log"
    shutil.copy(FIELD / "case19a-live-1.log", log)
    code, shown = shell.load(log, "--format", "combined")
    assert (code, shell.used()) == (0, (0, 1000, 1)), shown
    assert "76 bytes wait after the last newline" in shown
    shutil.copy(FIELD / "case19a-live-2.log", log)
    assert shell.load(log, "--format", "combined")[0] == 0
    assert shell.used() == (0, 734_004_700, 3)


@pytest.mark.parametrize("order", ["one two all", "all one two", "two all one", "two one all"])
def test_a_concatenation_counts_once_or_is_refused(shell: Shell, order: str) -> None:
    """Not under names of their own: what a log is called is found out by what it says."""
    shell.new_account(order.replace(" ", "-"))
    for number, name in enumerate(order.split()):
        code, shown = shell.load(FIELD / f"case24-{name}.log", *SQUID, "--source", f"{order} {number}")
        assert code == 0 or "would count twice" in shown
    assert shell.used()[2] == 10


def test_usage_of_an_account_that_comes_later_counts_when_it_has_come(shell: Shell, tmp_path: Path) -> None:
    log = tmp_path / "early.log"
    shutil.copy(FIELD / "case26-early.log", log)
    options = (*SQUID, "--user-from", "user:(?P<account>.+)")
    code, shown = shell.run("import", log, *options)
    assert code == 1
    assert "there is no account 'early'" in shown
    shell.new_account("early")
    code, shown = shell.run("import", log, *options)
    assert (code, shell.used()[2]) == (0, 5), shown
    there, seconds = log.read_text(), log.read_text().split(".", 1)[0]
    with log.open("a") as out:
        out.write(there.replace(" early ", " soon "))
    code, shown = shell.run("import", log, *options)
    assert code == 1
    assert "there is no account 'soon'" in shown
    with log.open("a") as out:  # of several accounts those that are not there are held
        out.write(there.splitlines(keepends=True)[0].replace(seconds, str(int(seconds) + 60)))
    code, shown = shell.run("import", log, *options)
    assert code == 3
    assert "5 events are held by the server" in shown
    code, shown = shell.run("import", log, *options)
    assert code == 3
    assert "in all 6 stored, 5 held, 0 refused" in shown
    shell.new_account("soon")
    with shell.client() as admin:
        assert admin.retry_held(HeldFilter()).held == 0
    code, shown = shell.run("import", log, *options)
    assert (code, shell.used()[2]) == (0, 5), shown
    assert "in all 11 stored, 0 held, 0 refused" in shown


def test_what_could_not_be_read_is_read_again(shell: Shell, tmp_path: Path) -> None:
    shell.new_account("again")
    log = tmp_path / "access.log"
    log.write_bytes((FIELD / "case24-one.log").read_bytes() + (FIELD / "case19a-live-2.log").read_bytes())
    code, shown = shell.load(log, *SQUID)
    assert code == 3
    assert "3 unreadable (3 not_this_format)" in shown
    code, shown = shell.load(log, "--format", "combined")
    assert code == 1
    assert "--again to read with these" in shown
    code, shown = shell.load(log, "--format", "combined", "--again")
    assert (code, shell.used()) == (0, (0, 5000 + 734_004_700, 8)), shown
    assert shell.load(log, "--format", "combined", "--again")[0] == 0
    assert shell.used()[2] == 8


def test_a_dry_run_shows_all_and_stores_nothing_with_or_without_a_server(
    shell: Shell, monkeypatch: pytest.MonkeyPatch
) -> None:
    shell.new_account("dry")
    name = FIELD / "case19a-live-2.log"
    code, shown = shell.load(name, "--format", "combined", "--dry-run", "--source", "dry")
    assert (code, shell.used()[2]) == (0, 0)
    for said in ("a new log: source dry", "3 would be sent", "734,004,700 bytes", "alice", "2026-03-10T09:00:01Z"):
        assert said in shown
    monkeypatch.delenv("FLOWTALLY_TOKEN")
    code, shown = shell.load(name, "--format", "combined", "--dry-run", "--json", "--lines", "2")
    report, _ = json.JSONDecoder().raw_decode(shown)
    assert (code, report["lines"], report["read"]["bytes_down"], report["dry_run"]) == (0, 2, 734_004_200, True)
    assert [sample["user"] for sample in report["read"]["samples"]] == ["alice", "alice"]


@pytest.mark.parametrize(
    ("options", "said"),
    [
        (("--lines", "5"), "--lines 5 goes with --dry-run"),
        (("--dry-run", "--again"), "leave --again out"),
        (("--source", "one", FIELD / "case24-two.log"), "--source names one log; there are 2 files"),
    ],
)
def test_options_that_do_not_go_together_are_refused(shell: Shell, options: tuple[str | Path, ...], said: str) -> None:
    code, shown = shell.run("import", FIELD / "case24-one.log", *SQUID, "--account", "nobody", *options)
    assert code == 2
    assert said in shown


def test_several_files_go_in_one_command(shell: Shell, tmp_path: Path) -> None:
    shell.new_account("several")
    for name in ("one", "two"):
        data = (FIELD / f"case24-{name}.log").read_bytes()
        (tmp_path / name).write_bytes(data.replace(b"example.org", b"several.test", 1))
    code, shown = shell.load(tmp_path / "one", tmp_path / "two", *SQUID, "--json")
    reports, _ = json.JSONDecoder().raw_decode(shown)
    assert (code, [report["stored"] for report in reports], shell.used()[2]) == (0, [5, 5], 10)


@pytest.mark.parametrize(("answer", "code", "requests"), [("n", 1, 0), ("y", 0, 5)])
def test_in_a_terminal_a_new_log_is_shown_first(
    shell: Shell, tmp_path: Path, answer: str, code: int, requests: int
) -> None:
    shell.new_account(f"asked-{answer}")
    log = tmp_path / "access.log"
    log.write_bytes((FIELD / "case24-one.log").read_bytes().replace(b"example.org", b"asked%s.test" % answer.encode()))
    command = [sys.executable, "-m", "flowtally", "import", str(log), *SQUID, "--account", shell.account]
    ours, theirs = pty.openpty()
    run = subprocess.Popen(command, env=shell.live.environment, stdin=theirs, stdout=theirs, stderr=theirs)
    os.close(theirs)
    shown, until = b"", time.monotonic() + 60
    while b"Is this right? [y/N]" not in shown and time.monotonic() < until:
        shown += os.read(ours, 65536)
    assert b"5 would be sent" in shown
    assert shell.used()[2] == 0
    os.write(ours, answer.encode() + b"\n")
    assert run.wait(timeout=60) == code
    os.close(ours)
    assert shell.used()[2] == requests


@pytest.mark.parametrize(
    ("name", "said"),
    [
        ("case24-one.log", "--format squid"),
        ("case01-combined-D-T.log", "If the last numbers of a line are bytes received"),
        ("case05e-combinedio.log", "--format combinedio"),
        ("case29-iis.log", "--format iis"),
        ("case27-caddy.json", "--format caddy"),
        ("case11-docker-json-file.log", "docker:"),
    ],
)
def test_without_a_format_nothing_is_read_and_the_likely_ones_are_said(shell: Shell, name: str, said: str) -> None:
    code, shown = shell.run("import", FIELD / name, "--account", "nobody")
    assert code == 2
    assert "say how its lines are written" in shown
    assert said in shown


def test_without_a_format_an_empty_log_says_which_there_are(shell: Shell, tmp_path: Path) -> None:
    (tmp_path / "log").write_bytes(b"")
    code, shown = shell.run("import", tmp_path / "log", "--account", "nobody")
    assert code == 2
    assert "--format with one of squid, " in shown


def test_a_format_is_taken_out_of_the_servers_configuration(shell: Shell, tmp_path: Path) -> None:
    shell.new_account("conf")
    config = tmp_path / "apache2.conf"
    config.write_text(
        r"""LogFormat "%h %l %u %t \"%r\" %>s %b \"%{Referer}i\" \"%{User-agent}i\" %D %T" timed""" + "\n"
    )
    options = ("--format-from", config, "--source", "conf")
    code, shown = shell.load(FIELD / "case01-combined-D-T.log", *options)
    assert (code, shell.used()) == (0, (0, 734_008_320, 3)), shown
    code, shown = shell.load(FIELD / "case01-combined-D-T.log", *options, "--format", "squid")
    assert (code, "say one of them" in shown) == (2, True)


def test_a_dry_run_of_a_log_that_breaks_shows_what_is_there_and_ends_with_3(shell: Shell, tmp_path: Path) -> None:
    data = gzip.compress((FIELD / "case24-all.log").read_bytes(), compresslevel=0)
    (tmp_path / "log").write_bytes(data[:-300])
    code, shown = shell.run("import", tmp_path / "log", *SQUID, "--account", "nobody", "--dry-run")
    assert code == 3
    assert "would be sent" in shown
    assert "it was cut, or is still being written" in shown
