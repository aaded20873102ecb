from __future__ import annotations

import io
import json

import pytest

from flowtally.agents.ship import ImportProgress
from flowtally.cli.show import output
from flowtally.cli.show.progress import MovingBar, meter


class Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


def test_no_colour_is_respected_on_a_terminal(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("NO_COLOR", raising=False)
    monkeypatch.setenv("TERM", "xterm")
    assert not output.plain(Terminal())
    monkeypatch.setenv("NO_COLOR", "1")
    assert output.plain(Terminal())
    assert output.plain(io.StringIO())


def test_control_characters_are_replaced() -> None:
    assert output.printable("a\x1b[31m\nb\u202e") == "a�[31m�b�"


EVIL = "a\x1b[31m\x9b2J\nb\u202e[bold red]"
SHOWN = "a�[31m�2J�b�[bold red]"


@pytest.mark.parametrize("screen", [Terminal(), io.StringIO()])
def test_whatever_is_said_drives_no_terminal(monkeypatch: pytest.MonkeyPatch, screen: io.StringIO) -> None:
    monkeypatch.setattr("sys.stdout", screen)
    monkeypatch.setattr("sys.stderr", screen)
    monkeypatch.setenv("NO_COLOR", "1")
    output.say(EVIL)
    output.note(EVIL, style="red")
    output.table(("id",), [(EVIL,)])
    output.facts({"id": EVIL})
    assert screen.getvalue().splitlines() == [SHOWN, SHOWN, "id", SHOWN, f"id  {SHOWN}"]


def test_markup_of_a_name_is_not_obeyed(monkeypatch: pytest.MonkeyPatch) -> None:
    screen = Terminal()
    monkeypatch.setattr("sys.stdout", screen)
    monkeypatch.delenv("NO_COLOR", raising=False)
    monkeypatch.setenv("TERM", "xterm")
    output.say(EVIL, style="bold")
    assert SHOWN in screen.getvalue()
    assert screen.getvalue().count("\x1b") == 2  # bold, and its end


def test_a_document_is_the_same_value_and_drives_no_terminal(monkeypatch: pytest.MonkeyPatch) -> None:
    screen = io.StringIO()
    monkeypatch.setattr("sys.stdout", screen)
    value = {"name": EVIL + "ü 👨‍👩‍👧 \x7f\x85\u2028\U000e0001\\"}
    output.document(value)
    assert json.loads(screen.getvalue()) == value
    assert all(char.isprintable() or char in "\n\u200d" for char in screen.getvalue())
    assert "ü" in screen.getvalue()


def test_a_file_is_data_in_a_pipe_and_printable_on_a_terminal(monkeypatch: pytest.MonkeyPatch) -> None:
    pipe, screen = io.StringIO(newline=""), Terminal(newline="")
    for stream in (pipe, screen):
        monkeypatch.setattr("sys.stdout", stream)
        output.raw("user,bytes\r\nann\x1b[31m,1\r\n")
    assert pipe.getvalue() == "user,bytes\r\nann\x1b[31m,1\r\n"
    assert screen.getvalue() == "user,bytes\nann\\x1b[31m,1\n"


def test_what_a_stream_has_no_byte_for_is_written_out(monkeypatch: pytest.MonkeyPatch) -> None:
    raw = io.BytesIO()
    monkeypatch.setattr("sys.stdout", io.TextIOWrapper(raw, "ascii"))
    output.say("ü \ud800")
    output.raw("ü \ud800\n")
    assert raw.getvalue() == b"\\xfc \\ufffd\n\\xfc \\ud800\n"


@pytest.mark.parametrize(
    ("instant", "shown"),
    [
        ("2026-11-01T00:00:00Z", "2026-11-01"),
        ("2026-11-01T12:30:00Z", "2026-11-01T12:30Z"),
        ("2026-11-01T00:00:00.123Z", "2026-11-01T00:00Z"),
        (None, ""),
    ],
)
def test_instants_in_tables_are_short(instant: str | None, shown: str) -> None:
    assert output.when(instant) == shown


def test_outside_a_terminal_progress_is_a_line_per_tenth(capsys: pytest.CaptureFixture[str]) -> None:
    with meter("access.log") as shown:
        for done in range(0, 101, 5):
            shown.show(ImportProgress(done, 100, done, done))
    told = capsys.readouterr()
    assert told.out == ""
    assert told.err.splitlines()[0] == "access.log 10%, 10 events"
    assert len(told.err.splitlines()) == 10


def test_a_pipe_without_end_tells_its_lines(capsys: pytest.CaptureFixture[str]) -> None:
    with meter("standard input") as shown:
        shown.show(ImportProgress(10, None, 99_999, 5))
        shown.show(ImportProgress(20, None, 200_000, 10))
    assert capsys.readouterr().err == "standard input 200,000 lines, 10 events\n"


def test_in_a_terminal_progress_leaves_nothing_behind(monkeypatch: pytest.MonkeyPatch) -> None:
    screen = Terminal()
    monkeypatch.setattr("sys.stderr", screen)
    monkeypatch.delenv("NO_COLOR", raising=False)
    monkeypatch.setenv("TERM", "xterm")
    shown = meter("access.log")
    assert isinstance(shown, MovingBar)
    with shown:
        shown.show(ImportProgress(50, 100, 10, 10))
    assert screen.getvalue().endswith("\x1b[2K")
