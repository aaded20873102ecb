"""Writes the pages of docs/reference/ from the code: settings, command line, error codes, routes.

`python scripts/docs.py` writes them; `--check` says which are stale and exits with 1. Nothing on these pages is kept
by hand: a description that reads badly is mended where it stands in the code. `readmes` does the same for the tables of
files in the README.md of each folder of the source; before all of it `sources` writes or checks the modules that are
made from other modules.
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, get_args

import msgspec

ROOT = Path(__file__).parent.parent
sys.path.insert(0, str(ROOT))

from scripts import readmes, sources

if __name__ == "__main__" and sources.main():  # first: what is imported below is partly made by it
    sys.exit(1)

from flowtally.agents.reasons import REASONS
from flowtally.api import application  # noqa: F401  importing it declares the operations
from flowtally.api.reference import codes
from flowtally.care.codes import COMPARISONS
from flowtally.cli.app import helps
from flowtally.cli.codes import EXIT_CODES, OF_COMMANDS, OF_LOGS, OWN, code_of, of_the_installation
from flowtally.cli.codes import told as told_by
from flowtally.config import Setting, settings
from flowtally.core import errors
from flowtally.core.advice import Advice, advice_of
from flowtally.core.rights import INSTALLATION, MEANINGS, Right, scopes_with
from flowtally.vendors import VENDORS
from flowtally.vendors.base import Dialect, faults_of
from flowtally.web.call import Reply
from flowtally.web.metrics import listed
from flowtally.web.operation import OPERATIONS, Operation

PAGES = ROOT / "docs" / "reference"
MADE = "<!-- Made by scripts/docs.py from {source}: change it there, then `make docs`. -->\n\n"
WORDS = ("Words are explained in the [glossary](../glossary.md).", "")


def settings_page() -> str:
    """Every setting of `serve`, from `config.Config`."""
    lines = [
        "# Settings",
        "",
        *WORDS,
        "Each setting is a variable of the environment. Some are options of `flowtally serve`, too; an option wins. "
        "A variable that is empty (`FLOWTALLY_HOST=`) counts as not set. `true` and `false` are written so. "
        "The command line's own two, `FLOWTALLY_URL` and `FLOWTALLY_TOKEN`, are in [the command line](cli.md).",
        "",
        "| variable | meaning | default |",
        "|---|---|---|",
    ]
    lines += [_setting(one) for one in settings()]
    for dialect in VENDORS:
        lines += [
            "",
            f"## {dialect.title}",
            "",
            dialect.description,
            "",
            "| variable | meaning | default |",
            "|---|---|---|",
        ]
        lines += [_setting(one) for one in settings(dialect.settings, dialect.name)]
    return MADE.format(source="`config.Config` and `vendors/*/settings.py`") + "\n".join(lines) + "\n"


def _setting(one: Setting) -> str:
    words = "".join(f"<br>`{value}`: {meaning}" for value, meaning in one.values.items())
    return f"| `{one.variable}` | {cell(one.description)}{cell(words)} | {_default(one.name, one.default)} |"


def _default(name: str, value: object) -> str:
    inside = {"data": "by platform", "usage_url": "chdb, in the data directory"}
    inside |= {"ledger_url": "SQLite, in the data directory", "keys_url": "SQLite, in the data directory"}
    if name in inside:
        return inside[name]
    if value in (None, ""):
        return "not set"
    return f"`{str(value).lower()}`" if isinstance(value, bool) else f"`{value}`"


def metrics_page() -> str:
    """Every metric of a server, from `web.metrics` and `web.metric_names`."""
    lines = [
        "# Metrics",
        "",
        *WORDS,
        "What a server tells at `GET /metrics` in the text format of Prometheus. Who may read it is a "
        "[setting](settings.md) (`FLOWTALLY_METRICS`). All is about the server, nothing about a customer. "
        "[Deploying](../deploy.md#prometheus) has the configuration for Prometheus and alert rules. Counters are of "
        "this process unless they say otherwise: they begin at 0 with each start. The agent has "
        "[metrics of its own](../agent.md#metrics).",
        "",
        "| metric | kind | labels | meaning |",
        "|---|---|---|---|",
    ]
    for name, kind, labels, meaning in listed():
        shown = ", ".join(f"`{label}`" for label in filter(None, labels.split(", ")))
        lines.append(f"| `{name}` | {kind} | {shown} | {cell(meaning)} |")
    return MADE.format(source="`web/metrics.py` and `web/metric_names.py`") + "\n".join(lines) + "\n"


def errors_page() -> str:
    """Every code that a server, the command line or an import tells: what happened, the usual cause, what to do."""
    lines = [
        "# Codes of errors",
        "",
        *WORDS,
        "Errors are problem details (RFC 9457), `application/problem+json`. Programs look at `code`: codes are "
        "[stable](../stability.md), texts may change. `detail` says what is wrong, with the values. The other members "
        "depend on the code. Here is for each code what happened, the usual cause, and what to do.",
        "",
        "| where a code comes from | list |",
        "|---|---|",
        "| `code` of a problem that `/v1` answers | [the tree](#the-tree) |",
        "| `code` in a receipt for an event, a correction or a reading | [receipts](#receipts) |",
        "| the word in parentheses in an error of the command line | [the command line](#the-command-line) |",
        "| `code` of an answer in the format of another vendor | [dialects](#dialects) |",
        "| how a command ended | [exit codes](#exit-codes-of-the-command-line) |",
        "| a line of a log that was not counted | [unreadable lines](#unreadable-lines) |",
        "| what `flowtally verify` finds | [verify](#what-verify-finds) |",
        "| what the agent says | [the agent](../agent.md#what-it-says) |",
        "",
        "## The tree",
        "",
        "A code below another one is a special case of it. A program that does not know it can treat it like the one "
        "above.",
        "",
        "```text",
        *_tree_of(errors.FlowtallyError),
        "```",
    ]
    for _, error in codes.tree():
        lines += ["", f"### `{error.code}`", "", f"{error.status} · {error.title}", "", *_paragraphs(advice_of(error))]
    lines += ["", "## Receipts", "", "[Events](../events.md#receipts) says which receipts there are."]
    for name, told in codes.RECEIPTS.items():
        lines += ["", f"### {name}", "", *_told(told)]
    lines += ["", "## Dialects", ""]
    lines.append(
        "A dialect answers in the words of its vendor. Each row names our codes that the vendor's code stands for: "
        "their causes and remedies are the same. In the tree, a code also stands for those below it that no row names."
    )
    for dialect in VENDORS:
        lines += ["", f"### {dialect.title}", "", "| HTTP | code | says | stands for |", "|---|---|---|---|"]
        lines += _codes_of(dialect)
    lines += ["", "## The command line", "", "An error is one line: what is wrong, a code, and often what to do."]
    lines += ["A code of the server is in [the tree](#the-tree). These come from the command itself.", ""]
    lines += [*_told({**OWN, **told_by(OF_COMMANDS)}), "", "### Imports", "", *_told(told_by(OF_LOGS))]
    lines += ["", "### Data that is not as it was left", ""]
    lines += ["A start, a restore or a command on the files themselves ends so. Nothing is served then.", ""]
    lines += ["```text", *_tree_of(errors.ConfigError), *_tree_of(errors.Damage), "```", ""]
    lines += _told(told_by(tuple(of_the_installation())))
    lines += ["", "## Exit codes of the command line", ""]
    lines += _told({str(code): told for code, told in EXIT_CODES.items()})
    lines += ["", "## Unreadable lines", "", *_told(REASONS)]
    lines += ["", "## What verify finds", "", "`GET /v1/verify` and `flowtally verify` list findings with these codes."]
    for check, one in COMPARISONS.items():
        lines += ["", f"### `{check}`", "", f"{one.meaning} **Usual cause.** {one.cause} **What to do.** {one.do}", ""]
        lines += ["| code | what it says |", "|---|---|"]
        lines += [f"| `{code}` | {cell(text)} |" for code, text in one.codes.items()]
    return MADE.format(source="the docstrings and lists beside the code") + "\n".join(lines) + "\n"


def _paragraphs(told: Advice) -> list[str]:
    return [told.meaning, "", f"**Usual cause.** {told.cause}", "", f"**What to do.** {told.do}"]


def _told(codes: Mapping[Any, Advice]) -> list[str]:
    lines = ["| code | what happened | usual cause | what to do |", "|---|---|---|---|"]
    for code, one in codes.items():
        lines.append(f"| `{code}` | {cell(one.meaning)} | {cell(one.cause)} | {cell(one.do)} |")
    return lines


def _codes_of(dialect: Dialect) -> list[str]:
    """What the dialect answers to each error of the tree, and what it declares beyond them."""
    groups: dict[tuple[int, str], list[type[errors.FlowtallyError]]] = {}
    texts: dict[tuple[int, str], str] = {}
    for _, kind in codes.tree():
        if kind in (errors.HeadTooLarge, errors.ClientGone):  # refused before the path is looked at; heard by nobody
            continue
        place, text = _answered(dialect.fail(kind("`detail`")))
        groups.setdefault(place, []).append(kind)
        texts.setdefault(place, text)
    own = [_answered(fault.reply) for fault in faults_of(dialect)]
    lines = []
    for place, kinds in groups.items():
        first = [kind for kind in kinds if not kinds_above(kind) & set(kinds)]
        named = ", ".join(f"[`{kind.code}`](#{kind.code})" for kind in first)
        lines.append(f"| {place[0]} | `{place[1]}` | {cell(texts[place])} | {named} |")
    page = f"nothing of ours: see [{dialect.title}](../dialects/{dialect.name}.md)"
    lines += [f"| {place[0]} | `{place[1]}` | {cell(text)} | {page} |" for place, text in own if place not in groups]
    return lines


def kinds_above(kind: type) -> set[type]:
    return {one for one in kind.__mro__[1:] if issubclass(one, errors.FlowtallyError)} - {errors.FlowtallyError}


def _answered(reply: Reply) -> tuple[tuple[int, str], str]:
    """Status and code of an answer of a dialect, and its text."""
    told = msgspec.json.decode(reply.content)
    told = told.get("error", told)
    text = told.get("msg") or told.get("message")
    return (reply.status, str(told.get("code", text))), text


def _tree_of(kind: type[Exception]) -> list[str]:
    """The class and those below it, as they are declared."""
    shown = f"{kind.status} {kind.code}" if issubclass(kind, errors.FlowtallyError) else code_of(kind)
    lines = [f"{kind.__name__}  {shown}"]
    below = [one for one in kind.__subclasses__() if one.__module__ == errors.__name__]
    for one in below:
        branch, rest = ("└── ", "    ") if one is below[-1] else ("├── ", "│   ")
        first, *others = _tree_of(one)
        lines += [f"{branch}{first}", *(f"{rest}{line}" for line in others)]
    return lines


def cli_page() -> str:
    """The help text of every command, as the terminal shows it."""
    lines = ["# Command line", "", *WORDS]
    lines += ["What to do about each is on [the page of codes](errors.md#exit-codes-of-the-command-line).", ""]
    lines += ["| exit code | meaning |", "|---|---|"]
    lines += [f"| {code} | {told.meaning} |" for code, told in EXIT_CODES.items()]
    for name, text in helps():
        lines += ["", f"## {name}", "", "```text", text.rstrip(), "```"]
    return MADE.format(source="the commands in `cli/`") + "\n".join(lines) + "\n"


def routes_page() -> str:
    """Every operation of the API, and the right it needs."""
    lines = [
        "# Routes",
        "",
        *WORDS,
        "A server gives the whole contract, with messages and examples, as a page at `/docs` and as OpenAPI 3.1 at "
        "`/schema/openapi.json` ([clients from it](../openapi.md)). "
        "Writes take an `Idempotency-Key`. What a right is and which scope has it: [rights](rights.md).",
        "",
        "| route | does | right |",
        "|---|---|---|",
    ]
    for one in sorted(OPERATIONS, key=lambda one: (one.path, one.method)):
        lines.append(f"| `{one.method} {one.path}` | {cell(one.summary)} | {_right(one)} |")
    for dialect in VENDORS:
        lines += ["", f"## {dialect.title}", "", dialect.description, "", "| route | does | right |", "|---|---|---|"]
        for route in dialect.routes:
            lines.append(f"| `{route.method} {route.path}` | {cell(route.summary)} | `{route.may}` |")
    return MADE.format(source="the operations in `api/` and the routes of `vendors/`") + "\n".join(lines) + "\n"


def _right(op: Operation) -> str:
    """What a credential needs to ask it."""
    if op.right is None:
        if op.asks is not None:
            return f"`{op.asks}`, unless a setting lets in others"
        return "every credential" if op.may == "own" else "open to all"
    more = "; or `events:write`, of what it sent" if op.or_sent else "; or of itself" if op.itself else ""
    return f"`{op.right}`{more}"


def rights_page() -> str:
    """Every right: what it is good for, and which scopes have it."""
    lines = [
        "# Rights",
        "",
        *WORDS,
        "What a credential may ask for: the rights of its scope, and those it was given beyond them. A credential of "
        "an account has them there alone; one of no account for all. **of all**: about the whole installation, so "
        "that no credential of an account can have it. Nobody gives a right that they do not have. Examples are in "
        "[operating](../operations.md#rights-no-more-than-it-takes).",
        "",
        "| right | good for | scopes | operations |",
        "|---|---|---|---|",
    ]
    for right in get_args(Right):
        scopes = ", ".join(scopes_with(right))
        whole = " (**of all**)" if right in INSTALLATION else ""
        asked = [f"`{one.method} {one.path}`" for one in OPERATIONS if right in (one.right, one.asks)]
        asked += [
            f"`{route.method} {route.path}`" for dialect in VENDORS for route in dialect.routes if route.may == right
        ]
        lines.append(f"| `{right}` | {cell(MEANINGS[right])}{whole} | {scopes} | {'<br>'.join(asked)} |")
    return MADE.format(source="`core/rights.py` and the operations") + "\n".join(lines) + "\n"


def cell(text: str) -> str:
    """`text` on one line of a table."""
    return " ".join(text.split()).replace("|", "\\|")


MAKERS: dict[str, Callable[[], str]] = {
    "settings.md": settings_page,
    "metrics.md": metrics_page,
    "errors.md": errors_page,
    "cli.md": cli_page,
    "routes.md": routes_page,
    "rights.md": rights_page,
}


def stale() -> list[str]:
    """The names of the pages that are not what the code says now."""
    return [name for name, make in MAKERS.items() if not _same(PAGES / name, make())]


def _same(path: Path, text: str) -> bool:
    return path.exists() and path.read_text(encoding="utf-8") == text


def main() -> int:
    if "--check" in sys.argv[1:]:
        old = stale()
        if old:
            sys.stderr.write(f"stale: {', '.join(old)} in docs/reference; run `make docs`\n")
        return 1 if old else 0
    PAGES.mkdir(parents=True, exist_ok=True)
    for name, make in MAKERS.items():
        (PAGES / name).write_text(make(), encoding="utf-8")
    return 0


if __name__ == "__main__":
    sys.exit(max(readmes.main(), main()))
