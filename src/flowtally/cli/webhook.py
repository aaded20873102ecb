"""`flowtally webhook`: where messages go, and what became of each."""

from __future__ import annotations

from typing import Annotated, Final, get_args

import typer
from msgspec import UNSET

from flowtally.cli import ask
from flowtally.cli.grouped import CommandGroup, example
from flowtally.cli.show.output import Json, document, facts, note, say, table, when
from flowtally.client import Client
from flowtally.core.words import DeliveryState
from flowtally.protocol import (
    WebhookAnswer,
    WebhookChange,
    WebhookReplay,
    WebhookRequest,
    WebhookRotation,
)

commands = typer.Typer(name="webhook", help="Webhooks: where messages go.", cls=CommandGroup)

COLUMNS: Final = ("webhook", "url", "is", "types", "delivered", "failing since", "detail")
ADD: Final = """\
\b
Examples:
  flowtally webhook add https://hooks.example.com/flowtally
  flowtally webhook add https://acme.example.com/hook --account acme --type webhook.disabled
"""
Id = Annotated[str, typer.Argument(metavar="WEBHOOK", help="The webhook's id, from `flowtally webhook list`.")]
Account = Annotated[
    str | None, typer.Option("--account", help="Of this account. Default: the key's own, or the operator's webhooks.")
]


@commands.command("add", epilog=ADD)
def add(
    url: Annotated[str, typer.Argument(metavar="URL", help="Where messages go: https, at a public address.")],
    types: Annotated[
        list[str] | None, typer.Option("--type", metavar="TYPE", help="Only messages of this type. Repeat it.")
    ] = None,
    description: Annotated[str, typer.Option("--description", help="What it is, for people.")] = "",
    account: Account = None,
    json: Json = False,
) -> None:
    """Send messages there. The secret that signs them is shown now, and never again."""
    with ask.client() as client:
        made = client.add_webhook(WebhookRequest(url, types or [], description), _whose(client, account))
    _show_secret(made, json)


@commands.command("list", epilog=example("flowtally webhook list --account acme"))
def list_all(
    removed: Annotated[bool, typer.Option("--removed", help="Also webhooks that were removed.")] = False,
    account: Account = None,
    json: Json = False,
) -> None:
    """List where messages go, and how each is."""
    with ask.client() as client:
        found = list(client.webhooks(_whose(client, account), removed=removed))
    if json:
        document(found)
        return
    table(COLUMNS, [_row(one) for one in found])


@commands.command("show", epilog=example("flowtally webhook show whk_0199f2c47b3a7c11a1f0b2c3d4e5f610"))
def show(webhook: Id, account: Account = None, json: Json = False) -> None:
    """Show one webhook."""
    with ask.client() as client:
        _show(client.webhook(webhook, _whose(client, account)), json)


@commands.command("change", epilog=example("flowtally webhook change whk_0199f2c47b3a7c11a1f0b2c3d4e5f610 --enable"))
def change(
    webhook: Id,
    url: Annotated[str | None, typer.Option("--url", help="Send messages there.")] = None,
    types: Annotated[
        list[str] | None, typer.Option("--type", metavar="TYPE", help="Only messages of this type. Repeat it.")
    ] = None,
    all_types: Annotated[bool, typer.Option("--all-types", help="Messages of all types.")] = False,
    description: Annotated[str | None, typer.Option("--description", help="What it is, for people.")] = None,
    enable: Annotated[bool | None, typer.Option("--enable/--disable", help="Send messages there, or none.")] = None,
    account: Account = None,
    json: Json = False,
) -> None:
    """Change a webhook. What was not delivered while it was disabled is sent when it is replayed."""
    wanted = WebhookChange(
        url=UNSET if url is None else url,
        types=[] if all_types else UNSET if types is None else types,
        description=UNSET if description is None else description,
        enabled=UNSET if enable is None else enable,
    )
    with ask.client() as client:
        _show(client.change_webhook(webhook, wanted, _whose(client, account)), json)


@commands.command("rotate", epilog=example("flowtally webhook rotate whk_0199f2c47b3a7c11a1f0b2c3d4e5f610"))
def rotate(
    webhook: Id,
    overlap: Annotated[
        int, typer.Option("--overlap", metavar="SECONDS", min=0, help="How long the present secret signs, too.")
    ] = 86_400,
    account: Account = None,
    json: Json = False,
) -> None:
    """Sign with another secret. It is shown now, and never again."""
    with ask.client() as client:
        made = client.rotate_webhook(webhook, WebhookRotation(overlap), _whose(client, account))
    _show_secret(made, json)


@commands.command("test", epilog=example("flowtally webhook test whk_0199f2c47b3a7c11a1f0b2c3d4e5f610"))
def send_test(webhook: Id, account: Account = None, json: Json = False) -> None:
    """Send a message now, and tell what came of it."""
    with ask.client() as client:
        came = client.check_webhook(webhook, _whose(client, account))
    if json:
        document(came)
    else:
        answered = f"HTTP {came.status} after {came.duration_ms} ms"
        say(
            f"It was taken: {answered}."
            if came.ok
            else f"It was not taken: {came.detail}, after {came.duration_ms} ms."
        )
        facts({"message": came.message, "signed": came.signed, "answer": came.answer or ""})
    if not came.ok:
        raise typer.Exit(1)


@commands.command("deliveries", epilog=example("flowtally webhook deliveries whk_0199f2c47b3a7c11a1f0b2c3d4e5f610"))
def deliveries(
    webhook: Id,
    state: Annotated[
        str | None, typer.Option("--state", help="Only those that are waiting, delivered or dead.")
    ] = None,
    account: Account = None,
    json: Json = False,
) -> None:
    """List what was sent there in the last 30 days, and what became of it."""
    with ask.client() as client:
        found = list(client.webhook_deliveries(webhook, _whose(client, account), state=_state(state)))
    if json:
        document(found)
        return
    rows = [
        (
            one.id,
            one.type,
            one.state,
            when(one.created_at),
            str(one.attempts),
            when(one.tried_at),
            when(one.next_at),
            one.detail,
        )
        for one in found
    ]
    table(("delivery", "type", "is", "raised", "tries", "tried", "next", "why"), rows, right=frozenset({4}))


@commands.command(
    "replay",
    epilog=example("flowtally webhook replay whk_0199f2c47b3a7c11a1f0b2c3d4e5f610 --since 2026-03-01T00:00:00Z"),
)
def replay(
    webhook: Id,
    delivery: Annotated[str | None, typer.Option("--delivery", help="This one, whatever became of it.")] = None,
    since: Annotated[
        str | None, typer.Option("--since", metavar="INSTANT", help="All that are dead and were raised since then.")
    ] = None,
    account: Account = None,
    json: Json = False,
) -> None:
    """Send messages again, under the ids that they had."""
    with ask.client() as client:
        came = client.replay_webhook(webhook, WebhookReplay(delivery, since), _whose(client, account))
    if json:
        document(came)
        return
    say(f"Sent again: {came.replayed}.")


@commands.command("remove", epilog=example("flowtally webhook remove whk_0199f2c47b3a7c11a1f0b2c3d4e5f610"))
def remove(webhook: Id, account: Account = None, json: Json = False) -> None:
    """Send nothing there any more, and destroy its secrets."""
    with ask.client() as client:
        _show(client.remove_webhook(webhook, _whose(client, account)), json)


def _whose(client: Client, account: str | None) -> str | None:
    return account or client.own_credential().account


def _state(text: str | None) -> DeliveryState | None:
    for one in get_args(DeliveryState):
        if one == text:
            return one  # type: ignore[no-any-return]
    if text is None:
        return None
    raise typer.BadParameter(f"{text[:80]!r}: one of {', '.join(get_args(DeliveryState))}.", param_hint="--state")


def _row(one: WebhookAnswer) -> tuple[str, ...]:
    return (
        one.id,
        one.url,
        one.state,
        ", ".join(one.types) or "all",
        when(one.delivered_at),
        when(one.failing_since),
        one.detail,
    )


def _show(one: WebhookAnswer, json: bool) -> None:
    if json:
        document(one)
        return
    more = {"account": one.account or "", "description": one.description, "added": when(one.created_at)}
    facts(dict(zip(COLUMNS, _row(one), strict=True)) | more)


def _show_secret(one: WebhookAnswer, json: bool) -> None:
    _show(one, json)
    if not json:
        say(f"secret         {one.secret or ''}")
        note("Keep the secret: it is not shown again.")
