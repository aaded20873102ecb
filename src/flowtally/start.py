"""A start, up to the open door: first who may write, then whether it may, and only then what it writes.

    permissions of the places                 others could read or replace what is kept
    leases (data directory, keys, ledger)     another process is named
    settings against what is there            vault, currency, admin token: tried in a transaction that is rolled back
    the stores against each other             before the engine is opened, and after it
    ------------------------------------------------------- what is refused up to here has changed nothing
    vault's key, keys, usage, ledger, recovery

Owns this order, and the first admin credential. What the comparisons are is in `ingest`.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Final, NamedTuple

import structlog

from flowtally.config import Config
from flowtally.core.edges import format_instant
from flowtally.core.errors import ConfigError, Conflict, MissingRows, Unavailable, Unprocessable
from flowtally.core.refusal import refusing
from flowtally.core.strength import weakness
from flowtally.host import permissions
from flowtally.host.lease import Lease, me, of_data, of_keys, of_ledger
from flowtally.ingest import identity
from flowtally.ingest.door import Ingest
from flowtally.ingest.opening import opened
from flowtally.ingest.settings import ingest_settings, journal_path, keys_path
from flowtally.keys.store import peek
from flowtally.ledger.database import Ledger, Tx, ledger_file
from flowtally.ledger.money import wallet
from flowtally.ledger.people import credentials, revived
from flowtally.ledger.sealed import any_sealed
from flowtally.ledger.trail import server
from flowtally.ledger.vault import KEY_FILE, Vault
from flowtally.usage.open import open_usage
from flowtally.usage.place import embedded_directory
from flowtally.usage.store import UsageStore
from flowtally.usage.temporary import fast_temporary_files

DRAWN: Final = "openssl rand -hex 32"
ADMIN_SLOT: Final = "FLOWTALLY_ADMIN_TOKEN"  # the name of the credential whose token is a setting

log = structlog.get_logger(__name__)

REVIVED: Final = (
    "credentials that were revoked since live again: look at `flowtally key list`, then `flowtally key confirm`"
)

Clock = Callable[[], int]
Tell = Callable[[str], None]


class Started(NamedTuple):
    """The stores, and the one writer of usage."""

    ledger: Ledger
    usage: UsageStore
    ingest: Ingest
    vault: Vault


def check_places(config: Config) -> None:
    """ConfigError where somebody else could read or replace what this installation keeps. Changes nothing."""
    permissions.check_directory(config.data_dir, "data")
    if (directory := _engine_elsewhere(config)) is not None:
        permissions.check_directory(directory, "usage_url")
    permissions.check_parent(config.backups, "backup_dir")
    for setting, file in _files(config):
        permissions.check_file(file, setting)


def close_places(config: Config) -> None:
    """What an earlier umask left open to others is closed to them, and told."""
    closed = permissions.close_to_others(config.data_dir)
    if (directory := _engine_elsewhere(config)) is not None:
        closed += permissions.close(directory)
    for _, file in _files(config):
        closed += permissions.close_sqlite(file)
    if closed:
        log.warning("closed_to_others", first=closed[0], more=len(closed) - 1)


def _engine_elsewhere(config: Config) -> Path | None:
    """The engine's directory where the data directory does not shut others out of it."""
    directory = embedded_directory(config.usage_url)
    inside = directory is None or directory.is_relative_to(os.path.realpath(config.data_dir))
    return None if inside else directory


def _files(config: Config) -> list[tuple[str, Path]]:
    ledger = ledger_file(config.ledger_url)
    keys = keys_path(config.keys_url)
    found = [("keys_url", keys), ("keys_url", journal_path(keys))]
    return [*found, *([("ledger_url", ledger)] if ledger is not None else [])]


@contextmanager
def leases(config: Config) -> Iterator[list[Lease]]:
    """The right to write this installation: its data directory, its keys and its ledger's file, in this order, to the
    very end. WriterBusy names who has one of them."""
    check_places(config)
    with ExitStack() as held:
        taken = [held.enter_context(Lease(of_data(config.data_dir), "data"))]
        taken.append(held.enter_context(Lease(of_keys(keys_path(config.keys_url)), "keys_url")))
        if (file := ledger_file(config.ledger_url)) is not None:
            taken.append(held.enter_context(Lease(of_ledger(file), "ledger_url")))
        yield taken


@contextmanager
def started(
    config: Config,
    clock: Clock,
    *,
    usage: UsageStore | None = None,
    ledger: Ledger | None = None,
    tell: Tell | None = None,
) -> Iterator[Started]:
    """Everything that is written to, closed in reverse at the end; what is handed in stays open. `tell` is given the
    token of a first admin credential; where nobody can be told, none is made. Damage and ConfigError end the start."""
    with permissions.owner_alone(), ExitStack() as closing:
        with refusing():
            opened = _open(closing, config, clock, usage, ledger, tell)
        yield opened


def _open(
    closing: ExitStack, config: Config, clock: Clock, usage: UsageStore | None, ledger: Ledger | None, tell: Tell | None
) -> Started:
    taken = closing.enter_context(leases(config))
    if ledger is None:
        ledger = Ledger.reach(config.ledger_url)
        closing.callback(ledger.close)
        closing.enter_context(ledger.held(f"{me()}, data {config.data_dir}"))
    ledger.use_clock(clock)
    _check_without_engine(config, ledger)
    _rehearse(config, ledger, clock())
    if usage is None and config.usage_url.startswith("chdb:"):
        closing.enter_context(fast_temporary_files(config.data_dir))
    vaults: list[Vault] = []

    @contextmanager
    def begin() -> Iterator[Tx]:
        with ledger.begin_start(server("start")) as tx:
            for lease in taken:
                lease.keep()
            close_places(config)
            made = _first_admin(tx, config.admin_token, clock(), random=tell is not None)
            _warn_of_weak(config.admin_token)
            _warn_of_revived(tx)
            vaults.append(Vault.open(key_file(config), any_sealed(tx)))
            if vaults[0].rotating:
                log.warning("key_rotation_unfinished", detail="stop the server and run `flowtally rotate-key` again")
            yield tx
        if tell is not None and made:
            tell(made[0])

    def write(usage: UsageStore) -> Ingest:
        lease = None if taken[1].released else taken[1]  # where it is tried again
        return Ingest.open(ingest_settings(config), usage, ledger, clock=clock, lease=lease, begin=begin)

    if usage is None:
        url, at_most = config.usage_url, config.max_engine_bytes
        journal = journal_path(keys_path(config.keys_url))
        usage, ingest = opened(lambda: _open_usage(url, at_most), write, embedded_directory(url), journal)
        closing.callback(usage.close)
    else:
        ingest = write(usage)
    closing.callback(ingest.close)
    ledger.when_regained(ingest.forget_all)
    ledger.keep_lease(lambda: _check_again(usage, ledger, ingest))
    return Started(ledger, usage, ingest, vaults[0])


def _check_again(usage: UsageStore, ledger: Ledger, ingest: Ingest) -> None:
    """Before the lease on the ledger is taken again: is it still the one that keys and rows belong to?"""
    identity.check(usage, ledger, ingest.place())


def _check_without_engine(config: Config, ledger: Ledger) -> None:
    """What can be told before the engine opens, which makes a directory where there is none."""
    place = peek(keys_path(config.keys_url))
    identity.decide(identity.look(ledger, place), rebuild=config.rebuild_keys)
    directory = embedded_directory(config.usage_url)
    if place is not None and place.rows_total and directory is not None and not directory.is_dir():
        raise MissingRows(f"{place.rows_total} usage rows were acknowledged, and {directory} is not there")


def open_vault(config: Config, ledger: Ledger) -> Vault:
    """ConfigError where key file or currency do not belong to what the ledger holds."""
    with ledger.read() as tx:
        wallet.check_currency(tx, config.currency)
        return Vault.open(key_file(config), any_sealed(tx))


class _Rehearsed(Exception):
    """Ends the transaction of a rehearsal."""


def _rehearse(config: Config, ledger: Ledger, now: int) -> None:
    """Whether the settings fit what the ledger holds, brought up to date: found out and taken back."""
    if ledger.absent:  # nothing is there to contradict, and trying would make it
        _check_strength(None, config.admin_token)
        return
    try:
        with ledger.begin_start() as tx:
            wallet.check_currency(tx, config.currency)
            sealed = any_sealed(tx)
            if sealed is not None or key_file(config).exists():
                Vault.open(key_file(config), sealed)
            _first_admin(tx, config.admin_token, now, random=False)
            raise _Rehearsed
    except _Rehearsed:
        pass


def _warn_of_revived(tx: Tx) -> None:
    if (made_at := revived.unconfirmed(tx)) is not None:
        log.warning("restored_credentials", of=format_instant(made_at), detail=REVIVED)


def _first_admin(tx: Tx, chosen: str | None, now: int, *, random: bool) -> list[str]:
    """The token of a credential that was made just now, if one was."""
    if chosen is not None:
        _check_strength(tx, chosen)
        try:
            credentials.import_token(tx, chosen, name=ADMIN_SLOT, now=now)
        except (Conflict, Unprocessable) as error:
            raise ConfigError(f"admin_token: {error.detail}. Choose another one") from error
        return []
    if not random or credentials.has_admin(tx, now):
        return []
    return [credentials.issue(tx, "admin", None, "first start", now)[1]]


def _check_strength(tx: Tx | None, chosen: str | None) -> None:
    """ConfigError for a new token that can be guessed. One that is known already was taken by an earlier version."""
    weak = weakness(chosen) if chosen is not None else None
    if weak and (tx is None or credentials.authenticate(tx, str(chosen)) is None):
        raise ConfigError(f"admin_token is too weak: {weak}. Have one drawn: {DRAWN}")


def _warn_of_weak(chosen: str | None) -> None:
    if chosen is not None and (weak := weakness(chosen)):
        log.warning("admin_token_weak", detail=f"{weak}. Whoever guesses it may do everything. Set another: {DRAWN}")


def key_file(config: Config) -> Path:
    return config.data_dir / KEY_FILE


def _open_usage(url: str, memory_bytes: int) -> UsageStore:
    try:
        return open_usage(url, memory_bytes)
    except Unavailable as error:  # nobody to answer 503 yet: the start ends
        raise ConfigError(f"usage_url: {error.detail}") from error
