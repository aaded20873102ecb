"""The page of codes: each has a meaning, the usual cause and what to do, and none that can be met is missing."""

from __future__ import annotations

import ast
import importlib
import pkgutil
import re
from collections import Counter
from collections.abc import Iterator, Mapping
from itertools import pairwise
from pathlib import Path
from typing import Any, get_args

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.source_trees import SOURCE, nodes, sources
from typer.main import get_command

import flowtally
from flowtally import config
from flowtally.agents.reasons import REASONS, Reason
from flowtally.api import application  # noqa: F401  importing it declares the operations
from flowtally.api.reference import codes
from flowtally.care.codes import COMPARISONS
from flowtally.cli.app import app
from flowtally.cli.codes import EXIT_CODES, OF_COMMANDS, OF_LOGS, OWN, code_of, of_the_installation, told
from flowtally.client import errors as client_errors
from flowtally.core import counters, errors
from flowtally.core.advice import Advice, advice_of
from flowtally.protocol.receipt_codes import OF_READINGS, RECEIPT_CODES
from flowtally.vendors import VENDORS
from flowtally.vendors.base import Dialect, faults_of
from flowtally.web.operation import OPERATIONS

ROOT = Path(__file__).parent.parent
PAGE = (ROOT / "docs/reference/errors.md").read_text()
OF_CLASSES: Mapping[str, Advice] = {
    **{kind.code: advice_of(kind) for _, kind in codes.tree()},
    **told(tuple(of_the_installation())),
    **told(OF_LOGS + OF_COMMANDS),
}
OF_LISTS: Mapping[str, Advice] = {
    **{f"receipt {code}": one for code, one in RECEIPT_CODES.items()},
    **{f"line {code}": one for code, one in REASONS.items()},
    **{f"command line {code}": one for code, one in OWN.items()},
    **{f"exit {code}": one for code, one in EXIT_CODES.items() if code},
    **{f"verify {code}": one.advice(code) for one in COMPARISONS.values() for code in one.codes},
}
ALL = {**OF_CLASSES, **OF_LISTS}


def calls_of(*names: str, under: str = "") -> Iterator[ast.Call]:
    """Calls of functions and methods of these names."""
    for path in sources(under):
        for node in nodes(path, ast.Call):
            if getattr(node.func, "attr", getattr(node.func, "id", "")) in names:
                yield node


def texts(node: ast.expr) -> Iterator[str]:
    """The texts that the expression can be, as far as it says so itself."""
    if isinstance(node, ast.Constant) and isinstance(node.value, str):
        yield node.value
    elif isinstance(node, ast.IfExp):
        yield from texts(node.body)
        yield from texts(node.orelse)


def first_texts(*names: str, at: int = 0, under: str = "") -> set[str]:
    """The texts that are given to these functions at this place."""
    return {text for call in calls_of(*names, under=under) if len(call.args) > at for text in texts(call.args[at])}


@pytest.mark.parametrize("code", sorted(ALL))
def test_each_code_has_a_meaning_a_usual_cause_and_what_to_do(code: str) -> None:
    said = ALL[code]
    for part in (said.meaning, said.cause, said.do):
        assert part, said
        assert part.endswith((".", "`")) or code.startswith("exit "), part


def test_a_docstring_of_an_error_has_these_three_parts_and_no_other() -> None:
    kinds = (*(kind for _, kind in codes.tree()), *of_the_installation(), *OF_LOGS, *OF_COMMANDS)
    for kind in kinds:
        paragraphs = re.split(r"\n\s*\n", (kind.__dict__.get("__doc__") or "").strip())
        assert [one.split(maxsplit=1)[0] for one in paragraphs[1:]] == ["Cause:", "Do:"], kind


def test_no_class_says_what_another_one_says() -> None:
    said = Counter(part for one in OF_CLASSES.values() for part in (one.meaning, one.cause, one.do))
    assert [part for part, times in said.items() if times > 1] == []


@pytest.mark.parametrize("error", [error for _, error in codes.tree()], ids=lambda error: error.code)
def test_a_meaning_says_more_than_the_title_beside_it(error: type[errors.FlowtallyError]) -> None:
    assert advice_of(error).meaning.split(".")[0].casefold() != error.title.casefold()


def test_no_two_codes_mean_the_same() -> None:
    """Of lists: what to do may be the same for several, what happened is not."""
    meanings = Counter(one.meaning for code, one in ALL.items() if code != "verify counted_twice")
    assert [meaning for meaning, times in meanings.items() if times > 1] == []


def test_every_class_with_a_code_is_on_the_page() -> None:
    """Vendors' own are answered as codes of the vendor."""
    for found in pkgutil.walk_packages(flowtally.__path__, "flowtally."):
        if not found.name.endswith("__main__") and ".migrations." not in found.name:  # these run where they are loaded
            importlib.import_module(found.name)
    waiting: list[type[errors.FlowtallyError]] = [errors.FlowtallyError]
    while waiting:
        kind = waiting.pop()
        waiting += kind.__subclasses__()
        if kind.__module__.startswith("flowtally.") and not kind.__module__.startswith("flowtally.vendors."):
            assert f"### `{kind.code}`" in PAGE, kind


def test_codes_of_the_tree_are_each_of_one_class() -> None:
    counted = Counter(kind.code for _, kind in codes.tree())
    assert [code for code, times in counted.items() if times > 1] == []


def test_every_code_of_a_receipt_is_on_the_page() -> None:
    given = first_texts("Reason", under="ingest") | first_texts("Refused", at=3, under="ingest")
    named = {
        value
        for path in (SOURCE / "ingest").rglob("*.py")
        for value in re.findall(r"^(?:UNKNOWN|NOT_YOUR_ACCOUNT)[^=\n]* = \"(\w+)\"", path.read_text(), re.MULTILINE)
    }
    assert len(given) > 15
    assert (given | named) - RECEIPT_CODES.keys() == set()


@given(
    st.lists(
        st.builds(
            counters.Seen,
            time=st.integers(0, 40).map(lambda seconds: seconds * 1000),
            values=st.tuples(*(st.one_of(st.none(), st.integers(0, 5), st.just(2**32 - 1)) for _ in range(3))),
            epoch=st.sampled_from(["", "a", "b", "2026-03-10T10:00:00Z", "2026-03-10T11:00:00Z"]),
            width=st.sampled_from([32, 64]),
            final=st.booleans(),
            from_zero=st.booleans(),
            max_rate=st.sampled_from([0, 2**33]),
            epoch_derived=st.booleans(),
        ),
        max_size=12,
    ),
    st.integers(0, 11),
)
def test_every_rule_of_readings_is_on_the_page(seen: list[counters.Seen], closed: int) -> None:
    last = None
    for index, one in enumerate(seen):
        done = counters.step(last, one)
        assert done.code in {"", "no_change", *OF_READINGS}
        last = done.standing
        if index == closed:
            last = counters.close(last, one.time, "missing_stop")


def test_every_rule_of_the_page_of_counters_is_on_the_page_of_codes() -> None:
    table = (ROOT / "docs/counters.md").read_text().split("| seen | what counts | code |\n")[1].split("\n\n")[0]
    told = {code for line in table.splitlines() for code in re.findall(r"`(\w+)`", line.rsplit("|", 2)[-2])}
    assert len(told) > 10
    assert told - RECEIPT_CODES.keys() == {"final"}  # a field of a reading


def test_every_code_of_verify_is_on_the_page() -> None:
    given = first_texts("_find", "_differ", under="care") - {""}
    of_rules = first_texts("Fault", under="ledger") | first_texts("partial", at=1, under="ledger/checks")
    given |= {f"ledger_{code}" for code in of_rules}
    named = {code for one in COMPARISONS.values() for code in one.codes}
    in_a_loop = {"counted_twice", "missing_number", "refused_and_stored", "held_and_stored", "beyond_mark"}
    assert given - named == set()
    assert named - given == in_a_loop - given


def test_every_comparison_of_verify_is_on_the_page() -> None:
    """By the names under which findings are listed."""
    source = (SOURCE / "care/verify.py").read_text()
    checks = re.findall(r"^            \(\"([\w-]+)\", ", source, re.MULTILINE)
    assert len(checks) > 8
    assert ["any", *checks] == list(COMPARISONS)


def test_every_reason_for_an_unreadable_line_is_on_the_page() -> None:
    assert set(REASONS) == set(get_args(Reason))


def test_every_exit_code_and_every_code_of_the_command_line_is_on_the_page() -> None:
    given = first_texts("_line", at=1, under="cli")
    assert given - {"config_error"} <= OWN.keys()
    numbers = {
        node.value
        for path in sources("cli")
        for node in nodes(path, ast.Constant)
        if type(node.value) is int
        for line in [path.read_text().splitlines()[node.lineno - 1]]
        if re.match(r"(FAILED|USAGE|PARTLY|UNREACHABLE|INTERRUPTED): Final = ", line) or "typer.Exit(" in line
    }
    assert numbers | {0} == EXIT_CODES.keys()


def test_everything_that_the_agent_says_is_in_its_page() -> None:
    page = (ROOT / "docs/agent.md").read_text()
    said = first_texts("warn", "info", under="agents")
    said |= first_texts("over", "once", "trouble", at=1, under="agents") | first_texts("over", at=2, under="agents")
    assert len(said) > 35
    assert {one for one in said if re.fullmatch(r"[a-z_]+", one) and f"`{one}`" not in page} == set()


def test_every_code_that_a_dialect_alone_has_is_in_its_page() -> None:
    own = re.findall(r"^\| \d+ \| `([^`]+)` .* see \[\w+\]\(\.\./(dialects/\w+\.md)\) \|$", PAGE, re.MULTILINE)
    assert len(own) > 5
    for code, page in own:
        assert code in (ROOT / "docs" / page).read_text(), (code, page)


@pytest.mark.parametrize("dialect", VENDORS, ids=lambda one: one.name)
def test_every_code_that_a_dialect_declares_is_on_the_page(dialect: Dialect) -> None:
    part = PAGE.split(f"### {dialect.title}\n")[1].split("\n#")[0]
    for fault in faults_of(dialect):
        told = msgspec.json.decode(fault.reply.content)
        told = told.get("error", told)
        assert f"| {fault.reply.status} | `{told.get('code', told.get('message'))}` |" in part, fault


def test_the_page_is_made_of_these() -> None:
    for code, one in ALL.items():
        shown = code.split()[-1]
        assert f"`{shown}`" in PAGE, code
        assert " ".join(one.do.split()).replace("|", "\\|") in PAGE, code


# -- What the texts name is there


def everything_said() -> str:
    return "\n".join(part for one in ALL.values() for part in (one.meaning, one.cause, one.do))


def test_every_setting_that_is_named_is_one() -> None:
    named = set(re.findall(r"\bFLOWTALLY_[A-Z_]+", everything_said())) - {"FLOWTALLY_URL", "FLOWTALLY_TOKEN"}
    assert len(named) > 5
    assert named <= {one.variable for one in config.settings()}


def test_every_route_that_is_named_is_served() -> None:
    named = set(re.findall(r"\b((?:GET|POST|PATCH|PUT|DELETE) /v1/[\w/{}]+)", everything_said()))
    assert len(named) > 3
    assert named <= {f"{one.method} {one.path}" for one in OPERATIONS}


def test_every_command_and_option_that_is_named_is_one() -> None:
    commands = set(names_of(get_command(app)))
    named = {tuple(words.split()) for words in re.findall(r"`flowtally ([a-z -]+?)[`A-Z]", everything_said())}
    assert len(named) > 8
    for words in named:
        plain = tuple(word for word in words if not word.startswith("-"))
        assert plain in commands, words
    options = set(re.findall(r"(?<![\w-])(--[a-z-]+)", everything_said()))
    help_texts = (ROOT / "docs/reference/cli.md").read_text()
    assert {one for one in options if one not in help_texts} == set()


def names_of(command: Any, before: tuple[str, ...] = ()) -> Iterator[tuple[str, ...]]:
    yield before
    for name, one in getattr(command, "commands", {}).items():
        yield from names_of(one, (*before, name))


def test_every_page_that_is_named_is_there() -> None:
    named = set(re.findall(r"`(docs/[\w/.]+)`", everything_said()))
    assert named
    assert all((ROOT / one).exists() for one in named)


# -- Reading a docstring


def test_a_docstring_without_parts_has_a_meaning_alone() -> None:
    class Bare(Exception):
        """One line
        and another."""

    assert advice_of(Bare) == Advice("One line and another.")


def test_nothing_is_inherited() -> None:
    class Below(errors.NotFound):
        pass

    assert advice_of(Below) == Advice("")


def test_the_code_of_a_class_is_its_name_in_small_letters() -> None:
    assert code_of(errors.LedgerTooNew) == "ledger_too_new"


def test_the_tree_is_drawn_as_the_classes_form_it() -> None:
    drawn = PAGE.split("```text\n")[1].split("\n```")[0].splitlines()
    names = [re.sub(r"^[│├└─ ]*", "", line).split()[0] for line in drawn]
    assert names == [kind.__name__ for _, kind in codes.tree()]
    depths = [len(re.match(r"[│├└─ ]*", line)[0]) // 4 for line in drawn]  # type: ignore[index]
    assert all(below - above <= 1 for above, below in pairwise(depths))


def test_the_tree_of_the_client_names_its_errors_where_they_stand() -> None:
    drawn: list[tuple[int, str]] = []
    for line in (client_errors.__doc__ or "").splitlines():
        if found := re.match(r"([│├└─ ]*)(\w+)(  |$)", line):
            drawn.append((len(found[1]) // 4, found[2]))
    roots = [errors.FlowtallyError, client_errors.SendingError]
    assert drawn == [one for root in roots for one in depths_of(root)]


def depths_of(kind: type[Exception], depth: int = 0) -> Iterator[tuple[int, str]]:
    yield depth, kind.__name__
    for one in kind.__subclasses__():
        if one.__module__ == client_errors.__name__:
            yield from depths_of(one, depth + 1)
