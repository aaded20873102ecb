"""`flowtally demo`: a server of its own, a real proxy log, and what comes of it; then it stays up to be asked."""

from __future__ import annotations

import os
import secrets
import shlex
import shutil
import signal
import tempfile
import threading
from typing import Annotated, Final

import typer

from flowtally.cli.another import in_another_terminal
from flowtally.cli.balance import show_balance
from flowtally.cli.configured import configured
from flowtally.cli.demo_data import BEGINS, ENDS, LOG, Told, balances, import_demo_log, seed, usage_of_all
from flowtally.cli.import_report import show_report
from flowtally.cli.show.output import Json, document, note, say, table
from flowtally.cli.show.progress import meter
from flowtally.cli.usage import show_usage
from flowtally.client import Client
from flowtally.config import Config
from flowtally.core.units import same_unit
from flowtally.protocol import BalanceAnswer

EXAMPLES: Final = """\
\b
Examples:
  flowtally demo                   shows everything and goes on serving until Ctrl-C
  flowtally demo --exit            ends after showing
  flowtally demo --data ./demo     keeps the data
"""


def demo(
    data: Annotated[
        str | None, typer.Option("--data", help="Keep the data in this directory. Default: it is deleted at the end.")
    ] = None,
    port: Annotated[int, typer.Option("--port", help="The port. 0 takes a free one.")] = 0,
    exit_after: Annotated[bool, typer.Option("--exit", help="End after the figures are shown.")] = False,
    json: Json = False,
) -> None:
    """Count a real Squid log on a server of its own, and show usage and balances."""
    kept = data or tempfile.mkdtemp(prefix="flowtally-demo-")
    try:
        config = configured(
            data=kept,
            port=port,
            admin_token=os.environ.get("FLOWTALLY_ADMIN_TOKEN") or "ft_demo_" + secrets.token_urlsafe(24),
            log_level=os.environ.get("FLOWTALLY_LOG_LEVEL") or "warning",
        )
        Show(config, exit_after, json, data).run()
    finally:
        if data is None:
            shutil.rmtree(kept, ignore_errors=True)


class Show:
    """Serves in this thread and tells the story in another one; the story's failure ends the server and is raised."""

    def __init__(self, config: Config, exit_after: bool, json: bool, kept: str | None) -> None:
        self._config = config
        self._exit_after = exit_after
        self._json = json
        self._kept = kept
        self._failure: Exception | None = None

    def run(self) -> None:
        from flowtally import server  # noqa: PLC0415  as in `serve`: the engine is for the process that serves

        note("Starting ...")
        server.run(self._config, on_ready=lambda url: threading.Thread(target=self._tell, args=(url,)).start())
        if self._failure is not None:
            raise self._failure

    def _tell(self, url: str) -> None:
        try:
            tell_story(url, self._config, self._json, farewell(self._kept) if self._exit_after else None)
        except Exception as error:  # it belongs to the main thread, which tells it like any other failure
            self._failure = error
        if self._failure is not None or self._exit_after:
            os.kill(os.getpid(), signal.SIGTERM)  # the server's own way to end
        elif not self._json:
            say()
            say("Serving until Ctrl-C.", style="bold")


def tell_story(url: str, config: Config, json: bool, last: list[str] | None = None) -> None:
    """`last`: how it ends, where the server does not stay up to be asked."""
    token = config.admin_token or ""
    with Client(url, token) as client:
        seed(client)
        before = balances(client)
        with meter(LOG) as shown:
            imported = import_demo_log(client, shown.show)
        told = Told(url, config.data, token, imported, before, balances(client), usage_of_all(client))
    if json:
        document(told)
    else:
        show(told, last)


def show(told: Told, last: list[str] | None) -> None:
    """The whole story for people."""
    heading("A real Squid log, imported")
    show_report(told.imported, most=3)
    heading("What was used, by user, and by the quarter hour")
    for usage in told.usage:
        show_usage(usage)
        say()
    heading("Balances moved")
    show_moves(told.before, told.after)
    for balance in told.after:
        say()
        show_balance(balance)
    heading("Go on from here")
    for line in invitation(told) if last is None else last:
        say(line)


def heading(text: str) -> None:
    say()
    say(text, style="bold cyan")
    say()


def show_moves(before: list[BalanceAnswer], after: list[BalanceAnswer]) -> None:
    """Left before, used, left after, and what no grant paid for."""
    moves = []
    for was, now in zip(before, after, strict=True):
        for name, pool in now.pools.items():
            left = was.pools[name].left if name in was.pools else 0
            moves.append((now.account, name, (left, pool.spent + pool.overage, pool.left, pool.overage)))
    write = same_unit((figure for _, _, figures in moves for figure in figures), aligned=True)
    rows = [(account, name, *map(write, figures)) for account, name, figures in moves]
    table(("account", "pool", "left before", "used", "left now", "overage"), rows, right=frozenset({2, 3, 4, 5}))


def farewell(kept: str | None) -> list[str]:
    """How to go on where this server is about to end."""
    ended = "This server ends now"
    if kept is None:
        return [f"{ended}, and its data is thrown away.", "`flowtally demo` without --exit goes on serving."]
    again = f"flowtally demo --data {shlex.quote(kept)}"
    return [f"{ended}. Its data is kept in {kept}; to go on with it:", "", f"  {again}"]


def invitation(told: Told) -> list[str]:
    """Address, key, and commands to paste. They use the shell's variables, so each stays one short line."""
    auth = '-H "Authorization: Bearer $FLOWTALLY_TOKEN"'
    base = "$FLOWTALLY_URL/v1/accounts"
    what = '"source":"shell","id":"1","account":"acme","user":"ana","bytes_down":5000000'
    event = "{" + what + ',"time":"\'$(date -u +%FT%TZ)\'"}'
    grant = '{"amount":1000000000,"source":"order"}'
    return [
        f"  address    {told.url}",
        f"  admin key  {told.admin_token}",
        "",
        "In another terminal:",
        "",
        *(f"  {line}" for line in in_another_terminal(told.url, told.admin_token)),
        f'  curl -sS {auth} "{base}/acme/usage?from={BEGINS}&to={ENDS}&bucket=total&by=user"',
        f'  curl -sS {auth} "{base}/globex/balance"',
        f"  curl -sS {auth} -H 'Content-Type: application/json' -H 'Idempotency-Key: more-1' \\",
        f"    -d '{grant}' \"{base}/initech/grants\"",
        f"  curl -sS {auth} -H 'Content-Type: application/json' \\",
        f"    -d '{event}' \"$FLOWTALLY_URL/v1/events\"",
    ]
