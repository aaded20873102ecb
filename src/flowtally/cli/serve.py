"""`flowtally serve`: the server, in this process."""

from __future__ import annotations

import os
from typing import Annotated, Final

import msgspec
import typer

from flowtally.cli.another import in_another_terminal
from flowtally.cli.configured import KeysUrl, LedgerUrl, UsageUrl, configured, help_of
from flowtally.cli.show.output import Json, facts, note, raw, say
from flowtally.core.unshown import repr_without
from flowtally.host.notify import Notify

EXAMPLES: Final = """\
\b
Examples:
  flowtally serve --data ./data --port 8120
  flowtally serve --host 0.0.0.0 --tls-cert usage.pem --tls-key usage.key
  flowtally serve --usage-url clickhouse://db/flowtally --ledger-url postgresql+psycopg://db/flowtally

\b
Every setting is a variable too (FLOWTALLY_DATA, FLOWTALLY_PORT, FLOWTALLY_MAX_FUTURE_S ...), and an option wins.
docs/reference/settings.md lists them all. The first start prints an admin token, once; or it takes the one in
FLOWTALLY_ADMIN_TOKEN. Ctrl-C finishes what is under way and ends.
"""


class Ready(msgspec.Struct, frozen=True):
    """What `--json` prints on one line when the server can be connected to."""

    url: str
    data: str
    admin_token: str | None

    def __repr__(self) -> str:
        return repr_without(self, "admin_token")


def serve(
    data: Annotated[
        str | None, typer.Option("--data", help="The data directory. Default: depends on the platform.")
    ] = None,
    host: Annotated[str | None, typer.Option("--host", help="The address to listen at. Default: 127.0.0.1.")] = None,
    port: Annotated[int | None, typer.Option("--port", help="The port. 0 takes a free one. Default: 8120.")] = None,
    tls_cert: Annotated[
        str | None, typer.Option("--tls-cert", help="PEM file of the certificate. With it the server speaks HTTPS.")
    ] = None,
    tls_key: Annotated[str | None, typer.Option("--tls-key", help="PEM file of the certificate's key.")] = None,
    allow_clear_text: Annotated[
        bool | None, typer.Option("--allow-clear-text", help="Allow other machines to connect without TLS.")
    ] = None,
    usage_url: UsageUrl = None,
    ledger_url: LedgerUrl = None,
    keys_url: KeysUrl = None,
    backup_dir: Annotated[
        str | None,
        typer.Option("--backup-dir", help="The directory for backups. Default: `backups` in the data directory."),
    ] = None,
    log_format: Annotated[str | None, typer.Option("--log-format", help=help_of("log_format"))] = None,
    log_level: Annotated[str | None, typer.Option("--log-level", help=help_of("log_level"))] = None,
    json: Json = False,
) -> None:
    """Start the server. It runs until Ctrl-C or SIGTERM."""
    config = configured(
        data=data,
        host=host,
        port=port,
        tls_cert=tls_cert,
        tls_key=tls_key,
        allow_clear_text=allow_clear_text,
        usage_url=usage_url,
        ledger_url=ledger_url,
        keys_url=keys_url,
        backup_dir=backup_dir,
        log_format=log_format,
        log_level=log_level,
    )
    # Imported here: the framework and the engine are for the process that serves, other commands start without them.
    from flowtally import server  # noqa: PLC0415

    tokens: list[str] = []
    told: list[str] = []

    def tell(url: str) -> None:
        told.append(url)
        announce(Ready(url, config.data, tokens[0] if tokens else None), json)

    try:
        server.run(config, on_ready=tell, on_admin=tokens.append, notify=Notify(os.environ))
    finally:
        if tokens and not told:  # it exists now, even if this start ended before it could be connected to
            note(f"admin token, shown only this once: {tokens[0]}")


def announce(ready: Ready, json: bool) -> None:
    """Where it listens, where the data is, and, once, the secret of the first start."""
    if json:
        raw(msgspec.json.encode(ready).decode() + "\n")
        return
    facts({"listening": ready.url, "data": ready.data, "admin token": ready.admin_token or ""})
    if ready.admin_token:
        say("Keep the token now: it is stored hashed and never shown again. To use it in another terminal:")
        for line in in_another_terminal(ready.url, ready.admin_token):
            say(f"  {line}")
