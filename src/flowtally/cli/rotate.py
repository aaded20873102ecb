"""`flowtally rotate-key`: on the files themselves, with no server running."""

from __future__ import annotations

from typing import Annotated, Final

import typer

from flowtally.cli.configured import LedgerUrl, configured_for
from flowtally.cli.show.output import Json, document, facts, note
from flowtally.core.units import human_count

EXAMPLES: Final = """\
\b
Example:
  flowtally rotate-key --data ./data

\b
Stop the server first. Users' passwords and vouchers' codes stay what they are; the file passwords.key has another key
afterwards. Cut short, everything opens, and the same command goes on. A backup made before keeps the key it has.
"""


def rotate_key(
    data: Annotated[str, typer.Option("--data", help="The data directory.")],
    ledger_url: LedgerUrl = None,
    json: Json = False,
) -> None:
    """Encrypt all stored secrets with a new key, and forget the old key."""
    config = configured_for(data, ledger_url=ledger_url)
    from flowtally.care.rotate import rotate_key as rotate  # noqa: PLC0415 - most commands start without the stores

    done = rotate(config)
    if json:
        document(done)
        return
    if done.went_on:
        note("An earlier rotation was cut short: this one finished it, with the key it had made.")
    facts({"secrets": human_count(done.secrets), "key": str(config.data_dir / "passwords.key")})
