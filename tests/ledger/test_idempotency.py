"""Idempotency keys: kept for ever, by account; one of many at once wins."""

from __future__ import annotations

import threading
from concurrent.futures import ThreadPoolExecutor

import pytest

from flowtally.core.errors import BadRequest, Conflict, IdempotencyMismatch
from flowtally.ledger import idempotency
from flowtally.ledger.database import Ledger
from flowtally.ledger.people import accounts, credentials
from flowtally.ledger.traffic import grants
from flowtally.protocol import CredentialAnswer, Scope

OTHERS: tuple[tuple[Scope, str | None], ...] = (
    ("admin", None),
    ("manage", "acme"),
    ("account", "acme"),
    ("manage", "beta"),
)
DIGEST = idempotency.request_digest("POST", "/v1/accounts", b'{"id":"acme"}')


@pytest.fixture
def asking(ledger: Ledger) -> str:
    with ledger.begin() as tx:
        return credentials.issue(tx, "admin", None, "", 1)[0].keys_of


def test_an_answer_is_replayed_without_its_secrets(ledger: Ledger, asking: str) -> None:
    answer = CredentialAnswer(
        id="crd_1",
        scope="admin",
        account=None,
        name="ü",
        created_at="2026-01-01T00:00:00Z",
        revoked_at=None,
        expires_at=None,
        last_used_at=None,
        rights=[],
        addresses=[],
        token="ft_adm_secret",
        key="ft_key_secret",
    )
    with ledger.begin() as tx:
        assert idempotency.replay_or_none(tx, asking, "k", DIGEST) is None
        idempotency.remember(tx, asking, "k", DIGEST, status=201, answer=answer, now=1)
    with ledger.read() as tx:
        stored = idempotency.replay_or_none(tx, asking, "k", DIGEST)
    assert stored is not None
    assert stored.status == 201
    assert b"secret" not in stored.body
    assert b'"name":"\xc3\xbc"' in stored.body


def test_a_key_belongs_to_the_account_or_the_installation_whichever_credential_asks(
    ledger: Ledger, asking: str
) -> None:
    with ledger.begin() as tx:
        for account in ("acme", "beta"):
            accounts.create_account(tx, account, now=1)
        others = [credentials.issue(tx, scope, account, "", 1)[0] for scope, account in OTHERS]
        idempotency.remember(tx, asking, "k", DIGEST, status=201, answer={}, now=1)
        known = [idempotency.replay_or_none(tx, other.keys_of, "k", DIGEST) is not None for other in others]
        assert known == [True, False, False, False]
        idempotency.remember(tx, "acme", "k", DIGEST, status=201, answer={}, now=1)
        known = [idempotency.replay_or_none(tx, other.keys_of, "k", DIGEST) is not None for other in others]
        assert known == [True, True, True, False]


@pytest.mark.parametrize(
    ("method", "path", "body"),
    [
        ("PUT", "/v1/accounts", b'{"id":"acme"}'),
        ("POST", "/v1/accounts?x=1", b'{"id":"acme"}'),
        ("POST", "/v1/accounts", b'{"id":"acme"} '),
        ("POST", "/v1/accounts", b""),
    ],
)
def test_another_request_under_the_same_key_is_a_mismatch(
    ledger: Ledger, asking: str, method: str, path: str, body: bytes
) -> None:
    with ledger.begin() as tx:
        idempotency.remember(tx, asking, "k", DIGEST, status=201, answer={}, now=1)
        with pytest.raises(IdempotencyMismatch):
            idempotency.replay_or_none(tx, asking, "k", idempotency.request_digest(method, path, body))


def test_the_digest_does_not_confuse_where_path_and_body_meet() -> None:
    assert idempotency.request_digest("POST", "/a", b"b") != idempotency.request_digest("POST", "/ab", b"")
    assert idempotency.request_digest("post", "/a", b"b") == idempotency.request_digest("POST", "/a", b"b")


@pytest.mark.parametrize("key", ["", "x" * 256, "ü", "a\nb", "\x00"])
def test_a_key_is_1_to_255_printable_ascii_characters(ledger: Ledger, asking: str, key: str) -> None:
    with pytest.raises(BadRequest), ledger.begin() as tx:
        idempotency.replay_or_none(tx, asking, key, DIGEST)
    with pytest.raises(BadRequest), ledger.begin() as tx:
        idempotency.remember(tx, asking, key, DIGEST, status=201, answer={}, now=1)


def test_a_door_that_forgot_to_look_first_is_stopped_by_the_table(ledger: Ledger, asking: str) -> None:
    with ledger.begin() as tx:
        idempotency.remember(tx, asking, "x" * 255, DIGEST, status=201, answer={"n": 1}, now=1)

    def forget_to_look() -> None:
        with ledger.begin() as tx:
            accounts.create_account(tx, "acme", now=2)
            idempotency.remember(tx, asking, "x" * 255, DIGEST, status=201, answer={"n": 2}, now=2)

    with pytest.raises(Conflict, match="ask again"):
        forget_to_look()
    with ledger.read() as tx:
        assert accounts.list_accounts(tx).items == []


def test_of_many_requests_at_once_with_one_key_one_gives_and_all_hear_the_same(
    ledger: Ledger, url: str, asking: str
) -> None:
    other = Ledger.open(url)  # as a second process would
    together = threading.Barrier(8)
    with ledger.begin() as tx:
        accounts.create_account(tx, "acme", now=1)

    def ask(turn: int) -> bytes:
        together.wait(timeout=30)
        with (ledger, other)[turn % 2].begin() as tx:
            stored = idempotency.replay_or_none(tx, asking, "k", DIGEST)
            if stored is not None:
                return stored.body
            given = grants.give_grant(tx, "acme", 5, now=2)
            idempotency.remember(tx, asking, "k", DIGEST, status=201, answer={"id": given.id}, now=2)
            return b'{"id":"%s"}' % given.id.encode()

    with ThreadPoolExecutor(8) as threads:
        answers = set(threads.map(ask, range(8)))
    with ledger.read() as tx:
        assert [b'{"id":"%s"}' % grant.id.encode() for grant in grants.grants_of(tx, "acme")] == list(answers)
    other.close()
