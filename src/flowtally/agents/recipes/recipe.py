"""What a program must be told so that its log can be metered, and what the agent must be told to read it: one value.

The format string is in it once: the lines for the program and the entry for the agent are both made of it, and the
tests configure the real programs with these lines.
"""

from __future__ import annotations

import json
import textwrap
from collections.abc import Mapping
from typing import Any, Final, Literal

import msgspec

WIDTH: Final = 110


class Recipe(msgspec.Struct, frozen=True, kw_only=True):
    """`lines` go to `place`. `entry` is the agent's: its table (`log`, `journal`, `syslog`) and keys. `rotate` is a
    file of logrotate. `counts` says what is counted, `cannot` what the program cannot tell or must not be asked."""

    name: str
    title: str
    place: str
    lines: str
    table: Literal["log", "journal", "syslog"] = "log"
    entry: Mapping[str, Any]
    rotate: str = ""
    counts: str
    cannot: tuple[str, ...] = ()


def shown(recipe: Recipe) -> str:
    """All of it, to be read and pasted; what is no configuration is a comment."""
    blocks = [
        _comment(f"{recipe.title}: {recipe.counts}"),
        *(_comment(f"- {one}", "  ") for one in recipe.cannot),
        "",
        _heading(f"1. {recipe.title}: {recipe.place}"),
        recipe.lines.rstrip("\n"),
        "",
        _heading("2. The agent's configuration"),
        entry_text(recipe),
    ]
    if recipe.rotate:
        blocks += ["", _heading("3. logrotate, unless the package's own file for this directory does so already")]
        blocks.append(recipe.rotate.rstrip("\n"))
    return "\n".join(blocks) + "\n"


def entry_text(recipe: Recipe) -> str:
    """The entry as TOML."""
    keys = {**recipe.entry, "account": "ACCOUNT"}
    return "\n".join([f"[[{recipe.table}]]", *(f"{name} = {_toml(value)}" for name, value in keys.items())])


def rotation(path: str, create: str, command: str) -> str:
    """A file of logrotate: `create` and not `copytruncate`, which loses what is written between the two; the first old
    file is left uncompressed, since the program may still write to it."""
    return f"""\
{path} {{
    daily
    rotate 14
    missingok
    notifempty
    compress
    delaycompress
    create {create}
    sharedscripts
    postrotate
        {command}
    endscript
}}
"""


def _toml(value: Any) -> str:
    if isinstance(value, str):
        plain = "'" not in value and value.isprintable()
        return f"'{value}'" if plain and ('"' in value or "\\" in value) else json.dumps(value, ensure_ascii=False)
    if isinstance(value, (list, tuple)):
        return "[" + ", ".join(map(_toml, value)) + "]"
    return json.dumps(value)


def _heading(text: str) -> str:
    return f"# -- {text} --"


def _comment(text: str, indent: str = "") -> str:
    return textwrap.fill(text, WIDTH, initial_indent="# ", subsequent_indent="# " + indent, break_on_hyphens=False)
