"""What helps: bare commands show their help, and every example in it could be typed."""

from __future__ import annotations

import re
import shlex
from collections.abc import Iterator
from importlib.metadata import version
from typing import Any, get_args

import pytest
from tests.cli.fake import Program

from flowtally.cli.app import _command, helps
from flowtally.ledger.ids import Prefix

ROOT: Any = _command()
GROUPS = ["", *(name for name, one in ROOT.commands.items() if hasattr(one, "commands"))]
ID = re.compile(r"\b([a-z]{2,4}_)([0-9a-f]{6,})\b")
ARGUMENT = re.compile(r" [A-Z]+$")


def examples() -> Iterator[str]:
    """Every line of a help text that shows how a command is typed: at its end, which is quicker read than shown."""
    for _, command in commands(ROOT):
        for line in (command.epilog or "").partition("Example")[2].splitlines():
            for typed in re.split(r" && ", line.partition(":")[2] if line.startswith(("s:", ":")) else line):
                if typed.strip().startswith("flowtally ") and not typed.strip().endswith("-h"):
                    yield re.split(r"\s{2,}|\s[|<>]\s", typed.strip())[0]


def commands(command: Any, name: str = "") -> Iterator[tuple[str, Any]]:
    yield name, command
    for below, one in getattr(command, "commands", {}).items():
        yield from commands(one, f"{name} {below}".strip())


EXAMPLES = sorted(set(examples()))


@pytest.mark.parametrize("group", GROUPS)
def test_a_bare_command_answers_with_its_help(flowtally: Program, group: str) -> None:
    bare, asked = flowtally(*group.split()), flowtally(*group.split(), "--help")
    assert (bare.code, bare.out, bare.err) == (0, asked.out, "")
    assert bare.out.startswith("Usage: flowtally")


def test_it_tells_its_version(flowtally: Program) -> None:
    assert flowtally("--version").out == flowtally("-V").out == f"flowtally {version('flowtally')}\n"


def test_there_are_examples_of_most_commands() -> None:
    assert len(EXAMPLES) > 80


@pytest.mark.parametrize("example", EXAMPLES)
def test_an_example_in_a_help_text_could_be_typed(example: str) -> None:
    _, *words = shlex.split(example)
    command: Any = ROOT
    context = ROOT.context_class(ROOT, info_name="flowtally")
    while hasattr(command, "commands"):
        name = words.pop(0)
        if name not in command.commands:  # `agent CONFIG` is `agent run CONFIG`
            words, name = [name, *words], "run"
        command = command.commands[name]
        context = command.context_class(command, info_name=name, parent=context)
    command.parse_args(context, words)


def test_every_id_in_an_example_is_one_that_is_made() -> None:
    found = [match.groups() for _, text in helps() for match in ID.finditer(text)]
    assert len(found) > 10
    assert {prefix for prefix, _ in found} <= {*get_args(Prefix), "gen_", "ins_"}
    assert {len(rest) for _, rest in found} == {32}, "a UUIDv7 in hex"


EVERYWHERE = ("--at", "--as-of", "--reference", "--pool", "--limit", "--from", "--to", "--once", "--again")
ELSEWHERE = {  # the same word for another thing, or a filter, which begins with "Only"
    "--at": {"sample add"},
    "--from": {"key create", "key change"},
    "--again": {"import"},
    "--once": {"agent run"},
    "--limit": {"user create", "user change"},
}


@pytest.mark.parametrize("option", EVERYWHERE)
def test_an_option_of_many_commands_is_explained_in_the_same_words(option: str) -> None:
    words = {
        parameter.help
        for name, command in commands(ROOT)
        for parameter in command.params
        if option in parameter.opts and name not in ELSEWHERE.get(option, ())
    }
    assert len([text for text in words if not text.startswith("Only ")]) == 1


def test_every_text_of_the_command_line_is_a_sentence() -> None:
    for name, command in commands(ROOT):
        assert re.fullmatch(r"[A-Z].*\.\s*", command.help, re.DOTALL), name
        for parameter in command.params:
            text = getattr(parameter, "help", None)
            if text is not None:
                assert text.endswith("."), (name, parameter.name)
