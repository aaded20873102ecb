"""Makes docs/images/terminal.svg: what a terminal shows, from a real server and the real command line.

`python scripts/picture.py` writes it. The use is made up (two weeks of three users, from a fixed seed), everything else
is what anybody sees who asks for it. Look at it in a browser before you commit it.
"""

from __future__ import annotations

import json
import os
import pty
import random
import re
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from io import StringIO
from pathlib import Path
from typing import Final

from rich.console import Console
from rich.text import Text

from flowtally.client import Client
from flowtally.protocol import AccountRequest, GrantRequest, PlainEvent

PICTURE: Final = Path(__file__).parent.parent / "docs" / "images" / "terminal.svg"
COLUMNS: Final = 84
BEGIN: Final = datetime(2026, 11, 2, tzinfo=UTC)
DAYS: Final = 14
SHOWN: Final = (
    ["usage", "acme", "--from", "2026-11-02", "--to", "2026-11-16"],
    ["usage", "acme", "--from", "2026-11-02", "--to", "2026-11-16", "--bucket", "total", "--by", "user"],
    ["balance", "acme", "--at", "2026-11-16T00:00:00Z"],
)
FONT_FACE: Final = re.compile(
    r"@font-face \{.*?\}\s*", re.DOTALL
)  # names a host elsewhere: the reader's own font will do


def main() -> None:
    console = Console(record=True, width=COLUMNS, file=StringIO(), force_terminal=True)
    with tempfile.TemporaryDirectory() as place, server(Path(place)) as (url, token):
        fill(url, token)
        for number, arguments in enumerate(SHOWN):
            if number:
                console.print()
            console.print(Text(f"$ flowtally {' '.join(arguments)}", style="bold cyan"))
            console.print(Text.from_ansi(shown(arguments, url, token)), soft_wrap=True)
    picture = FONT_FACE.sub("", console.export_svg(title="flowtally"))
    PICTURE.parent.mkdir(exist_ok=True)
    PICTURE.write_text(picture)


@contextmanager
def server(place: Path) -> Iterator[tuple[str, str]]:
    """Its address and the admin token."""
    command = [sys.executable, "-m", "flowtally", "serve", "--data", str(place / "data"), "--port", "0", "--json"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True) as running:
        assert running.stdout is not None
        ready = json.loads(running.stdout.readline())
        yield ready["url"], ready["admin_token"]
        running.terminate()


def fill(url: str, token: str) -> None:
    """Two weeks of use, weekends quieter, and two grants."""
    chance = random.Random(7)
    with Client(url, token) as client:
        client.create_account(AccountRequest(id="acme", name="Acme Ltd", carry_from="2026-11-01T00:00:00Z"))
        bought = GrantRequest(
            amount=60_000_000_000, source="order", reference="order-4711", starts_at="2026-11-01T00:00:00Z"
        )
        gift = GrantRequest(
            amount=5_000_000_000,
            source="manual",
            reference="welcome",
            starts_at="2026-11-01T00:00:00Z",
            expires_at="2026-12-01T00:00:00Z",
        )
        client.give_grant("acme", bought)
        client.give_grant("acme", gift)
        client.send_events(list(use(chance)))


def use(chance: random.Random) -> Iterator[PlainEvent]:
    for number in range(DAYS * 24 * 3):
        hour, user = divmod(number, 3)
        at = BEGIN + timedelta(hours=hour, minutes=chance.randrange(60))
        busy = (0.35 if at.weekday() > 4 else 1.0) * (0.3 if at.hour < 7 else 1.0)
        size = int(chance.lognormvariate(17.0, 0.8) * busy * (1.6, 1.0, 0.5)[user])
        yield PlainEvent(
            source="gw-1",
            id=str(number),
            account="acme",
            user=("ann", "bob", "crawler")[user],
            product="residential",
            time=at.isoformat(),
            bytes_up=size // 30,
            bytes_down=size,
        )


def shown(arguments: list[str], url: str, token: str) -> str:
    """What the command writes into a terminal, with its colours."""
    leader, follower = pty.openpty()
    environment = {**os.environ, "FLOWTALLY_URL": url, "FLOWTALLY_TOKEN": token, "COLUMNS": str(COLUMNS)}
    environment |= {"TERM": "xterm-256color"}
    environment.pop("NO_COLOR", None)
    running = subprocess.Popen(
        [sys.executable, "-m", "flowtally", *arguments], stdout=follower, stderr=follower, env=environment
    )
    os.close(follower)
    said = b""
    while piece := _read(leader):
        said += piece
    os.close(leader)
    if running.wait():
        raise SystemExit(said.decode())
    return said.decode().replace("\r\n", "\n").rstrip("\n")


def _read(leader: int) -> bytes:
    try:
        return os.read(leader, 65_536)
    except OSError:  # the other end was closed
        return b""


if __name__ == "__main__":
    main()
