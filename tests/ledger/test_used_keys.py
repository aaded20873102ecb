"""Keys an account names its writes by: one write each, for good, whoever asks."""

from __future__ import annotations

import threading
from concurrent.futures import ThreadPoolExecutor

import pytest

from flowtally.core.errors import BadRequest, IdempotencyMismatch
from flowtally.ledger.database import Ledger
from flowtally.ledger.people import accounts
from flowtally.ledger.used_keys import use_key

DIGEST, OTHER = "a" * 64, "b" * 64


@pytest.fixture
def acme(ledger: Ledger) -> Ledger:
    with ledger.begin() as tx:
        accounts.create_account(tx, "acme", now=1)
        accounts.create_account(tx, "beta", now=1)
    return ledger


def test_a_key_is_known_by_what_its_request_was_known_by_before(acme: Ledger) -> None:
    with acme.begin() as tx:
        assert use_key(tx, "acme", "k", OTHER, now=1) is True
    with acme.begin() as tx:
        assert use_key(tx, "acme", "k", DIGEST, now=2, formerly=[OTHER]) is False
        with pytest.raises(IdempotencyMismatch):
            use_key(tx, "acme", "k", DIGEST, now=2, formerly=["c" * 64])


def test_a_key_stands_for_one_request_of_its_account_for_good(acme: Ledger) -> None:
    with acme.begin() as tx:
        assert use_key(tx, "acme", "k", DIGEST, now=1) is True
    with acme.begin() as tx:
        assert use_key(tx, "acme", "k", DIGEST, now=10**12) is False
        with pytest.raises(IdempotencyMismatch, match="'k' was used"):
            use_key(tx, "acme", "k", OTHER, now=2)
        assert use_key(tx, "acme", "l", DIGEST, now=2) is True
        assert use_key(tx, "beta", "k", OTHER, now=2) is True


def test_a_write_that_failed_used_no_key(acme: Ledger) -> None:
    def fails() -> None:
        with acme.begin() as tx:
            use_key(tx, "acme", "k", DIGEST, now=1)
            raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        fails()
    with acme.begin() as tx:
        assert use_key(tx, "acme", "k", OTHER, now=2) is True


def test_of_many_at_once_one_uses_the_key(acme: Ledger, url: str) -> None:
    other = Ledger.open(url)
    together = threading.Barrier(8)

    def ask(turn: int) -> bool:
        together.wait(timeout=30)
        with (acme, other)[turn % 2].begin() as tx:
            return use_key(tx, "acme", "k", DIGEST, now=2)

    with ThreadPoolExecutor(8) as threads:
        assert sorted(threads.map(ask, range(8))) == [False] * 7 + [True]
    other.close()


@pytest.mark.parametrize("key", ["", "x" * 256, "ü", "\x00"])
def test_what_is_no_key_is_refused(acme: Ledger, key: str) -> None:
    with acme.begin() as tx, pytest.raises(BadRequest):
        use_key(tx, "acme", key, DIGEST, now=1)
