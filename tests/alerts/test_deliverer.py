"""The worker: every message gets there once it can, under one id; who fails holds nobody else up."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from ipaddress import ip_network
from pathlib import Path

import pytest
from standardwebhooks import Webhook as Verifying
from tests.conftest import Clock
from tests.providers.stub import Heard, Stub, ok, say, silent

from flowtally.alerts import signing
from flowtally.alerts.deliverer import AT_ONCE, OF_ACCOUNT, OF_ACCOUNTS, OF_WEBHOOK, Deliverer, has_room
from flowtally.alerts.sending import MessageSender
from flowtally.core.errors import Unavailable
from flowtally.ledger.database import Ledger
from flowtally.ledger.messages import deliveries, outbox, webhooks
from flowtally.ledger.messages.deliveries import DueDelivery, MessageDelivery
from flowtally.ledger.messages.webhooks import Webhook
from flowtally.ledger.people import accounts
from flowtally.ledger.tables import deliveries as rows
from flowtally.ledger.tables import webhooks as hooks
from flowtally.ledger.vault import Vault
from flowtally.providers.connecting import ServerStops

HERE = (ip_network("127.0.0.0/8"),)
PATIENCE_S = 60


class Post:
    """A ledger with webhooks of the operator, and a worker whose threads a test starts by hand."""

    def __init__(self, ledger: Ledger, vault: Vault, clock: Clock) -> None:
        self.ledger, self.vault, self.clock = ledger, vault, clock
        self.secrets: dict[str, str] = {}
        self.put_so_far = 0
        self.worker = self.another()

    def another(self, kind: type[Deliverer] = Deliverer) -> Deliverer:
        return kind(
            self.ledger, self.vault, self.clock, lambda stop: MessageSender(HERE, stop=stop), chance=lambda: 0.5
        )

    def listen(self, url: str, account: str | None = None) -> Webhook:
        secret = signing.new_secret()
        with self.ledger.begin() as tx:
            made = webhooks.add_webhook(tx, account, url, sealed=self.vault.seal_secret("secret", secret), now=1)
        self.secrets[made.id] = secret
        return made

    def put(self, account: str | None = None, count: int = 1) -> None:
        with self.ledger.begin() as tx:
            for _ in range(count):
                self.put_so_far += 1
                data = {"n": self.put_so_far}
                outbox.put(tx, f"key {self.put_so_far}", "balance.low", data, account=account, now=self.clock())

    def work(self) -> None:
        """Until nothing is due and nothing under way."""
        self.wait_for(lambda: self.worker.deliver_due() == 0 and not self.worker._busy)

    def wait_for(self, done: Callable[[], bool]) -> None:
        until = time.monotonic() + PATIENCE_S
        while not done():
            assert time.monotonic() < until, "it does not end"
            time.sleep(0.005)

    def deliveries(self, webhook: Webhook) -> list[MessageDelivery]:
        with self.ledger.read() as tx:
            return deliveries.list_deliveries(tx, webhook, limit=1000).items

    def read(self, webhook: Webhook) -> Webhook:
        with self.ledger.read() as tx:
            return webhooks.find_webhook(tx, webhook.id)


@pytest.fixture
def post(app_ledger: Ledger, made_keys: Path, clock: Clock) -> Iterator[Post]:
    vault = Vault.open(made_keys, None)
    with app_ledger.begin() as tx:
        for name in ("acme", "beta"):
            accounts.create_account(tx, name, now=1)
    made = Post(app_ledger, vault, clock)
    yield made
    made.worker.close()


@pytest.fixture
def serving() -> Iterator[ExitStack]:
    with ExitStack() as stack:
        yield stack


def ids(heard: list[Heard]) -> list[str]:
    return [one.headers["webhook-id"] for one in heard]


def test_a_message_is_delivered_signed_and_once(post: Post, serving: ExitStack) -> None:
    stub = serving.enter_context(Stub(say(204)))
    hook = post.listen(stub.url)
    post.clock.at = int(time.time() * 1000)  # the library holds the timestamp against its own clock
    post.put("acme")
    post.work()
    post.work()
    [heard] = stub.heard
    assert Verifying(post.secrets[hook.id]).verify(heard.body, dict(heard.headers))["data"] == {"n": 1}
    [found] = post.deliveries(hook)
    assert (found.state, found.attempts, found.status, found.message) == ("delivered", 1, 204, ids([heard])[0])
    assert post.read(hook).delivered_at == post.clock.at


def test_what_fails_is_tried_again_ten_times_under_one_id_and_can_be_replayed(post: Post, serving: ExitStack) -> None:
    stub = serving.enter_context(Stub(*[say(500)] * 10, ok()))
    hook = post.listen(stub.url)
    post.put()
    pauses = []
    for _ in range(10):
        post.work()
        [found] = post.deliveries(hook)
        if found.next_at is not None:
            pauses.append((found.next_at - post.clock.at) // 1000)
            post.clock.at = found.next_at - 1
            post.work()  # it is not its time yet
            post.clock.at = found.next_at
    assert pauses == [5, 300, 1800, 7200, 18_000, 36_000, 50_400, 72_000, 86_400]
    assert (found.state, found.attempts, found.detail) == ("dead", 10, "HTTP 500")
    post.clock.at += 10**9
    post.work()
    assert len(stub.heard) == 10
    with post.ledger.begin() as tx:
        assert deliveries.replay_dead(tx, hook, 0, now=post.clock.at) == 1
    post.work()
    [found] = post.deliveries(hook)
    assert (found.state, found.attempts, found.detail) == ("delivered", 1, "")
    assert len(set(ids(stub.heard))) == 1
    assert len({one.body for one in stub.heard}) == 1
    assert post.read(hook).failing_since is None


class Dying(Deliverer):
    """Ends between the answer and the note of it, as by kill -9."""

    def _noted(self, due: DueDelivery, came: deliveries.Attempt) -> bool:
        raise ServerStops


def test_what_was_delivered_and_not_noted_is_sent_again_under_the_same_id(post: Post, serving: ExitStack) -> None:
    stub = serving.enter_context(Stub(ok()))
    hook = post.listen(stub.url)
    post.put()
    first = post.another(Dying)
    assert first.deliver_due() == 1
    post.wait_for(lambda: not first._busy)
    first.close()
    assert post.deliveries(hook)[0].state == "waiting"
    post.work()
    assert len(stub.heard) == 2
    assert len(set(ids(stub.heard))) == 1
    assert post.deliveries(hook)[0].state == "delivered"


class Forgetful(Deliverer):
    """Whose ledger is away when the first attempt is to be noted."""

    away = 1

    def _noted(self, due: DueDelivery, came: deliveries.Attempt) -> bool:
        if self.away:
            self.away -= 1
            with pytest.MonkeyPatch.context() as patch:
                patch.setattr(self._ledger, "begin", lambda *_: _raise())
                return super()._noted(due, came)
        return super()._noted(due, came)


def _raise() -> None:
    raise Unavailable("the ledger is away")


def test_what_cannot_be_noted_is_not_sent_again_but_noted_later(
    post: Post, serving: ExitStack, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("flowtally.alerts.deliverer.AFTER_FAULT_S", 0.01)
    stub = serving.enter_context(Stub(ok()))
    hook = post.listen(stub.url)
    post.put()
    post.worker = post.another(Forgetful)
    post.work()
    assert len(stub.heard) == 1
    assert post.deliveries(hook)[0].state == "delivered"


def test_one_that_never_answers_holds_up_nobody_else(post: Post, serving: ExitStack) -> None:
    hanging, well = serving.enter_context(Stub(silent())), serving.enter_context(Stub(ok()))
    slow = post.listen(hanging.url)
    other = post.listen(well.url)
    post.put(count=50)

    def delivered() -> bool:
        post.worker.deliver_due()
        return [one.state for one in post.deliveries(other)] == ["delivered"] * 50

    post.wait_for(delivered)
    assert hanging.connections <= OF_WEBHOOK
    assert [one.state for one in post.deliveries(slow)] == ["waiting"] * 50
    post.worker.close()
    assert [one.attempts for one in post.deliveries(slow)] == [0] * 50, "what was left is no attempt"


def test_a_webhook_an_account_and_all_accounts_have_a_bounded_share() -> None:
    def due(number: int, webhook: str, account: str | None) -> DueDelivery:
        return DueDelivery(str(number), webhook, account, "msg_1", "{}", 0)

    busy: dict[str, DueDelivery] = {}

    def fill(account: str | None) -> int:
        before = len(busy)
        for number in range(200):
            one = due(len(busy), f"{account} {number // 20}", account)
            if has_room(busy, one):
                busy[one.id] = one
        return len(busy) - before

    assert fill("acme") == OF_ACCOUNT
    assert {sum(one.webhook == name for one in busy.values()) for name in ("acme 0", "acme 1")} == {OF_WEBHOOK}
    assert [fill("b"), fill("c"), fill("d")] == [OF_ACCOUNT, OF_ACCOUNT, 0]
    assert len(busy) == OF_ACCOUNTS
    assert fill(None) == AT_ONCE - OF_ACCOUNTS, "the operator's own always find room"


def test_of_many_webhooks_each_gets_its_messages(post: Post, serving: ExitStack) -> None:
    """More than fit under way at once, of a tenant and the operator."""
    stub = serving.enter_context(Stub(ok()))
    twelve = [post.listen(stub.url) for _ in range(12)]
    post.put(count=10)
    post.work()
    assert {one.state for hook in twelve for one in post.deliveries(hook)} == {"delivered"}
    assert len(stub.heard) == 120
    assert len(set(ids(stub.heard))) == 10


def test_410_disables_it_and_the_others_are_told(post: Post, serving: ExitStack) -> None:
    gone, well = serving.enter_context(Stub(say(410))), serving.enter_context(Stub(ok()))
    hook, other = post.listen(gone.url), post.listen(well.url)
    post.put()
    post.work()
    found = post.read(hook)
    assert (found.state, found.detail) == ("disabled", "its server answered 410: it wants nothing more")
    assert sorted(one.type for one in post.deliveries(other)) == ["balance.low", "webhook.disabled"]
    post.put()
    post.work()
    assert len(gone.heard) == 1
    assert {one.state for one in post.deliveries(hook)} == {"dead"}
    assert len(well.heard) == 3


def test_who_fails_for_five_days_is_disabled_and_one_success_begins_anew(post: Post, serving: ExitStack) -> None:
    stub = serving.enter_context(Stub(say(500), say(500), ok(), say(500), say(500)))
    hook = post.listen(stub.url)
    day = 86_400_000

    def attempt(after_days: float) -> str:
        post.clock.at += int(after_days * day)
        with post.ledger.begin() as tx:
            tx.execute(rows.update().values(state="waiting", next_at=post.clock.at, attempts=0))
        post.work()
        return post.read(hook).state

    post.put()
    assert [attempt(0), attempt(4.9), attempt(0.1)] == ["active"] * 3  # the third is taken
    assert [attempt(0), attempt(5)] == ["active", "disabled"]
    assert "for 5 days; the last time: HTTP 500" in post.read(hook).detail
    assert post.deliveries(hook)[0].state == "dead"


def test_a_server_that_asks_to_be_left_alone_is(post: Post, serving: ExitStack) -> None:
    stub = serving.enter_context(Stub(say(503, Retry_After="600"), ok()))
    hook = post.listen(stub.url)
    post.put()
    post.work()
    post.put()
    post.clock.at += 599_000
    post.work()
    assert len(stub.heard) == 1
    assert post.read(hook).held_until == post.clock.at + 1_000
    post.clock.at += 1_000
    post.work()
    assert [one.state for one in post.deliveries(hook)] == ["delivered"] * 2
    assert post.read(hook).held_until is None


def test_after_a_rotation_both_secrets_sign_for_a_while(post: Post, serving: ExitStack) -> None:
    stub = serving.enter_context(Stub(ok()))
    hook = post.listen(stub.url)
    with post.ledger.begin() as tx:
        sealed = post.vault.seal_secret("secret", signing.new_secret())
        webhooks.rotate_secret(tx, hook, sealed=sealed, overlap_s=60, now=post.clock.at)
    post.put()
    post.work()
    post.clock.at += 60_000
    post.put()
    post.work()
    assert [len(one.headers["webhook-signature"].split()) for one in stub.heard] == [2, 1]


def test_the_worker_delivers_by_itself_tidies_and_counts(post: Post, serving: ExitStack) -> None:
    stub = serving.enter_context(Stub(ok()))
    hook = post.listen(stub.url)
    with post.ledger.begin() as tx:
        webhooks.rotate_secret(tx, hook, sealed=hook.sealed or "", overlap_s=1, now=1)
        outbox.put(tx, "old", "balance.low", {}, now=1, account="acme")
        tx.execute(rows.update().values(state="dead", next_at=None))
    post.put()
    post.worker.begin()
    post.wait_for(lambda: post.worker.measures()["attempts_good"] == 1)
    post.wait_for(lambda: post.read(hook).old_sealed is None)
    assert [one.state for one in post.deliveries(hook)] == ["delivered"]
    found = post.worker.measures()
    assert (found["state_active"], found["waiting"], found["oldest"]) == (1, 0, 0)


def test_a_mistake_of_ours_in_one_delivery_stops_no_other(
    post: Post, serving: ExitStack, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("flowtally.alerts.deliverer.AFTER_FAULT_S", 0.01)
    stub = serving.enter_context(Stub(ok()))
    broken, well = post.listen(stub.url), post.listen(stub.url)
    with post.ledger.begin() as tx:
        tx.execute(hooks.update().where(hooks.c.id == broken.id).values(sealed="no secret"))
    post.put()

    def delivered() -> bool:
        post.worker.deliver_due()
        return post.deliveries(well)[0].state == "delivered"

    post.wait_for(delivered)
    assert post.deliveries(broken)[0].state == "waiting"
