"""`flowtally audit`: who changed what."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import islice
from typing import Annotated, Final

import typer

from flowtally.cli import ask
from flowtally.cli.dates import Dates
from flowtally.cli.show.output import Json, document, note, say, table, when
from flowtally.protocol import AuditAnswer

EXAMPLES: Final = """\
\b
Examples:
  flowtally audit --account acme --since 2026-03-01T00:00:00Z
  flowtally audit --action credential.revoke --json
  flowtally audit --own acme        what an account's own key may see
"""
COLUMNS: Final = ("number", "at", "action", "account", "subject", "by", "address")


def audit(
    account: Annotated[str | None, typer.Option("--account", help="Only changes of this account.")] = None,
    credential: Annotated[str | None, typer.Option("--credential", help="Only changes that this key made.")] = None,
    action: Annotated[
        str | None, typer.Option("--action", help="Only changes of this kind, such as grant.give.")
    ] = None,
    subject: Annotated[str | None, typer.Option("--subject", help="Only changes of the thing with this id.")] = None,
    since: Annotated[
        str | None, typer.Option("--since", help="Only from here on: a date (UTC) or an instant (RFC 3339).")
    ] = None,
    until: Annotated[
        str | None, typer.Option("--until", help="Only before this date (UTC) or instant (RFC 3339).")
    ] = None,
    own: Annotated[
        str | None, typer.Option("--own", help="Show what this account's own key of scope manage may see.")
    ] = None,
    limit: Annotated[int, typer.Option("--limit", min=1, help="Show at most this many.")] = 100,
    json: Json = False,
) -> None:
    """List who changed what, the first change first."""
    if own is not None and (account is not None or credential is not None):
        raise typer.BadParameter("--own goes with neither --account nor --credential")
    with ask.client() as client:
        begin, end = Dates().range(since, until)
        which = {"action": action, "subject": subject, "since": Dates().instant(begin), "until": Dates().instant(end)}
        records: Iterator[AuditAnswer] = (
            client.audit(account, credential=credential, **which) if own is None else client.account_audit(own, **which)
        )
        found = list(islice(records, limit + 1))
    if json:
        document(found[:limit])
        return
    if found:
        table(COLUMNS, [_row(one) for one in found[:limit]], right=frozenset({0}))
    else:
        say("Nothing was changed.")
    if len(found) > limit:
        note("There are more: see --limit and --since.")


def _row(one: AuditAnswer) -> tuple[str, ...]:
    who = one.credential or one.by
    return (str(one.number), when(one.at), one.action, one.account or "", one.subject, who, one.address or "")
