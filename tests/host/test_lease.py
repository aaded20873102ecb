"""Who may write a place: one at a time, named, and without a trace where nothing came of it."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from flowtally.core.errors import ConfigError, WriterBusy
from flowtally.host.lease import DATA_LOCK, Lease, of_data, of_keys, of_ledger

HOLD = (
    "import sys, pathlib\nfrom flowtally.host.lease import Lease\nlease = Lease(pathlib.Path(sys.argv[1]), 'data')\n"
    "print('held', flush=True)\nsys.stdin.read()\n"
)


def test_a_second_one_is_refused_and_told_who_has_it(tmp_path: Path) -> None:
    with Lease(of_data(tmp_path), "data"):
        for _ in range(2):
            with pytest.raises(WriterBusy, match=f"{tmp_path} is written by process {os.getpid()}"):
                Lease(of_data(tmp_path), "data")
    Lease(of_data(tmp_path), "data").release()


def test_two_names_of_one_directory_are_one_place(tmp_path: Path) -> None:
    (tmp_path / "data").mkdir()
    (tmp_path / "link").symlink_to(tmp_path / "data")
    with Lease(of_data(tmp_path / "data"), "data"), pytest.raises(WriterBusy):
        Lease(of_data(tmp_path / "link"), "data")


@pytest.mark.parametrize("lock_of", [of_keys, of_ledger])
def test_two_names_of_one_file_are_one_place(tmp_path: Path, lock_of: object) -> None:
    (tmp_path / "real").mkdir()
    (tmp_path / "real" / "a.db").touch()
    (tmp_path / "a.db").symlink_to(tmp_path / "real" / "a.db")
    assert callable(lock_of)
    assert lock_of(tmp_path / "a.db") == lock_of(tmp_path / "real" / "a.db")


def test_places_side_by_side_do_not_meet(tmp_path: Path) -> None:
    with (
        Lease(of_data(tmp_path), "data"),
        Lease(of_keys(tmp_path / "keys.db"), "keys_url"),
        Lease(of_ledger(tmp_path / "ledger.db"), "ledger_url"),
        Lease(of_data(tmp_path / "other"), "data"),
    ):
        pass


def test_what_was_not_kept_leaves_no_trace(tmp_path: Path) -> None:
    with Lease(of_data(tmp_path / "deep" / "data"), "data"):
        assert (tmp_path / "deep" / "data").stat().st_mode & 0o777 == 0o700
    assert list(tmp_path.iterdir()) == []


def test_a_directory_in_which_somebody_put_something_stays(tmp_path: Path) -> None:
    with Lease(of_data(tmp_path / "deep" / "data"), "data"):
        (tmp_path / "deep" / "note").touch()
    assert [one.name for one in (tmp_path / "deep").iterdir()] == ["note"]


def test_what_was_kept_names_its_last_holder_until_another_keeps_it(tmp_path: Path) -> None:
    (tmp_path / DATA_LOCK).write_text("process 1 on elsewhere\n")
    with Lease(of_data(tmp_path), "data"):
        assert f"process {os.getpid()}" in (tmp_path / DATA_LOCK).read_text()
    assert (tmp_path / DATA_LOCK).read_text() == "process 1 on elsewhere\n"
    with Lease(of_data(tmp_path), "data") as lease:
        lease.keep()
    assert f"process {os.getpid()}" in (tmp_path / DATA_LOCK).read_text()


def test_a_killed_holder_leaves_it_free(tmp_path: Path) -> None:
    command = [sys.executable, "-c", HOLD, str(of_data(tmp_path))]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as holder:
        assert holder.stdout is not None
        assert holder.stdout.readline() == "held\n"
        with pytest.raises(WriterBusy, match=f"process {holder.pid}"):
            Lease(of_data(tmp_path), "data")
        holder.send_signal(signal.SIGKILL)
        holder.wait()
        Lease(of_data(tmp_path), "data").release()


def test_a_place_that_cannot_be_is_named_with_its_setting(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    for place in ("file", "file/data"):
        with pytest.raises(ConfigError, match=rf"data = '{tmp_path}/{place}'"):
            Lease(of_data(tmp_path / place), "data")


def test_a_file_where_a_directory_is_needed_is_called_so(tmp_path: Path) -> None:
    (tmp_path / "data").write_text("")
    with pytest.raises(ConfigError, match="this is a file; a directory is needed"):
        Lease(tmp_path / "data" / "lock", "data")
