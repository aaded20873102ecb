"""The program `flowtally`: its commands put together, and every way it can end.

Owns exit codes and what a person reads when something fails: one line, never a trace. The commands are in the files
beside this one, one per noun.
"""

from __future__ import annotations

import sys
from collections.abc import Iterator, Sequence
from functools import cache
from importlib.metadata import version
from typing import Annotated, Any, Final

import typer

from flowtally.cli import (
    account,
    admin_key,
    agent,
    audit,
    balance,
    care,
    changes,
    check_in,
    correction,
    demo,
    endpoints,
    explain,
    export,
    failures,
    gateway,
    grant,
    held,
    imports,
    key,
    lease,
    lease_plan,
    offline,
    period,
    place,
    plan,
    pool,
    provider,
    purchase,
    reconcile,
    retention,
    rotate,
    sample,
    sender,
    serve,
    server,
    shadow,
    source,
    stock,
    usage,
    user,
    voucher,
    wallet,
    webhook,
    whitelist,
)
from flowtally.cli.grouped import CommandGroup, Grouped
from flowtally.cli.show import output
from flowtally.host.permissions import keep_to_owner

_EPILOG: Final = """\
\b
Most commands ask a server. Two environment variables name it:
  FLOWTALLY_URL    the address of the server, default http://127.0.0.1:8120
  FLOWTALLY_TOKEN  the token of a key

\b
serve, demo, restore, rebuild-keys, rebuild-roll-ups, rotate-key, key admin and doctor --data ask no server. They need
its libraries: pip install 'flowtally[server]'.

\b
Exit codes: 0 done, 1 failed or refused, 2 wrong usage, 3 partly done (import), 4 server not reachable.
"""

# No markup: help is the same text in a terminal, in a pipe and in the documentation. Failures are told in `main`.
app = typer.Typer(
    name="flowtally",
    help="Count traffic, keep prepaid balances, and answer who used what.",
    epilog=_EPILOG,
    rich_markup_mode=None,
    cls=CommandGroup,
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
)


def _tell_version(asked: bool) -> None:
    if asked:
        output.say(f"flowtally {version('flowtally')}")
        raise typer.Exit(0)


@app.callback()
def program(
    asked: Annotated[
        bool, typer.Option("--version", "-V", callback=_tell_version, is_eager=True, help="Show the version and exit.")
    ] = False,
) -> None:
    """Options before any command."""


app.command("serve", epilog=serve.EXAMPLES)(serve.serve)
app.command("demo", epilog=demo.EXAMPLES)(demo.demo)
app.command("import", epilog=imports.EXAMPLES, cls=Grouped)(imports.import_log)
app.command("usage", epilog=usage.EXAMPLES)(usage.usage)
app.command("balance", epilog=balance.EXAMPLES)(balance.balance)
app.command("explain", epilog=explain.EXAMPLES)(explain.explain)
app.command("reconcile", epilog=reconcile.EXAMPLES)(reconcile.reconcile)
app.command("changes", epilog=changes.EXAMPLES)(changes.changes)
app.command("check-in", epilog=check_in.EXAMPLES)(check_in.check_in)
app.command("verify", epilog=care.VERIFY)(care.verify)
app.command("backup", epilog=care.BACKUP)(care.backup)
app.command("retention", epilog=retention.EXAMPLES)(retention.retention)
app.command("restore", epilog=offline.RESTORE)(offline.restore)
app.command("rebuild-keys", epilog=offline.REBUILD)(offline.rebuild_keys)
app.command("rebuild-roll-ups", epilog=offline.PROJECTIONS)(offline.rebuild_projections)
app.command("rotate-key", epilog=rotate.EXAMPLES)(rotate.rotate_key)
key.commands.command("admin", epilog=admin_key.EXAMPLES)(admin_key.admin)
app.command("doctor", epilog=offline.DOCTOR)(offline.doctor)
app.command("audit", epilog=audit.EXAMPLES)(audit.audit)
app.command("purchase", epilog=purchase.EXAMPLES)(purchase.purchase)
app.command("endpoints", epilog=endpoints.EXAMPLES)(endpoints.endpoints)
app.command("export", epilog=export.EXAMPLES)(export.export)
for noun in (
    *(agent.commands, account.commands, period.commands, grant.commands, key.commands, user.commands, pool.commands),
    *(sender.commands, source.commands, provider.commands, shadow.commands),
    *(stock.commands, lease_plan.commands, lease.commands, server.commands, sample.commands),
    *(voucher.commands, correction.commands, held.commands, wallet.commands, plan.commands, whitelist.commands),
    *(gateway.commands, webhook.commands),
    place.commands,
):
    app.add_typer(noun)


def main(arguments: Sequence[str] | None = None) -> int:
    """Run one command and return its exit code. What it writes is for its user alone."""
    keep_to_owner()
    given = sys.argv[1:] if arguments is None else list(arguments)
    try:
        result = _command()(given, prog_name="flowtally", standalone_mode=False)
        return result if isinstance(result, int) else 0
    except Exception as error:
        failure = failures.explain(error, given)
        if failure is None:
            raise
        output.note(failure.line, style="red")
        return failure.exit_code


@cache
def _command() -> Any:
    """All commands put together, which takes a tenth of a second: once in a process."""
    return typer.main.get_command(app)


def helps() -> Iterator[tuple[str, str]]:
    """Name and help text of every command, in order: for the documentation."""
    yield from _helps(_command(), "flowtally")


def _helps(command: Any, name: str) -> Iterator[tuple[str, str]]:
    context = command.context_class(command, info_name=name, terminal_width=100, max_content_width=100)
    context.help_option_names = ["-h", "--help"]
    yield name, command.get_help(context)
    for below, one in getattr(command, "commands", {}).items():
        yield from _helps(one, f"{name} {below}")
