"""The outbox: what became true is told once, to whom it concerns, and nothing that was undone."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import msgspec
import pytest
from sqlalchemy import Connection
from tests.ledger.test_every_command import NOW

from flowtally.core.errors import Conflict, LimitReached, NotFound, UnknownAccount, Unprocessable
from flowtally.core.times import DAY_MS
from flowtally.ledger.database import Ledger
from flowtally.ledger.messages import deliveries, outbox, webhooks
from flowtally.ledger.messages.deliveries import Attempt
from flowtally.ledger.messages.webhooks import Webhook
from flowtally.ledger.people import accounts


@pytest.fixture
def shop(ledger: Ledger) -> Ledger:
    with ledger.begin() as tx:
        for name in ("acme", "beta"):
            accounts.create_account(tx, name, now=1)
    return ledger


def add(tx: Connection, account: str | None = None, **more: Any) -> Webhook:
    return webhooks.add_webhook(tx, account, "https://a.example", sealed="sealed", now=NOW, **more)


def put(tx: Connection, key: str, kind: str = "balance.low", account: str | None = "acme", now: int = NOW) -> bool:
    return outbox.put(tx, key, kind, {"left": 5}, account=account, now=now) is not None


def states(tx: Connection, webhook: Webhook) -> list[str]:
    return [one.state for one in deliveries.list_deliveries(tx, webhook).items]


def test_a_message_goes_to_the_operator_and_the_account_it_is_about(shop: Ledger) -> None:
    with shop.begin() as tx:
        ours, acme, beta = add(tx), add(tx, "acme"), add(tx, "beta")
        narrow = add(tx, "acme", types=["forecast.runs_out", "balance.used_up"])
        put(tx, "one")
        put(tx, "two", "balance.used_up")
        put(tx, "three", account=None)
        assert [len(states(tx, one)) for one in (ours, acme, beta, narrow)] == [3, 2, 0, 1]
        due = deliveries.due_deliveries(tx, NOW, 10)
    assert {one.account for one in due} == {None, "acme"}
    body = msgspec.json.decode(due[0].body)
    assert body == {"type": "balance.low", "timestamp": "2023-11-14T22:13:20Z", "data": {"left": 5}}


def test_a_key_is_told_once(shop: Ledger) -> None:
    with shop.begin() as tx:
        hook = add(tx)
        assert [put(tx, key) for key in ("a", "a", "b")] == [True, False, True]
    with shop.begin() as tx:
        assert not put(tx, "a", "balance.used_up")
        assert len(states(tx, hook)) == 2


def test_what_is_rolled_back_is_not_told(shop: Ledger) -> None:
    with shop.begin() as tx:
        hook = add(tx)

    def undone() -> None:
        with shop.begin() as tx:
            put(tx, "a")
            raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        undone()
    with shop.begin() as tx:
        assert states(tx, hook) == []
        assert put(tx, "a")


def test_a_queue_is_bounded_and_what_does_not_fit_can_be_replayed(
    shop: Ledger, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(outbox, "MOST_WAITING", 2)
    monkeypatch.setattr(deliveries, "MOST_REPLAYED", 2)
    with shop.begin() as tx:
        hook = add(tx)
        for n in range(5):
            put(tx, str(n))
        assert states(tx, hook) == ["waiting", "waiting", "dead", "dead", "dead"]
        assert deliveries.replay_dead(tx, hook, 0, now=NOW) == 0
        for one in deliveries.due_deliveries(tx, NOW, 10):
            deliveries.end_attempt(tx, one, Attempt(True, 200, "", 1), next_at=None, now=NOW)
        assert deliveries.replay_dead(tx, hook, 0, now=NOW) == 2
        assert states(tx, hook) == ["delivered", "delivered", "waiting", "waiting", "dead"]
        assert deliveries.replay_dead(tx, hook, NOW + 1, now=NOW) == 0


def test_one_that_was_delivered_can_be_sent_again_and_one_of_another_cannot(shop: Ledger) -> None:
    with shop.begin() as tx:
        hook, other = add(tx), add(tx)
        put(tx, "a")
        [due, _] = deliveries.due_deliveries(tx, NOW, 10)
        deliveries.end_attempt(tx, due, Attempt(True, 200, "", 1), next_at=None, now=NOW)
        mine, theirs = (hook, other) if due.webhook == hook.id else (other, hook)
        again = deliveries.replay(tx, mine, due.id, now=NOW + 9)
        assert (again.state, again.attempts, again.next_at, again.message) == ("waiting", 0, NOW + 9, due.message)
        for asked in (due.id, "dlv_9", "\0"):
            with pytest.raises(NotFound):
                deliveries.replay(tx, theirs, asked, now=NOW)


def test_while_it_is_disabled_messages_are_kept_for_a_replay(shop: Ledger) -> None:
    with shop.begin() as tx:
        hook = add(tx)
        put(tx, "before")
        disabled = webhooks.change_webhook(tx, hook, enabled=False, now=NOW)
        put(tx, "while")
        assert states(tx, hook) == ["dead", "dead"]
        with pytest.raises(Conflict, match="is disabled: enable it first"):
            deliveries.replay_dead(tx, disabled, 0, now=NOW)
        enabled = webhooks.change_webhook(tx, disabled, enabled=True, now=NOW)
        assert deliveries.replay_dead(tx, enabled, 0, now=NOW) == 2
        assert states(tx, hook) == ["waiting", "waiting"]


def test_one_that_was_removed_has_no_secret_and_gets_nothing(shop: Ledger) -> None:
    with shop.begin() as tx:
        hook = add(tx)
        put(tx, "a")
        rotated = webhooks.rotate_secret(tx, hook, sealed="another", overlap_s=60, now=NOW)
        assert webhooks.secrets_of(rotated, NOW) == ("another", "sealed")
        gone = webhooks.remove_webhook(tx, rotated, now=NOW + 1)
        assert (gone.state, gone.sealed, gone.old_sealed, gone.removed_at) == ("removed", None, None, NOW + 1)
        assert webhooks.remove_webhook(tx, gone, now=NOW + 2) == gone
        put(tx, "b")
        assert states(tx, hook) == ["dead"]
        changes: tuple[Callable[[], Webhook], ...] = (
            lambda: webhooks.change_webhook(tx, gone, enabled=True, now=NOW),
            lambda: webhooks.rotate_secret(tx, gone, sealed="x", overlap_s=0, now=NOW),
        )
        for change in changes:
            with pytest.raises(Conflict, match="was removed"):
                change()
        assert webhooks.list_webhooks(tx, None).items == []
        assert webhooks.list_webhooks(tx, None, removed=True).items == [gone]


def test_an_attempt_that_ends_after_a_removal_changes_nothing(shop: Ledger) -> None:
    with shop.begin() as tx:
        hook = add(tx)
        put(tx, "a")
        [due] = deliveries.due_deliveries(tx, NOW, 10)
        webhooks.remove_webhook(tx, hook, now=NOW)
        assert deliveries.end_attempt(tx, due, Attempt(False, 500, "", 1), next_at=NOW + 5, now=NOW) is None
        assert states(tx, hook) == ["dead"]
        assert deliveries.end_attempt(tx, due, Attempt(True, 200, "", 1), next_at=NOW + 5, now=NOW) == "delivered"
        assert webhooks.find_webhook(tx, hook.id).state == "removed"


def test_what_is_over_is_forgotten_after_a_month_and_what_waits_is_not(shop: Ledger) -> None:
    old, now = NOW, NOW + 31 * DAY_MS
    with shop.begin() as tx:
        hook = add(tx)
        put(tx, "waits", now=old)
        put(tx, "new", now=now)
        assert not outbox.has_old(tx, now)
        webhooks.give_up(tx, hook.id, "nobody is there")
        assert outbox.has_old(tx, now)
        assert outbox.forget_old(tx, now) == 1
        assert len(states(tx, hook)) == 1
        assert not outbox.has_old(tx, now)


def test_what_cannot_be_is_refused(shop: Ledger, monkeypatch: pytest.MonkeyPatch) -> None:
    with shop.begin() as tx:
        for types in (["a b"], [""], ["x" * 65], ["a"] * 51):
            with pytest.raises(Unprocessable, match="types"):
                add(tx, types=types)
        with pytest.raises(UnknownAccount):
            add(tx, "nobody")
        with pytest.raises(UnknownAccount):
            webhooks.list_webhooks(tx, "nobody")
        accounts.change_account(tx, "beta", status="closed", now=NOW)
        with pytest.raises(Conflict):
            add(tx, "beta")
        monkeypatch.setattr(webhooks, "MOST_WEBHOOKS", 1)
        hook = add(tx, "acme", types=["a.b", "a.b"])
        assert hook.types == ("a.b",)
        with pytest.raises(LimitReached):
            add(tx, "acme")
        for of in ("beta", None, "\0"):
            with pytest.raises(NotFound):
                webhooks.read_webhook(tx, hook.id, of)
        for overlap_s in (-1, webhooks.MAX_OVERLAP_S + 1):
            with pytest.raises(Unprocessable, match="overlap_s"):
                webhooks.rotate_secret(tx, hook, sealed="x", overlap_s=overlap_s, now=NOW)
        with pytest.raises(AssertionError, match="20000 are allowed"):
            outbox.put(tx, "large", "balance.low", {"text": "x" * 20_000}, now=NOW)
