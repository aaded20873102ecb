"""`flowtally reconcile`: whether a vendor's bill is what was measured, what explains the difference, and the claim."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Annotated, Final

import msgspec
import typer

from flowtally.cli import ask
from flowtally.cli.dates import FROM, TO, Dates
from flowtally.cli.provider import Name
from flowtally.cli.show import output
from flowtally.cli.show.output import Json, document, say, table, when
from flowtally.cli.show.quantities import Write
from flowtally.cli.usage import short
from flowtally.client import ReconciliationAsked
from flowtally.core.units import counted, exact_bytes, human_count, same_unit
from flowtally.core.words import Unit
from flowtally.protocol import (
    KeptReconciliationAnswer,
    KeptReconciliationDetail,
    ReconciliationAnswer,
    ReconciliationRequest,
    ReconciliationRules,
    Sides,
)

EXAMPLES: Final = """\
\b
Examples:
  flowtally reconcile thor-main
  flowtally reconcile thor-main --from 2026-03 --to 2026-04
  flowtally reconcile thor-main --from 2026-03 --to 2026-04 --corrected-since 2026-04-03T00:00:00Z
  flowtally reconcile thor-main --from 2026-03 --to 2026-04 --claim > claim.txt
  flowtally reconcile thor-main --from 2026-03 --to 2026-04 --keep
  flowtally reconcile thor-main --kept rec_0199f2c47b3a7c11a1f0b2c3d4e5f608
  flowtally reconcile thor-main --show-rules > rules.json
  flowtally reconcile thor-main --set-rules rules.json
"""
PARTS: Final = {
    "cut": "another calendar",
    "overhead": "overhead",
    "corrected": "corrected since",
    "late": "late data",
    "rounding": "rounding",
    "only_billed": "only billed",
    "only_measured": "only measured",
    "unexplained": "unexplained",
}
MATCH: Final = {"matches": "matches", "within_tolerance": "within tolerance", "beyond": "beyond tolerance"}
ODD: Final = {
    "lost": "not billed at all",
    "doubled": "billed twice",
    "share": "the same share on top of everything, more than protocols need",
    "constant": "the same amount on top of each span",
}
SHOWN: Final = 20  # oddities


def reconcile(
    name: Name,
    start: Annotated[str | None, typer.Option("--from", help=FROM)] = None,
    end: Annotated[str | None, typer.Option("--to", help=TO)] = None,
    corrected_since: Annotated[
        str | None,
        typer.Option(
            "--corrected-since",
            help="What either side changed after this instant counts as corrected: that of the bill.",
        ),
    ] = None,
    quantity: Annotated[
        Unit | None,
        typer.Option("--quantity", help="What is compared. Default: what the vendor tells its use in."),
    ] = None,
    claim: Annotated[bool, typer.Option("--claim", help="Print the claim sheet, to show to the vendor.")] = False,
    csv: Annotated[bool, typer.Option("--csv", help="Print the claim sheet as CSV.")] = False,
    show_rules: Annotated[
        bool, typer.Option("--show-rules", help="Print by which rules the two sides are compared, as JSON.")
    ] = False,
    set_rules: Annotated[
        Path | None,
        typer.Option("--set-rules", help="Compare by the rules in this JSON file from now on. - is standard input."),
    ] = None,
    keep: Annotated[
        bool, typer.Option("--keep", help="Keep the answer as it is now, to compare with later. Prints its id.")
    ] = False,
    list_kept: Annotated[bool, typer.Option("--list-kept", help="List the answers that were kept.")] = False,
    kept: Annotated[
        str | None, typer.Option("--kept", metavar="ID", help="Compare a kept answer with the same question now.")
    ] = None,
    json: Json = False,
) -> None:
    """Compare what a vendor bills with what was measured: by day and by user, with what explains the difference."""
    if claim + csv + show_rules + (set_rules is not None) + keep + list_kept + (kept is not None) > 1:
        raise typer.BadParameter("choose one of --claim, --csv, --show-rules, --set-rules, --keep, --list-kept, --kept")
    rules = None if set_rules is None else read_rules(set_rules)
    with ask.client() as client:
        account = client.find_provider(name).account
        if show_rules:
            document(client.reconciliation_rules(account, name))
            return
        if rules is not None:
            document(client.set_reconciliation_rules(account, name, rules))
            return
        if list_kept:
            show_list(list(client.kept_reconciliations(account, name)), json=json)
            return
        if kept is not None:
            show_kept(client.kept_reconciliation(account, name, kept), json=json)
            return
        dates = Dates(client, account)
        start, end = dates.range(start, end)
        question = ReconciliationAsked(start=start, end=end, corrected_since=dates.instant(corrected_since))
        question["quantity"] = quantity
        if keep:
            asked = ReconciliationRequest(start, end, question["corrected_since"], quantity)
            made = client.keep_reconciliation(account, name, asked)
            if json:
                document(made)
            else:
                say(made.id)
            return
        if claim or csv:
            output.raw(client.claim_sheet(account, name, "csv" if csv else "text", **question).decode())
            return
        answer = client.reconciliation(account, name, **question)
    if json:
        document(answer)
    else:
        show_reconciliation(answer)


def read_rules(path: Path) -> ReconciliationRules:
    """The rules in a file; BadParameter says what is wrong with them."""
    try:
        text = typer.get_text_stream("stdin").read() if str(path) == "-" else path.read_text(encoding="utf-8")
        return msgspec.json.decode(text, type=ReconciliationRules)
    except (OSError, UnicodeDecodeError, msgspec.MsgspecError) as error:
        raise typer.BadParameter(f"{path}: {error}") from None


def show_list(found: list[KeptReconciliationAnswer], *, json: bool) -> None:
    if json:
        document(found)
        return
    rows = [(one.id, short(one.start), short(one.end), MATCH[one.match], when(one.kept_at)) for one in found]
    table(("id", "from", "to", "then", "kept"), rows)


def show_kept(one: KeptReconciliationDetail, *, json: bool) -> None:
    """What moved since, then the answer of now."""
    if json:
        document(one)
        return
    write = exact_bytes if one.now.quantity == "bytes" else human_count
    say(f"Kept {when(one.kept_at)}: {MATCH[one.kept.match]}. {'Changed since.' if one.changed else 'Nothing changed.'}")
    if one.rules_changed:
        say("The rules have changed since. Both are compared by those of then.")
    elif one.rules_changed is None:
        say("It was kept without its rules. What is compared now is by those of now.")
    if one.changed:
        moved = (one.measured_moved, one.billed_moved, one.unexplained_moved)
        rows = [(what, write(n)) for what, n in zip(("measured", "billed", "unexplained"), moved, strict=True)]
        table(("", "moved by"), rows, right=frozenset({1}))
    say()
    show_reconciliation(one.now)


def show_reconciliation(answer: ReconciliationAnswer) -> None:
    """The whole, the days, the users, and what was found; all in one unit, so that they add up as they are written."""
    sides = [answer.total, *(one.sides for one in answer.spans), *(one.sides for one in answer.users)]
    write: Write = human_count
    if answer.quantity == "bytes":
        write = same_unit((figure for one in sides for figure in figures(one)), aligned=True)
    unit = write(0).removeprefix("0").strip()
    named = f", in {unit}" if unit else ""  # once: with it in each of their cells these tables are too wide to read

    def bare(amount: int) -> str:
        return write(amount).removesuffix(unit).rstrip()

    say(f"{answer.account} at {answer.vendor}, {short(answer.start)} to {short(answer.end)}, days of {answer.zone}")
    say(f"As a whole: {MATCH[answer.match]}", style="bold")
    say()
    rows = [("billed", write(answer.total.billed)), ("measured", write(answer.total.measured))]
    rows.append(("difference", write(answer.total.difference)))
    rows += [(f"  {what}", write(amount)) for part, what in PARTS.items() if (amount := getattr(answer.total, part))]
    table(("", answer.quantity), rows, right=frozenset({1}))
    used = [part for part in PARTS if any(getattr(one, part) for one in sides)]
    columns = ("measured", "billed", "difference", *(PARTS[part] for part in used), "")
    right = frozenset(range(1, len(columns)))

    def row(name: str, one: Sides, verdict: str) -> tuple[str, ...]:
        amounts = (one.measured, one.billed, one.difference, *(getattr(one, part) for part in used))
        return (name, *(bare(amount) if amount or place < 3 else "" for place, amount in enumerate(amounts)), verdict)

    say()
    days = [row(short(one.start), one.sides, verdict_of(one.told, one.settled, one.match)) for one in answer.spans]
    table((f"day{named}", *columns), days, right=right)
    say()
    users = [row(one.user or "(nobody)", one.sides, MATCH[one.match]) for one in answer.users]
    table((f"user{named}", *columns), users, right=right)
    for line in notes(answer, exact_bytes if answer.quantity == "bytes" else human_count):
        say(line)


def figures(one: Sides) -> Iterator[int]:
    yield from (one.measured, one.billed, one.difference, *(getattr(one, part) for part in PARTS))


def verdict_of(told: bool, settled: bool, match: str) -> str:
    if not told:
        return "not told by the vendor"
    return MATCH[match] if settled else f"{MATCH[match]}, may still move"


def notes(answer: ReconciliationAnswer, write: Write) -> Iterator[str]:
    yield ""
    if (cut := answer.cut) is not None and cut.outcome == "claimed" and cut.best is not None:
        yield (
            f"The vendor cuts its days by {cut.best.offset}: that leaves {write(cut.best.residual)} of "
            f"{counted(cut.days, 'day')}, its own calendar {write(cut.declared)}."
        )
    if (share := answer.overhead).outcome == "claimed":
        yield (
            f"Overhead is {percent(share.middle)} of what was measured (half of the days from {percent(share.low)} to "
            f"{percent(share.high)})."
        )
        if share.either:
            yield f"It may as well be {write(share.constant_middle)} a day: the traffic is too even to tell."
    for odd in answer.oddities[:SHOWN]:
        whose = "" if odd.user is None else f", {odd.user or '(nobody)'}"
        yield f"{'All days' if odd.start is None else short(odd.start)}{whose}: {ODD[odd.kind]} ({write(odd.amount)})."
    for name in answer.ambiguous:
        yield f"The {name.side} name {name.name} could be {' or '.join(name.candidates)}: it was taken for neither."
    if (total := answer.total).left_over != abs(total.net):
        yield f"Too much and too little do not cancel out: {write(total.left_over)} are left over in all."
    if answer.disputed_in_all:
        yield f"{counted(answer.disputed_in_all, 'day')} of a user beyond tolerance: --claim lists them."


def percent(millionths: int) -> str:
    size = (abs(millionths) + 50) // 100
    return f"{'-' if millionths < 0 else ''}{size // 100}.{size % 100:02d} %"
