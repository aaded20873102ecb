"""`flowtally correction`: what is right of an event, and amounts that belong to no event."""

from __future__ import annotations

from typing import Annotated, Final

import typer
import uuid_utils

from flowtally.cli import ask
from flowtally.cli.account import Account
from flowtally.cli.dates import Dates
from flowtally.cli.grouped import CommandGroup
from flowtally.cli.show.output import Json, document, facts, note, say, table, when
from flowtally.cli.show.quantities import amount
from flowtally.core import clock
from flowtally.core.corrections import DEFAULT_SOURCE, Correction, EventRef, Expected, Quantities
from flowtally.core.edges import format_instant
from flowtally.core.units import counted, human_count
from flowtally.protocol import CorrectionsAnswer, EventAnswer

commands = typer.Typer(
    name="correction", help="Corrections: put an event right, void it, or adjust an account's use.", cls=CommandGroup
)

Source = Annotated[str, typer.Argument(metavar="SOURCE", help="The source of the event.")]
Event = Annotated[str, typer.Argument(metavar="EVENT", help="The event's id; in a numbered source its number.")]
Reason = Annotated[str, typer.Option("--reason", help="Why you do it. The text is kept on record.")]
Own = Annotated[
    str | None,
    typer.Option(
        "--id", help="The correction's own id. The same id counts only once, for ever. Default: a generated one."
    ),
]
OwnSource = Annotated[str, typer.Option("--as-source", help="The source of the correction itself.")]
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
    up: Annotated[str | None, typer.Option("--up", help="The right bytes up, such as 5GB or 40000.")] = None,
    down: Annotated[str | None, typer.Option("--down", help="The right bytes down, such as 5GB or 40000.")] = None,
    requests: Annotated[str | None, typer.Option("--requests", help="The right number of requests.")] = None,
    void: Annotated[bool, typer.Option("--void", help="The event counts for nothing.")] = False,
    expects_up: Annotated[
        str | None, typer.Option("--expects-up", help="Refuse unless the event counts this many bytes up now.")
    ] = None,
    expects_down: Annotated[
        str | None, typer.Option("--expects-down", help="Refuse unless the event counts this many bytes down now.")
    ] = None,
    expects_requests: Annotated[
        str | None, typer.Option("--expects-requests", help="Refuse unless the event counts this many requests now.")
    ] = None,
    reason: Reason = "",
    own: Own = None,
    own_source: OwnSource = DEFAULT_SOURCE,
    json: Json = False,
) -> None:
    """Say what is right about an event. What you leave out stays as it is."""
    expected = (
        _given(expects_up, "--expects-up"),
        _given(expects_down, "--expects-down"),
        _given(expects_requests, "--expects-requests"),
    )
    _send(
        Correction(
            id=own or _made_id(),
            source=own_source,
            corrects=EventRef(source, id),
            bytes_up=_given(up, "--up"),
            bytes_down=_given(down, "--down"),
            requests=_given(requests, "--requests"),
            void=void,
            expects=None if expected == (None, None, None) else Expected(*expected),
            reason=reason,
        ),
        json,
    )


@commands.command("adjust", epilog=ADJUST)
def adjust(
    account: Account,
    reason: Annotated[str, typer.Option("--reason", help="Why you do it. The text is kept on record.")],
    up: Annotated[str, typer.Option("--up", help="Bytes up to add, as 5GB or -5GB.")] = "0",
    down: Annotated[str, typer.Option("--down", help="Bytes down to add, as 5GB or -5GB.")] = "0",
    requests: Annotated[str, typer.Option("--requests", help="Requests to add.")] = "0",
    user: Annotated[str, typer.Option("--user", help="The user's name. Default: nobody.")] = "",
    product: Annotated[str, typer.Option("--product", help="The product. It decides the pool.")] = "",
    time: Annotated[
        str | None,
        typer.Option("--time", help="The time at which it counts: a date or an instant (RFC 3339). Default: now."),
    ] = None,
    own: Own = None,
    own_source: OwnSource = DEFAULT_SOURCE,
    json: Json = False,
) -> None:
    """Add to an account's use, or take from it, where no single event is wrong. If you repeat the command, give the
    same --id and --time."""
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
            bytes_up=signed(up, "--up"),
            bytes_down=signed(down, "--down"),
            requests=signed(requests, "--requests"),
            reason=reason,
        ),
        json,
    )


@commands.command("show", epilog=SHOW)
def show(source: Source, id: Event, json: Json = False) -> None:
    """Show an event, its corrections, and what it counts now; or a correction, by its own source and id."""
    with ask.client() as client:
        answer = client.event(source, id)
    if json:
        document(answer)
        return
    if answer.kind == "use":
        _show(answer)
    else:
        _show_entry(answer)


def signed(text: str, option: str) -> int:
    """`-5GB` as a whole number, or a usage error that names the option."""
    sign, given = (-1, text[1:]) if text.startswith("-") else (1, text.removeprefix("+"))
    return sign * amount(given, option)


def _given(text: str | None, option: str) -> int | None:
    """`5GB` as a whole number, and None where nothing was said."""
    return None if text is None else amount(text, option)


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
    quantities = (("before", receipt.before), ("added", receipt.added), ("counts now", receipt.after))
    facts(told | {name: _words(one) for name, one in quantities if one is not None})


def _words(one: Quantities) -> str:
    up, down = counted(one.bytes_up, "byte"), counted(one.bytes_down, "byte")
    return f"{up} up, {down} down, {counted(one.requests, 'request')}"


def _show(answer: EventAnswer) -> None:
    received = Quantities(answer.bytes_up, answer.bytes_down, answer.requests)
    told = {"event": answer.id, "source": answer.source, "status": answer.status, "why": answer.detail}
    told |= {"account": answer.account, "user": answer.user, "product": answer.product, "time": answer.time or ""}
    facts(told | {"as received": _words(received), "counts now": _words(answer.sum or received)})
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
