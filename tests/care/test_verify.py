"""Real damage, each kind, is found and named; what is whole is said to be whole, also while writing goes on."""

from __future__ import annotations

import random
import shutil
import sqlite3
import threading
from pathlib import Path

import pytest
from tests.care.conftest import Patient, refusing_flushes
from tests.ingest.conftest import named, numbered

from flowtally.core.errors import Unavailable
from flowtally.keys import checks
from flowtally.keys.values import Moved
from flowtally.usage.records import Record, decode, head_of

COLUMNS = (
    "series, account, user, product, source, id, sequence, time, status, bytes_up, bytes_down, requests, labels,"
    " kind, refers_to, key_source, digest, mark, position"
)
UUID = "0198f3a0-1111-7abc-8def-00000000000a"


@pytest.fixture
def sick(patient: Patient) -> Patient:
    """Named and numbered usage in three blocks, with a duplicate, a conflict and refused numbers."""
    services = patient.services
    services.send(*named("a", "b", UUID, user="ann"), *named("x, y", source="odd"))
    services.send(*numbered(1, 5), *named("a"), *named("b", bytes_up=7))
    patient.store.settle()
    refused = numbered(6, 7, bytes_up=-1)
    services.send(*refused, *numbered(8, 9), *named("c", account="beta"))
    return patient


def copy(where: str, **changed: str) -> str:
    """A statement that inserts rows again, some columns changed."""
    columns = f"{COLUMNS}, block, received_at"
    values = ", ".join(changed.get(name, name) for name in columns.split(", "))
    return f"INSERT INTO usage_events ({columns}) SELECT {values} FROM usage_events WHERE {where}"


@pytest.mark.parametrize("flushed", [True, False])
def test_what_is_whole_is_said_to_be_whole(sick: Patient, flushed: bool) -> None:
    """Whether all its rows stand in the table or some do not yet."""
    if flushed:
        sick.store.settle()
    report = sick.verify()
    assert report.findings == []
    assert (report.block, report.rows, report.found) == (3, 12, 0)
    looked_at = {check.name: check.looked_at for check in report.checks}
    in_parts = 12 if flushed else 9
    assert (looked_at["rows"], looked_at["roll-ups"], looked_at["keys"], looked_at["numbers"]) == (12, in_parts, 5, 3)
    assert looked_at["subjects"] == 3


def test_a_last_block_without_a_row_is_whole(sick: Patient) -> None:
    sick.services.send(*numbered(10, 11, bytes_up=-1))
    report = sick.verify()
    assert (report.findings, report.block, report.rows) == ([], 4, 12)


@pytest.mark.parametrize("flushed", [True, False])
def test_a_record_of_the_journal_whose_rows_are_not_all_there_is_named(sick: Patient, flushed: bool) -> None:
    if flushed:
        sick.store.settle()
    with sqlite3.connect(sick.services.data / "journal.db") as db:
        [(head, body)] = db.execute("SELECT head, body FROM records WHERE block = 1")
    rows = decode(head_of(1, head), body).rows
    sick.services.journal.commit(Record(4, 1, b"", rows))
    sick.services.keys.skip(4)
    with sick.services.keys.begin():
        sick.services.keys.move(Moved(4, 1, rows.num_rows, ()))
    found = sick.found()
    told = f"block 4: its record in the journal has {rows.num_rows} rows, and 0 are there"
    assert found["record_without_rows"] == [told]


def test_a_damaged_record_of_the_journal_is_named(sick: Patient) -> None:
    with sqlite3.connect(sick.services.data / "journal.db") as db:
        [(body,)] = db.execute("SELECT body FROM records WHERE block = 2")
        db.execute("UPDATE records SET body = ? WHERE block = 2", (body[:-1] + bytes([body[-1] ^ 1]),))
    [(code, [told])] = sick.found().items()
    assert code == "journal_file"
    assert "The record of block 2 in the journal" in told


def test_a_block_that_the_table_refuses_is_named_and_everything_else_agrees(sick: Patient) -> None:
    sick.store.settle()
    with refusing_flushes(sick.store):
        sick.services.send(*named("late"))
        with pytest.raises(Unavailable, match="Block 4 is set aside"):
            sick.store.settle()
        report = sick.verify()
        [found] = report.findings
        assert (found.check, found.code, found.where) == ("journal", "block_set_aside", "block 4")
        assert report.rows == 13


def test_an_empty_installation_is_whole(patient: Patient) -> None:
    assert patient.found() == {}


def test_a_row_inserted_twice_by_hand_is_named_with_its_blocks(sick: Patient) -> None:
    sick.rows(copy(f"id = '{UUID}'"))
    found = sick.found()
    assert found["counted_twice"] == [f"event '{UUID}' of source 'gw': has 2 rows, in blocks 1, 1"]
    assert found["rows_total"] == ["usage rows: 12 rows were acknowledged up to block 3, 13 are there"]
    assert set(found) == {"counted_twice", "rows_total"}


def test_a_number_inserted_twice_by_hand_is_named(sick: Patient) -> None:
    sick.rows(copy("sequence = 4"))
    assert sick.found()["counted_twice"] == ["source 'log': 1 numbers with more than one row: 4"]


def test_rows_that_vanished_are_named_by_their_keys_and_numbers(sick: Patient) -> None:
    sick.rows("ALTER TABLE usage_events DELETE WHERE id = 'b' OR sequence IN (2, 3) SETTINGS mutations_sync = 2")
    found = sick.found()
    assert found["key_without_row"] == ["event 'b' of source 'gw': has a key of block 1 and no row"]
    assert found["missing_number"] == [
        "source 'log': 2 numbers up to its mark and with neither a row nor a refusal: 2-3"
    ]
    assert "9 are there" in found["rows_total"][0]


def test_a_removed_key_is_named(sick: Patient) -> None:
    sick.keys("DELETE FROM {keys} WHERE key = x'0162'")
    assert sick.found() == {"row_without_key": ["event 'b' of source 'gw': has a row in block 1 and no key"]}


def test_a_foreign_digest_and_a_foreign_block_are_named(sick: Patient) -> None:
    sick.keys("UPDATE {keys} SET digest = 5 WHERE key = x'0161'")
    sick.keys("UPDATE {keys} SET block = 2 WHERE key = x'0162'")
    found = sick.found()
    assert set(found) == {"foreign_digest", "wrong_block"}
    assert found["foreign_digest"][0].startswith("event 'a' of source 'gw': its key has digest 5, its row ")
    assert found["wrong_block"] == ["event 'b' of source 'gw': its key says block 2, its row is in block 1"]


def test_exchanged_digests_do_not_cancel_out(sick: Patient) -> None:
    one, other = sick.digest(b"\x01a"), sick.digest(b"\x01c")
    assert one != other
    sick.keys(f"UPDATE {{keys}} SET digest = CASE key WHEN x'0161' THEN {other} ELSE {one} END"
              " WHERE key IN (x'0161', x'0163')")  # fmt: skip
    assert len(sick.found()["foreign_digest"]) == 2


def test_a_key_with_two_contents_is_named(sick: Patient) -> None:
    sick.keys("INSERT OR IGNORE INTO keys SELECT source, key, 5, block FROM {keys} WHERE key = x'0161'")
    assert set(sick.found()) == {"two_keys"}


def test_keys_are_found_while_they_drain_from_the_log(sick: Patient, monkeypatch: pytest.MonkeyPatch) -> None:
    """The writer carries keys from its log to the tree between one check and the next."""
    monkeypatch.setattr(sick.services.keys._index, "_limit", 30)
    chance = random.Random(5)
    for _ in range(12):
        sick.services.send(*named(*(f"{chance.randrange(2**60):x}" for _ in range(17))))
        assert sick.found() == {}


def test_keys_of_a_source_nobody_registered_are_named(sick: Patient) -> None:
    sick.keys("DELETE FROM sources WHERE name = 'odd'")
    found = sick.found()
    assert found["unknown_source"] == ["source 'odd': has 1 rows and is not registered"]
    assert len(found["key_of_no_source"]) == 1
    assert found["key_of_no_source"][0].startswith("key 'x, y': its source ")


@pytest.mark.parametrize(
    ("mark", "code", "told"),
    [
        (12, "missing_number", "3 numbers up to its mark and with neither a row nor a refusal: 10-12"),
        (8, "mark_behind", "its mark is 8; its rows say 9"),
        (70_000, "missing_number", "65526 numbers up to its mark and with neither a row nor a refusal: 10-65535"),
    ],
)
def test_a_shifted_mark_is_named(sick: Patient, mark: int, code: str, told: str) -> None:
    sick.keys(f"UPDATE sources SET mark = {mark} WHERE name = 'log'")
    assert f"source 'log': {told}" in sick.found()[code]


def test_a_changed_position_is_named(sick: Patient) -> None:
    sick.keys("UPDATE sources SET position = 'p5' WHERE name = 'log'")
    assert sick.found() == {"position": ["source 'log': its position is 'p5'; its rows say 'p9'"]}


def test_a_refusal_that_was_stored_too_and_one_that_vanished_are_named(sick: Patient) -> None:
    sick.keys("UPDATE refused SET sequence = 5 WHERE sequence = 6")
    found = sick.found()
    assert found["refused_and_stored"] == ["source 'log': 1 numbers refused, and with a row: 5"]
    assert found["missing_number"][0].endswith(": 6")


def test_what_is_held_is_no_missing_number_and_is_named_where_it_is_stored_too(sick: Patient) -> None:
    sick.services.send(*numbered(10, 11), *numbered(12, 13, account="later"))
    assert sick.found() == {}
    sick.keys("UPDATE held SET sequence = 11 WHERE sequence = 12")
    found = sick.found()
    assert found["held_and_stored"] == ["source 'log': 1 numbers held, and with a row: 11"]
    assert found["missing_number"][0].endswith(": 12")


def test_a_broken_projection_is_named_with_account_and_figures(patient: Patient) -> None:
    """The projection of another part in the place of its own."""
    patient.services.send(*named("a", bytes_up=10, bytes_down=30))
    patient.store.settle()
    patient.services.send(*named("b", bytes_up=20, bytes_down=30))
    parts = dict(patient.engine.rows("SELECT DISTINCT id, _part FROM usage_events", optimize_use_projections=0))
    [(paths,)] = patient.engine.rows("SELECT data_paths FROM system.tables WHERE database = currentDatabase()"
                                     " AND name = 'usage_events'")  # fmt: skip
    assert len(set(parts.values())) == 2
    patient.rows(f"ALTER TABLE usage_events DETACH PART '{parts['a']}'")
    mine, theirs = Path(paths[0]) / "detached" / parts["a"], Path(paths[0]) / parts["b"]
    for name in ("buckets.proj", "account_buckets.proj"):
        shutil.rmtree(mine / name)
        shutil.copytree(theirs / name, mine / name)
    patient.rows(f"ALTER TABLE usage_events ATTACH PART '{parts['a']}'")
    [(part,)] = patient.engine.rows("SELECT _part FROM usage_events WHERE id = 'a'")
    found = patient.found()
    assert [one.split(":")[0] for one in found.pop("broken_part")] == [f"part {part}"]  # files of another part
    assert found == {
        "roll_up": [
            f"part {part}, account 'acme', series 'metered': the projection {name} says bytes up 20 instead of 10"
            for name in ("buckets", "account_buckets")
        ]
    }


def test_a_projection_that_is_gone_is_named(sick: Patient) -> None:
    sick.rows("ALTER TABLE usage_events CLEAR PROJECTION buckets IN PARTITION 202603 SETTINGS mutations_sync = 2")
    assert set(sick.found()) == {"roll_up"}
    sick.rows(
        "ALTER TABLE usage_events CLEAR PROJECTION account_buckets IN PARTITION 202603 SETTINGS mutations_sync = 2"
    )
    parts = sick.found()["roll_up"]
    assert all(line.endswith("its projection buckets, account_buckets is missing or cannot be read") for line in parts)


def test_a_row_of_a_block_that_was_not_committed_is_named(sick: Patient) -> None:
    sick.rows(copy("id = 'a'", block="toUInt64(9)", id="'z'"))
    found = sick.found()
    assert found == {"uncommitted_block": ["block 9: 1 rows of a block that was never committed"]}


def test_a_block_with_two_instants_and_a_late_row_are_named(sick: Patient) -> None:
    sick.rows(copy("id = 'a'", received_at="received_at + 1", id="'z'"))
    found = sick.found()
    assert found["torn_block"] == ["block 1: its rows have more than one instant of receipt"]
    assert "received_at" in found
    assert "row_without_key" in found


def test_quantities_no_door_lets_in_are_named(sick: Patient) -> None:
    sick.rows(copy("id = 'a'", bytes_down="toInt64(-5)", id="'z'"))
    assert sick.found()["impossible_row"] == ["usage rows: 1 rows that no door lets in"]


def test_usage_of_an_account_or_user_the_ledger_does_not_know_is_named(sick: Patient) -> None:
    sick.rows(copy("id = 'a'", account="'ghost'", user="'usr_ghost'", id="'z'"))
    sick.rows(copy("id = 'a'", account="'beta'", id="'zz'"))
    found = sick.found()["unknown_subject"]
    assert "account 'ghost', user 'usr_ghost': has usage and is not in the ledger" in found
    assert len(found) == 2


def test_a_vendors_name_of_a_sub_user_is_no_unknown_user_but_its_account_is_known(sick: Patient) -> None:
    sick.rows(copy("id = 'a'", series="'thor'", user="'bob'", id="'z'"))
    assert "unknown_subject" not in sick.found()
    sick.rows(copy("id = 'a'", series="'thor'", account="'ghost'", user="'bob'", id="'zz'"))
    assert sick.found()["unknown_subject"] == ["account 'ghost': has usage and is not in the ledger"]


def test_a_part_put_aside_is_named(sick: Patient) -> None:
    [(part,)] = sick.engine.rows("SELECT _part FROM usage_events WHERE id = 'c' LIMIT 1")
    sick.rows(f"ALTER TABLE usage_events DETACH PART '{part}'")
    found = sick.found()
    assert part in found["detached_part"][0]
    assert found["last_block"] == ["block 3: has no rows; they end at block 2"]


def test_broken_promises_are_named(sick: Patient) -> None:
    sick.promises("INSERT INTO grants VALUES ('grn_1', 'acme', 'traffic', -5, 'manual', '', 100, 0, NULL, 0, 0)")
    sick.promises("INSERT INTO grants VALUES ('grn_2', 'nobody', 'unlimited', 5, 'manual', '', 100, 9, 3, 0, 0)")
    sick.promises("INSERT INTO idempotency SELECT id, 'k', printf('%064d', 1), 200, '{\"token\":1}', 0"
                  " FROM credentials LIMIT 1")  # fmt: skip
    big = "INSERT INTO grants VALUES ('grn_{}', 'beta', 'traffic', {}, 'manual', '', 100, 0, NULL, 0, 0)"
    for number in (3, 4, 5):
        sick.promises(big.format(number, 2**62))
    found = {code: lines for code, lines in sick.found().items() if code.startswith("ledger_")}
    assert any("grn_1" in line and "amount" in line for line in found["ledger_constraint"])
    assert any("grn_2" in line and "life" in line for line in found["ledger_constraint"])
    assert found["ledger_reference"] == ["grants grn_2: account names nothing in accounts"]
    assert found["ledger_grant"] == ["grant grn_2: is in pool 'unlimited', which charges nothing"]
    assert "account 'beta'" in found["ledger_granted"][0]
    assert found["ledger_secret"][0].endswith("the remembered answer holds token")


def test_a_record_of_the_audit_trail_that_was_edited_or_taken_away_is_named(sick: Patient) -> None:
    assert sick.found() == {}
    sick.promises("UPDATE audit SET subject = 'usr_9' WHERE number = 2")
    [told] = sick.found()["ledger_audit"]
    assert told.startswith("audit 2: is not what was written")
    sick.promises("DELETE FROM audit WHERE number = (SELECT max(number) FROM audit)")
    assert len(sick.found()["ledger_audit"]) >= 2


def test_a_name_borne_by_two_is_named(sick: Patient) -> None:
    sick.promises("INSERT INTO users VALUES ('usr_2', 'acme', 0)")
    sick.promises("INSERT INTO user_names VALUES ('acme', 'ann', 'usr_2', 5, 9, 0, 0, 0, 0)")
    assert sick.found() == {"ledger_name": ["account 'acme', user 'ann': belongs to two users at once"]}


def test_writing_goes_on_meanwhile_and_is_not_mistaken_for_damage(
    sick: Patient, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Keys also move from their log to the tree while the check reads both."""
    done, chance = threading.Event(), random.Random(7)
    monkeypatch.setattr(sick.services.keys._index, "_limit", 40)
    monkeypatch.setattr(checks, "CHUNK", 7)

    def write() -> None:
        number = 10
        while not done.is_set():
            sick.services.send(
                *numbered(number, number + 4), *named(*(f"{chance.randrange(2**60):x}" for _ in range(9)))
            )
            number += 5

    writing = threading.Thread(target=write)
    writing.start()
    try:
        blocks = []
        for _ in range(6):
            report = sick.verify()
            assert report.findings == []
            blocks.append(report.block)
    finally:
        done.set()
        writing.join()
    assert blocks[-1] > blocks[0]
