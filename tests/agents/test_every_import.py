"""However a log is written, packed, cut, grown and imported: each whole line is stored, once, and half a line waits."""

from __future__ import annotations

from contextlib import suppress
from pathlib import Path

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tests.agents.fake import FakeServer
from tests.agents.packing import ENCODINGS, PACKERS, encoded, packed

from flowtally.agents.formats import Declared
from flowtally.agents.mapping import Mapping
from flowtally.agents.reader import LogDamaged, LogFile
from flowtally.agents.report import ImportReport
from flowtally.agents.ship import Importer
from flowtally.client import ApiError, Unreachable

DECLARED = Declared(format="squid-io")
ACME = Mapping(account="acme")


class Step(msgspec.Struct, frozen=True):
    """The log as it is found at one time: so much of it is there, packed and written so; what befalls the run."""

    part: int  # thousandths of the text
    packing: str
    encoding: str
    members: tuple[int, ...]
    fault: str
    after: int
    cut: int  # bytes of the packed file that are missing


steps = st.builds(
    Step,
    part=st.integers(0, 1000),
    packing=st.sampled_from(["", "", *PACKERS]),
    encoding=st.sampled_from(ENCODINGS),
    members=st.lists(st.integers(0, 2000), max_size=3).map(tuple),
    fault=st.sampled_from(["", "", "stopped", "lost", "in part", "busy"]),
    after=st.integers(1, 4),
    cut=st.sampled_from([0, 0, 0, 5, 40]),
)
users = st.sampled_from(["bob", "jos%C3%A9", "a%20b"])
kinds = st.lists(st.one_of(users, st.sampled_from(["", "nonsense", "é" * 10])), min_size=1, max_size=25)


def text_of(kinds: list[str]) -> str:
    lines = [use(0, "bob")]
    for number, kind in enumerate(kinds, 1):
        lines.append(use(number, kind) if kind in ("bob", "jos%C3%A9", "a%20b") else kind)
    return "".join(line + "\n" for line in lines)


def use(number: int, user: str) -> str:
    return (
        f"{1_795_000_000 + number}.000      5 10.0.0.1 TCP_MISS/200 {number} GET http://n.test/ {user} "
        "HIER_DIRECT/10.0.0.2 text/html 7"
    )


def run(server: FakeServer, path: Path, *, finished: bool = False) -> ImportReport:
    with LogFile.open(path) as log:
        client = server.client(retry_s=0)
        return Importer(client, log, DECLARED, ACME, batch_events=4, finished=finished).run()


def befall(server: FakeServer, step: Step) -> None:
    """The fault comes with the request after so many."""
    left = [step.after]

    def come() -> None:
        left[0] -= 1
        if left[0]:
            return
        if step.fault == "stopped":
            raise KeyboardInterrupt
        server.lose_answers += step.fault == "lost"
        server.busy += step.fault == "busy"
        if step.fault == "in part":
            server.store_only = 2

    server.before_store = come


def down(server: FakeServer) -> list[int]:
    return [event.bytes_down for event in server.all_stored()]


def whole_lines(text: str) -> list[int]:
    return [int(line.split()[4]) for line in text.split("\n")[:-1] if line.startswith("17")]


@settings(deadline=None, max_examples=60)
@given(kinds=kinds, steps=st.lists(steps, max_size=5))
def test_every_whole_line_is_stored_once(
    tmp_path_factory: pytest.TempPathFactory, kinds: list[str], steps: list[Step]
) -> None:
    server, path, text = FakeServer(), tmp_path_factory.mktemp("log") / "log", text_of(kinds)
    most = 0
    for step in [*steps, Step(1000, "", "utf-8", (), "", 1, 0)]:
        most = max(most, len(text) * step.part // 1000)  # a log only grows
        data = packed(encoded(text[:most], step.encoding), step.packing, step.members)
        path.write_bytes(data[: len(data) - step.cut] if step.packing else data)
        befall(server, step)
        with suppress(KeyboardInterrupt, LogDamaged, Unreachable, ApiError):
            run(server, path)
        server.before_store = lambda: None
        server.store_only, server.busy, server.lose_answers = None, 0, 0
        with suppress(LogDamaged):
            run(server, path)
        stored = down(server)
        assert stored == whole_lines(text[:most])[: len(stored)]
        if not (step.packing and step.cut):
            assert stored == whole_lines(text[:most])
    assert len(server.events) <= 1


@settings(deadline=None, max_examples=30)
@given(kinds=kinds, part=st.integers(1, 999), encoding=st.sampled_from(ENCODINGS), packing=st.sampled_from(["", "xz"]))
def test_the_last_line_of_a_finished_log_counts_once_too(
    tmp_path_factory: pytest.TempPathFactory, kinds: list[str], part: int, encoding: str, packing: str
) -> None:
    server, path, text = FakeServer(), tmp_path_factory.mktemp("log") / "log", text_of(kinds).rstrip("\n")
    there = text[: len(text) * part // 1000]
    path.write_bytes(packed(encoded(there, encoding), packing))
    waiting = run(server, path).waiting_bytes
    # Before the first newline nobody knows how the file is written: then these are bytes of the file.
    assert waiting == len(there.rpartition("\n")[2].encode()) or "\n" not in there
    path.write_bytes(packed(encoded(text, encoding), packing))
    for _ in range(2):
        assert run(server, path, finished=True).waiting_bytes == 0
    assert down(server) == whole_lines(text + "\n")
