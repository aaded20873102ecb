"""How commands show themselves: a group without a command shows its help, and a command with many options shows them in
groups, in plain text."""

from __future__ import annotations

import re
from typing import Any, Final

import typer
from typer.core import TyperCommand, TyperGroup

BELOW_ZERO: Final = re.compile(r"-\.?\d")


def example(command: str) -> str:
    """The end of a help text that shows how it is typed: on one line however narrow the terminal, to be copied."""
    return f"\b\nExample:\n  {command}\n"


class CommandGroup(TyperGroup):
    """Without anything after its name it answers with its help, as `--help` does."""

    def parse_args(self, ctx: Any, args: list[str]) -> list[str]:
        if not args and not ctx.resilient_parsing:
            typer.echo(ctx.get_help())
            raise typer.Exit(0)
        return super().parse_args(ctx, args)


class Signed(TyperCommand):
    """An amount below zero (`-12.34`) is an argument, where others would take it for an option."""

    def parse_args(self, ctx: Any, args: list[str]) -> list[str]:
        ctx.ignore_unknown_options = any(BELOW_ZERO.match(one) for one in args)
        return super().parse_args(ctx, args)


class Grouped(TyperCommand):
    """Panels in the order of their first option, then what has none."""

    def format_options(self, ctx: Any, formatter: Any) -> None:
        groups: dict[str, list[tuple[str, str]]] = {}
        for parameter in self.get_params(ctx):
            record = parameter.get_help_record(ctx)
            if record is None:
                continue
            panel = getattr(parameter, "rich_help_panel", None)
            is_argument = parameter.param_type_name == "argument"
            groups.setdefault("Arguments" if is_argument else panel or "Options", []).append(record)
        for name in sorted(groups, key=lambda name: name == "Options"):
            with formatter.section(name):
                formatter.write_dl(groups[name])
