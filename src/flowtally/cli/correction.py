"""`flowtally correction`: what is right of an event, and amounts that belong to no event."""

from __future__ import annotations

from typing import Annotated, Final

import typer
import uuid_utils

from flowtally import clock
from flowtally.cli import ask
from flowtally.cli.account import Account
from flowtally.cli.dates import Dates
from flowtally.cli.grouped import Group
from flowtally.cli.output import Json, document, facts, note, say, table, when
from flowtally.corrections import DEFAULT_SOURCE, Correction, EventRef, Expected, Quantities
from flowtally.edges import format_instant
from flowtally.protocol import CorrectionsAnswer, EventAnswer
from flowtally.units import human_count, parse_amount

commands = typer.Typer(name="correction", help="Corrections: right quantities, voids, free adjustments.", cls=Group)

Source = Annotated[str, typer.Argument(metavar="SOURCE", help="The source of the event.")]
Event = Annotated[str, typer.Argument(metavar="EVENT", help="Its id, or its number where the source is numbered.")]
Reason = Annotated[str, typer.Option("--reason", help="Why; kept with the correction.")]
Own = Annotated[
    str | None, typer.Option("--id", help="The correction's own id: the same id counts once, for ever. Default: made.")
]
OwnSource = Annotated[str, typer.Option("--as-source", help="The correction's own source.")]
EVENT: Final = """\
\b
Examples:
  flowtally correction event gateway-1 0199f2c4-7b3a-7c11-a1f0-b2c3d4e5f607 --down 40000 --expects-down 50000
  flowtally correction event squid-1 4711 --void --reason "counted by two gateways"
"""
ADJUST: Final = """\
\b
Example:
  flowtally correction adjust acme --down=-5GB --product residential --reason "outage of 1 March"
"""
SHOW: Final = """\
\b
Examples:
  flowtally correction show squid-1 4711
  flowtally correction show corrections 0199f2c4-7b3a-7c11-a1f0-b2c3d4e5f607
"""
COLUMNS: Final = ("correction", "source", "received", "up", "down", "requests", "reason")


@commands.command("event", epilog=EVENT)
def event(
    source: Source,
    id: Event,
    up: Annotated[int | None, typer.Option("--up", min=0, help="The right bytes up.")] = None,
    down: Annotated[int | None, typer.Option("--down", min=0, help="The right bytes down.")] = None,
    requests: Annotated[int | None, typer.Option("--requests", min=0, help="The right requests.")] = None,
    void: Annotated[bool, typer.Option("--void", help="It counts for nothing.")] = False,
    expects_up: Annotated[int | None, typer.Option("--expects-up", help="Only if it stands at so many now.")] = None,
    expects_down: Annotated[int | None, typer.Option("--expects-down", help="The same for bytes down.")] = None,
    expects_requests: Annotated[int | None, typer.Option("--expects-requests", help="The same for requests.")] = None,
    reason: Reason = "",
    own: Own = None,
    own_source: OwnSource = DEFAULT_SOURCE,
    json: Json = False,
) -> None:
    """Say what is right of an event; what is left out stays as it stands."""
    expected = (expects_up, expects_down, expects_requests)
    _send(
        Correction(
            id=own or _made_id(),
            source=own_source,
            corrects=EventRef(source, id),
            bytes_up=up,
            bytes_down=down,
            requests=requests,
            void=void,
            expects=None if expected == (None, None, None) else Expected(*expected),
            reason=reason,
        ),
        json,
    )


@commands.command("adjust", epilog=ADJUST)
def adjust(
    account: Account,
    reason: Annotated[str, typer.Option("--reason", help="Why; needed.")],
    up: Annotated[str, typer.Option("--up", help="Bytes up to add, as 5GB or -5GB.")] = "0",
    down: Annotated[str, typer.Option("--down", help="Bytes down to add, as 5GB or -5GB.")] = "0",
    requests: Annotated[str, typer.Option("--requests", help="Requests to add.")] = "0",
    user: Annotated[str, typer.Option("--user", help="Whose; default nobody's.")] = "",
    product: Annotated[str, typer.Option("--product", help="Which product's; it decides the pool.")] = "",
    time: Annotated[
        str | None, typer.Option("--time", help="When it counts: a date or an instant. Default: now.")
    ] = None,
    own: Own = None,
    own_source: OwnSource = DEFAULT_SOURCE,
    json: Json = False,
) -> None:
    """Add to an account's use, or take from it, where no event is wrong. Repeat it with the same --id and --time."""
    with ask.client() as client:
        at = Dates(client, account).instant(time)
    _send(
        Correction(
            id=own or _made_id(),
            source=own_source,
            account=account,
            user=user,
            product=product,
            time=at or format_instant(clock.now_ms()),
            bytes_up=signed(up),
            bytes_down=signed(down),
            requests=signed(requests),
            reason=reason,
        ),
        json,
    )


@commands.command("show", epilog=SHOW)
def show(source: Source, id: Event, json: Json = False) -> None:
    """An event, its corrections, and what it stands at; or a correction by its own source and id."""
    with ask.client() as client:
        answer = client.event(source, id)
    if json:
        document(answer)
        return
    if answer.kind == "use":
        _show(answer)
    else:
        _show_entry(answer)


def signed(text: str) -> int:
    """`-5GB` as a whole number, or a usage error."""
    sign, amount = (-1, text[1:]) if text.startswith("-") else (1, text.removeprefix("+"))
    try:
        return sign * parse_amount(amount)
    except ValueError as error:
        raise typer.BadParameter(f"{error}") from None


def _made_id() -> str:
    return str(uuid_utils.uuid7())


def _send(one: Correction, json: bool) -> None:
    with ask.client() as client:
        answer = client.send_corrections([one])
    if json:
        document(answer)
    else:
        _tell(answer)
    if answer.conflict or answer.refused:
        raise typer.Exit(1)


def _tell(answer: CorrectionsAnswer) -> None:
    [receipt] = answer.receipts
    if receipt.status in ("conflict", "refused"):
        note(f"{receipt.status}: {receipt.detail} ({receipt.code})", style="red")
        return
    told = {"correction": receipt.id, "source": receipt.source, "status": receipt.status, "note": receipt.detail}
    amounts = (("stood at", receipt.before), ("added", receipt.added), ("stands at", receipt.after))
    facts(told | {name: _words(amount) for name, amount in amounts if amount is not None})


def _words(amount: Quantities) -> str:
    up, down, requests = (human_count(n) for n in (amount.bytes_up, amount.bytes_down, amount.requests))
    return f"{up} bytes up, {down} bytes down, {requests} requests"


def _show(answer: EventAnswer) -> None:
    received = Quantities(answer.bytes_up, answer.bytes_down, answer.requests)
    told = {"event": answer.id, "source": answer.source, "status": answer.status, "why": answer.detail}
    told |= {"account": answer.account, "user": answer.user, "product": answer.product, "time": answer.time or ""}
    facts(told | {"received as": _words(received), "stands at": _words(answer.sum or received)})
    if answer.corrections:
        say()
        rows = [
            (
                one.id,
                one.source,
                when(one.received_at),
                *(human_count(n) for n in (one.added.bytes_up, one.added.bytes_down, one.added.requests)),
                one.reason,
            )
            for one in answer.corrections
        ]
        table(COLUMNS, rows, right=frozenset({3, 4, 5}))


def _show_entry(answer: EventAnswer) -> None:
    """A correction or adjustment: what it added to which event, or to whose use."""
    told = {answer.kind: answer.id, "source": answer.source}
    if answer.corrects is not None:
        told |= {"corrects": answer.corrects.id, "of source": answer.corrects.source}
    told |= {"account": answer.account, "user": answer.user, "product": answer.product, "time": answer.time or ""}
    added = Quantities(answer.bytes_up, answer.bytes_down, answer.requests)
    told |= {"received": answer.received_at or "", "block": str(answer.block), "reason": answer.reason}
    facts(told | {"added": _words(added)})
