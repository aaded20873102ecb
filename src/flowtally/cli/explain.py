"""`flowtally explain`: how a balance came about, as an account book. Figures are whole, so they can be added up."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Annotated, Final

import typer

from flowtally.cli import ask
from flowtally.cli.account import Account
from flowtally.cli.dates import At, Dates
from flowtally.cli.show import unpaid
from flowtally.cli.show.output import AsOf, Json, document, printable, say, table, when
from flowtally.core.units import counted, human_count
from flowtally.protocol import Behind, ExplainAnswer, GrantExplained, Paid, PoolExplained, SpanExplained, Unpaid

EXAMPLES: Final = """\
\b
Examples:
  flowtally explain acme
  flowtally explain acme --user shop-7
  flowtally explain acme --at 2026-07-01T00:00:00Z --top 20
"""
GRANTS: Final = ("grant", "state", "from", "until", "amount", "spent", "unspent")
SPANS: Final = ("from", "to", "what", "amount")
ROWS: Final = ("dated", "kind", "source", "id", "user", "product", "amount", "reason")
FATES: Final = {
    "open": "unpaid, waits for a grant",
    "before_carry": "unpaid, before carry from",
    "forgiven": "forgiven",
}
FIRST: Final = "1970-01-01T00:00:00Z"


def explain(
    account: Account,
    user: Annotated[
        str | None, typer.Option("--user", help="Explain the balance of this funded user (id or present name).")
    ] = None,
    at: At = None,
    top: Annotated[
        int, typer.Option("--top", min=0, max=50, help="How many rows to show of each of the spans with the most use.")
    ] = 5,
    as_of: AsOf = None,
    json: Json = False,
) -> None:
    """Explain a balance: every grant, what was used between grants, and what paid for it."""
    with ask.client() as client:
        dates = Dates(client, account)
        at, as_of = dates.instant(at), dates.known(as_of)
        answer = (
            client.explain(account, at=at, top=top, as_of=as_of)
            if user is None
            else client.explain_user(account, user, at=at, top=top, as_of=as_of)
        )
    if json:
        document(answer)
        return
    show_explanation(answer)


def show_explanation(answer: ExplainAnswer) -> None:
    """Pool by pool: the sums, the grants, the spans, the rows behind them."""
    whose = f"{printable(answer.user)} of {printable(answer.account)}" if answer.user_id else printable(answer.account)
    say(f"{whose} at {answer.at}, all that was committed up to {answer.block}", style="bold")
    if answer.user_id and not answer.pools:
        say(f"{printable(answer.account)} pays for its use.")
    for name, pool in answer.pools.items():
        say()
        say(f"{printable(name)}, in {pool.balance.unit}", style="bold")
        for line in _sums(pool):
            say("  " + line)
        names = {one.grant.id: one.grant.reference or one.grant.id for one in pool.grants}
        if pool.grants:
            say()
            table(GRANTS, [_grant(one) for one in pool.grants], right=frozenset({4, 5, 6}))
        entries = [*_entries(pool, names)]
        if entries:
            say()
            table(SPANS, entries, right=frozenset({3}))
        rows = [_behind(row) for span in pool.spans for row in span.largest]
        if rows:
            say()
            say("The rows that count most:")
            table(ROWS, rows, right=frozenset({6}))
    if answer.never_paid:
        say()
        unpaid.show(answer.account, answer.never_paid, user=answer.user)


def _sums(pool: PoolExplained) -> Iterator[str]:
    b = pool.balance
    yield _equation(
        (("granted", b.granted),),
        (("spent", b.spent), ("left", b.left), ("pending", b.pending), ("expired", b.expired), ("voided", b.voided)),
    )
    yield _equation(
        (("used", pool.used), ("drawn", pool.drawn)),
        (("spent", b.spent), ("overage", b.overage), ("forgiven", pool.forgiven), ("credit", -b.credit)),
    )


def _equation(left: tuple[tuple[str, int], ...], right: tuple[tuple[str, int], ...]) -> str:
    return f"{_side(left)} = {_side(right)}"


def _side(terms: tuple[tuple[str, int], ...]) -> str:
    """The first term always, of the others those that are not zero."""
    shown = [terms[0], *(term for term in terms[1:] if term[1])]
    text = ""
    for index, (name, value) in enumerate(shown):
        sign = "" if index == 0 else (" - " if value < 0 else " + ")
        text += f"{sign}{name} {human_count(value if index == 0 else abs(value))}"
    return text


def _grant(one: GrantExplained) -> tuple[str, ...]:
    grant = one.grant
    until = when(grant.expires_at) or "never ends"
    if grant.voided_at:
        until = f"voided {when(grant.voided_at)}"
    amounts = (human_count(n) for n in (grant.amount, grant.spent or 0, one.unspent))
    return (grant.reference or grant.id, grant.state or "", when(grant.starts_at), until, *amounts)


def _entries(pool: PoolExplained, names: dict[str, str]) -> Iterator[tuple[str, str, str, str]]:
    """Spans and draws in order of time: what was used, of which, and below it what paid."""
    spans = [(one.start, _span(one, names)) for one in pool.spans]
    draws = [
        (one.at, [(when(one.at), "", f"draw {one.draw}", one.amount), *_cover(one.paid, one.unpaid, names)])
        for one in pool.draws
    ]
    for _, lines in sorted([*spans, *draws], key=lambda pair: pair[0]):
        for start, end, what, amount in lines:
            yield start, end, what, human_count(amount)


def _span(span: SpanExplained, names: dict[str, str]) -> list[tuple[str, str, str, int]]:
    start = "the beginning" if span.start == FIRST else when(span.start)
    lines = [(start, when(span.end), f"used ({counted(span.rows, 'row')})", span.used)]
    if span.corrections or span.adjustments:
        kinds = (("events", span.events), ("corrections", span.corrections), ("adjustments", span.adjustments))
        lines += [("", "", f"  of that {word}", amount) for word, amount in kinds if amount]
    lines += _cover(span.paid, span.unpaid, names)
    if span.credit:
        lines.append(("", "", "  becomes credit, or lessens what waits", -span.credit))
    return lines


def _cover(paid: list[Paid], unpaid: list[Unpaid], names: dict[str, str]) -> list[tuple[str, str, str, int]]:
    lines = [("", "", f"  paid by {names.get(one.grant, one.grant) or 'credit'}", one.amount) for one in paid]
    return lines + [("", "", f"  {FATES[one.fate]}", one.amount) for one in unpaid]


def _behind(row: Behind) -> tuple[str, ...]:
    kind = f"corrects {row.corrects.source} {row.corrects.id}" if row.corrects else row.kind
    return (
        row.time,
        "event" if kind == "use" else kind,
        row.source,
        row.id,
        row.user,
        row.product,
        human_count(row.amount),
        row.reason,
    )
