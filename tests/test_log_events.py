"""What the server and the agent log are events with names: one style, and each of them is on a page."""

from __future__ import annotations

import ast
import re
from collections.abc import Collection, Iterable, Iterator
from pathlib import Path
from typing import Final

from tests.source_trees import SOURCE, nodes, sources

DOCS: Final = SOURCE.parents[1] / "docs"
LEVELS: Final = frozenset({"debug", "info", "warning", "error", "exception", "say"})
TOLD: Final = {"info": 0, "warn": 0, "once": 1, "over": 1}  # by the agent's event log: which argument the event is
CODE: Final = "not a text: error.code"  # a store that fails is logged under the code of the error, which has this style
NAME: Final = re.compile(r"[a-z][a-z0-9]*(_[a-z0-9]+)*")


def _calls(files: Iterable[Path], names: Collection[str]) -> Iterator[tuple[str, ast.Call]]:
    """Every call of a method or function of these names, or of one of two, with what stands before the brackets."""
    for file in files:
        for node in nodes(file, ast.Call):
            one = node.func.body if isinstance(node.func, ast.IfExp) else node.func
            if getattr(one, "attr", getattr(one, "id", "")) in names:
                yield ast.unparse(one), node


def _names(argument: ast.expr) -> Iterator[str]:
    """The events an argument may be: a text, or one of two."""
    match argument:
        case ast.IfExp(body=one, orelse=other):
            yield from _names(one)
            yield from _names(other)
        case ast.Constant(value=str(text)):
            yield text
        case _:
            yield f"not a text: {ast.unparse(argument)}"


def server_events() -> set[str]:
    found: set[str] = set()
    files = (file for file in sources() if file.relative_to(SOURCE).parts[0] not in ("agents", "client", "cli"))
    for function, call in _calls(files, LEVELS):
        name, _, level = function.rpartition(".")
        if level in LEVELS and (name in ("log", "self._log") or (level == "say" and call.keywords and not name)):
            found |= set(_names(call.args[0]))
    return found - {CODE}


def agent_events() -> set[str]:
    found: set[str] = set()
    for function, call in _calls(sources("agents"), TOLD):
        name, _, verb = function.rpartition(".")
        if name.endswith("event_log") and verb in TOLD and len(call.args) > TOLD[verb]:
            found |= {one for one in _names(call.args[TOLD[verb]]) if not one.startswith("not a text")}
    return found


def listed(page: str, heading: str) -> set[str]:
    """The events in the first column of the table under a heading."""
    section = (DOCS / page).read_text().split(heading, 1)[1].split("\n## ", 1)[0]
    firsts = [line.split("|")[1] for line in section.splitlines() if line.startswith(("| `", "| **"))]
    return {name for first in firsts for name in re.findall(r"`([^`]+)`", first)}


def test_events_are_named_in_one_style() -> None:
    events = server_events() | agent_events()
    assert len(events) > 60
    assert [one for one in sorted(events) if not NAME.fullmatch(one)] == []


def test_every_event_of_the_server_is_on_the_page_of_operations() -> None:
    assert listed("operations.md", "### Events of the log") == server_events()


def test_every_event_of_the_agent_is_on_its_page() -> None:
    assert agent_events() - listed("agent.md", "| event | meaning |") == set()
