"""A log whose lines need what lines before them said, imported in pieces: the same events as in one run."""

import json
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tests.agents.fake import FakeServer

from flowtally.agents.formats import Declared
from flowtally.agents.mapping import Mapping
from flowtally.agents.reader import LogFile
from flowtally.agents.ship import Importer

SQUID = "1795173252.544 37 10.0.0.1 TCP_MISS/200 %d GET http://n.test/%s ann HIER_DIRECT/10.0.0.2 a/b"
CHANGES = [
    ["date", "time", "sc-bytes", "cs-username"],
    ["date", "time", "cs-username", "x", "sc-bytes"],
    ["sc-bytes", "date", "time", "cs-username", "time-taken"],
]


def w3c_log(rows: int) -> bytes:
    """Every four rows other columns."""
    lines = ["#Software: Microsoft Internet Information Services 10.0"]
    for number in range(rows):
        names = CHANGES[number // 4 % 3]
        if number % 4 == 0:
            lines += [f"#Date: 2026-03-10 05:00:{number:02d}", "#Fields: " + " ".join(names)]
        told = {"date": "2026-03-10", "time": f"05:00:{number:02d}", "sc-bytes": str(number), "cs-username": "ann"}
        lines.append(" ".join(told.get(name, "7") for name in names))
    return "".join(f"{line}\n" for line in lines).encode()


def docker_log(rows: int) -> bytes:
    """Every second line in three pieces, with one of the other stream between them."""
    lines = []
    for number in range(rows):
        text = SQUID % (number, "x" * 50)
        parts = [text[:20], text[20:60], text[60:] + "\n"] if number % 2 else [text + "\n"]
        for part in parts:
            lines.append({"log": part, "stream": "stdout", "time": "2026-03-10T09:00:00.1Z"})
            lines.append({"log": "no squid\n", "stream": "stderr", "time": "2026-03-10T09:00:00.1Z"})
    return "".join(json.dumps(line) + "\n" for line in lines).encode()


LOGS = {"iis": w3c_log(14), "docker:squid": docker_log(8)}


def counted(path: Path, name: str, steps: list[int], batch_events: int) -> list[int]:
    """What the server has after the log grew to each of these sizes and was imported each time."""
    server, log = FakeServer(), LOGS[name]
    for size in [*sorted(steps), len(log)]:
        path.write_bytes(log[:size])
        with LogFile.open(path) as opened:
            declared = Declared(format=name)
            Importer(
                server.client(), opened, declared, Mapping(account="acme"), source="s", batch_events=batch_events
            ).run()
    return [event.bytes_down for event in server.all_stored()]


@pytest.mark.parametrize(("name", "rows"), [("iis", 14), ("docker:squid", 8)])
@settings(deadline=None)
@given(data=st.data(), batch_events=st.integers(1, 5))
def test_an_import_in_pieces_is_the_import_of_the_whole(
    tmp_path_factory: pytest.TempPathFactory, name: str, rows: int, data: st.DataObject, batch_events: int
) -> None:
    path = tmp_path_factory.mktemp("log") / "access.log"
    steps = data.draw(st.lists(st.integers(0, len(LOGS[name])), max_size=3))
    assert counted(path, name, steps, batch_events) == list(range(rows))
