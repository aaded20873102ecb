"""What was known of the ledger at a past moment: by promise numbers whatever the clock says, by instants for people."""

from __future__ import annotations

from collections.abc import Callable
from itertools import count
from typing import Any

import pytest
from sqlalchemy import update

from flowtally.ledger.database import Ledger, Tx
from flowtally.ledger.erasing import erasures
from flowtally.ledger.installation import read_installation
from flowtally.ledger.known import Known
from flowtally.ledger.people import accounts, managed, users
from flowtally.ledger.people.users import Limit
from flowtally.ledger.tables import grants as grants_table
from flowtally.ledger.traffic import allocations, draws, grants, periods, vouchers
from flowtally.ledger.traffic.codes import Code

Look = Callable[[Tx, Known | None], Any]
Do = Callable[[Tx, int], Any]


def account(tx: Tx, known: Known | None) -> Any:
    return accounts.read_account(tx, "acme", known).timezone


def user(tx: Tx, known: Known | None) -> Any:
    found = users.read_user(tx, "acme", "usr_1", known)
    return found.name, found.status, found.limit


def names(tx: Tx, known: Known | None) -> Any:
    wanted = [("acme", name) for name in ("fay", "may", "")]
    return users.bearers(tx, wanted, known), users.ids_named(tx, ["fay", "may"], known)


def given(tx: Tx, known: Known | None) -> Any:
    return [(one.id, one.voided_at) for one in grants.grants_of(tx, "acme", known)]


def drawn(tx: Tx, known: Known | None) -> Any:
    return [(one.id, one.amount, one.returned) for one in draws.draws_of(tx, "acme", known)]


def got(tx: Tx, known: Known | None) -> Any:
    return [(one.id, one.returned) for one in allocations.allocations_to(tx, "usr_1", known)]


def closed(tx: Tx, known: Known | None) -> Any:
    return [one.number for one in periods.closed_spans(tx, "acme", known)]


LOOKS: tuple[Look, ...] = (account, user, names, given, drawn, got, closed)


def grant(tx: Tx, now: int) -> None:
    grants.give_grant(tx, "acme", 100, now=now, grant_id=f"g{len(grants.grants_of(tx, 'acme'))}")


def close(tx: Tx, now: int) -> None:
    periods.close_period(tx, "acme", now - 2, now - 1, now=now, timezone="UTC", block=1, statement="{}", after=0)


def allocate(tx: Tx, now: int) -> None:
    allocations.allocate(tx, users.read_user(tx, "acme", "usr_1"), 10, now=now, pool="traffic", left=100)


def take_back(tx: Tx, now: int) -> None:
    one = users.read_user(tx, "acme", "usr_1")
    [made] = allocations.allocations_to(tx, one.id)
    allocations.take_back(tx, one, made.id, now=now, unspent=10, amount=3)


def set_aside(tx: Tx, now: int) -> None:
    code = Code(f"{now:064d}", "sealed")
    vouchers.create_vouchers(tx, "acme", 5, [code], now=now, pool="traffic", duration_s=9, left=100)


def revoke(tx: Tx, now: int) -> None:
    [made] = vouchers.list_vouchers(tx, "acme").items
    vouchers.revoke_voucher(tx, made.id, "acme", now=now)


def rename_twice(tx: Tx, now: int) -> None:
    managed.change_user(tx, "acme", "usr_1", now=now, name="may")
    managed.change_user(tx, "acme", "usr_1", now=now, name="kay")


def take_the_name(tx: Tx, now: int) -> None:
    managed.create_user(tx, "acme", "fay", now=now)


def bring_a_name(tx: Tx, now: int) -> None:
    users.ensure_users(tx, [("acme", "may")], now)


def give_the_name(tx: Tx, now: int) -> None:
    managed.create_user(tx, "acme", "may", now=now, limit=Limit(7))


DONE: tuple[Do, ...] = (
    grant,
    lambda tx, now: accounts.change_account(tx, "acme", now=now, timezone="Asia/Tokyo"),
    allocate,
    lambda tx, now: managed.change_user(tx, "acme", "usr_1", now=now, limit=Limit(5)),
    take_back,
    set_aside,
    rename_twice,
    revoke,
    take_the_name,
    bring_a_name,
    give_the_name,
    close,
    lambda tx, now: accounts.change_account(tx, "acme", now=now, timezone="Europe/Rome"),
    lambda tx, now: managed.change_user(tx, "acme", "usr_1", now=now, status="disabled", limit=None),
    lambda tx, now: grants.void_grant(tx, "g0", "acme", now),
    lambda tx, now: managed.delete_user(tx, "acme", "usr_1", now=now),
    grant,
)


@pytest.fixture
def books(ledger: Ledger, monkeypatch: pytest.MonkeyPatch) -> Ledger:
    numbers = count(1)
    monkeypatch.setattr(managed, "new_id", lambda kind: f"{kind}{next(numbers)}")
    with ledger.begin() as tx:
        accounts.create_account(tx, "acme", now=1)
        managed.create_user(tx, "acme", "fay", now=1, funded=True)
    return ledger


def state(ledger: Ledger, known: Known | None = None) -> list[Any]:
    with ledger.read() as tx:
        return [look(tx, known) for look in LOOKS]


def promises(ledger: Ledger) -> int:
    with ledger.read() as tx:
        return read_installation(tx).promises


def live(ledger: Ledger, instants: list[int]) -> list[tuple[Known, list[Any]]]:
    """What could be seen before and after each thing that was done."""
    seen = []
    for do, now in zip(DONE, instants, strict=True):
        seen.append((Known(promises(ledger), now - 1), state(ledger)))
        with ledger.begin() as tx:
            do(tx, now)
    return [*seen, (Known(promises(ledger), instants[-1]), state(ledger))]


def test_whatever_was_known_at_a_promise_is_known_of_it_for_ever(books: Ledger) -> None:
    for known, seen in live(books, [10 * n for n in range(1, len(DONE) + 1)]):
        assert state(books, known) == seen


def test_it_is_whatever_the_instants_say(books: Ledger) -> None:
    """A clock that stands still: only numbers tell before from after."""
    for known, seen in live(books, [10] * len(DONE)):
        assert state(books, Known(known.promise, 10)) == seen


def test_an_instant_means_what_is_dated_up_to_it(books: Ledger) -> None:
    instants = [10 * n for n in range(1, len(DONE) + 1)]
    seen = [one for _, one in live(books, instants)]
    for before, after, at in zip(seen[:-1], seen[1:], instants, strict=True):
        assert state(books, Known(None, at - 1)) == before
        assert state(books, Known(None, at)) == after


def test_what_was_promised_before_numbers_goes_by_its_instant(books: Ledger) -> None:
    with books.begin() as tx:
        grant(tx, 10)
        grant(tx, 20)
        tx.execute(update(grants_table).values(promise=0))
        assert [id for id, _ in given(tx, Known(1, 15))] == ["g0"]
        assert [id for id, _ in given(tx, Known(1, 20))] == ["g0", "g1"]


def test_an_erased_name_is_not_known_of_any_moment(books: Ledger) -> None:
    moment = Known(promises(books), 5)
    with books.begin() as tx:
        erasures.erase_user(tx, "acme", "usr_1", now=10)
    with books.read() as tx:
        assert users.read_user(tx, "acme", "usr_1", moment).name == "erased-usr_1"
        assert users.bearers(tx, [("acme", "fay")], moment) == {}


def test_a_user_is_found_by_the_name_it_bore_then_or_was_the_first_to_bear(books: Ledger) -> None:
    moment = Known(promises(books), 5)
    with books.begin() as tx:
        rename_twice(tx, 10)
        take_the_name(tx, 20)
        later = managed.create_user(tx, "acme", "new", now=30)
    with books.read() as tx:
        assert users.read_user(tx, "acme", "fay", moment).id == "usr_1"
        assert users.read_user(tx, "acme", "fay").id != "usr_1"
        assert users.read_user(tx, "acme", "new", moment).id == later.id
        assert users.bearers(tx, [("acme", "new")], moment) == {}


def test_a_user_of_later_is_called_by_its_first_name_of_every_moment_before_it(books: Ledger) -> None:
    """Whatever it is called later: what was answered once is answered again."""
    moment = Known(promises(books), 5)
    with books.begin() as tx:
        later = managed.create_user(tx, "acme", "new", now=30)
    for name in ("newer", "newest"):
        with books.read() as tx:
            assert users.read_user(tx, "acme", later.id, moment).name == "new"
        with books.begin() as tx:
            managed.change_user(tx, "acme", later.id, name=name, now=40)
    with books.read() as tx:
        assert users.read_user(tx, "acme", later.id, moment).name == "new"


def test_the_open_write_transaction_says_since_when_it_is_open(ledger: Ledger) -> None:
    at = [5]
    ledger.use_clock(lambda: at[0])
    assert ledger.open_since() is None
    with ledger.begin():
        at[0] = 9
        assert ledger.open_since() == 5
    assert ledger.open_since() is None
    with ledger.read() as tx:
        assert read_installation(tx).last_at == 9
