"""What the journal asks of the disk, as the operating system sees it."""

from __future__ import annotations

import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

STRACE = shutil.which("strace")
pytestmark = [pytest.mark.system, pytest.mark.skipif(STRACE is None, reason="strace is not installed")]
PROGRAM = """
import os, pathlib, sys
from tests.usage.journals import record
from flowtally.usage.journal import Journal
journal = Journal(pathlib.Path(sys.argv[1]))
for block in range(1, 6):
    os.write(2, b"begin %d\\n" % block)
    journal.commit(record(block))
    os.write(2, b"end %d\\n" % block)
"""


def calls_of_commits(folder: Path) -> list[list[str]]:
    """What each commit but the first, which begins the log, asked for between its beginning and its end."""
    trace = folder / "trace"
    what = "trace=write,pwrite64,fsync,fdatasync,ftruncate,sync_file_range"
    command = [str(STRACE), "-f", "-y", "-e", what, "-o", str(trace), sys.executable, "-c", PROGRAM]
    ended = subprocess.run([*command, str(folder / "journal.db")], capture_output=True, text=True, check=False)
    if "ptrace" in ended.stderr or "PTRACE" in ended.stderr:
        pytest.skip(f"this machine lets nobody trace: {ended.stderr.splitlines()[0]}")
    assert ended.returncode == 0, ended.stderr
    commits = re.findall(r'"begin \d\\n".*?\n(.*?)[^\n]*"end \d\\n"', trace.read_text(), re.DOTALL)
    assert len(commits) == 5
    return [re.findall(r"^\d+ +(\w+\(\d+<[^>]*>)", calls, re.MULTILINE) for calls in commits[1:]]


def test_a_commit_is_written_to_the_log_and_then_synced_once(tmp_path: Path) -> None:
    for calls in calls_of_commits(tmp_path):
        *writes, sync = calls
        assert writes
        assert all(re.fullmatch(r"pwrite64\(\d+<.*/journal.db-wal>", call) for call in writes), calls
        assert re.fullmatch(r"f(data)?sync\(\d+<.*/journal.db-wal>", sync), calls
