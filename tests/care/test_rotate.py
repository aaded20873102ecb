"""Another key for kept secrets: nothing that was sealed or derived is lost, also where the rotation is cut short."""

from __future__ import annotations

import json
import os
import signal
from collections.abc import Callable
from pathlib import Path

import msgspec
import pytest
from cryptography.fernet import Fernet, InvalidToken
from sqlalchemy import select, update
from tests import fork_server
from tests.fixtures import ADMIN, differences, unpack
from tests.live import Live, clean_environment, live_server
from tests.postgres import Postgres, postgres

from flowtally.care import rotate
from flowtally.care.rotate import Rotated, rotate_key
from flowtally.config import Config, load_config
from flowtally.core.errors import ConfigError, WriterBusy
from flowtally.ledger.database import Ledger
from flowtally.ledger.inventory import stock
from flowtally.ledger.inventory.stock import NewStock
from flowtally.ledger.messages import webhooks
from flowtally.ledger.people import accounts, managed
from flowtally.ledger.providers import connected
from flowtally.ledger.sealed import COLUMNS
from flowtally.ledger.tables import audit, managed_users, metadata
from flowtally.ledger.traffic import vouchers
from flowtally.ledger.traffic.codes import digest_of, new_codes
from flowtally.ledger.vault import KEY_FILE, Vault
from flowtally.server import open_services

__all__ = ["postgres"]  # a fixture, found by name

TOKEN = "a provider's token"
LEASED = "of-an-address"
SIGNING = ["whsec_of-now", "whsec_of-before"]
PASSWORDS = {"ann": "pässword-1", "bob": "pässword-2"}


class Kept(msgspec.Struct, frozen=True):
    """What must be found again after a rotation."""

    config: Config
    codes: list[str]
    digest: str
    blind: str


def key_file(kept: Kept) -> Path:
    return kept.config.data_dir / KEY_FILE


def fill(data: Path, key: bytes | None = None, **settings: str) -> Kept:
    """An installation with passwords and vouchers; `key`: a file as earlier versions made it."""
    config = load_config({}, data=str(data), usage_url="memory://", **settings)
    data.mkdir(mode=0o700)
    if key is not None:
        (data / KEY_FILE).write_bytes(key)
    vault = Vault.open(data / KEY_FILE, None)
    made = new_codes(vault, 5)
    ledger = Ledger.open(config.ledger_url)
    with ledger.begin() as tx:
        accounts.create_account(tx, "acme", now=1)
        for name, password in PASSWORDS.items():
            managed.create_user(tx, "acme", name, password=vault.seal(password), now=1)
        managed.create_user(tx, "acme", "without", now=1)
        vouchers.create_vouchers(tx, "acme", 1, made, now=1, pool="traffic", duration_s=60, left=100)
        secrets = {"token": vault.seal_secret("token", TOKEN)}
        connected.add_provider(tx, "acme", "thor", "thordata", secrets=secrets, settings={}, since=0, now=1)
        now_signs, signed = (vault.seal_secret("secret", one) for one in SIGNING)
        hook = webhooks.add_webhook(tx, "acme", "https://a.example", sealed=signed, now=1)
        webhooks.rotate_secret(tx, hook, sealed=now_signs, overlap_s=60, now=4 * 10**12)  # both sign for long
        stock.add_item(tx, NewStock("isp", "192.0.2.1", sealed=vault.seal(LEASED)), now=1)
    ledger.close()
    return Kept(config, [vault.reveal(one.sealed) for one in made], "d" * 64, vault.blind("d" * 64))


def sealed(kept: Kept) -> list[str]:
    ledger = Ledger.open(kept.config.ledger_url)
    with ledger.read() as tx:
        found = [str(one) for _, column in COLUMNS for one in tx.execute(select(column)).scalars() if one is not None]
    ledger.close()
    return found


def check(kept: Kept) -> None:
    """Everything opens with the file as it is, a code is found by its digest, a repeated request is known again."""
    vault = Vault.open(key_file(kept), sealed(kept)[0])
    assert sorted(vault.reveal(one) for one in sealed(kept)) == sorted(
        [*PASSWORDS.values(), *kept.codes, TOKEN, LEASED, *SIGNING]
    )
    ledger = Ledger.open(kept.config.ledger_url)
    with ledger.read() as tx:
        for code in kept.codes:
            assert vouchers.find_voucher(tx, digest_of(vault, code)) is not None
    ledger.close()
    assert vault.blind(kept.digest) == kept.blind
    with open_services(kept.config, tell=lambda _: None):
        pass
    assert key_file(kept).stat().st_mode & 0o077 == 0


@pytest.mark.parametrize("old", [False, True], ids=["made by this version", "a bare key of an earlier one"])
def test_a_rotation_loses_nothing_and_forgets_the_old_key(tmp_path: Path, old: bool) -> None:
    kept = fill(tmp_path / "data", Fernet.generate_key() if old else None)
    check(kept)
    for _ in range(3):
        before, file = sealed(kept), key_file(kept).read_bytes()
        first = Fernet(file.split()[0] if len(file.split()) == 1 else file.split()[1])
        assert rotate_key(kept.config) == Rotated(len(before), False)
        assert not set(before) & set(sealed(kept))
        for one in sealed(kept):
            with pytest.raises(InvalidToken):
                first.decrypt(one)
        assert b"open" not in key_file(kept).read_bytes()
        assert old or file.split()[1] not in key_file(kept).read_bytes()  # a bare key goes on as the key of digests
        check(kept)
    assert [one.name for one in kept.config.data_dir.iterdir() if one.name.startswith(KEY_FILE)] == [KEY_FILE]


def test_a_ledger_in_postgresql_is_sealed_anew_under_its_lease(tmp_path: Path, postgres: Postgres) -> None:
    url = postgres.new_database()
    kept = fill(tmp_path / "data", ledger_url=url)
    with open_services(kept.config, tell=lambda _: None), pytest.raises(WriterBusy):
        rotate_key(load_config({}, data=str(tmp_path / "other"), usage_url="memory://", ledger_url=url))
    assert rotate_key(kept.config).secrets == 11
    check(kept)
    postgres.give_back(url)


def test_it_is_recorded_and_dated(tmp_path: Path) -> None:
    kept = fill(tmp_path / "data")
    rotate_key(kept.config, lambda: 1_800_000_000_000)
    ledger = Ledger.open(kept.config.ledger_url)
    with ledger.read() as tx:
        [found] = [one for one in tx.execute(select(audit)).mappings() if one["action"] == "key_file.rotate"]
    ledger.close()
    assert (found["at"], "11" in str(found["after"])) == (1_800_000_000_000, True)


def test_no_column_is_forgotten(tmp_path: Path) -> None:
    """Whatever the ledger keeps that looks sealed is on the list."""
    kept = fill(tmp_path / "data")
    ledger = Ledger.open(kept.config.ledger_url)
    with ledger.read() as tx:
        found = {
            column
            for table in metadata.sorted_tables
            for row in tx.execute(select(table)).mappings()
            for column in table.c
            if str(row[column.name]).startswith("gAAAA")
        }
    ledger.close()
    assert found == {secret for _, secret in COLUMNS}


def test_killed_at_any_moment_everything_opens_and_the_next_one_finishes(tmp_path: Path) -> None:
    went_on, step, ended = 0, 0, False
    while not ended:
        step += 1
        kept = fill(tmp_path / f"data-{step}")
        done = fork_server.run(kept.config.data, str(step), module="tests.care.dying_rotation", env=clean_environment())
        ended = "done" in done.stdout
        assert ended or done.returncode == -signal.SIGKILL, done.stderr
        check(kept)
        again = rotate_key(kept.config)
        went_on += again.went_on
        check(kept)
        assert b"open" not in key_file(kept).read_bytes()
        assert step < 60
    assert step > 12  # 7 secrets, two files of three steps each
    assert went_on > 7


def test_an_unfinished_rotation_is_told_of_at_a_start(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    kept = fill(tmp_path / "data")

    def fail(*_: object) -> None:
        raise ZeroDivisionError

    with monkeypatch.context() as patching:
        patching.setattr(rotate, "reseal", fail)
        with pytest.raises(ZeroDivisionError):
            rotate_key(kept.config)
    check(kept)
    with live_server(kept.config.data_dir):
        assert "key_rotation_unfinished" in (tmp_path / "data.log").read_text()
    assert rotate_key(kept.config).went_on


def test_a_secret_that_cannot_be_opened_stops_it_and_loses_nothing(tmp_path: Path) -> None:
    kept = fill(tmp_path / "data")
    before, foreign = sealed(kept), Fernet(Fernet.generate_key()).encrypt(b"x").decode()
    ledger = Ledger.open(kept.config.ledger_url)

    def put(text: str | None) -> None:
        with ledger.begin() as tx:
            tx.execute(update(managed_users).where(managed_users.c.name == "without").values(password=text))

    put(foreign)
    with pytest.raises(ConfigError, match="does not hold") as refused:
        rotate_key(kept.config)
    assert foreign not in str(refused.value)
    put(None)
    ledger.close()
    assert sealed(kept) == before
    check(kept)


@pytest.mark.parametrize(
    ("spoil", "said"),
    [
        (lambda file: file.unlink(), "is missing"),
        (lambda file: file.write_bytes(Fernet.generate_key()), "is not the key"),
        (lambda file: file.write_bytes(b"seal x\ndigest y\n"), "holds no key"),
        (lambda file: file.write_bytes(b"seal " + Fernet.generate_key() + b"\n"), "holds no key"),
    ],
    ids=["missing", "another", "no keys", "half"],
)
def test_a_key_file_that_is_not_the_ledgers_is_left_as_it_is(
    tmp_path: Path, spoil: Callable[[Path], object], said: str
) -> None:
    kept = fill(tmp_path / "data")
    spoil(key_file(kept))
    before = [(one.name, one.read_bytes()) for one in kept.config.data_dir.glob(f"{KEY_FILE}*")]
    secrets = sealed(kept)
    with pytest.raises(ConfigError, match=said):
        rotate_key(kept.config)
    assert [(one.name, one.read_bytes()) for one in kept.config.data_dir.glob(f"{KEY_FILE}*")] == before
    assert sealed(kept) == secrets


def run(*arguments: str, code: int = 0) -> str:
    done = fork_server.run(*arguments, env=clean_environment())
    assert done.returncode == code, done.stderr + done.stdout
    return done.stderr if code else done.stdout


def test_beside_a_running_server_it_is_refused(tmp_path: Path) -> None:
    kept = fill(tmp_path / "data")
    before = key_file(kept).read_bytes()
    with open_services(kept.config, tell=lambda _: None), pytest.raises(WriterBusy):
        rotate_key(kept.config)
    assert key_file(kept).read_bytes() == before


def test_what_is_no_installation_is_left_alone(tmp_path: Path) -> None:
    (tmp_path / "empty").mkdir(mode=0o700)
    assert "There is no ledger" in run("rotate-key", "--data", str(tmp_path / "empty"), code=2)
    assert "no such directory" in run("rotate-key", "--data", str(tmp_path / "none"), code=2)
    assert [one.name for one in tmp_path.rglob("*")] == ["empty"]


def test_an_old_installation_rotates_answers_as_before_and_its_earlier_backup_still_opens(tmp_path: Path) -> None:
    """Passwords and codes that the old program sealed are in its answers, and it found codes by their digests."""
    wanted, settings = unpack(tmp_path), {"FLOWTALLY_ADMIN_TOKEN": ADMIN, "FLOWTALLY_CHECK_IN_BYTES": "5000"}
    told = json.loads(run("rotate-key", "--data", str(tmp_path / "data"), "--json"))
    assert told["secrets"] > 3
    assert not told["went_on"]
    with live_server(tmp_path / "data", settings) as live:
        assert differences(live.url, wanted["clean"]) == []
        environment = Live(live.url, ADMIN, live.data).environment
        fork_server.run("backup", "rotated", env=environment, check=True)
    for source in (tmp_path / "backups" / "whole", tmp_path / "data" / "backups" / "rotated"):
        run("restore", str(source), "--data", str(tmp_path / source.name))
        with live_server(tmp_path / source.name, settings) as live:
            assert differences(live.url, wanted["clean"]) == []
    assert os.path.getsize(tmp_path / "rotated" / KEY_FILE) > os.path.getsize(tmp_path / "whole" / KEY_FILE)
