"""What an import read and did, for people: figures, whom they are of, how lines were read, what gave trouble."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Final

from flowtally.agents.look import Look, Sample
from flowtally.agents.report import SHOWN, ImportReport, LineProblem
from flowtally.cli.show import unpaid
from flowtally.cli.show.cells import cells, cut, left, shorten
from flowtally.cli.show.layout import aligned
from flowtally.cli.show.output import printable, say, width
from flowtally.core.units import counted, human_count, same_unit

TROUBLE: Final = "yellow"
MAX_NAME: Final = 40
# Every line that was read belongs to nobody: the option that says whose it is was forgotten.
NAMELESS: Final = """\
Nothing says whose these lines are. Run it again with --account ACCOUNT, or take
  the account from the user: --user-from 'user:(?P<account>[^-]+)-(?P<user>.+)'"""


def show_report(report: ImportReport, most: int = SHOWN, *, samples: bool = True) -> None:
    """What this run did, what it read, then the first lines that gave trouble, `most` of each kind."""
    if report.resumed_at:
        say(f"went on after line {human_count(report.resumed_lines)} (byte {human_count(report.resumed_at)})")
    kind = f" ({report.kind})" if report.kind else ""
    say(f"{counted(report.lines, 'line')}{kind}: {_counts(report)}", style="bold")
    if report.read.requests or report.read.users:
        show_look(report.read, samples=samples)
    for note in report.notes if report.lines else ():
        say(f"note: {note}", style="dim")
    _show_left(report)
    _show_problems("unreadable", report.reasons, report.first_unreadable, most)
    if "no_account" in report.reasons and not report.events:
        say(NAMELESS)
    _show_held(report)
    _show_problems("refused or in conflict", report.refused_for, report.first_refused, most)
    unpaid.show_events(report.never_paid, report.more_never_paid)
    _show_source(report)


def show_look(look: Look, *, samples: bool = True) -> None:
    """Figures, users, and how lines were read."""
    first, last = look.first_at, look.last_at
    more = "more than " if look.more_users else ""
    write = same_unit(_quantities(look), aligned=True)
    _fact("up", _bytes(look.bytes_up, write))
    _fact("down", _bytes(look.bytes_down, write))
    _fact("requests", human_count(look.requests))
    _fact("users", f"{more}{human_count(look.users)}")
    if first:
        _fact("time", first if first == last else f"{first} to {last}")
    accounts = len({one.account for one in look.largest}) > 1
    if look.largest:
        say("  largest users", style="bold")
        rows = [
            (_name(one.account, one.user, accounts), f"up {write(one.bytes_up)}",
             f"down {write(one.bytes_down)}", counted(one.requests, "request"))
            for one in look.largest
        ]  # fmt: skip
        for line in aligned(("", "", "", ""), rows, frozenset({1, 2, 3}))[1:]:
            say(f"    {line}")
    if look.odd_users:
        rest = look.odd_users - len(look.odd)
        say(
            "  names that may be none" + (f", the first of {human_count(look.odd_users)}" if rest else ""),
            style=TROUBLE,
        )
        odd = [(_name(one.account, one.user, accounts), counted(one.requests, "request"), one.why) for one in look.odd]
        for line in aligned(("", "", ""), odd, frozenset({1}))[1:]:
            say(f"    {line}")
    if samples and look.samples:
        say("  read as", style="bold")
        for sample in look.samples:
            show_sample(sample)


def show_sample(sample: Sample) -> None:
    """A line and, under it, what it was read as."""
    say("    " + _cut(sample.excerpt, 4), style="dim")
    said = (
        ("time", sample.time or ""), ("account", sample.account), ("user", sample.user), ("product", sample.product),
        ("up", human_count(sample.bytes_up)), ("down", human_count(sample.bytes_down)),
        ("requests", human_count(sample.requests) if sample.requests != 1 else ""),
        ("status", str(sample.status) if sample.status else ""),
    )  # fmt: skip
    line = ""
    for name, text in said:
        if not text and name != "user":
            continue
        piece = f"{name} {_short(text) or 'nobody'}"
        if line and cells(line) + cells(piece) + 2 > width() - 6:
            say(f"      {line}")
            line = ""
        line += ("  " if line else "") + piece
    say(f"      {line}")


def _show_left(report: ImportReport) -> None:
    if report.damage:
        say(report.damage, style=TROUBLE)
    if report.waiting_bytes:
        count = "1 byte waits" if report.waiting_bytes == 1 else f"{human_count(report.waiting_bytes)} bytes wait"
        say(
            f"{count} after the last newline, maybe half a line; --last-line takes it, of a finished log", style=TROUBLE
        )
    if report.nul_bytes:
        say(f"{human_count(report.nul_bytes)} NUL bytes left out: nothing was written there (copytruncate, or a crash)")


def _show_source(report: ImportReport) -> None:
    state = report.state
    if report.dry_run or not (state or report.sequence):
        return
    say(f"source {printable(report.source)}, last number {human_count(report.sequence)}")
    if state is None:
        return
    least, most = ("at least ", "at most ") if state.more_refused else ("", "")
    stored, held, refused = (human_count(count) for count in (state.stored, state.held, state.refused))
    say(f"in all {most}{stored} stored, {held} held, {least}{refused} refused", style=TROUBLE if state.held else "")
    if state.held:
        say("what is held counts by itself when its reason has passed; see `flowtally held list`", style=TROUBLE)


def _show_held(report: ImportReport) -> None:
    if report.held:
        events = "1 event is" if report.held == 1 else f"{human_count(report.held)} events are"
        say(f"{events} held by the server, and count once the reason has passed:", style=TROUBLE)
    for reason, count in report.held_for.items():
        say(f"  {human_count(count)}: {printable(reason)}{_remedy(reason)}")
    for one in report.first_held:
        _show_line(one)


def _remedy(reason: str) -> str:
    return "; create it and they count" if reason.startswith("there is no account") else ""


def _counts(report: ImportReport) -> str:
    """`12 stored, 3 duplicate`: stored always, the others when there are any."""
    if report.dry_run:
        counts = [("would be sent", report.events), ("unreadable", report.unreadable), ("skipped", report.skipped)]
        return ", ".join(f"{human_count(count)} {name}" for name, count in counts if count or name == "would be sent")
    named = [
        (name, getattr(report, name))
        for name in ("stored", "duplicate", "conflict", "refused", "unreadable", "skipped")
    ]
    return ", ".join(f"{human_count(count)} {name}" for name, count in named if count or name == "stored")


def _show_problems(what: str, reasons: dict[str, int], first: tuple[LineProblem, ...], most: int) -> None:
    if not reasons:
        return
    by_reason = ", ".join(f"{human_count(count)} {printable(reason)}" for reason, count in reasons.items())
    say(f"{human_count(sum(reasons.values()))} {what} ({by_reason}), the first:", style=TROUBLE)
    shown = set[str]()
    for index, one in enumerate(first):
        if index < most or one.reason not in shown:
            shown.add(one.reason)
            _show_line(one)


def _show_line(one: LineProblem) -> None:
    say(f"  line {human_count(one.line)}: {one.detail or one.reason} ({one.reason})")
    if one.excerpt:
        say("    " + _cut(one.excerpt, 4), style="dim")


def _fact(name: str, text: str) -> None:
    say(f"  {left(name, 8)}  {text}")


def _quantities(look: Look) -> Iterator[int]:
    """What is written in one unit, so that users add up to the whole as they are written."""
    yield from (look.bytes_up, look.bytes_down)
    for one in look.largest:
        yield from (one.bytes_up, one.bytes_down)


def _bytes(count: int, write: Callable[[int], str]) -> str:
    """For reading and for copying."""
    digits = counted(count, "byte")
    return digits if count < 1000 else f"{write(count)} ({digits})"


def _name(account: str, user: str, accounts: bool) -> str:
    shown = _short(user) or "(nobody)"
    return f"{_short(account)}/{shown}" if accounts else shown


def _short(text: str) -> str:
    return shorten(printable(text), MAX_NAME)


def _cut(text: str, indent: int) -> str:
    return cut(printable(text), width() - indent).rstrip()
