"""One byte of any file of a part: `verify` names part and file, a backup is refused, no answer is silently wrong."""

from __future__ import annotations

import sqlite3
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import partial
from pathlib import Path

import pytest
import structlog
from tests.app_client import AppClient
from tests.care.conftest import Patient, refusing_flushes
from tests.ingest.conftest import named

from flowtally.answers.explain import make_explanation
from flowtally.answers.export import plan_export
from flowtally.answers.periods import plan_closing
from flowtally.care.care import Care, CareSettings
from flowtally.config import load_config
from flowtally.core.errors import LedgerBroken, StoreDamaged, Unavailable
from flowtally.ledger.people import credentials
from flowtally.server import create_app
from flowtally.usage.values import Commit, Where

# Every file of a compact part; one that is not here yet must be looked at, too.
FILES = {
    "checksums.txt", "columns.txt", "columns_substreams.txt", "count.txt", "data.bin", "data.cmrk4",
    "default_compression_codec.txt", "invalidated_system_columns.txt", "minmax_received_at.idx", "partition.dat",
    "primary.cidx", "serialization.json", "skp_idx.packed",
}  # fmt: skip
OF_PROJECTION = FILES - {"invalidated_system_columns.txt", "minmax_received_at.idx", "partition.dat", "skp_idx.packed"}
NEED_NOT_BE = ("metadata_version.txt", "invalidated_system_columns.txt")  # one of a new part, one of a moved one
ALL = [
    *sorted(FILES),
    *(
        f"{name}.proj/{file}"
        for name in ("buckets", "account_buckets")
        for file in sorted(OF_PROJECTION | {"metadata_version.txt"})
    ),
]


# Of these the engine says what is wrong without saying which file it is, when it cannot even read them.
UNNAMED = {"checksums.txt", "data.cmrk4", "primary.cidx", "serialization.json"}


def flipped(content: bytes, at: int) -> bytes:
    return content[:at] + bytes([content[at] ^ 0x11]) + content[at + 1 :]


KINDS: dict[str, Callable[[bytes], bytes | None]] = {
    "first byte": lambda old: flipped(old, 0),
    "a byte in the middle": lambda old: flipped(old, len(old) // 2),
    "last byte": lambda old: flipped(old, len(old) - 1),
    "cut in half": lambda old: old[: len(old) // 2],
    "empty": lambda old: b"",
    "gone": lambda old: None,
}


@pytest.fixture
def part(patient: Patient) -> Path:
    """The directory of the only part."""
    patient.services.send(*[event for user in "abc" for event in named(*(f"{user}{n}" for n in range(40)), user=user,
                         labels={"k": user}, status=404)])  # fmt: skip
    [(path,)] = patient.engine.rows(
        "SELECT path FROM system.parts WHERE active AND table = 'usage_events' AND database = currentDatabase()"
    )
    return Path(path)


@contextmanager
def damaged(file: Path, damage: Callable[[bytes], bytes | None]) -> Iterator[None]:
    old = file.read_bytes()
    new = damage(old)
    file.unlink()  # a backup's links are not to be touched
    if new is not None:
        file.write_bytes(new)
    yield
    file.write_bytes(old)


@contextmanager
def damaged_where(file: Path, *asked: Callable[[], object]) -> Iterator[None]:
    """A byte is flipped that all of these need."""
    for at in range(0, file.stat().st_size, 20):
        with damaged(file, partial(flipped, at=at)):
            if all(fails(ask) for ask in asked):
                yield
                return
    raise AssertionError("there is no such byte")


def fails(ask: Callable[[], object]) -> bool:
    try:
        ask()
    except StoreDamaged:
        return True
    return False


def test_every_file_of_a_part_is_known(part: Path) -> None:
    assert {str(file.relative_to(part)) for file in part.rglob("*") if file.is_file()} == set(ALL)


@pytest.mark.parametrize("directory", ["", "buckets.proj", "account_buckets.proj"])
def test_any_damage_of_any_file_is_told_with_its_part_and_file(patient: Patient, part: Path, directory: str) -> None:
    assert patient.broken() == []
    wrong = []
    for name in [one for one in ALL if one.rpartition("/")[0] == directory]:
        for kind, damage in KINDS.items():
            if kind == "gone" and name.endswith(NEED_NOT_BE):
                continue  # the engine itself takes the first away from a part that is attached: then it is 0
            with damaged(part / name, damage):
                told = patient.broken()
            file = f", {name}:" if name.rpartition("/")[2] not in UNNAMED else f", {directory}" if directory else ""
            if not told or not told[0].startswith(f"part {part.name}{file}"):
                wrong.append(f"{name}, {kind}: {told}")
    assert not wrong, "\n".join(wrong)


def reload(patient: Patient, part: Path, change: Callable[[Path], None]) -> None:
    """The engine takes the part in again, changed meanwhile, as at a start."""
    patient.rows(f"ALTER TABLE usage_events DETACH PART '{part.name}'")
    change(part.parent / "detached" / part.name)
    patient.rows(f"ALTER TABLE usage_events ATTACH PART '{part.name}'")


def flip_the_year(part: Path) -> None:
    """One byte of the bounds of `received_at`: both lie far off, and no checksum is looked at."""
    file = part / "minmax_received_at.idx"
    content = bytearray(file.read_bytes())
    content[5] ^= 0x01
    content[13] ^= 0x01
    file.write_bytes(bytes(content))


def test_a_wrong_index_of_instants_changes_no_closing_no_export_and_no_explanation(
    patient: Patient, part: Path
) -> None:
    """Seen with one flipped byte: "now" was block 0, so a period closed at 0 for good, an export was empty and looked
    complete, and an explanation said 0 beside a right balance."""
    store, ledger, now = patient.store, patient.services.ledger, patient.services.clock()
    reload(patient, part, flip_the_year)
    assert store.last_commit() == Commit(1, now)
    assert store.last_commit(block=1) == store.first_commit() == Commit(1, now)
    with ledger.read() as tx:
        closing = plan_closing(tx, store, "acme", "2026-03-01", "2026-03-02", now)
        assert (closing.block, closing.statement.total.bytes) == (1, 120)
        export = plan_export(tx, store, "acme", None, None, now)
        assert (export.block, export.extent.rows) == (1, 120)
        [pool] = make_explanation(tx, store, "acme", now).pools.values()
        assert (pool.used, pool.balance.overage) == (120, 120)
    assert any("minmax_received_at.idx" in one for one in patient.found()["broken_part"])


def test_what_cannot_be_read_is_a_problem_with_the_part_and_other_answers_go_on(patient: Patient, part: Path) -> None:
    store, acme, ever = patient.store, Where(account="acme"), [0, 2**46 // 900_000 * 900_000]
    before = store.sums(ever, acme)

    def by_label() -> object:
        return store.sums(ever, acme, ("label:k",))

    def find() -> object:
        return store.find("gw", id="a1", sequence=None, block=1)

    with damaged_where(part / "data.bin", by_label, find):
        for ask in (by_label, find):
            with pytest.raises(StoreDamaged) as caught:
                ask()
            assert caught.value.extra["part"] == part.name
            assert (caught.value.status, caught.value.code) == (500, "store_damaged")
        assert store.sums(ever, acme) == before


def test_over_http_it_is_a_problem_with_part_and_file_and_a_line_without_a_trace(patient: Patient, part: Path) -> None:
    services = patient.services
    config = load_config({}, data=str(services.data), usage_url="memory://")
    app = create_app(config, clock=services.clock, usage=patient.store, ledger=services.ledger, ingest=services.door)
    with services.ledger.begin() as tx:
        token = credentials.issue(tx, "admin", None, "http", services.clock())[1]
    asked = {"from": "2026-03-01T00:00:00Z", "to": "2026-03-02T00:00:00Z", "by": "label:k"}
    ever = [0, 2**46 // 900_000 * 900_000]
    with (
        AppClient(app, raise_server_exceptions=False) as client,
        damaged_where(part / "data.bin", lambda: patient.store.sums(ever, Where(account="acme"), ("label:k",))),
        structlog.testing.capture_logs() as logged,
    ):
        client.headers["Authorization"] = f"Bearer {token}"
        answer = client.get("/v1/accounts/acme/usage", params=asked)
        told = answer.json()
        assert (answer.status_code, told["code"], told["part"]) == (500, "store_damaged", part.name), told
        assert told["file"]
        assert "retry-after" not in answer.headers
        assert client.get("/v1/accounts/acme/usage", params=asked | {"by": "user"}).status_code == 200
    assert any(part.name in str(line) for line in logged)
    assert not any(line.get("exc_info") for line in logged)


@pytest.mark.parametrize("name", ["account.bin", "labels%2Evalues.bin", "block.cmrk2", "received_at.bin", "time.cmrk2"])
def test_a_wide_part_is_looked_at_too(patient: Patient, name: str) -> None:
    """A file for each column, as large parts have it."""
    patient.rows("ALTER TABLE usage_events MODIFY SETTING min_bytes_for_wide_part = 0, min_rows_for_wide_part = 0")
    patient.services.send(*named(*(f"a{n}" for n in range(40)), labels={"k": "v"}))
    [(path,)] = patient.engine.rows(
        "SELECT path FROM system.parts WHERE active AND table = 'usage_events' AND database = currentDatabase()"
    )
    wide = Path(path)
    assert not (wide / "data.bin").exists()
    assert patient.broken() == []
    for damage in KINDS.values():
        with damaged(wide / name, damage):
            told = patient.broken()
            assert told, sorted(one.name for one in wide.iterdir())
            assert told[0].startswith(f"part {wide.name}")
    assert patient.broken() == []


def test_no_backup_is_made_while_the_table_refuses_a_block_which_is_named(patient: Patient, tmp_path: Path) -> None:
    patient.services.send(*named("a"))
    with refusing_flushes(patient.store), pytest.raises(Unavailable, match="Block 1 is set aside, the usage store"):
        patient.back_up(tmp_path / "backups")
    assert list((tmp_path / "backups").iterdir()) == []
    assert patient.back_up(tmp_path / "backups").rows == 1


def test_a_torn_page_of_the_ledger_is_found_by_verify_and_not_backed_up(
    patient: Patient, part: Path, tmp_path: Path
) -> None:
    file = patient.services.ledger.file
    assert file is not None
    with sqlite3.connect(file) as db:
        [(root,)] = db.execute("SELECT rootpage FROM sqlite_master WHERE name = 'accounts'")
        [(size,)] = db.execute("PRAGMA page_size")
        db.execute("PRAGMA wal_checkpoint(TRUNCATE)")
    with file.open("r+b") as pages:
        pages.seek((root - 1) * size)
        pages.write(b"\xff" * size)
    found = patient.found()
    assert any("ledger" in one or "malformed" in one for one in (*found.get("ledger_file", []), *found["not_compared"]))
    with pytest.raises((LedgerBroken, StoreDamaged), match="ledger"):
        patient.back_up(tmp_path / "backups")
    assert not list((tmp_path / "backups").iterdir())


def test_a_ledger_file_that_is_not_whole_is_not_backed_up(patient: Patient, part: Path, tmp_path: Path) -> None:
    file = patient.services.ledger.file
    assert file is not None
    with sqlite3.connect(file) as db:
        db.execute("PRAGMA writable_schema = ON")
        db.execute("DELETE FROM sqlite_master WHERE type = 'index' AND sql IS NOT NULL")
    with pytest.raises(LedgerBroken, match="ledger"):
        patient.back_up(tmp_path / "backups")
    assert not list((tmp_path / "backups").iterdir())


def test_the_doctor_of_a_server_sees_what_the_engine_believes_wrongly(patient: Patient, part: Path) -> None:
    def verdict() -> tuple[str, str]:
        care = Care(
            CareSettings(patient.services.data, patient.services.data / "backups", 0),
            patient.services.clock, patient.store, patient.services.ledger,
            patient.services.door.between_blocks, lambda _: None, lambda _: 0, dict,
        )  # fmt: skip
        [check] = [one for one in care.machine() if one.name == "parts"]
        return check.verdict, check.seen

    assert verdict()[0] == "ok"
    reload(patient, part, flip_the_year)
    assert verdict()[0] == "fail"
    assert "minmax_received_at.idx" in verdict()[1]
