"""Which kind of test one is, by what it uses: `quick`, or `engine`, or `process`, or both of these.

`engine`: it opens chDB in this process. `process`: it starts a program: a server, an agent, Squid, PostgreSQL, a shell.
`quick`: neither, and not `slow`; `make quick` runs these. Nobody has to set these marks: what a test reaches by its
fixtures and through the functions of tests/ is looked up in their code. Where the product itself starts something,
the module says so (`pytestmark = pytest.mark.process`).

None can lie: while a test without the mark runs, a program that is started and an engine that is opened are refused,
and the test fails even where the product lives with the refusal.
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator
from functools import _lru_cache_wrapper, cache
from pathlib import Path
from types import CodeType, FunctionType, ModuleType
from typing import Any, Final

import pytest

TESTS: Final = Path(__file__).parent
OURS: Final = (TESTS, TESTS.parent / "bench")
ENGINE: Final = "engine"
PROCESS: Final = "process"
QUICK: Final = "quick"
SOAK: Final = "soak"
# What starts something, by module and name, and what makes a campaign.
STARTERS: Final = {
    ("subprocess", "Popen"): PROCESS,
    ("subprocess", "run"): PROCESS,
    ("os", "fork"): PROCESS,
    ("flowtally.usage.engine", "Engine"): ENGINE,
    ("flowtally.usage.open", "open_usage"): ENGINE,
    ("flowtally.agents.counters.asking", "run"): PROCESS,
    ("scripts.audit", "main"): PROCESS,
    ("hypothesis.core", "given"): SOAK,
}
WAYS: Final = ("flushed", "in the tail", "half", "while flushing")  # how rows may lie: tests/usage/ways.py
EVENTS: Final = frozenset({"subprocess.Popen", "os.exec", "os.fork", "os.forkpty", "os.posix_spawn", "os.system"})
# Parameters of fixtures: what they start, if anything.
PARAMETERS: Final[dict[object, frozenset[str]]] = {
    "memory": frozenset(),
    "sqlite": frozenset(),
    "chdb": frozenset({ENGINE}),
    **dict.fromkeys(WAYS, frozenset({ENGINE})),
    "server": frozenset({PROCESS}),
    "postgresql": frozenset({PROCESS, "system"}),
}
FIXTURES: Final = {"postgres": frozenset({PROCESS, "system"})}
_of_fixtures: Final[dict[str, dict[str, frozenset[str]]]] = {}  # by test, what its fixtures start


def mark(item: pytest.Item) -> None:
    """Give it the marks of its kind, and `soak` to a test of hypothesis."""
    for kind in _kinds(item):
        item.add_marker(kind)
    if _is_of_hypothesis(getattr(item, "obj", None)):
        item.add_marker(SOAK)
    marks = {mark.name for mark in item.iter_markers()}
    if "system" in marks:
        item.add_marker(PROCESS)
    elif not marks & {ENGINE, PROCESS, "slow"}:
        item.add_marker(QUICK)


def weight(item: pytest.Item) -> float:
    """About how many seconds it takes, by its kind: enough to know long files from short ones."""
    seconds = {"slow": 60.0, SOAK: 1.0, PROCESS: 3.0, ENGINE: 0.5}
    return sum(seconds[mark.name] for mark in item.iter_markers() if mark.name in seconds) or 0.05


def _kinds(item: pytest.Item) -> frozenset[str]:
    if not isinstance(item, pytest.Function):
        return frozenset()
    test = item.nodeid.partition("[")[0]  # whatever its case
    if test not in _of_fixtures:
        _of_fixtures[test] = {name: kinds for name in item.fixturenames if (kinds := _of_fixture(item, name))}
    known = _of_fixtures[test]
    if hasattr(item, "callspec"):
        parameters = {name: str(value) for name, value in item.callspec.params.items()}
        known = known | {name: PARAMETERS[value] for name, value in parameters.items() if value in PARAMETERS}
    return _of_function(_inner(item.function)).union(*known.values())


def _is_of_hypothesis(test: object) -> bool:
    """Where nothing has imported hypothesis, no test is one of it."""
    hypothesis = sys.modules.get("hypothesis")
    return hypothesis is not None and bool(hypothesis.is_hypothesis_test(test))


def _of_fixture(item: pytest.Function, name: str) -> frozenset[str]:
    functions = [_inner(fixture.func) for fixture in item._fixtureinfo.name2fixturedefs.get(name, ())]
    return FIXTURES.get(name, frozenset()).union(*map(_of_function, functions))


def _inner(function: Callable[..., Any]) -> Callable[..., Any]:
    """What the author wrote, of a test of hypothesis or of one with decorators."""
    function = getattr(getattr(function, "hypothesis", None), "inner_test", function)
    while hasattr(function, "__wrapped__"):
        function = function.__wrapped__
    return function


@cache
def _of_function(function: Callable[..., Any]) -> frozenset[str]:
    found: set[str] = set()
    seen: set[int] = set()
    waiting: list[Any] = [function]
    while waiting:
        one = waiting.pop()
        if id(one) not in seen:
            seen.add(id(one))
            starts, more = _uses(one)
            found |= starts
            waiting += more
    return frozenset(found)


@cache
def _uses(one: Any) -> tuple[set[str], list[Any]]:
    """What it starts itself, and what of tests/ it uses."""
    if isinstance(one, type):
        return set(), [part for part in vars(one).values() if isinstance(_unbound(part), FunctionType)]
    function = _unbound(one)
    if not isinstance(function, FunctionType):
        return set(), []
    found = list(_named(function))
    starts = {STARTERS[name] for value in found if (name := _name(value)) in STARTERS}
    return starts, [value for value in found if _is_ours(value)]


def _unbound(part: Any) -> Any:
    """The function of a method, a property or a decorated function."""
    if isinstance(part, property):
        part = part.fget
    if isinstance(part, (staticmethod, classmethod)):
        part = part.__func__
    return _inner(part) if isinstance(part, (FunctionType, _lru_cache_wrapper)) else part


def _is_ours(value: Any) -> bool:
    """Of tests/ or bench/, whatever name its module was imported by."""
    return _is_our_module(_name(value)[0])


@cache
def _is_our_module(name: str) -> bool:
    file = Path(getattr(sys.modules.get(name), "__file__", None) or "/")
    return any(file.is_relative_to(place) for place in OURS)


def _name(value: Any) -> tuple[str, str]:
    value = _unbound(value)
    return str(getattr(value, "__module__", "")), str(getattr(value, "__name__", ""))


def _named(function: FunctionType) -> Iterator[Any]:
    """The functions and classes it names, and the classes of values: globals, parts of modules, what it imports."""
    names = set(_names(function.__code__))
    closure = [cell.cell_contents for cell in function.__closure__ or () if _filled(cell)]
    known = [*closure, *(function.__globals__[name] for name in names if name in function.__globals__)]
    modules = [one for one in known if isinstance(one, ModuleType)]
    modules += [sys.modules[name] for name in names if name in sys.modules]
    for module in modules:
        known += [vars(module)[name] for name in names if name in vars(module)]
    for one in map(_unbound, known):
        yield one if isinstance(one, (FunctionType, type)) else type(one)


def _filled(cell: Any) -> bool:
    try:
        return cell.cell_contents is not None
    except ValueError:
        return False


def _names(code: CodeType) -> Iterator[str]:
    yield from code.co_names
    for constant in code.co_consts:
        if isinstance(constant, CodeType):
            yield from _names(constant)


class Guard:
    """Refuses what the running test has no mark for. `broken`: what was refused."""

    def __init__(self) -> None:
        self.broken: list[str] = []
        self._item: pytest.Item | None = None

    def begin(self, item: pytest.Item) -> None:
        self._item, self.broken = item, []
        self._watch_engine()

    def end(self) -> None:
        self._item = None

    def hear(self, event: str, arguments: tuple[Any, ...]) -> None:
        """An audit hook (PEP 578): it cannot be taken off again, and hears all of the process."""
        if event in EVENTS:
            self.need(PROCESS, f"{event} {arguments[0] if arguments else ''}".strip())

    def need(self, kind: str, what: str) -> None:
        if self._item is not None and self._item.get_closest_marker(kind) is None:
            self.broken.append(f"{what}: the test has no mark `{kind}` (tests/kinds.py)")
            raise RuntimeError(self.broken[-1])

    def _watch_engine(self) -> None:
        """Its opening, once it is imported."""
        module = sys.modules.get("flowtally.usage.engine")
        if module is None or hasattr(module.Engine, "watched"):
            return
        opened = module.Engine.__init__

        def watched(engine: Any, url: str, **more: Any) -> None:
            if url.startswith("chdb:"):
                self.need(ENGINE, f"an engine was opened at {url}")
            opened(engine, url, **more)

        module.Engine.__init__, module.Engine.watched = watched, True


GUARD: Final = Guard()
