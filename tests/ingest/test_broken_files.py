"""Damage on the disk, found when a process starts over it: the start names the part, or every answer is right or says
which part it cannot read, and `verify` and a backup name it."""

from __future__ import annotations

import shutil
import sqlite3
from pathlib import Path
from typing import Any

import httpx
import pytest
from tests import fork_server
from tests.ingest.child import FIRST_AT, SECOND_AT, Child, refusal
from tests.ingest.conftest import named
from tests.live import clean_environment, live_server

OLD = "202603_1_1_0"  # the part of the first block, in a month of its own
NEW = "202604_2_2_0"


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, dict[str, Any]]:
    """An installation of two blocks in two parts, stopped as it should be, and what it answers."""
    home = tmp_path_factory.mktemp("whole")
    events = [named(*(f"{user}{n}" for n in range(50)), user=user, bytes_up=7, labels={"k": user}) for user in "abcd"]
    with Child(home / "data", now=FIRST_AT) as child:
        assert child.send(*events[0], *events[1])["stored"] == 100
        child.stop()
    with Child(home / "data", now=SECOND_AT) as child:
        assert child.send(*events[2], *events[3])["stored"] == 100
        answers = child.ask("answers")
        child.stop()
    assert not [one for one in answers.values() if one.startswith("!")]
    return home, answers


@pytest.fixture
def data(whole: tuple[Path, dict[str, Any]], tmp_path: Path) -> Path:
    """A copy of it to be damaged."""
    shutil.copytree(whole[0], tmp_path / "copy", symlinks=True)
    return tmp_path / "copy" / "data"


def part_of(data: Path, name: str) -> Path:
    [found] = data.glob(f"usage/store/*/*/{name}")
    return found


def flip(file: Path, at: int | None = None) -> None:
    content = bytearray(file.read_bytes())
    content[len(content) // 2 if at is None else at] ^= 0x11
    file.write_bytes(bytes(content))


def unclean(data: Path) -> None:
    """As if the last process had been killed, with nothing marked since the first block."""
    with sqlite3.connect(data / "keys.db") as db:
        db.execute("UPDATE committer SET clean = 0, clean_block = 1")


def check_served(child: Child, answers: dict[str, Any], part: str, file: str) -> None:
    """It opened over the damage: nothing may be wrong in silence."""
    for name, said in child.ask("answers").items():
        assert said == answers[name] or (said.startswith("!store_damaged: ") and part in said), (name, said)
    findings = child.ask("verify")["findings"]
    assert [one for one in findings if one.startswith("broken_part: part ") and part in one and file in one], findings
    made = child.ask("backup", place=str(child.data.parent / "backups"))["backup"]
    assert made.startswith("!BrokenParts: ")
    assert part in made


OF_A_PART = (
    "checksums.txt", "columns.txt", "columns_substreams.txt", "count.txt", "data.bin", "data.cmrk4",
    "default_compression_codec.txt", "minmax_received_at.idx", "partition.dat", "primary.cidx",
    "serialization.json", "skp_idx.packed",
)  # fmt: skip


@pytest.mark.parametrize("name", OF_A_PART)
def test_a_start_over_a_flipped_byte_names_the_part_or_serves_nothing_wrong(
    whole: tuple[Path, dict[str, Any]], data: Path, name: str
) -> None:
    flip(part_of(data, OLD) / name)
    child = Child(data, now=SECOND_AT)
    try:
        if child.opened == {"open": True}:
            assert name in ("data.bin", "skp_idx.packed", "columns_substreams.txt")
            check_served(child, whole[1], OLD, name)
        else:
            assert child.opened["damage"] == "BrokenParts"
            assert OLD in child.opened["detail"]
    finally:
        child.kill()


@pytest.mark.parametrize("name", ["data.bin", "skp_idx.packed", "columns_substreams.txt"])
def test_after_an_unclean_stop_the_parts_since_the_last_mark_are_read(data: Path, name: str) -> None:
    flip(part_of(data, NEW) / name)
    unclean(data)
    for _ in range(2):
        found = refusal(data, now=SECOND_AT)
        assert found["damage"] == "BrokenParts"
        assert f"part {NEW}" in found["detail"]
        assert name in found["detail"]


@pytest.mark.parametrize("name", ["data.bin", "columns.txt", "primary.cidx", "count.txt"])
def test_a_broken_projection_is_made_anew_at_an_unclean_stop_or_where_the_engine_sees_it(
    whole: tuple[Path, dict[str, Any]], data: Path, name: str
) -> None:
    part = part_of(data, NEW)
    flip(part / "account_buckets.proj" / name)
    unclean(data)
    with Child(data, now=SECOND_AT) as child:
        assert child.ask("answers") == whole[1]
        assert child.ask("verify")["findings"] == []
    assert f"rebuilt the projection of part {NEW}" in (data.parent / "data.log").read_text(errors="replace")


def test_a_missing_projection_is_told(whole: tuple[Path, dict[str, Any]], data: Path) -> None:
    shutil.rmtree(part_of(data, OLD) / "buckets.proj")
    child = Child(data, now=SECOND_AT)
    try:
        if child.opened == {"open": True}:
            assert child.ask("answers") == whole[1]
            if findings := child.ask("verify")["findings"]:
                assert any(OLD in one for one in findings)
            else:  # it was made anew
                assert OLD in (data.parent / "data.log").read_text(errors="replace")
        else:
            assert OLD in child.opened["detail"]
    finally:
        child.kill()


@pytest.mark.parametrize("name", ["data.bin", "skp_idx.packed", "buckets.proj/data.bin"])
def test_files_of_another_part_are_told(whole: tuple[Path, dict[str, Any]], data: Path, name: str) -> None:
    """They carry right checksums of their own: only the list of the part says that they are not its files."""
    ours, other = part_of(data, OLD) / name, part_of(data, NEW) / name
    shutil.copyfile(other, ours)
    child = Child(data, now=SECOND_AT)
    try:
        if child.opened == {"open": True}:
            if findings := child.ask("verify")["findings"]:
                assert [one for one in findings if one.startswith(f"broken_part: part {OLD}: {name}")], findings
            else:  # of another length, which was seen at the start: it was made anew
                assert child.ask("answers") == whole[1]
                assert OLD in (data.parent / "data.log").read_text(errors="replace")
        else:
            assert OLD in child.opened["detail"]
    finally:
        child.kill()


def test_a_part_copied_under_another_name_is_told(data: Path) -> None:
    part = part_of(data, NEW)
    shutil.copytree(part, part.with_name("202604_7_7_0"))
    found = refusal(data, now=SECOND_AT)
    assert found["damage"] == "DoubleCounted"
    assert NEW in found["detail"]
    assert "202604_7_7_0" in found["detail"]


@pytest.mark.parametrize("name", ["202603_1_1_0/minmax_received_at.idx", "202604_2_2_0/minmax_received_at.idx"])
def test_a_wrong_bound_of_the_instants_of_receipt_ends_the_start_whatever_byte_it_is(data: Path, name: str) -> None:
    """The engine leaves out whole parts by it, and no checksum is looked at."""
    part = name.partition("/")[0]
    file = part_of(data, part) / "minmax_received_at.idx"
    content = file.read_bytes()
    for at in (0, 5, 9, 15):
        flip(file, at)
        found = refusal(data, now=SECOND_AT)
        assert (found["damage"], part in found["detail"]) == ("BrokenParts", True), (at, found)
        file.write_bytes(content)


@pytest.mark.parametrize("page", [0, 1, 3, 6])
def test_a_torn_page_of_the_keys_is_named(data: Path, page: int) -> None:
    file = data / "keys.db"
    size = 4096
    content = bytearray(file.read_bytes())
    content[page * size : (page + 1) * size] = b"\xff" * min(size, len(content) - page * size)
    file.write_bytes(bytes(content))
    child = Child(data, now=SECOND_AT)
    try:
        if child.opened == {"open": True}:
            findings = child.ask("verify")["findings"]
            assert any(one.startswith("keys_file: ") or "keys database" in one for one in findings), findings
            assert child.ask("backup", place=str(data.parent / "b"))["backup"].startswith(
                ("!KeysBroken", "!store_damag")
            )
        else:
            assert child.opened["damage"] == "KeysBroken"
            assert "keys" in child.opened["detail"]
    finally:
        child.kill()


# What the engine takes its tables for


def text_of(data: Path, table: str = "usage_events") -> Path:
    [found] = data.glob(f"usage/metadata/default/{table}.sql")
    return found


@pytest.mark.parametrize(
    ("table", "old", "new"),
    [
        ("usage_events", b"`entries` UInt64 DEFAULT 1", b"`entries` UInt64 DEFAULT 0"),
        ("installation", b"`generation`", b"`generatiom`"),
        ("usage_events", b"ENGINE = MergeTree", b"ENGINE = MergeTrde"),  # over these the engine does not open
        ("installation", b")\nENGINE", b"("),
        ("installation", b" UUID '", b" UUID '!"),
    ],
)
def test_a_changed_text_of_a_table_ends_the_start_with_what_differs(
    data: Path, table: str, old: bytes, new: bytes
) -> None:
    file = text_of(data, table)
    content = file.read_bytes()
    assert old in content
    file.write_bytes(content.replace(old, new, 1))
    before = {one: one.read_bytes() for one in data.glob("usage/metadata/default/*.sql")}
    found = refusal(data, now=SECOND_AT)
    assert found["damage"] == "TableChanged", found
    assert f"{table}.sql" in found["detail"]
    assert "belongs" in found["detail"] or "first line" in found["detail"]
    assert {one: one.read_bytes() for one in data.glob("usage/metadata/default/*.sql")} == before


@pytest.mark.parametrize(
    ("table", "how"),
    [("usage_events", "gone"), ("usage_events", "of another table"), ("installation", "gone"),
     ("schema_migrations", "of another table")],
)  # fmt: skip
def test_a_table_that_is_lost_is_told_or_missed_by_nobody(
    whole: tuple[Path, dict[str, Any]], data: Path, table: str, how: str
) -> None:
    file = text_of(data, table)
    if how == "gone":
        file.unlink()
    else:  # its text names files that are not there
        at = file.read_bytes().index(b"UUID '") + 10
        content = file.read_bytes()
        file.write_bytes(content[:at] + (b"1" if content[at : at + 1] == b"0" else b"0") + content[at + 1 :])
    child = Child(data, now=SECOND_AT)
    try:
        if child.opened == {"open": True}:
            assert table == "schema_migrations"
            assert child.ask("answers") == whole[1]
        else:
            assert child.opened["damage"] in ("TableChanged", "MissingRows", "StoresDiffer"), child.opened
    finally:
        child.kill()


def test_a_broken_part_of_the_migrations_is_named(data: Path) -> None:
    uuid = text_of(data, "schema_migrations").read_text().split("'")[1]
    part = sorted(data.glob(f"usage/store/*/{uuid}/all_*"))[0]
    flip(part / "data.bin")
    found = refusal(data, now=SECOND_AT)
    assert found["damage"] == "BrokenParts", found
    assert f"part {part.name}" in found["detail"]


@pytest.mark.parametrize("what", ["keys", "roll-ups"])
def test_a_rebuild_over_a_broken_part_names_it_and_changes_nothing(data: Path, what: str) -> None:
    flip(part_of(data, OLD) / "data.bin")
    keys = (data / "keys.db").read_bytes()
    done = fork_server.run(f"rebuild-{what}", "--data", str(data))
    assert done.returncode == 1, done.stderr
    assert f"part {OLD}, data.bin" in done.stderr
    assert "Traceback" not in done.stderr
    assert (data / "keys.db").read_bytes() == keys


def tear(ledger: Path, table: str) -> None:
    with sqlite3.connect(ledger) as db:
        db.execute("PRAGMA wal_checkpoint(TRUNCATE)")
        found = db.execute("SELECT rootpage FROM sqlite_master WHERE name = ?", (table,)).fetchall()
        [(size,)] = db.execute("PRAGMA page_size")
    with ledger.open("r+b") as file:
        file.seek((found[0][0] - 1) * size if found else 0)
        file.write(b"\xff" * size)


@pytest.mark.parametrize("table", ["sqlite_master", "installation", "accounts"])
def test_a_torn_page_of_the_ledger_ends_the_start_with_its_name(tmp_path: Path, table: str) -> None:
    data = tmp_path / "data"
    with live_server(data):
        pass
    tear(data / "ledger.db", table)
    done = fork_server.run("serve", "--data", str(data), "--port", "0", env=clean_environment())
    assert done.returncode != 0
    assert "ledger" in done.stderr
    assert "Traceback" not in done.stderr


def test_a_torn_page_of_the_ledger_that_a_start_does_not_need_is_told_to_who_needs_it(tmp_path: Path) -> None:
    data = tmp_path / "data"
    with live_server(data) as live:
        who = {"Authorization": f"Bearer {live.token}"}
        for path, body in (("accounts", {"id": "acme"}), ("accounts/acme/grants", {"amount": 5, "source": "order"})):
            assert httpx.post(f"{live.url}/v1/{path}", json=body, headers=who, timeout=60).status_code == 201
    tear(data / "ledger.db", "grants")
    with live_server(data) as live:
        answer = httpx.get(f"{live.url}/v1/accounts/acme/grants", headers=who, timeout=60)
    assert (answer.status_code, answer.json()["code"]) == (500, "store_damaged")
    assert "ledger" in answer.json()["detail"]
    assert "Traceback" not in (tmp_path / "data.log").read_text()
