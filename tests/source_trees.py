"""The source of flowtally as syntax trees: parsed and walked once in a process, for all tests that read it.

To parse it takes half a second and makes half a million objects, which the garbage collector, were it left to, would
look through again and again.
"""

from __future__ import annotations

import ast
import gc
from collections.abc import Iterator
from functools import cache
from pathlib import Path
from typing import Final, TypeVar

SOURCE: Final = Path(__file__).parent.parent / "src" / "flowtally"
Node = TypeVar("Node", bound=ast.AST)


def sources(under: str = "") -> list[Path]:
    """The modules of a folder of the source, and of all folders in it."""
    top = SOURCE / under
    return [path for path in _nodes() if path.is_relative_to(top)]


def tree(path: Path) -> ast.Module:
    return next(nodes(path, ast.Module))


def nodes(path: Path, *kinds: type[Node]) -> Iterator[Node]:
    """Every node of these kinds in a module."""
    for kind in kinds:
        yield from _nodes()[path].get(kind, ())  # type: ignore[misc]


@cache
def _nodes() -> dict[Path, dict[type[ast.AST], list[ast.AST]]]:
    gc.disable()
    found = {path: _walked(ast.parse(path.read_text())) for path in sorted(SOURCE.rglob("*.py"))}
    gc.freeze()
    gc.enable()
    return found


def _walked(tree: ast.Module) -> dict[type[ast.AST], list[ast.AST]]:
    """All nodes by their kind: `ast.walk`, in half its time."""
    found: dict[type[ast.AST], list[ast.AST]] = {}
    waiting: list[ast.AST] = [tree]
    for node in waiting:  # it grows while it is gone through
        found.setdefault(type(node), []).append(node)
        for value in vars(node).values():
            if isinstance(value, ast.AST):
                waiting.append(value)
            elif isinstance(value, list):
                waiting += [one for one in value if isinstance(one, ast.AST)]
    return found
