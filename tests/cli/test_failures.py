"""Every failure is one line with a code and what to do, and an exit code a script can trust."""

from __future__ import annotations

import socket
from pathlib import Path

import pytest
from tests.cli.fake import TOKEN, Program

from flowtally.cli.failures import explain


def problem(code: str, detail: str, status: int) -> dict[str, object]:
    return {"type": "about:blank", "title": "", "status": status, "detail": detail, "code": code, "request_id": "r"}


def test_a_refusal_is_one_line_with_its_code_and_what_to_do(flowtally: Program) -> None:
    flowtally.fake.answers["GET /v1/accounts/acme"] = (
        404,
        problem("unknown_account", "There is no account acme.", 404),
    )
    ran = flowtally("account", "show", "acme")
    assert ran.code == 1
    assert ran.out == ""
    assert ran.err == (
        "error: There is no account acme (unknown_account). "
        "See `flowtally account list`, or make it: `flowtally account create`.\n"
    )


def test_a_server_that_does_not_answer_is_exit_4(flowtally: Program, monkeypatch: pytest.MonkeyPatch) -> None:
    with socket.socket() as closed:
        closed.bind(("127.0.0.1", 0))
        monkeypatch.setenv("FLOWTALLY_URL", f"http://127.0.0.1:{closed.getsockname()[1]}")
        monkeypatch.setattr("flowtally.cli.ask.PATIENCE_S", 0)
        ran = flowtally("account", "list")
    assert ran.code == 4
    assert "unreachable" in ran.err
    assert ran.err.count("\n") == 1


def test_a_missing_token_is_wrong_usage(flowtally: Program, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("FLOWTALLY_TOKEN")
    ran = flowtally("account", "list")
    assert ran.code == 2
    assert "FLOWTALLY_TOKEN is not set" in ran.err


@pytest.mark.parametrize("url", ["nowhere", "ftp://127.0.0.1", "http://user:secret@127.0.0.1"])
def test_an_unusable_address_is_named_without_its_password(
    flowtally: Program, monkeypatch: pytest.MonkeyPatch, url: str
) -> None:
    monkeypatch.setenv("FLOWTALLY_URL", url)
    ran = flowtally("account", "list")
    assert ran.code == 2
    assert "FLOWTALLY_URL" in ran.err
    assert "secret" not in ran.err


@pytest.mark.parametrize(
    "arguments", [("usage",), ("usage", "acme", "--bucket", "fortnight"), ("acount", "list"), ("--what",)]
)
def test_wrong_usage_is_exit_2_in_one_line(flowtally: Program, arguments: tuple[str, ...]) -> None:
    ran = flowtally(*arguments)
    assert ran.code == 2
    assert ran.err.startswith("error: ")
    assert ran.err.count("\n") == 1


def test_a_server_that_echoes_the_token_does_not_make_us_print_it(flowtally: Program) -> None:
    flowtally.fake.answers["GET /v1/accounts/acme"] = (401, problem("unauthenticated", f"unknown {TOKEN}", 401))
    assert TOKEN not in flowtally("account", "show", "acme").err


def test_a_missing_file_is_named(flowtally: Program) -> None:
    ran = flowtally("import", "/nowhere/access.log", "--format", "squid", "--account", "acme")
    assert ran.code == 1
    assert "/nowhere/access.log" in ran.err


def test_what_a_server_says_drives_no_terminal_and_is_bounded(flowtally: Program) -> None:
    evil = "no\x1b[2J\x9b1m\u202e [bold]" + "x" * 10_000
    flowtally.fake.answers["GET /v1/accounts/acme"] = (418, problem("\x1b]0;title", evil, 418))
    ran = flowtally("account", "show", "acme")
    assert ran.code == 1
    assert ran.err.startswith("error: no\\x1b[2J\\x9b1m\\u202e [bold]xxx")
    assert ran.err.endswith("x… (\\x1b]0;title).\n")
    assert len(ran.err) < 2100


@pytest.mark.parametrize(
    "arguments",
    [("account", "show", "\udcff"), ("account", "create", "\udcff"), ("usage", "acme", "--user", "\udcff")],
)
def test_an_argument_in_another_encoding_is_wrong_usage(flowtally: Program, arguments: tuple[str, ...]) -> None:
    ran = flowtally(*arguments)
    assert ran.code == 2
    assert ran.err == "error: '\\udcff' holds U+DCFF at 0: half a surrogate pair is no text (usage).\n"


@pytest.mark.parametrize(
    ("url", "said"),
    [
        ("https://", "It speaks no TLS there: try http:// in FLOWTALLY_URL"),
        ("http://", "This is no answer of flowtally"),
    ],
)
def test_an_address_where_something_else_answers_says_so(
    flowtally: Program, monkeypatch: pytest.MonkeyPatch, url: str, said: str
) -> None:
    monkeypatch.setattr("flowtally.cli.ask.PATIENCE_S", 0)
    monkeypatch.setenv("FLOWTALLY_URL", flowtally.fake.url.replace("http://", url))
    flowtally.fake.answers["GET /v1/accounts/acme"] = (404, b"<html>File not found</html>")
    assert said in flowtally("account", "show", "acme").err


def test_a_missing_token_says_where_to_get_one(flowtally: Program, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("FLOWTALLY_TOKEN")
    told = flowtally("account", "list").err
    assert "export FLOWTALLY_TOKEN=" in told
    assert "flowtally key admin --data DIR" in told


@pytest.mark.parametrize(
    ("detail", "hint"),
    [
        ("there is no pool 'trafic'", "`flowtally pool list`"),
        ("there is no plan 'big'", "`flowtally plan list`"),
        ("account 'acme' has no grant 'grn_x'", "`flowtally grant list ACCOUNT`"),
        ("user 's7' has no allocation 'alc_x'", "`flowtally user balance ACCOUNT USER`"),
        ("there is no credential 'crd_x'", "`flowtally key list`"),
        ("there is no sender 'snd_x'", "`flowtally sender list`"),
        ("Nothing is served at /v1/v1/accounts/acme.", "without /v1"),
    ],
)
def test_what_is_not_there_says_where_to_look(flowtally: Program, detail: str, hint: str) -> None:
    flowtally.fake.answers["GET /v1/accounts/acme"] = (404, problem("not_found", detail, 404))
    assert hint in flowtally("account", "show", "acme").err


@pytest.mark.parametrize(("code", "command"), [("not_covered", "grant give"), ("insufficient_funds", "wallet deposit")])
def test_what_is_not_covered_says_how_to_give_more(flowtally: Program, code: str, command: str) -> None:
    flowtally.fake.answers["GET /v1/accounts/acme"] = (409, problem(code, "there is 1 left; 2 are asked for", 409))
    assert f"`flowtally {command}`" in flowtally("account", "show", "acme").err


@pytest.mark.parametrize("unit", ["GB", "GiB", "G", "kB", "MB", "B"])
@pytest.mark.parametrize("number", ["5", "1.5"])
def test_an_amount_in_two_words_is_told_as_one(flowtally: Program, number: str, unit: str) -> None:
    ran = flowtally("grant", "give", "acme", number, unit)
    assert ran.code == 2
    assert f"Write the amount as one word: {number}{unit}." in ran.err


def test_another_word_too_many_is_no_amount(flowtally: Program) -> None:
    assert "See `flowtally grant give --help`" in flowtally("grant", "give", "acme", "5", "gold").err
    assert "See `flowtally balance --help`" in flowtally("balance", "acme", "GB").err


def test_a_wrong_word_is_told_without_words_of_a_library(flowtally: Program) -> None:
    ran = flowtally("usage", "acme", "--bucket", "year")
    assert "Value error" not in ran.err
    assert "'year' is not one of '15m', 'hour', 'day', 'week', 'month', 'total'" in ran.err


def test_an_address_that_is_none_is_shown(flowtally: Program, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("FLOWTALLY_URL", "127.0.0.1:8120")
    assert "FLOWTALLY_URL = '127.0.0.1:8120': " in flowtally("account", "list").err


@pytest.mark.parametrize("pressed", [KeyboardInterrupt, EOFError])
def test_ctrl_c_at_a_hidden_question_ends_on_a_line_of_its_own(
    flowtally: Program, monkeypatch: pytest.MonkeyPatch, pressed: type[BaseException]
) -> None:
    def press(_: str) -> str:
        raise pressed

    monkeypatch.setattr("sys.stdin.isatty", lambda: True, raising=False)
    monkeypatch.setattr("getpass.getpass", press)
    ran = flowtally("voucher", "redeem", "acme")
    assert ran.code != 0
    assert ran.err == "\nstopped\n"


def test_lines_of_nobody_say_which_option_is_missing(flowtally: Program, tmp_path: Path) -> None:
    log = tmp_path / "access.log"
    log.write_text("1773133200.120    310 203.0.113.7 TCP_TUNNEL/200 1200 CONNECT a.test:443 ann HIER_DIRECT/::1 -\n")
    ran = flowtally("import", str(log), "--format", "squid", "--dry-run")
    assert ran.code == 3
    assert "--account ACCOUNT" in ran.out
    assert "--account ACCOUNT" not in flowtally(
        "import", str(log), "--format", "squid", "--account", "acme", "--dry-run"
    ).out  # fmt: skip


def test_a_missing_module_that_is_not_the_servers_keeps_its_trace() -> None:
    assert explain(ModuleNotFoundError("No module named 'nonsense'", name="nonsense")) is None
