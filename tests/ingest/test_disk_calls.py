"""What a flush asks of the disk, in which order, and a disk that fails: as the operating system sees it."""

from __future__ import annotations

import re
import shutil
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from tests.ingest.child import Child
from tests.ingest.conftest import named, numbered

STRACE = shutil.which("strace")
pytestmark = [pytest.mark.system, pytest.mark.skipif(STRACE is None, reason="strace is not installed")]
PROGRAM = """
import os, pathlib, sys
from tests.usage.blocks import block
from flowtally.usage.flusher import Flusher, FlushSettings
from flowtally.usage.journal import Journal
from flowtally.usage.open import open_usage
from flowtally.usage.records import Record
from flowtally.usage.values import Commit
place = pathlib.Path(sys.argv[1])
usage, journal = open_usage(f"chdb:///{place}/usage"), Journal(place / "journal.db")
flusher = Flusher(usage, journal, lambda: 1, FlushSettings())
one = block(1, {"id": "a"})
journal.commit(Record(1, one.received_at, b"", one.rows))
usage.append(one)
usage.publish(Commit(1, one.received_at))
[(table,)] = usage.engine.rows("SELECT data_paths[1] FROM system.tables WHERE name = 'usage_events'")
os.write(2, f"begin {table}\\n".encode())
usage.flush(9)
flusher.forget()
os.write(2, b"end\\n")
"""


def cannot_trace(said: str) -> None:
    if "ptrace" in said.lower():
        pytest.skip(f"this machine lets nobody trace: {said.splitlines()[0]}")


def test_a_flush_is_staged_then_moved_then_synced_and_only_then_forgotten(tmp_path: Path) -> None:
    trace = tmp_path / "trace"
    what = "trace=write,pwrite64,fsync,fdatasync,sync,syncfs,rename,renameat,renameat2"
    command = [str(STRACE), "-f", "-y", "-s", "300", "-e", what, "-o", str(trace), sys.executable, "-c", PROGRAM]
    ended = subprocess.run([*command, str(tmp_path)], capture_output=True, text=True, check=False)
    cannot_trace(ended.stderr)
    assert ended.returncode == 0, ended.stderr
    found = re.search(r'"begin ([^"]*)\\n"(.*)"end\\n"', trace.read_text(), re.DOTALL)
    assert found, trace.read_text()[-2000:]
    table, calls = found[1].rstrip("/"), found[2].splitlines()

    def numbers(pattern: str) -> list[int]:
        return [number for number, call in enumerate(calls) if re.search(pattern, call)]

    outside = rf"f(data)?sync\(\d+<(?!{re.escape(table)})[^>]*/store/[^>]*/tmp_insert_[^>]*data\.bin>"
    staged = numbers(outside)
    moved = numbers(rf'rename\w*\(.*{re.escape(table)}/[^"]*", .*{re.escape(table)}/\d{{6}}_\d+_\d+_\d+/?"')
    synced = numbers(r" sync\(")
    forgotten = numbers(r"pwrite64\(\d+<[^>]*/journal\.db-wal>")
    assert staged
    assert len(moved) == len(synced) == 1, "\n".join(calls[-60:])
    assert max(staged) < moved[0] < synced[0] < min(forgotten)


@contextmanager
def failing_sync(child: Child, file: Path) -> Iterator[None]:
    """The next sync of this file is answered EIO."""
    calls = "fsync,fdatasync"
    command = [
        str(STRACE), "-f", "-p", str(child._process.pid), "-P", str(file), "-e", f"trace={calls}",
        "-e", f"inject={calls}:error=EIO:when=1",
    ]  # fmt: skip
    with subprocess.Popen(command, stderr=subprocess.PIPE, text=True) as tracer:
        assert tracer.stderr is not None
        said = tracer.stderr.readline()
        try:
            cannot_trace(said if "attached" not in said else "")
            time.sleep(0.5)  # it takes hold of every thread
            yield
        finally:
            tracer.kill()


@pytest.mark.parametrize("dies", [True, False], ids=["killed before any other write", "goes on"])
def test_a_commit_whose_sync_answers_an_error_is_known_or_not_there(tmp_path: Path, dies: bool) -> None:
    data = tmp_path / "data"
    sent = [*named("a", "b"), *numbered(1, 3)]
    with Child(data) as child:
        assert child.send(*named("0"))["stored"] == 1
        if dies:
            child.ask("die_before_settling")
        with failing_sync(child, data / "journal.db-wal"):
            answer = child.send(*sent)
        if dies:
            assert answer == {"died": -9}
        else:
            assert answer.get("stored") == 5 or answer.get("error") in ("settling", "unavailable"), answer
            assert "block_in_doubt" in (tmp_path / "data.log").read_text(errors="replace")
            again = child.send(*sent, *named("c"))
            assert again["stored"] + again["duplicate"] == 6
            total = child.ask("total")
            assert (total["rows"], total["acknowledged"], total["bytes_up"]) == (7, 7, 7)
            child.kill()
    with Child(data) as child:
        again = child.send(*sent, *named("c"))
        assert again["stored"] + again["duplicate"] == 6
        total = child.ask("total")
        assert (total["rows"], total["acknowledged"], total["bytes_up"]) == (7, 7, 7)
        assert child.ask("source", source="log") == {"sequence": 3, "position": "p3"}
        child.stop()
