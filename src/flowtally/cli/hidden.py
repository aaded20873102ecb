"""A secret asked for in a terminal, where nothing of it is shown."""

from __future__ import annotations

import getpass

import typer


def hidden(prompt: str) -> str:
    """What was typed. Ctrl-C or Ctrl-D instead of an answer stops the command (`typer.Abort`), on a line of its own."""
    try:
        return getpass.getpass(prompt)
    except (KeyboardInterrupt, EOFError):
        typer.echo(err=True)
        raise typer.Abort from None
