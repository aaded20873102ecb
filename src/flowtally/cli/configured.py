"""Settings for the commands that serve, or work on a data directory: the environment's, with those of the dialects;
and the options by which such a command is told where its stores are."""

from __future__ import annotations

import os
from typing import Annotated

import typer

from flowtally.cli.installed import need_server
from flowtally.config import Config, load_config, settings
from flowtally.core.choices import listed
from flowtally.core.errors import ConfigError

UsageUrl = Annotated[
    str | None, typer.Option("--usage-url", help="URL of the usage store. Default: in the data directory.")
]
LedgerUrl = Annotated[
    str | None,
    typer.Option("--ledger-url", help="URL of the ledger (accounts, grants, money). Default: in the data directory."),
]
KeysUrl = Annotated[
    str | None, typer.Option("--keys-url", help="URL of the event keys. Default: in the data directory.")
]


def configured(**arguments: object) -> Config:
    """As `load_config`, over this process's environment. ServerNotInstalled where only the client is:
    who calls this imports the server afterwards."""
    need_server()
    # Imported here: the dialects load the framework, and most commands only ask a server.
    from flowtally.vendors import VENDORS  # noqa: PLC0415

    return load_config(os.environ, {one.name: one.settings for one in VENDORS}, **arguments)


def configured_for(data: str, **arguments: object) -> Config:
    """The same for a data directory that is there. ConfigError where it is not."""
    config = configured(data=data, **arguments)
    if not config.data_dir.is_dir():
        raise ConfigError(f"data = {config.data!r}: there is no such directory")
    return config


def help_of(name: str) -> str:
    """What an option says that is a setting: its meaning, and the words it takes."""
    [one] = [one for one in settings() if one.name == name]
    return f"{one.description.removesuffix('.')}: {listed(one.values)}." if one.values else one.description
