"""Two servers on one ledger in PostgreSQL: one writes, and what the other had begun is not committed."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, suppress
from typing import Any

import psycopg
import pytest
from tests.conftest import NOW
from tests.postgres import Postgres

from flowtally.core.errors import ConfigError, LeaseLost, LedgerOlder, Unavailable, WriterBusy
from flowtally.ledger import installation, lease
from flowtally.ledger.database import Ledger
from flowtally.ledger.people import accounts


@pytest.fixture
def url(postgres: Postgres) -> Iterator[str]:
    url = postgres.new_ledger()
    yield url
    postgres.give_back_ledger(url)


@pytest.fixture
def closing() -> Iterator[ExitStack]:
    with ExitStack() as stack:
        yield stack


@pytest.fixture(autouse=True)
def _quickly(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(lease, "ASK_EVERY_S", 0.05)


def begun(url: str, closing: ExitStack, name: str = "one") -> Ledger:
    """A server's ledger, as far as a start takes it."""
    ledger = Ledger.reach(url)
    closing.callback(ledger.close)
    closing.enter_context(ledger.held(name))
    with ledger.begin_start():
        pass
    return ledger


def write(ledger: Ledger, account: str) -> None:
    with ledger.begin() as tx:
        accounts.create_account(tx, account, now=NOW)


def there(url: str) -> list[str]:
    with psycopg.connect(url.replace("+psycopg", "")) as db:
        return [row[0] for row in db.execute("SELECT id FROM accounts ORDER BY id")]


def end_session(url: str) -> None:
    """As a failing network or an operator ends it."""
    with psycopg.connect(url.replace("+psycopg", ""), autocommit=True) as db:
        mine = "application_name = 'flowtally lease' AND datname = current_database()"
        db.execute(f"SELECT pg_terminate_backend(pid, 5000) FROM pg_stat_activity WHERE {mine}")


def wait_for(what: Callable[[], Any]) -> None:
    end = time.monotonic() + 20
    while not what():
        assert time.monotonic() < end, "waited for too long"
        time.sleep(0.02)


def refused() -> None:
    raise LedgerOlder("it is an older copy")


def test_a_second_server_is_refused_and_told_who_the_first_is(url: str, closing: ExitStack) -> None:
    first = begun(url, closing, "process 4711 on here")
    second = Ledger.reach(url)
    closing.callback(second.close)
    for _ in range(2):
        with pytest.raises(WriterBusy, match="is written by process 4711 on here"), second.held("two"):
            pass
    write(first, "acme")
    assert there(url) == ["acme"]


def test_a_lease_that_was_given_back_is_free(url: str) -> None:
    for name in ("one", "two"):
        with ExitStack() as closing:
            write(begun(url, closing, name), name)
    assert there(url) == ["one", "two"]


def test_a_holder_whose_session_ended_is_replaced_and_commits_nothing_more(url: str, closing: ExitStack) -> None:
    first = begun(url, closing, "one")
    write(first, "before")
    end_session(url)
    write(first, "still")  # nobody took it: the epoch is its own
    second = begun(url, closing, "two")
    with pytest.raises(LeaseLost, match="another server took it"):
        write(first, "lost")
    with pytest.raises(LeaseLost):
        write(first, "lost too")
    write(second, "after")
    assert there(url) == ["after", "before", "still"]
    assert first.lost
    assert not second.lost


def test_a_transaction_that_was_open_when_another_took_over_is_not_committed(url: str, closing: ExitStack) -> None:
    first = begun(url, closing, "one")
    opened, go_on = threading.Event(), threading.Event()
    ended: list[BaseException] = []

    def slowly() -> None:
        try:
            with first.begin() as tx:
                accounts.create_account(tx, "half-done", now=NOW)
                opened.set()
                go_on.wait(20)
        except BaseException as error:
            ended.append(error)

    thread = threading.Thread(target=slowly)
    thread.start()
    assert opened.wait(20)
    end_session(url)
    began = time.monotonic()
    second = begun(url, closing, "two")  # does not wait for who is cut off
    assert time.monotonic() - began < 10
    write(second, "theirs")
    go_on.set()
    thread.join(20)
    assert isinstance(ended[0], Unavailable)
    assert there(url) == ["theirs"]


def test_an_epoch_that_moved_under_an_open_transaction_is_seen_at_its_commit(url: str, closing: ExitStack) -> None:
    """Where the other could not end our session: the last statement finds that the epoch is another."""
    first = begun(url, closing, "one")

    def steal() -> None:
        with first.begin() as tx:
            accounts.create_account(tx, "half-done", now=NOW)
            with psycopg.connect(url.replace("+psycopg", "")) as db:
                db.execute("UPDATE installation SET epoch = epoch + 1, holder = 'two'")

    with pytest.raises(LeaseLost):
        steal()
    assert there(url) == []
    with pytest.raises(LeaseLost):
        first.check_lease()


def test_a_read_that_sees_another_epoch_loses_the_lease(url: str, closing: ExitStack) -> None:
    first = begun(url, closing, "one")
    with first.read() as tx:
        found = installation.read_installation(tx)
    first.check_lease(found.epoch)
    with pytest.raises(LeaseLost):
        first.check_lease(found.epoch + 1)
    with pytest.raises(LeaseLost):
        first.check_lease()


def test_a_session_that_ended_is_taken_again_after_the_checks(url: str, closing: ExitStack) -> None:
    ledger = begun(url, closing, "one")
    asked: list[int] = []
    regained: list[int] = []
    ledger.when_regained(lambda: regained.append(1))
    ledger.keep_lease(lambda: asked.append(1))
    with ledger.read() as tx:
        before = installation.read_installation(tx).epoch
    end_session(url)
    wait_for(lambda: regained and not ledger.lost)
    assert len(asked) == len(regained) == 1
    write(ledger, "acme")
    with ledger.read() as tx:
        assert installation.read_installation(tx).epoch == before + 1


def test_who_asks_finds_a_session_that_ended_before_the_keeper_does(
    url: str, closing: ExitStack, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Else `/readyz` would say that all is well, and the write after it would be refused."""
    monkeypatch.setattr(lease, "ASK_EVERY_S", 3600)
    ledger = begun(url, closing, "one")
    ledger.keep_lease(lambda: None)
    ledger.ask_lease()
    end_session(url)
    ledger.check_lease()  # nobody has noticed
    with pytest.raises(LeaseLost, match="its session with the database ended"):
        ledger.ask_lease()
    with pytest.raises(LeaseLost):
        ledger.check_lease()


def test_a_lease_that_nobody_keeps_is_not_lost_by_asking(url: str, closing: ExitStack) -> None:
    """Nobody would take it again; the epoch alone decides."""
    ledger = begun(url, closing, "one")
    end_session(url)
    ledger.ask_lease()
    write(ledger, "acme")


def test_what_the_checks_refuse_stays_lost_and_is_free_for_another(url: str, closing: ExitStack) -> None:
    ledger = begun(url, closing, "one")
    ledger.keep_lease(refused)
    end_session(url)
    wait_for(lambda: "(LedgerOlder)" in ledger.lost)
    with pytest.raises(LeaseLost, match="could not be taken again"):
        write(ledger, "acme")
    second: list[Ledger] = []

    def take() -> bool:
        with suppress(WriterBusy):  # between its attempts
            second.append(begun(url, closing, "two"))
        return bool(second)

    wait_for(take)
    write(second[0], "beta")
    assert there(url) == ["beta"]


def test_a_ledger_that_lost_commits_is_not_taken_again(url: str, closing: ExitStack) -> None:
    """A standby that was promoted without the last of them."""
    ledger = begun(url, closing, "one")
    write(ledger, "acme")
    with psycopg.connect(url.replace("+psycopg", "")) as db:
        db.execute("UPDATE installation SET promises = promises - 1")
    ledger.keep_lease(lambda: None)
    end_session(url)
    wait_for(lambda: "(LedgerOlder)" in ledger.lost)


def test_a_transaction_that_was_not_committed_is_not_missed(url: str, closing: ExitStack) -> None:
    """Its number was counted and rolled back with it: that is no sign of an older ledger."""
    ledger = begun(url, closing, "one")
    write(ledger, "acme")
    with suppress(Unavailable), ledger.begin() as tx:
        accounts.create_account(tx, "beta", now=NOW)
        end_all(url)
    ledger.keep_lease(lambda: None)
    wait_for(lambda: not ledger.lost and there(url) == ["acme"])
    wait_for(lambda: _writes(ledger))


def _writes(ledger: Ledger) -> bool:
    with suppress(Unavailable):
        write(ledger, "gamma")
        return True
    return False


def end_all(url: str) -> None:
    with psycopg.connect(url.replace("+psycopg", ""), autocommit=True) as db:
        others = "datname = current_database() AND pid <> pg_backend_pid()"
        db.execute(f"SELECT pg_terminate_backend(pid, 5000) FROM pg_stat_activity WHERE {others}")


def test_a_database_that_is_gone_is_a_config_error(closing: ExitStack, postgres: Postgres) -> None:
    with pytest.raises(ConfigError, match="cannot be opened"):
        begun("postgresql://flowtally@127.0.0.1:1/none?connect_timeout=2", closing)


def test_a_file_needs_no_session(tmp_path: Any, closing: ExitStack) -> None:
    ledger = begun(f"sqlite:///{tmp_path}/ledger.db", closing)
    ledger.keep_lease(refused)
    write(ledger, "acme")
    assert ledger.lost == ""
