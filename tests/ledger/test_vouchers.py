"""Vouchers in the ledger: set aside when covered, ended once, by one of many who try."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest

from flowtally.core.errors import Conflict, NotCovered, NotFound, UnknownAccount, Unprocessable, VoucherEnded
from flowtally.core.words import AccountStatus
from flowtally.ledger.checks import rules
from flowtally.ledger.database import Ledger, Tx
from flowtally.ledger.known import Known
from flowtally.ledger.people import accounts
from flowtally.ledger.traffic import codes, draws, grants, vouchers
from flowtally.ledger.traffic.codes import Code
from flowtally.ledger.traffic.cuts import cut_instants
from flowtally.ledger.traffic.vouchers import Voucher
from flowtally.ledger.vault import Vault


@pytest.fixture
def books(ledger: Ledger) -> Ledger:
    with ledger.begin() as tx:
        for name in ("acme", "beta"):
            accounts.create_account(tx, name, now=1)
    return ledger


def code(number: int) -> Code:
    return Code(f"{number:064d}", f"sealed {number}")


def create(tx: Tx, *numbers: int, amount: int = 7, now: int = 5, left: int = 1000, **terms: int) -> list[Voucher]:
    given = [code(number) for number in numbers]
    terms = {"duration_s": 60} | terms
    return vouchers.create_vouchers(tx, "acme", amount, given, now=now, pool="traffic", left=left, **terms)


def test_all_are_covered_or_none_is_made(books: Ledger) -> None:
    with books.begin() as tx:
        with pytest.raises(NotCovered) as refused:
            create(tx, 1, 2, 3, left=20)
        assert refused.value.extra == {"account": "acme", "pool": "traffic", "amount": 21, "left": 20}
        assert draws.draws_of(tx, "acme") == []
        made = create(tx, 1, 2, 3, left=21)
        assert [(one.id, one.at, one.amount, one.returned) for one in draws.draws_of(tx, "acme")] == [
            (one.id, 5, 7, 0) for one in made
        ]
        assert (draws.last_drawn_at(tx, "acme"), draws.last_drawn_at(tx, "beta")) == (5, 0)


@pytest.mark.parametrize(
    ("field", "value"), [("amount", 0), ("amount", 2**53), ("duration_s", 0), ("duration_s", 2**40)]
)
def test_terms_that_cannot_be_are_named(books: Ledger, field: str, value: int) -> None:
    with books.begin() as tx, pytest.raises(Unprocessable) as refused:
        create(tx, 1, left=2**60, **{field: value})
    assert refused.value.extra["field"] == field


def test_too_many_at_once_and_pools_without_a_balance_are_refused(books: Ledger) -> None:
    with books.begin() as tx:
        for pool, count in (("traffic", 0), ("traffic", 1001), ("unlimited", 1)):
            with pytest.raises(Unprocessable):
                vouchers.check_vouchers(tx, 1, count, pool, 60)
        with pytest.raises(NotFound):
            vouchers.check_vouchers(tx, 1, 1, "nowhere", 60)


def test_a_voucher_becomes_a_grant_to_whoever_redeems_it_once(books: Ledger) -> None:
    with books.begin() as tx:
        [made] = create(tx, 1)
        given = vouchers.redeem_voucher(tx, "beta", code(1).digest, now=100)
        assert (given.account, given.amount, given.source, given.reference) == ("beta", 7, "cdk", made.id)
        assert (given.starts_at, given.expires_at) == (0, 60_100)
        for account in ("beta", "acme"):
            with pytest.raises(VoucherEnded) as refused:
                vouchers.redeem_voucher(tx, account, code(1).digest, now=101)
            assert refused.value.extra["voucher_status"] == "used"
        with pytest.raises(VoucherEnded):
            vouchers.revoke_voucher(tx, made.id, "acme", now=101)
        used = vouchers.read_voucher(tx, made.id, "acme")
        assert (used.status, used.redeemed_by, used.ended_at, used.grant_id) == ("used", "beta", 100, given.id)
        assert [one.returned for one in draws.draws_of(tx, "acme")] == [0]
        assert list(rules.faults(tx)) == []


def test_a_revoked_voucher_returns_its_draw_and_is_worth_nothing(books: Ledger) -> None:
    with books.begin() as tx:
        [made, other] = create(tx, 1, 2)
        gone = vouchers.revoke_voucher(tx, made.id, "acme", now=50)
        assert vouchers.revoke_voucher(tx, made.id, "acme", now=60) == gone
        assert (gone.status, gone.ended_at) == ("revoked", 50)
        with pytest.raises(VoucherEnded) as refused:
            vouchers.redeem_voucher(tx, "beta", code(1).digest, now=70)
        assert refused.value.extra["voucher_status"] == "revoked"
        assert [one.id for one in draws.draws_of(tx, "acme")] == [other.id]
        assert [one.returned for one in draws.draws_of(tx, "acme", Known(None, 49))] == [0, 0]
        assert draws.draws_of(tx, "acme", Known(None, 4)) == []
        with pytest.raises(NotFound):
            vouchers.revoke_voucher(tx, other.id, "beta", now=70)
        assert list(rules.faults(tx)) == []


def test_nothing_ends_before_it_began_though_the_clock_was_set_back(books: Ledger) -> None:
    with books.begin() as tx:
        [_, revoked] = create(tx, 1, 2, now=500)
        assert vouchers.redeem_voucher(tx, "beta", code(1).digest, now=100).created_at == 500
        assert vouchers.revoke_voucher(tx, revoked.id, "acme", now=100).ended_at == 500
        assert list(rules.faults(tx)) == []


def test_only_active_accounts_redeem_and_an_unknown_code_says_nothing(books: Ledger) -> None:
    with books.begin() as tx:
        create(tx, 1)
        for digest in (None, "f" * 64):
            with pytest.raises(NotFound) as unknown:
                vouchers.redeem_voucher(tx, "beta", digest, now=9)
            assert "f" * 64 not in unknown.value.detail
        with pytest.raises(UnknownAccount):
            vouchers.redeem_voucher(tx, "nobody", code(1).digest, now=9)
        statuses: tuple[AccountStatus, ...] = ("suspended", "closed")
        for status in statuses:
            accounts.change_account(tx, "beta", status=status, now=9)
            with pytest.raises(Conflict, match=status):
                vouchers.redeem_voucher(tx, "beta", code(1).digest, now=9)


def test_lists_are_of_one_status_or_code_and_of_one_account(books: Ledger) -> None:
    with books.begin() as tx:
        made = create(tx, *range(6))
        vouchers.redeem_voucher(tx, "beta", code(1).digest, now=9)
        vouchers.revoke_voucher(tx, made[2].id, "acme", now=9)

        def listed(**asked: Any) -> list[str]:
            return [one.sealed for one in vouchers.list_vouchers(tx, "acme", **asked).items]

        assert listed(status="used") == ["sealed 1"]
        assert listed(status="revoked") == ["sealed 2"]
        assert listed(status="unused") == ["sealed 0", "sealed 3", "sealed 4", "sealed 5"]
        assert listed(digest=code(2).digest) == ["sealed 2"]
        assert vouchers.list_vouchers(tx, "beta", digest=code(2).digest).items == []
        first = vouchers.list_vouchers(tx, "acme", limit=4)
        assert [one.id for one in first.items + vouchers.list_vouchers(tx, "acme", first.next).items] == [
            one.id for one in made
        ]
        assert vouchers.find_voucher(tx, code(0).digest, "beta") is None
        assert vouchers.find_voucher(tx, code(0).digest, "acme") == made[0]


def test_where_time_is_cut_by_a_voucher_is_kept_when_old_rows_are_compacted(books: Ledger) -> None:
    with books.begin() as tx:
        create(tx, 1, now=777)
        assert ("acme", 777) in cut_instants(tx, 1000, 900_000)
        assert ("acme", 777) not in cut_instants(tx, 777, 900_000)


def test_of_many_who_redeem_and_revoke_at_once_one_succeeds(books: Ledger, url: str) -> None:
    other = Ledger.open(url)  # as a second process would
    with books.begin() as tx:
        made = create(tx, *range(4))

    def end(turn: int) -> tuple[int, str] | None:
        which = turn % 4
        try:
            with (books, other)[turn // 4 % 2].begin() as tx:
                if turn % 5 == 0:
                    vouchers.revoke_voucher(tx, made[which].id, "acme", now=20 + turn)
                    return None  # a second revoke succeeds too
                vouchers.redeem_voucher(tx, ("acme", "beta")[turn % 2], code(which).digest, now=20 + turn)
                return which, "used"
        except VoucherEnded:
            return None

    with ThreadPoolExecutor(8) as threads:
        redeemed = [one for one in threads.map(end, range(48)) if one is not None]
    assert len(redeemed) == len(set(redeemed))
    with books.read() as tx:
        status = [one.status for one in vouchers.list_vouchers(tx, "acme").items]
        assert [(which, "used") for which in range(4) if status[which] == "used"] == sorted(redeemed)
        assert "unused" not in status
        given = grants.grants_of(tx, "acme") + grants.grants_of(tx, "beta")
        assert len(given) == len(redeemed)
        assert list(rules.faults(tx)) == []
    other.close()


def test_a_code_is_sixteen_letters_and_digits_and_cannot_be_read_where_it_is_kept(tmp_path: Path) -> None:
    vault = Vault.open(tmp_path / "a.key", None)
    made = codes.new_codes(vault, 200)
    clear = [vault.reveal(one.sealed) for one in made]
    assert len(set(clear)) == 200
    assert {len(one) for one in clear} == {16}
    assert "".join(clear).isalnum()
    assert "".join(clear).isascii()
    assert len(set("".join(clear))) == 62  # each of them turns up among 3200 characters, but for one time in 10^20
    for one, text in zip(made, clear, strict=True):
        assert codes.digest_of(vault, text) == one.digest
        assert text not in one.sealed + one.digest
        assert codes.digest_of(vault, text.swapcase()) != one.digest
    assert codes.digest_of(Vault.open(tmp_path / "b.key", None), clear[0]) != made[0].digest


@pytest.mark.parametrize("text", ["", "x" * 15, "x" * 17, "ä" * 16, "a" * 15 + "\n", "a" * 16 + "\n", "\ud800" * 16])
def test_a_text_that_no_code_can_be_is_not_looked_for(tmp_path: Path, text: str) -> None:
    assert codes.digest_of(Vault.open(tmp_path / "a.key", None), text) is None
