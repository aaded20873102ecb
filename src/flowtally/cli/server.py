"""`flowtally server`: what is asked of servers that are leased, who does it, and who may use them."""

from __future__ import annotations

from typing import Annotated, Final

import typer

from flowtally.cli import ask
from flowtally.cli.grouped import CommandGroup, example
from flowtally.cli.show.output import Json, document, facts, say, table, when
from flowtally.core.words import ActionOutcome, ActionState
from flowtally.protocol import ACTION_S, ActionAnswer

commands = typer.Typer(
    name="server", help="Leased servers: what is asked of them, and who may use them.", cls=CommandGroup
)

COLUMNS: Final = ("action", "account", "server", "what", "status", "requested", "expires", "detail")
BOUND: Final = ("user", "id", "bound")
WORK: Final = """\
\b
Examples, of a program that restarts servers:
  flowtally server wait --json
  flowtally server take act_0199f2c47b3a7c11a1f0b2c3d4e5f615
  flowtally server answer act_0199f2c47b3a7c11a1f0b2c3d4e5f615 done --detail 'up after 64 s'
"""
Account = Annotated[str, typer.Argument(metavar="ACCOUNT", help="The account that leases it.")]
Lease = Annotated[str, typer.Argument(metavar="LEASE", help="The id of the lease.")]
Action = Annotated[str, typer.Argument(metavar="ACTION", help="The id of the action.")]
User = Annotated[str, typer.Argument(metavar="USER", help="The user, by name or id.")]
Status = Annotated[ActionState | None, typer.Option("--status", help="Only actions of this status.")]


@commands.command("request", epilog=example("flowtally server request acme lse_0199f2c47b3a7c11a1f0b2c3d4e5f611"))
def request(
    account: Account,
    lease: Lease,
    what: Annotated[str, typer.Option("--what", help="What is asked for.")] = "restart",
    expires: Annotated[
        int, typer.Option("--expires-in", metavar="SECONDS", help="For how long the request stands.")
    ] = ACTION_S,
    json: Json = False,
) -> None:
    """Ask for a restart of what an account leases, or for something else that your machinery knows."""
    with ask.client() as client:
        _show(client.request_action(account, lease, what, expires_in_s=expires), json)


@commands.command("actions", epilog=example("flowtally server actions --status requested"))
def actions(
    account: Annotated[str | None, typer.Option("--account", help="Of a lease of this account.")] = None,
    lease: Annotated[str | None, typer.Option("--lease", help="Of this lease; with --account.")] = None,
    status: Status = None,
    json: Json = False,
) -> None:
    """List what was asked for: of one lease, or of all accounts."""
    if (account is None) != (lease is None):
        raise typer.BadParameter("--account and --lease go together")
    with ask.client() as client:
        if account is None or lease is None:
            found = list(client.actions(status=status))
        else:
            found = list(client.lease_actions(account, lease, status=status))
    _list(found, json)


@commands.command("wait", epilog=WORK)
def wait(
    seconds: Annotated[int, typer.Option("--seconds", min=0, max=55, help="How long to wait.")] = 50, json: Json = False
) -> None:
    """List what nobody took yet, as soon as there is something."""
    with ask.client() as client:
        found = client.wait_for_actions(wait_s=seconds).items
    _list(list(found), json)


@commands.command("take", epilog=WORK)
def take(action: Action, json: Json = False) -> None:
    """Take an action: you do it, and nobody else."""
    with ask.client() as client:
        _show(client.take_action(action), json)


@commands.command("answer", epilog=WORK)
def answer(
    action: Action,
    outcome: Annotated[ActionOutcome, typer.Argument(metavar="OUTCOME", help="done or failed.")],
    detail: Annotated[str, typer.Option("--detail", help="What there is to say about it.")] = "",
    json: Json = False,
) -> None:
    """Say what became of an action."""
    with ask.client() as client:
        _show(client.answer_action(action, outcome, detail), json)


@commands.command("users", epilog=example("flowtally server users acme lse_0199f2c47b3a7c11a1f0b2c3d4e5f611"))
def bound(account: Account, lease: Lease, json: Json = False) -> None:
    """List the users that may use what an account leases."""
    with ask.client() as client:
        found = list(client.bound_users(account, lease))
    if json:
        document(found)
    elif found:
        table(BOUND, [(one.user, one.user_id, when(one.bound_at)) for one in found])
    else:
        say("No users are bound to it.")


@commands.command("bind", epilog=example("flowtally server bind acme lse_0199f2c47b3a7c11a1f0b2c3d4e5f611 alice"))
def bind(account: Account, lease: Lease, user: User, json: Json = False) -> None:
    """Let a user use what an account leases."""
    with ask.client() as client:
        made = client.bind_user(account, lease, user)
    document(made) if json else say(f"{made.user} may use it since {when(made.bound_at)}.")


@commands.command("unbind", epilog=example("flowtally server unbind acme lse_0199f2c47b3a7c11a1f0b2c3d4e5f611 alice"))
def unbind(account: Account, lease: Lease, user: User, json: Json = False) -> None:
    """Take a user off the list."""
    with ask.client() as client:
        gone = client.unbind_user(account, lease, user)
    document(gone) if json else say(f"{gone.user} is off the list.")


def _list(found: list[ActionAnswer], json: bool) -> None:
    if json:
        document(found)
    elif found:
        table(COLUMNS, [_row(one) for one in found])
    else:
        say("There are no such actions.")


def _row(one: ActionAnswer) -> tuple[str, ...]:
    asked, expires = when(one.requested_at), when(one.expires_at)
    return (one.id, one.account, one.server, one.what, one.status, asked, expires, one.detail)


def _show(one: ActionAnswer, json: bool) -> None:
    if json:
        document(one)
    else:
        facts(dict(zip(COLUMNS, _row(one), strict=True)))
