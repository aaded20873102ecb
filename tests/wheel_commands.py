"""Run by tests/test_wheel.py where only the wheel is installed: every command, and what it said.

Prints a list as JSON: of each command its words, its options, its help, and the exit code and what it wrote to stderr
with the least it takes, where no server answers.
"""

from __future__ import annotations

import contextlib
import io
import json
import sys
from pathlib import Path
from typing import Any, Literal, get_args, get_origin

import typer

from flowtally.cli import app as program
from flowtally.cli import ask

FOLDER = Path(sys.argv[1])
PLAUSIBLE = {"amount": "5GB", "price": "12.50"}  # what a parameter of this name takes, where a word does not do
HELPS = dict(program.helps())


def leaves(command: Any, words: tuple[str, ...]) -> Any:
    below = getattr(command, "commands", None)
    if below is None:
        yield words, command
        return
    for name, one in below.items():
        yield from leaves(one, (*words, name))


def filled(command: Any) -> list[str]:
    """Arguments with which it can begin its work: what it insists on, and the data directory where it takes one."""
    words: list[str] = []
    for one in command.params:
        option = next((name for name in one.opts if name.startswith("--")), None)
        if option != "--data" and not one.required:
            continue
        words += [option or "", value(one)] if option else [value(one)]
    return words


def value(parameter: Any) -> str:
    if parameter.name in PLAUSIBLE:
        return PLAUSIBLE[parameter.name]
    kind = parameter.type_descriptor.annotation
    if get_origin(kind) is Literal:
        return str(get_args(kind)[0])
    return str(FOLDER) if kind is Path or parameter.name == "data" else "1"


def run(words: tuple[str, ...], command: Any) -> dict[str, Any]:
    arguments = [*words, *filled(command)]
    out, err = io.StringIO(), io.StringIO()
    with contextlib.redirect_stdout(out), contextlib.redirect_stderr(err):
        code = program.main(arguments)
    name = " ".join(words)
    return {
        "words": name,
        "options": [name for one in command.params for name in one.opts],
        "help": HELPS[f"flowtally {name}"],
        "code": code,
        "err": err.getvalue(),
    }


ask.PATIENCE_S = 0  # type: ignore[misc]  # nobody answers there
program.app = typer.main.get_command(program.app)  # type: ignore[assignment]  # the tree is built once, not for each
print(json.dumps([run(words, command) for words, command in leaves(program.app, ())]))
