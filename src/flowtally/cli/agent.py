"""`flowtally agent`: follow logs, and send what was used as it is written."""

from __future__ import annotations

import os
import signal
from pathlib import Path
from typing import Annotated, Final

import typer

from flowtally.agents.follow.agent import Agent
from flowtally.agents.follow.voice import Voice
from flowtally.cli.failures import FAILED

EXAMPLES: Final = """\
\b
Examples:
  flowtally agent /etc/flowtally/agent.toml
  flowtally agent agent.toml --once

\b
It keeps nothing on disk: the server knows how far each log was read, so it may be killed and started at any time.
SIGTERM and Ctrl-C send what waits and end it, SIGHUP makes it read CONFIG again.
"""


def agent(
    config: Annotated[Path, typer.Argument(metavar="CONFIG", help="The configuration, in TOML: see docs/agent.md.")],
    once: Annotated[
        bool, typer.Option("--once", help="Read all that is there, then end: with 1 where something was left.")
    ] = False,
    json: Annotated[bool, typer.Option("--json", help="Write log lines as JSON.")] = False,
) -> None:
    """Follow logs and count every line once, as it is written."""
    one = Agent(config, os.environ, once=once, voice=Voice(as_json=json))
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: one.stop())
    signal.signal(signal.SIGHUP, lambda *_: one.reload())
    if not one.run():
        raise typer.Exit(FAILED)
