"""Random mixes of events, corrections, retries, faults and restarts against a model as slow and obvious as can be.

The seed is in the name of the test that fails. Everything a step answers is compared, then everything that is stored.
"""

from __future__ import annotations

import random
from typing import Any

import pytest
from tests.conftest import NOW
from tests.ingest.conftest import Services
from tests.soak import seeds

from flowtally.answers.account_balance import make_balance
from flowtally.answers.explain import make_explanation
from flowtally.core.corrections import NOTHING, Quantities
from flowtally.core.edges import format_instant
from flowtally.core.errors import NotAsExpected, NotFound, Unavailable
from flowtally.ledger.traffic import grants
from flowtally.usage.values import Where

ACCOUNTS = ("acme", "beta")
PRODUCTS = ("residential", "mobile", "api", "unlimited")
STEPS = 60
KINDS = {True: "correction", False: "adjustment"}


class Model:
    """Events and entries in dicts; what an event stands at is recomputed from the beginning, every time."""

    def __init__(self) -> None:
        self.events: dict[tuple[str, str], dict[str, Any]] = {}
        self.refused: set[tuple[str, str]] = set()
        self.entries: dict[tuple[str, str], tuple[dict[str, Any], dict[str, Any] | None, Quantities]] = {}
        self.mark = 0

    def stands(self, event: tuple[str, str], before: tuple[str, str] | None = None) -> Quantities:
        total = amounts(self.events[event])
        for key, (asked, _, added) in self.entries.items():
            if key == before:
                break
            if asked.get("corrects") and (asked["corrects"]["source"], asked["corrects"]["id"]) == event:
                total = total.plus(added)
        return total

    def correct(self, asked: dict[str, Any]) -> tuple[str, str, Quantities | None]:
        """Status, code and what it adds; raises NotAsExpected."""
        key = ("corrections", asked["id"])
        content = {name: value for name, value in asked.items() if name != "expects"}
        if key in self.entries:
            if {name: value for name, value in self.entries[key][0].items() if name != "expects"} != content:
                return "conflict", "other_content", None
            return "duplicate", "", self.entries[key][2]
        if "corrects" not in asked:
            self.entries[key] = (asked, None, amounts(asked, requests=0))
            return "stored", "", amounts(asked, requests=0)
        event = (asked["corrects"]["source"], asked["corrects"]["id"])
        if event in self.refused:
            return "refused", "refused_event", None
        if event not in self.events:
            return "refused", "unknown_event", None
        now = self.stands(event)
        expected = asked.get("expects", {})
        if any(getattr(now, name) != value for name, value in expected.items()):
            raise NotAsExpected("")
        said = {name: asked.get(name, getattr(now, name)) for name in ("bytes_up", "bytes_down", "requests")}
        after = NOTHING if asked.get("void") else Quantities(**said)
        self.entries[key] = (asked, self.events[event], after.minus(now))
        code = "already_void" if asked.get("void") and now == NOTHING else "no_change" if after == now else ""
        return "stored", code, after.minus(now)

    def used(self, account: str, product: str) -> Quantities:
        total = NOTHING
        for event in self.events.values():
            if (event["account"], event["product"]) == (account, product):
                total = total.plus(amounts(event))
        for asked, corrected, added in self.entries.values():
            where = corrected or asked
            if (where["account"], where["product"]) == (account, product):
                total = total.plus(added)
        return total


def amounts(one: dict[str, Any], requests: int = 1) -> Quantities:
    return Quantities(one.get("bytes_up", 0), one.get("bytes_down", 0), one.get("requests", requests))


class Player:
    def __init__(self, services: Services, seed: int) -> None:
        self.services, self.chance, self.model = services, random.Random(seed), Model()
        self.made = 0

    def step(self) -> None:
        self.chance.choice(
            [self.events, self.numbered, self.corrections, self.corrections, self.corrections, self.fault]
        )()

    def event(self, **more: Any) -> dict[str, Any]:
        chance = self.chance
        at = NOW - chance.randrange(40) * 86_400_000 // 3
        small = {name: chance.randrange(50) for name in ("bytes_up", "bytes_down", "requests") if chance.random() < 0.7}
        names = {"account": chance.choice(ACCOUNTS), "product": chance.choice(PRODUCTS)}
        return names | {"time": format_instant(at), "user": chance.choice(["", "ann"])} | small | more

    def events(self) -> None:
        sent = [self.event(source="gw", id=f"e{self.chance.randrange(60)}") for _ in range(3)]
        known = [one for key, one in self.model.events.items() if key[0] == "gw"]
        sent += self.chance.sample(known, min(2, len(known)))
        for one, status in zip(sent, self.services.statuses(*sent), strict=True):
            key = (one["source"], one["id"])
            assert (status == "stored") is (key not in self.model.events)
            self.model.events.setdefault(key, one)

    def numbered(self) -> None:
        first = max(1, self.model.mark - 1)
        sent = [self.event(source="log", sequence=number) for number in range(first, first + 4)]
        for one in sent:
            if self.chance.random() < 0.2:
                one["account"] = "nobody"
        for one, receipt in zip(sent, self.services.send(*sent).receipts, strict=True):
            key = ("log", str(one["sequence"]))
            if key not in self.model.events and key not in self.model.refused:
                assert receipt.status == ("refused" if one["account"] == "nobody" else "stored")
                self.model.refused.add(key) if receipt.status == "refused" else self.model.events.update({key: one})
        self.model.mark = first + 3

    def corrections(self) -> None:
        asked = [self.correction() for _ in range(self.chance.randrange(1, 5))]
        before = dict(self.model.entries)
        try:
            expected = [self.model.correct(one) for one in asked]
        except NotAsExpected:
            self.model.entries = before
            with pytest.raises(NotAsExpected):
                self.services.correct(*asked)
            return
        for one, receipt, (status, code, added) in zip(
            asked, self.services.correct(*asked).receipts, expected, strict=True
        ):
            assert (receipt.status, receipt.code, receipt.added) == (status, code, added)
            if added is not None and "corrects" in one:
                event = (one["corrects"]["source"], one["corrects"]["id"])
                assert receipt.before == self.model.stands(event, ("corrections", one["id"]))
                assert receipt.after == receipt.before.plus(added)
                assert min(receipt.after.bytes_up, receipt.after.bytes_down, receipt.after.requests) >= 0

    def correction(self) -> dict[str, Any]:
        chance = self.chance
        if self.model.entries and chance.random() < 0.2:
            asked = dict(chance.choice(list(self.model.entries.values()))[0])
            return asked | {"reason": "another"} if chance.random() < 0.3 else asked
        self.made += 1
        made = {"id": f"c{self.made}"}
        if chance.random() < 0.2:
            free = {"bytes_down": chance.randrange(-99, 0), "reason": "goodwill"}
            return {**made, **self.event(), **free, "requests": chance.randrange(-3, 4)}
        source, id = chance.choice([*self.model.events, *self.model.refused, ("gw", "none"), ("log", "999")])
        asked = {**made, "corrects": {"source": source, "id": id}}
        if (source, id) in self.model.events and chance.random() < 0.2:
            now = self.model.stands((source, id))
            asked["expects"] = {"bytes_up": now.bytes_up + (chance.random() < 0.3)}
        if chance.random() < 0.3:
            return {**asked, "void": True}
        return {**asked, chance.choice(["bytes_up", "bytes_down", "requests"]): chance.randrange(50)}

    def fault(self) -> None:
        kind = self.chance.choice(["before", "after", "restart", "crash"])
        if kind == "restart":
            self.services.close()
            self.services.open()
        elif kind == "crash":
            self.services.crash()
            self.services.open()
        elif kind == "after":
            self.services.journal.after.append(TimeoutError("no answer"))
            self.corrections()
            self.services.journal.after.clear()
        else:
            self.services.journal.before.append(ConnectionError("no engine"))
            asked = {"id": f"burnt{self.made}", **self.event(), "bytes_up": 1, "reason": "x", "requests": 0}
            self.made += 1
            with pytest.raises(Unavailable):
                self.services.correct(asked)

    def compare(self) -> None:
        self.services.whole()
        for account in ACCOUNTS:
            found = {
                one.by[0]: Quantities(one.bytes_up, one.bytes_down, one.requests)
                for one in self.services.store.sums([0, 2**47], Where(account=account), ("product",))
            }
            for product in PRODUCTS:
                assert found.get(product, NOTHING) == self.model.used(account, product)
            self.explained(account)
        for source, id in self.model.events:
            found_event = self.services.door.event(source, id, self.services.credential)
            assert found_event.sum == self.model.stands((source, id))
            assert len(found_event.corrections) == sum(
                asked.get("corrects") == {"source": source, "id": id} for asked, _, _ in self.model.entries.values()
            )
        for (source, id), (asked, _, added) in self.model.entries.items():
            shown = self.services.door.event(source, id, self.services.credential)
            assert Quantities(shown.bytes_up, shown.bytes_down, shown.requests) == added
            assert (shown.kind, shown.reason) == (KINDS["corrects" in asked], asked.get("reason", ""))
        with pytest.raises(NotFound):
            self.services.door.event("corrections", "never sent", self.services.credential)

    def explained(self, account: str) -> None:
        """The balance follows in the same commit, and its explanation adds up to it."""
        with self.services.ledger.read() as tx:
            balance = make_balance(tx, self.services.store, account, NOW + 1)
            explained = make_explanation(tx, self.services.store, account, NOW + 1)
        assert {name: pool.balance for name, pool in explained.pools.items()} == balance.pools
        for pool in explained.pools.values():
            b = pool.balance
            assert sum(span.used for span in pool.spans) == pool.used
            assert pool.used + pool.drawn == b.spent + b.overage + pool.forgiven - b.credit
            assert sum(paid.amount for one in pool.grants for paid in one.paid) == b.spent
            for span in pool.spans:
                assert span.used == span.events + span.corrections + span.adjustments
                covered = sum(one.amount for one in span.paid) + sum(one.amount for one in span.unpaid)
                assert span.used == covered - span.credit
                if span.rows <= len(span.largest):
                    assert sum(row.amount for row in span.largest) == span.used
        model = self.model.used(account, "mobile")
        if "mobile" in explained.pools:
            assert explained.pools["mobile"].used == model.bytes_up + model.bytes_down


def play(services: Services, seed: int, steps: int = STEPS) -> None:
    with services.ledger.begin() as tx:
        for account in ACCOUNTS:
            for days, pool in ((30, "traffic"), (9, "traffic"), (5, "mobile"), (8, "api")):
                start = NOW - days * 86_400_000
                grants.give_grant(tx, account, 300, pool=pool, starts_at=start, expires_at=start + 10**9, now=NOW)
    player = Player(services, seed)
    for _ in range(steps):
        player.step()
    player.compare()


@pytest.mark.soak
@pytest.mark.parametrize("seed", seeds(6, 24))
def test_events_and_corrections_are_what_the_model_says(light: Services, seed: int) -> None:
    play(light, seed)


@pytest.mark.soak
@pytest.mark.parametrize("seed", seeds(1, 4, 100))
def test_and_so_they_are_over_the_engine(services: Services, seed: int) -> None:
    """With its rows in each of the ways they may lie."""
    play(services, seed, STEPS // 3)
