"""Writes the modules that are made from other modules, so that nothing is typed twice:

* the methods of `client/asynchronous.py`: a line for each function of `client/calls.py`;
* `client/sync.py`: the same client without its `async` and `await`;
* `protocol/__init__.py`: every public name of the modules beside it.

`python scripts/sources.py` writes them; `--check` says which are stale and exits with 1. It reads text and imports
nothing of ours: a module that is stale may be one that cannot be imported.
"""

from __future__ import annotations

import ast
import re
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Final

SOURCE: Final = Path(__file__).parent.parent / "src" / "flowtally"
MADE: Final = "# Made by scripts/sources.py from {source}: change that, then `make docs`.\n"
LINE_CHARS: Final = 120

# ── client/asynchronous.py: a line for each call

BEGIN: Final = "    # ── every call of `calls`, as a method: these lines are made by scripts/sources.py\n"
END: Final = "    # ── how\n"
HEADING: Final = "# ── "
CARRIED_BY: Final = {"ClientCall": "_ask", "Listing": "_list"}


def asynchronous_client() -> str:
    """The file as it is, with the lines between the two marks made anew."""
    before, _, rest = _read("client/asynchronous.py").partition(BEGIN)
    _, _, after = rest.partition(END)
    assert after, "client/asynchronous.py has lost a mark"
    return before + BEGIN + "".join(_methods(_read("client/calls.py"))) + "\n" + END + after


def _methods(calls: str) -> Iterator[str]:
    """Under the headings that the calls have."""
    headings = {line: text for line, text in enumerate(calls.splitlines(), start=1) if text.startswith(HEADING)}
    above = 0
    for node in ast.parse(calls).body:
        if not isinstance(node, ast.FunctionDef) or node.name.startswith("_"):
            continue
        nearest = max(line for line in headings if line < node.lineno)
        if nearest != above:
            yield f"\n    {headings[nearest]}\n\n"
        above = nearest
        answer = ast.unparse(node.returns.value) if isinstance(node.returns, ast.Subscript) else ""
        assert answer in CARRIED_BY, f"client/calls.py: {node.name} returns none of {', '.join(CARRIED_BY)}"
        yield f"    {node.name} = {CARRIED_BY[answer]}(calls.{node.name})\n"


# ── client/sync.py: the same without waiting

WITHOUT_WAITING: Final = (
    (r"on asyncio\b", "from ordinary code"),
    (r"\nEvery method is awaited; .* `sync\.py`\.\n", ""),
    (r"It belongs to the event loop that uses it\.", "Threads may share it."),
    (r"import AsyncIterator, Awaitable, Callable, Coroutine\b", "import Callable, Iterator"),
    (r"\bCoroutine\[Any, Any, (\w+)\]", r"\1"),
    (r"\bAwaitable\[(.+?)\]", r"\1"),
    (r"\basync for (\w+) in (.+):\n +yield \1\n", r"yield from \2\n"),
    (r"\bfor (\w+) in (.+):\n +yield \1\n", r"yield from \2\n"),
    (r"\basync (def|for|with)\b", r"\1"),
    (r"\bawait ", ""),
    (r"\basynccontextmanager\b", "contextmanager"),
    (r"\b__a(enter|exit)__\b", r"__\1__"),
    (r"\ba(close|read|iter_bytes)\(", r"\1("),
    (r"\bAsync([A-Z]\w*)", r"\1"),
)


def synchronous_client() -> str:
    made = asynchronous_client()
    for pattern, instead in WITHOUT_WAITING:
        made, count = re.subn(pattern, instead, made)
        assert count, f"client/asynchronous.py has no {pattern!r} any more"
    made = made.replace(BEGIN, BEGIN.partition(": these")[0] + "\n")
    left = re.search(r"(?i)\b(async|await)\w*", made)
    assert not left, f"what is {left} without waiting?"
    return MADE.format(source="client/asynchronous.py") + made


# ── protocol/__init__.py: every name of the modules beside it

MESSAGES: Final = '''"""The HTTP messages of our own API, shared by `api/`, `client/`, `agents/` and `cli/`.

Instants are RFC 3339 text, quantities whole numbers (bytes, requests), money whole micro-units with their
currency. One file per subject; `words` holds what they share. Import from here.
"""

from __future__ import annotations

'''
BORROWED: Final = {
    "flowtally.core.corrections": ["MAX_REASON_CHARS", "Correction"],
    "flowtally.core.events": ["UsageEvent as PlainEvent"],
    "flowtally.core.readings": ["Reading"],
    "flowtally.core.samples": ["ServerSample"],
    "flowtally.core.reconciling.facts": ["Tolerances"],
    "flowtally.core.reconciling.names": ["NameRule"],
    "flowtally.core.reconciling.rules": ["NamePair", "ReconciliationRules"],
    "flowtally.core.rights": ["Right", "Scope"],
    "flowtally.core.words": ["Bucket", "GrantState", "JobState", "VoucherStatus"],
}
NO_MESSAGES: Final = frozenset({"__init__", "meanings", "receipt_codes"})  # what messages mean, for who describes them


def protocol() -> str:
    """The imports and `__all__`, in the order that the linter wants."""
    found = dict(BORROWED)
    for path in (SOURCE / "protocol").glob("*.py"):
        if path.stem not in NO_MESSAGES:
            found[f"flowtally.protocol.{path.stem}"] = _public(path)
    imports = "".join(_import(module, names) for module, names in sorted(found.items()))
    names = sorted((name.split()[-1] for names in found.values() for name in names), key=_order)
    listed = "".join(f'    "{name}",\n' for name in names)
    return MADE.format(source="the modules beside it") + MESSAGES + imports + f"\n__all__ = [\n{listed}]\n"


def _public(path: Path) -> list[str]:
    """What a module defines for others, in its own text."""
    names: list[str] = []
    for node in ast.parse(path.read_text(encoding="utf-8")).body:
        if isinstance(node, (ast.ClassDef, ast.FunctionDef)):
            names.append(node.name)
        elif isinstance(node, (ast.Assign, ast.AnnAssign)):
            targets = node.targets if isinstance(node, ast.Assign) else [node.target]
            names += [target.id for target in targets if isinstance(target, ast.Name)]
    return [name for name in names if not name.startswith("_")]


def _import(module: str, names: list[str]) -> str:
    ordered = sorted(names, key=_order)
    line = f"from {module} import {', '.join(ordered)}\n"
    if len(line) <= LINE_CHARS + 1:
        return line
    return f"from {module} import (\n" + "".join(f"    {name},\n" for name in ordered) + ")\n"


def _order(name: str) -> tuple[bool, bool, str]:
    """Constants, classes, functions."""
    return not name.isupper(), name[0].islower(), name


# ── all of them

MAKERS: Final[dict[str, Callable[[], str]]] = {
    "client/asynchronous.py": asynchronous_client,
    "client/sync.py": synchronous_client,
    "protocol/__init__.py": protocol,
}


def _read(name: str) -> str:
    return (SOURCE / name).read_text(encoding="utf-8")


def main() -> int:
    old = [name for name, make in MAKERS.items() if _read(name) != make()]
    if "--check" not in sys.argv[1:]:
        for name in old:
            (SOURCE / name).write_text(MAKERS[name](), encoding="utf-8")
    elif old:
        sys.stderr.write(f"stale: {', '.join(old)} in src/flowtally; run `make docs`\n")
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
