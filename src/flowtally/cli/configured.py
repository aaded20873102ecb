"""Settings for the commands that serve, or work on a data directory: the environment's, with those of the dialects."""

from __future__ import annotations

import os

from flowtally.config import Config, load_config


def configured(**arguments: object) -> Config:
    """As `load_config`, over this process's environment."""
    # Imported here: the dialects load the framework, and most commands only ask a server.
    from flowtally.vendors import VENDORS  # noqa: PLC0415

    return load_config(os.environ, {one.name: one.settings for one in VENDORS}, **arguments)
