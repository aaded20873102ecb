"""`flowtally agent`: follow logs, and send what was used as it is written; and what others must be told for it."""

from __future__ import annotations

import os
import signal
from pathlib import Path
from typing import Annotated, Any, Final

import typer

from flowtally.agents.follow.agent import Agent
from flowtally.agents.follow.event_log import EventLog
from flowtally.agents.recipes import RECIPES, shown
from flowtally.agents.recipes.systemd import UNIT
from flowtally.cli.agent_check import checked
from flowtally.cli.failures import FAILED, PARTLY
from flowtally.cli.grouped import CommandGroup
from flowtally.cli.show.output import say, table
from flowtally.core.errors import ConfigError


class _RunIsMeant(CommandGroup):
    """`agent CONFIG` is `agent run CONFIG`."""

    def parse_args(self, ctx: Any, args: list[str]) -> list[str]:
        if args and args[0] not in self.commands and args[0] not in ("-h", "--help"):
            args = ["run", *args]
        return super().parse_args(ctx, args)


commands = typer.Typer(
    name="agent",
    cls=_RunIsMeant,
    help="Follow logs and count every line once, while they are written. `flowtally agent "
    "CONFIG` means `flowtally agent run CONFIG`.",
)
RUN: Final = """\
\b
Examples:
  flowtally agent /etc/flowtally/agent.toml
  flowtally agent agent.toml --once
  flowtally agent agent.toml --check

\b
It keeps nothing on disk: the server knows how far each log was read. You may kill and start the agent at any time.
SIGTERM and Ctrl-C: it sends what waits, and ends. SIGHUP: it reads CONFIG again.
"""
RECIPE: Final = """\
\b
Examples:
  flowtally agent recipe --list
  flowtally agent recipe squid
  flowtally agent recipe systemd > /etc/systemd/system/flowtally-agent.service
"""


@commands.command("run", epilog=RUN)
def run(
    config: Annotated[Path, typer.Argument(metavar="CONFIG", help="The configuration file (TOML): see docs/agent.md.")],
    once: Annotated[
        bool,
        typer.Option(
            "--once",
            help="Read all that is there, then end. Exit code 1: something is left. Exit code 3: "
            "lines could not be read.",
        ),
    ] = False,
    check_only: Annotated[
        bool, typer.Option("--check", help="Show how lines are read and what the server says. Change nothing, and end.")
    ] = False,
    json: Annotated[bool, typer.Option("--json", help="Write log lines, or what --check found, as JSON.")] = False,
) -> None:
    """Follow logs and count every line once, while they are written."""
    if check_only:
        if checked(config, json=json):
            raise typer.Exit(FAILED)
        return
    one = Agent(config, os.environ, once=once, event_log=EventLog(as_json=json))
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: one.stop())
    signal.signal(signal.SIGHUP, lambda *_: one.reload())
    if not one.run():
        raise typer.Exit(FAILED)
    if once and one.not_counted:
        raise typer.Exit(PARTLY)


@commands.command("recipe", epilog=RECIPE)
def recipe(
    program: Annotated[
        str, typer.Argument(metavar="PROGRAM", help="The program whose log is read (see --list), or systemd.")
    ] = "",
    list_all: Annotated[bool, typer.Option("--list", help="List the programs there are.")] = False,
) -> None:
    """Show what to configure for a program: its log format, the agent's entry and the log rotation, ready to paste."""
    if list_all or not program:
        table(("program", "what"), [*((one.name, one.title) for one in RECIPES.values()), ("systemd", "the service")])
    elif program == "systemd":
        _write(UNIT)
    elif program in RECIPES:
        _write(shown(RECIPES[program]))
    else:
        raise ConfigError(f"no recipe for {program!r}: there are {', '.join(RECIPES)} and systemd")


def _write(text: str) -> None:
    for line in text.splitlines():
        say(line)
