"""Balances and closed periods against the rows and the ledger: what is whole is found whole, each fault is named."""

from __future__ import annotations

import msgspec
import pytest
from tests.care.conftest import Patient
from tests.conftest import NOW
from tests.ingest.conftest import named

from flowtally.answers import periods, user_balance
from flowtally.care import balances, statements
from flowtally.funding import user_funds
from flowtally.funding import vouchers as issuing
from flowtally.ledger.people import accounts, managed
from flowtally.ledger.traffic import check_ins, codes, draws, grants, vouchers
from flowtally.ledger.vault import Vault

DAY = 86_400_000
MARCH = ("2026-03-01", "2026-03-03")


class Books:
    """An account with a grant, a funded user `fay` with a purse of her own, use of both, and closed periods."""

    def __init__(self, patient: Patient) -> None:
        self.patient, self.services = patient, patient.services
        services = self.services
        with services.ledger.begin() as tx:
            self.grant = grants.give_grant(tx, "acme", 100, now=NOW, starts_at=0).id
            self.fay = managed.create_user(tx, "acme", "fay", now=NOW, funded=True).id
        services.send(*named("a", bytes_up=10, bytes_down=5), *named("m", product="mobile", bytes_up=3))
        self.allocation = self.allocate(20)
        services.clock.at += DAY
        services.send(*named("f", user="fay", bytes_up=0, bytes_down=7, time="2026-03-16T11:00:00Z"))

    def allocate(self, amount: int) -> str:
        with self.services.ledger.begin() as tx:
            made = user_funds.allocate(tx, self.services.store.inner, "acme", "fay", amount, now=self.services.clock())
        return made.id

    def close(self, start: str, end: str) -> str:
        services = self.services
        with services.ledger.read() as tx:
            planned = periods.plan_closing(tx, services.store.inner, "acme", start, end, services.clock())
        with services.ledger.begin() as tx:
            return periods.close_period(tx, "acme", planned, services.clock()).id

    def rewrite(self, period: str, change: str, into: str) -> None:
        """A hand in the statement."""
        self.patient.promises(f"UPDATE periods SET statement = replace(statement, '{change}', '{into}')"
                              f" WHERE id = '{period}'")  # fmt: skip


@pytest.fixture
def books(patient: Patient) -> Books:
    return Books(patient)


def test_whole_books_are_found_whole_and_all_is_looked_at(books: Books) -> None:
    books.close(*MARCH)
    books.services.send(*named("late", bytes_up=2))
    books.close("2026-03-05", "2026-03-06")
    books.services.send(*named("later", product="mobile", bytes_up=4))
    report = books.patient.verify()
    assert report.findings == []
    looked_at = {check.name: check.looked_at for check in report.checks}
    assert (looked_at["balances"], looked_at["periods"]) == (3, 2)  # acme, beta, fay


def _questions(books: Books, monkeypatch: pytest.MonkeyPatch, users: int) -> int:
    """How often a check asks what users used, with so many funded ones more."""
    with books.services.ledger.begin() as tx:
        for number in range(users):
            managed.create_user(tx, "acme", f"more{users}-{number}", now=NOW, funded=True)
    asked: list[int] = []
    burn = user_balance.burn_funded

    def counted(tx: object, account: str, users: list[object], *rest: object) -> object:
        asked.append(len(users))
        return burn(tx, account, users, *rest)  # type: ignore[arg-type]

    monkeypatch.setattr(balances, "burn_funded", counted)
    assert books.patient.verify().findings == []
    monkeypatch.setattr(balances, "burn_funded", burn)
    return len(asked)


def test_the_rows_of_an_account_are_gone_through_as_often_however_many_users_it_funds(
    books: Books, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(balances, "USERS", 2)
    monkeypatch.setattr(balances, "PAGES", 4)
    assert _questions(books, monkeypatch, 11) == _questions(books, monkeypatch, 48 - 11) == 4


def test_a_page_whose_users_have_too_many_sums_is_halved_until_they_fit(
    books: Books, monkeypatch: pytest.MonkeyPatch
) -> None:
    with books.services.ledger.begin() as tx:
        users = [managed.create_user(tx, "acme", f"fay{number}", now=NOW, funded=True).name for number in range(4)]
    for number, user in enumerate(users):
        books.services.send(*named(f"h{number}", user=user, bytes_up=1, time="2026-03-16T11:00:00Z"))
    monkeypatch.setattr(balances, "SUMS", 2)
    assert books.patient.verify().findings == []


def test_many_accounts_and_users_are_walked_in_pages(books: Books, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(balances, "ACCOUNTS", 2)
    monkeypatch.setattr(balances, "USERS", 1)
    monkeypatch.setattr(statements, "ACCOUNTS", 1)
    with books.services.ledger.begin() as tx:
        for number in range(5):
            accounts.create_account(tx, f"more{number}", now=NOW)
            managed.create_user(tx, "acme", f"fay{number}", now=NOW, funded=True)
    books.close(*MARCH)
    report = books.patient.verify()
    assert report.findings == []
    assert {check.name: check.looked_at for check in report.checks}["balances"] == 13


def test_use_that_the_balance_does_not_count_is_named(books: Books, monkeypatch: pytest.MonkeyPatch) -> None:
    """A question that loses rows: the balance is consistent in itself, and wrong."""
    store = type(books.services.store.inner)
    honest = store.sums

    def lossy(self, edges, where, by=(), **more):  # type: ignore[no-untyped-def]
        return [one for one in honest(self, edges, where, by, **more) if "mobile" not in one.by]

    monkeypatch.setattr(store, "sums", lossy)
    assert books.patient.found() == {
        "use_and_draws": [
            "account 'acme', pool 'mobile': 3 bytes used by the rows and 0 passed on, but"
            " spent + overage + forgiven - credit are 0"
        ]
    }


def test_use_of_a_funded_user_that_its_purse_does_not_count_is_named(
    books: Books, monkeypatch: pytest.MonkeyPatch
) -> None:
    store = type(books.services.store.inner)
    honest = store.sums
    monkeypatch.setattr(
        store, "sums", lambda self, edges, where, by=(), **more: [] if where.users else honest(self, edges, where, by)
    )
    assert books.patient.found() == {
        "use_and_draws": [
            f"account 'acme', user '{books.fay}', pool 'traffic': 7 bytes used by the rows and 0 passed on, but"
            " spent + overage + forgiven - credit are 0"
        ]
    }


def test_an_allocation_to_somebody_without_a_purse_is_named(books: Books) -> None:
    """The row was given to another user, whom nobody funds: it left the account and arrived nowhere."""
    books.services.send(*named("b", user="bob"))
    books.patient.promises("UPDATE allocations SET user_id = (SELECT user_id FROM user_names WHERE name = 'bob')")
    assert books.patient.found()["draws_and_purses"] == [
        "account 'acme', pool 'traffic': passed on 20, but the purses of its users were given 0 and its vouchers hold"
        " or became 0"
    ]


def test_more_taken_back_than_was_allocated_is_named(books: Books) -> None:
    books.patient.promises(f"INSERT INTO allocation_returns VALUES ('ret_1', '{books.allocation}', 21, {NOW}, 0)")
    found = books.patient.found()
    assert found["ledger_returned"] == [
        f"allocation {books.allocation}: 21 were taken back of the 20 that were allocated"
    ]
    assert found["balance"][0].startswith("account 'acme': its balance cannot be made: ")


def test_a_changed_statement_is_named_with_both_figures(books: Books) -> None:
    period = books.close(*MARCH)
    books.rewrite(period, '"bytes_up":10,', '"bytes_up":11,')
    where = f"account 'acme', period {period}"
    assert books.patient.found() == {
        "statement": [
            f"{where}: its statement says product '' bytes_up 11, the rows up to block 2 say 10",
        ]
    }


def test_a_changed_total_is_named_twice_for_it_breaks_two_laws(books: Books) -> None:
    period = books.close(*MARCH)
    books.services.send(*named("late", bytes_up=2))
    books.rewrite(period, '"total":{"bytes_up":13,', '"total":{"bytes_up":14,')
    where = f"account 'acme', period {period}"
    assert books.patient.found() == {
        "statement": [f"{where}: its statement says total bytes_up 14, the rows up to block 2 say 13"],
        "statement_and_since": [f"{where}: bytes_up 14 frozen + 2 since then are 16, usage now is 15"],
    }


def test_a_changed_adjustment_is_named(books: Books) -> None:
    first = books.close(*MARCH)
    books.services.send(*named("late", bytes_up=2))
    second = books.close("2026-03-05", "2026-03-06")
    kept = msgspec.json.encode({"bytes_up": 2, "bytes_down": 0, "bytes": 2, "requests": 1}).decode()
    books.rewrite(second, f'"total":{kept}', f'"total":{kept.replace(":2", ":3")}')
    said = [
        f"adjustment of {first} {name} 3, the rows since the closing before say 2" for name in ("bytes", "bytes_up")
    ]
    assert books.patient.found() == {
        "statement": [f"account 'acme', period {second}: its statement says {one}" for one in said]
    }


def test_a_statement_that_is_none_is_named(books: Books) -> None:
    period = books.close(*MARCH)
    books.patient.promises("UPDATE periods SET statement = '{'")
    [said] = books.patient.found()["statement"]
    assert said.startswith(f"account 'acme', period {period}: its statement cannot be read: ")


def test_a_grant_that_was_changed_after_a_closing_is_named_with_both_figures(books: Books) -> None:
    period = books.close(*MARCH)
    books.patient.promises(f"UPDATE grants SET amount = 500 WHERE id = '{books.grant}'")
    found = books.patient.found()
    assert set(found) == {"statement_balance"}
    where = f"account 'acme', period {period}: its statement says"
    assert f"{where} grant {books.grant} amount 100, computed again it is 500" in found["statement_balance"]
    assert f"{where} pool 'traffic' granted 100, computed again it is 500" in found["statement_balance"]


def test_an_allocation_that_was_changed_after_a_closing_is_named_with_both_figures(books: Books) -> None:
    period = books.close("2026-03-01", "2026-03-16")
    books.patient.promises(f"UPDATE allocations SET amount = 30 WHERE id = '{books.allocation}'")
    said = f"account 'acme', period {period}: its statement says pool 'traffic' drawn 20, computed again it is 30"
    assert said in books.patient.found()["statement_balance"]


def test_what_was_promised_while_a_statement_was_planned_is_no_difference(books: Books) -> None:
    services = books.services
    with services.ledger.read() as tx:
        planned = periods.plan_closing(tx, services.store.inner, "acme", *MARCH, services.clock())
    services.clock.at += 40
    with services.ledger.begin() as tx:
        grants.give_grant(tx, "acme", 9, now=services.clock(), starts_at=0)
    services.clock.at += 40
    with services.ledger.begin() as tx:
        periods.close_period(tx, "acme", planned, services.clock())
    assert books.patient.found() == {}


def redeemed(books: Books) -> str:
    """A voucher of 30 of acme's, redeemed by beta; and one that was revoked."""
    vault = Vault.open(books.services.data / "v.key", None)
    store, now = books.services.store.inner, books.services.clock()
    with books.services.ledger.begin() as tx:
        one, other = issuing.create_vouchers(tx, store, vault, "acme", 30, 2, now=now)
        vouchers.redeem_voucher(tx, "beta", codes.digest_of(vault, vault.reveal(one.sealed)), now=now)
        vouchers.revoke_voucher(tx, other.id, "acme", now=now)
    return one.id


def test_vouchers_used_and_revoked_are_part_of_whole_books(books: Books) -> None:
    redeemed(books)
    books.close(*MARCH)
    assert books.patient.found() == {}


def test_a_used_voucher_whose_grant_is_another_is_named(books: Books) -> None:
    voucher = redeemed(books)
    for change, back in (("amount = 31", "amount = 30"), ("expires_at = NULL", "expires_at = starts_at + 7776000000")):
        books.patient.promises(f"UPDATE grants SET {change} WHERE reference = '{voucher}'")
        assert books.patient.found() == {
            "ledger_voucher": [f"voucher {voucher}: was used, and the grant it became is another than it says"]
        }
        books.patient.promises(f"UPDATE grants SET {back} WHERE reference = '{voucher}'")
        assert books.patient.found() == {}


def test_a_voucher_that_is_not_drawn_is_named(books: Books, monkeypatch: pytest.MonkeyPatch) -> None:
    """A balance that forgets vouchers: consistent in itself, and more than there is."""
    redeemed(books)
    honest = draws.draws_of
    monkeypatch.setattr(
        draws, "draws_of", lambda tx, *asked: [one for one in honest(tx, *asked) if not one.id.startswith("vch_")]
    )
    found = books.patient.found()
    assert set(found) == {"use_and_draws", "draws_and_purses"}
    assert found["draws_and_purses"] == [
        "account 'acme', pool 'traffic': passed on 20, but the purses of its users were given 20 and its vouchers hold"
        " or became 30"
    ]


def test_an_end_before_the_beginning_is_named(books: Books) -> None:
    voucher = redeemed(books)
    books.patient.promises("UPDATE voucher_ends SET ended_at = 5 WHERE grant_id IS NULL")
    found = books.patient.found()
    assert [one.endswith("ended before it was created") for one in found["ledger_voucher"]] == [True]
    assert voucher not in found["ledger_voucher"][0]


def test_a_check_in_whose_grant_is_another_and_one_out_of_order_are_named(books: Books) -> None:
    with books.services.ledger.begin() as tx:
        for day in (0, 1):
            check_ins.check_in(tx, "acme", check_ins.Reward(5, 3, 0), now=books.services.clock() + day * DAY)
    assert books.patient.found() == {}
    books.patient.promises("UPDATE check_ins SET checked_in_at = 5 WHERE day = '2026-03-17'")
    said = "account 'acme', 2026-03-17"
    assert books.patient.found() == {
        "ledger_check_in": [
            f"{said}: gave another grant than it says",
            f"{said}: came before the check-in of the day before",
        ]
    }
