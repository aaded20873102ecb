"""Each check of the machine: what it calls well, what it warns of, what it calls broken."""

from __future__ import annotations

import contextlib
import fcntl
import os
import resource
from pathlib import Path

import pytest
from tests.small_disk import small_disk

from flowtally.care import doctor
from flowtally.care.doctor import Mount, mount_of

MOUNTS = """\
/dev/sda1 / ext4 rw,relatime 0 0
tmpfs /run tmpfs rw 0 0
server:/x /mnt/nfs nfs4 rw 0 0
/dev/sdb /mnt/my\\040disk xfs rw,nobarrier 0 0
overlay /over overlay rw 0 0
"""


def mount(kind: str, *options: str) -> Mount:
    return Mount("/data", kind, frozenset(options))


@pytest.mark.parametrize(
    ("path", "kind"),
    [
        ("/var/lib", "ext4"),
        ("/run/x", "tmpfs"),
        ("/mnt/nfs/data", "nfs4"),
        ("/mnt/my disk/d", "xfs"),
        ("/running", "ext4"),
    ],
)
def test_the_file_system_of_a_path_is_the_longest_mount(path: str, kind: str) -> None:
    found = mount_of(Path(path), MOUNTS)
    assert found is not None
    assert found.kind == kind


@pytest.mark.parametrize(
    ("found", "verdict"),
    [
        (mount("ext4", "rw"), "ok"),
        (mount("ext4", "rw", "nobarrier"), "fail"),
        (mount("tmpfs"), "fail"),
        (mount("nfs4"), "fail"),
        (mount("overlay"), "warn"),
        (mount("fuse.sshfs"), "warn"),
        (None, "warn"),
    ],
)
def test_file_systems_that_forget_are_told_apart(found: Mount | None, verdict: str) -> None:
    assert doctor.file_system(found).verdict == verdict


@pytest.mark.parametrize(
    ("median_us", "kind", "verdict"),
    [(800, "ext4", "ok"), (40, "ext4", "ok"), (3, "ext4", "warn"), (3, "tmpfs", "fail"), (90_000, "ext4", "warn")],
)
def test_a_sync_that_is_implausibly_quick_is_said_to_be(median_us: float, kind: str, verdict: str) -> None:
    assert doctor.fsync(median_us, mount(kind)).verdict == verdict


def test_the_time_of_a_sync_is_measured_and_leaves_nothing(tmp_path: Path) -> None:
    assert doctor.fsync_us(tmp_path) > 0
    assert list(tmp_path.iterdir()) == []


def test_a_library_that_turns_sync_off_is_found(tmp_path: Path) -> None:
    maps = tmp_path / "maps"
    maps.write_text("7f00-7f01 r-xp 0 0:0 1 /usr/lib/libeatmydata.so\n")
    assert doctor.preloaded(maps).verdict == "fail"
    assert doctor.preloaded(Path("/proc/self/maps")).verdict == "ok"


def test_a_clock_behind_the_last_block_or_never_set_is_said_to_be() -> None:
    now = 1_800_000_000_000
    assert doctor.clock(now, None).verdict == doctor.clock(now, now - 5).verdict == "ok"
    behind = doctor.clock(now, now + 7_200_000)
    assert (behind.verdict, behind.seen) == ("warn", "7,200 s behind the last block")
    assert doctor.clock(0, None).verdict == "fail"


def test_room_is_measured_against_what_the_door_wants_free(tmp_path: Path) -> None:
    assert doctor.room(tmp_path, 1 << 60).verdict == "fail"
    with small_disk(64 << 20) as disk:
        assert doctor.room(disk, 1 << 20).verdict == "warn"
        kinds = {check.name: check.verdict for check in doctor.checks(disk, min_free=1 << 20)}
        assert (kinds["file system"], kinds["fsync"]) == ("fail", "fail")


@pytest.mark.parametrize(("soft", "verdict"), [(1024, "warn"), (4096, "ok"), (resource.RLIM_INFINITY, "ok")])
def test_few_open_files_are_warned_of(soft: int, verdict: str) -> None:
    assert doctor.files(soft, 1 << 20).verdict == verdict


def test_memory_is_read_from_the_system(tmp_path: Path) -> None:
    told = tmp_path / "meminfo"
    told.write_text("MemTotal:  2000000 kB\nMemAvailable:  500000 kB\n")
    assert doctor.memory(told).verdict == "warn"
    assert doctor.memory(tmp_path / "nothing").seen == "unknown"


def test_a_directory_others_can_read_is_warned_of(tmp_path: Path) -> None:
    tmp_path.chmod(0o755)
    assert doctor.owner_alone(tmp_path).verdict == "warn"
    tmp_path.chmod(0o700)
    assert doctor.owner_alone(tmp_path).verdict == "ok"


def test_a_lock_left_by_a_dead_process_is_told_from_one_that_is_held(tmp_path: Path) -> None:
    lock = tmp_path / "keys.lock"
    assert doctor.lock(lock, serving=False).seen == "nobody has written here yet"
    lock.write_text("process 1 on box\n")
    assert doctor.lock(lock, serving=False).seen == "none; the last was process 1 on box"
    assert doctor.lock(lock, serving=True).verdict == "fail"
    with lock.open() as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        assert doctor.lock(lock, serving=True).seen == "process 1 on box, running"


def test_what_dead_processes_left_is_named(tmp_path: Path) -> None:
    assert [one.verdict for one in doctor.leftovers(tmp_path)] == ["ok"]
    for left in ("backups/.partial-x", "usage/shadow/flowtally_backup", ".restoring"):
        (tmp_path / left).mkdir(parents=True)
    (tmp_path / "keys.db.rebuilding").touch()
    assert sorted(one.seen for one in doctor.leftovers(tmp_path)) == [
        ".restoring",
        "backups/.partial-x",
        "keys.db.rebuilding",
        "usage/shadow/flowtally_backup",
    ]


def test_a_directory_that_is_gone_or_full_is_said_to_be(tmp_path: Path) -> None:
    gone = doctor.checks(tmp_path / "gone", min_free=1)
    assert (gone[0].name, gone[0].verdict) == ("data directory", "fail")
    with small_disk(1 << 20) as disk:
        with (disk / "ballast").open("wb", buffering=0) as file, contextlib.suppress(OSError):
            while True:
                file.write(bytes(4096))
        full = {one.name: one for one in doctor.checks(disk, min_free=1)}
        assert (full["fsync"].verdict, full["fsync"].seen) == ("fail", "No space left on device")
        assert full["room"].verdict == "fail"


def test_all_checks_run_here(tmp_path: Path) -> None:
    os.chmod(tmp_path, 0o700)
    found = doctor.checks(tmp_path, min_free=1)
    assert len({one.name for one in found}) == len(found) >= 14
    assert all(one.detail for one in found if one.verdict == "fail")
