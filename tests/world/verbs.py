"""Everything that can happen: one list, which a new verb joins by being written here under `@verb`.

A verb is told the world and its randomness. It says what it does to the model, does it to the server, and compares
what was answered. What it leaves behind is for `checks` to compare.
"""

from __future__ import annotations

import shutil
import sqlite3
import time
from collections.abc import Callable
from datetime import datetime
from random import Random
from typing import Any, Final
from zoneinfo import ZoneInfo

import msgspec
import pytest
from tests.conftest import NOW
from tests.ingest.conftest import Death
from tests.ingest.said import a_statement, figure, later
from tests.world import checks
from tests.world.model import (
    POOLS,
    PURSES,
    Account,
    Allocation,
    Asked,
    Leased,
    LeasePlan,
    Period,
    Plan,
    Row,
    User,
    Voucher,
    inside,
    total,
)
from tests.world.world import DAY, NAMES, REWARD, Key, World

from flowtally.core.burndown import Grant
from flowtally.core.corrections import NOTHING, Quantities
from flowtally.core.edges import format_instant, second_of
from flowtally.core.errors import Conflict, LedgerMissing, LedgerOlder, Unavailable
from flowtally.ledger.database import Ledger
from flowtally.ledger.people import credentials
from flowtally.ledger.providers import connected, stretches
from flowtally.usage.memory import MemoryStore

RETRIABLE: Final = ("unknown_account", "unknown_user", "time_in_future")
ADDRESSES: Final = ("192.0.2.1", "192.0.2.2", "198.51.100.0/24", "2001:db8::1", "2001:db8::/32")
Verb = Callable[[World, Random], None]
VERBS: Final[dict[str, tuple[Verb, int]]] = {}  # with how often, against the others


def verb(often: int) -> Callable[[Verb], Verb]:
    def join(one: Verb) -> Verb:
        VERBS[one.__name__] = one, often
        return one

    return join


def draw(chance: Random) -> Verb:
    verbs, weights = zip(*VERBS.values(), strict=True)
    drawn: Verb = chance.choices(verbs, weights)[0]
    return drawn


# Keys


@verb(2)
def make_a_key(world: World, chance: Random) -> None:
    """With an end, or without."""
    ends = chance.choice([None, world.now + chance.randrange(1, DAY)])
    asked = {"scope": "ingest", "expires_at": None if ends is None else format_instant(ends)}
    made = world.ask("POST", "/v1/credentials", asked, status=201)
    world.keys.append(Key(made["id"], made["token"], ends, ends))


@verb(3)
def rotate_a_key(world: World, chance: Random) -> None:
    """By itself. Until the new one is used it can be done again, which ends that one."""
    for old in some(chance, [one for one in world.keys if is_good(one, world.now)], 1):
        overlap_s = chance.choice([0, 1, DAY // 1000])
        path, asked = f"/v1/credentials/{old.id}/rotate", {"overlap_s": overlap_s}
        if old.rotated:
            assert as_key(world, old, "POST", path, asked, 409)["code"] == "already_rotated"
            continue
        for _ in range(chance.choice([1, 1, 2])):
            if not is_good(old, world.now):
                break
            made = as_key(world, old, "POST", path, asked, 201)
            assert (made["replaces"], made["expires_at"]) == (old.id, told(old.life))
            over = world.now + overlap_s * 1000
            old.ends = over if old.ends is None else min(over, old.ends)
            new = Key(made["id"], made["token"], old.life, old.life)
        old.rotated = True
        world.keys.append(new)
        as_key(world, new, "GET", "/v1/credential", None, 200)
        wait_for_first_use(world, new)


def wait_for_first_use(world: World, key: Key) -> None:
    """Written at once, and from then on known whatever becomes of the process."""
    until = time.monotonic() + 30
    while True:
        with world.services.ledger.read() as tx:
            if credentials.read_credential(tx, key.id).last_used_at is not None:
                return
        assert time.monotonic() < until
        time.sleep(0.002)


@verb(4)
def every_key_is_good_until_its_end(world: World, chance: Random) -> None:
    for one in world.keys:
        if is_good(one, world.now):
            assert as_key(world, one, "GET", "/v1/credential", None, 200)["expires_at"] == told(one.ends)
        else:
            assert as_key(world, one, "GET", "/v1/credential", None, 401)["code"] == "credential_expired"


@verb(3)
def hand_a_source_over(world: World, chance: Random) -> None:
    """To the sender of a key: from then on its keys know it, and no others but the administrators'."""
    good = [one for one in world.keys if is_good(one, world.now)]
    for key in some(chance, good, 1):
        sender = as_key(world, key, "GET", "/v1/credential", None, 200)["sender"]
        for source in some(chance, sorted(world.model.sources), 1):
            told = world.ask("POST", "/v1/sources/hand-over", {"source": source, "sender": sender})
            assert told in world.ask("GET", "/v1/sources", sender=sender, limit=1000)["items"]
            for other in good:
                its = as_key(world, other, "GET", "/v1/credential", None, 200)["sender"]
                as_key(world, other, "GET", f"/v1/sources?source={source}", None, 200 if its == sender else 404)


def is_good(key: Key, now: int) -> bool:
    return key.ends is None or now < key.ends


def told(at: int | None) -> str | None:
    return None if at is None else format_instant(at)


def as_key(world: World, key: Key, method: str, path: str, body: Any, status: int) -> Any:
    answer = world.client.request(method, path, json=body, headers={"Authorization": f"Bearer {key.token}"})
    assert answer.status_code == status, f"{method} {path} {body}: {answer.status_code} {answer.text}"
    return answer.json()


# Usage


@verb(12)
def send_named(world: World, chance: Random) -> None:
    """New ones, repeated ones (of another time and label, which changes nothing), and the same key for other use."""
    sent = []
    for _ in range(chance.randrange(1, 5)):
        world.made += 1
        sent.append(an_event(world, chance) | {"source": chance.choice(["gw", "edge"]), "id": f"e{world.made}"})
    for row in some(chance, [one for one in world.model.events() if one.source not in ("log", "box")], 2):
        again = as_sent(row) | {"id": row.key[1], "time": format_instant(world.past()), "labels": {"country": "se"}}
        sent.append(again | ({"bytes_up": row.adds.bytes_up + 1} if chance.random() < 0.3 else {}))
    if chance.random() < 0.2:
        sent.append(sent[0])
    send(world, sent)


@verb(8)
def send_numbered(world: World, chance: Random) -> None:
    """From somewhere up to the mark onwards; some are refused and use their number up."""
    mark = world.model.marks.get("log", (0, ""))[0]
    first = max(1, mark + 1 - chance.choice([0, 0, 1, 4]))
    numbers = range(first, first + chance.randrange(1, 7))
    send(world, [an_event(world, chance) | {"source": "log", "sequence": n, "position": f"at {n}"} for n in numbers])


@verb(8)
def read_counters(world: World, chance: Random) -> None:
    """Of boxes that count and are started anew, for whom they count now; some stand still."""
    sent: list[dict[str, Any]] = []
    expected: list[tuple[str, str]] = []
    for _ in range(chance.randrange(1, 5)):
        name = chance.choice(["a", "b", "c/1"])
        counter = world.model.counters[name]
        if chance.random() < 0.15:
            counter.shows, counter.epoch = NOTHING, counter.epoch + 1
        if chance.random() < 0.8:
            counter.shows = counter.shows.plus(
                Quantities(chance.randrange(4), chance.randrange(9), chance.randrange(2))
            )
        whose = an_event(world, chance, sure=True)
        reading = {field: whose[field] for field in ("account", "user", "product")} | {
            "time": format_instant(world.now)
        }
        reading |= {"source": "box", "counter": name, "epoch": f"start {counter.epoch}"}
        sent.append(reading | msgspec.to_builtins(counter.shows))
        expected.append(world.model.read(sent[-1], world.now))
    risky = any(status == "stored" for status, _ in expected)
    found, again = deliver(world, "/v1/readings", sent, risky)
    for receipt, (status, code) in zip(found["receipts"], expected, strict=True):
        if again:  # all of it is known: told one by one what the last one of a counter says, or less
            assert receipt["status"] == "duplicate", receipt
        else:
            same(receipt, status, code, again)
    world.learn_users()


@verb(3)
def send_again_what_is_held(world: World, chance: Random) -> None:
    """With another time and label, which changes nothing; or with other use, which is a conflict."""
    for key in some(chance, list(world.model.held), 2):
        event = world.model.held[key] | {"time": format_instant(world.past()), "labels": {"country": "se"}}
        send(world, [event | ({"bytes_up": event["bytes_up"] + 1} if chance.random() < 0.3 else {})])


@verb(2)
def an_account_appears(world: World, chance: Random) -> None:
    """What is held of it counts from then on."""
    name = world.late_account
    settings = {"timezone": "UTC", "overage": "carry", "carry_from": format_instant(0)}
    world.ask("POST", "/v1/accounts", {"id": name, **settings}, status=201)
    world.model.accounts = {**world.model.accounts, name: Account(name, "UTC", "carry", 0)}
    world.settle_held()
    until, codes = time.monotonic() + 30, [world.model.code_of(one, world.now) for one in world.model.held.values()]
    while sorted(one["code"] for one in world.ask("GET", "/v1/held", limit=1000)["items"]) != sorted(codes):
        assert time.monotonic() < until, "what is held for another reason says so"
        time.sleep(0.01)


@verb(2)
def drop_what_is_held(world: World, chance: Random) -> None:
    """It never counts, and says why; a second time there is nothing to drop."""
    for key in some(chance, list(world.model.held), 1):
        asked = {"source": key[0], "sequence": int(key[1]), "reason": "a typing error"}
        for dropped in (1, 0):
            told = world.ask("POST", "/v1/held/drop", asked)
            assert told == {"stored": 0, "refused": dropped, "held": 0}
        del world.model.held[key]
        world.model.refused[key] = "dropped"


@verb(1)
def look_again_at_what_is_held(world: World, chance: Random) -> None:
    """By hand; there is nothing that did not count by itself."""
    told = world.ask("POST", "/v1/held/retry", {})
    assert told == {"stored": 0, "refused": 0, "held": len(world.model.held)}


@verb(2)
def leave_a_gap(world: World, chance: Random) -> None:
    """Nothing is stored, and the answer says where to go on."""
    mark = world.model.marks.get("log", (0, ""))[0]
    numbers = range(mark + 2, mark + 4)
    sent = [an_event(world, chance) | {"source": "log", "sequence": number} for number in numbers]
    problem = world.ask("POST", "/v1/events", sent, status=409)
    assert (problem["code"], problem["sequence"]) == ("sequence_gap", mark)


@verb(2)
def send_all_or_nothing(world: World, chance: Random) -> None:
    world.made += 1
    event = an_event(world, chance) | {"source": "gw", "id": f"e{world.made}", "account": "acme"}
    problem = world.ask(
        "POST", "/v1/events", [event, event | {"id": "nobody's", "account": "nobody"}], status=422, atomic="true"
    )
    assert problem["code"] == "atomic_refused"


@verb(8)
def correct(world: World, chance: Random) -> None:
    """Right quantities and voids of one to three events, repeated and contradicted ones among them."""
    known = [row.key for row in world.model.events()]
    asked = []
    for _ in range(chance.randrange(1, 4)):
        world.made += 1
        without = [*list(world.model.refused)[-3:], *list(world.model.held)[-3:], ("gw", "none"), ("log", "99999")]
        source, id = chance.choice([*known[-30:], *without])
        one: dict[str, Any] = {"id": f"c{world.made}", "corrects": {"source": source, "id": id}}
        kinds = ("bytes_up", "bytes_down", "requests")
        right = {"void": True} if chance.random() < 0.3 else {chance.choice(kinds): chance.randrange(9)}
        asked.append(one | right)
    before = [said for said in world.model.content.values() if isinstance(said, dict) and "corrects" in said]
    for said in some(chance, before, 1):
        asked.append(said | ({"reason": "another"} if chance.random() < 0.3 else {}))
    expected = [world.model.correct(one) for one in asked]
    risky = any(one[0] == "stored" for one in expected)
    found, again = deliver(world, "/v1/corrections", asked, risky)
    for receipt, (status, code, added) in zip(found["receipts"], expected, strict=True):
        same(receipt, status, code, again)
        if added is not None:
            amounts = {"bytes_up": added.bytes_up, "bytes_down": added.bytes_down, "requests": added.requests}
            assert receipt["added"] == amounts


@verb(2)
def correct_what_is_expected(world: World, chance: Random) -> None:
    """`expects` stops a correction of something else than was looked at."""
    for row in some(chance, world.model.kept_events(), 1):
        now, wrong = world.model.stands(row.key), chance.random() < 0.5
        world.made += 1
        one = {"id": f"c{world.made}", "corrects": {"source": row.key[0], "id": row.key[1]}, "bytes_down": 3}
        asked = one | {"expects": {"bytes_up": now.bytes_up + wrong}}
        if wrong:
            problem = world.ask("POST", "/v1/corrections", asked, status=409)
            assert problem["present"]["bytes_up"] == now.bytes_up
        else:
            status, code, _ = world.model.correct(one)
            same(world.ask("POST", "/v1/corrections", asked)["receipts"][0], status, code, False)


@verb(2)
def adjust(world: World, chance: Random) -> None:
    """Goodwill and late charges: freely signed amounts."""
    world.made += 1
    asked = an_event(world, chance, sure=True)
    asked = {name: asked[name] for name in ("account", "user", "product", "time")}
    asked |= {"id": f"a{world.made}", "bytes_down": chance.randrange(-20, 5) or 1, "requests": chance.randrange(-3, 2)}
    asked |= {"reason": "goodwill"}
    before = [said for said in world.model.content.values() if isinstance(said, dict) and "account" in said]
    sent = [asked, *some(chance, before, 1)]
    expected = [world.model.adjust(one, world.now) for one in sent]
    found, again = deliver(world, "/v1/corrections", sent, True)
    for receipt, status in zip(found["receipts"], expected, strict=True):
        same(receipt, status, "", again)
    world.learn_users()


@verb(6)
def a_provider_says(world: World, chance: Random) -> None:
    """Of one of its accounts, anything; through the faults that may befall a write. A second time nothing changes."""
    account = chance.choice(list(world.model.accounts))
    said, whose = later(a_statement(chance), NOW // DAY * DAY - 12 * DAY), (account, f"thor-{account}")
    if account in world.model.erased:
        said = msgspec.structs.replace(said, figures=(figure(1, "bob", world.made + 1),), grain="day", of=None)
        with pytest.raises(Conflict):
            world.services.report(msgspec.structs.replace(said, starts_at=0, ends_at=DAY * 9), *whose)
        return
    if whose not in world.model.providers:
        with world.services.ledger.begin() as tx:
            connected.add_provider(
                tx, account, whose[1], "thordata", secrets={}, settings={}, since=0, now=second_of(world.now)
            )
    keeper = world.model.providers[whose]
    before, changed = keeper.changes, keeper.copy()
    changed.hear(said)
    if changed.changes > before:
        fault = chance.choice(["", "", "", "before", "after", "keys", "dies before", "dies after"])
        if fault == "before":
            world.services.journal.before.append(OSError("disk I/O error"))
            with pytest.raises(Unavailable):
                world.services.report(said, *whose)
        elif fault == "after":
            world.services.journal.after.append(TimeoutError("no answer"))
        elif fault == "keys":
            world.services.fail_keys("COMMIT", sqlite3.OperationalError("disk I/O error"))
        elif fault:
            journal = world.services.journal
            (journal.before if fault == "dies before" else journal.after).append(Death())
            world.services.die_reporting(said, *whose)
            world.process.close()
            world.reopen()
    keeper.hear(said)
    told = world.services.report(said, *whose)
    assert told.new + told.changed + told.same == len(said.figures)
    again = world.services.report(said, *whose)
    assert (again.same, again.new + again.changed + again.gone) == (len(said.figures), 0)
    if said.of is None and said.grain != "pull":
        stretch = stretches.Stretch(said.starts_at, said.ends_at, said.grain, said.zone, said.step, world.now)
        with world.services.ledger.begin() as tx:
            stretches.put_stretch(tx, connected.read_provider(tx, whose[1]), stretch)


# Promises


@verb(5)
def give_a_grant(world: World, chance: Random) -> None:
    account, pool = world.account(), chance.choice(PURSES)
    starts_at = world.now + chance.choice([-30, -3, 0, 0, 2]) * DAY
    expires_at = chance.choice([None, starts_at + chance.randrange(1, 20 * DAY)])
    asked = {"amount": chance.randrange(1, 60), "pool": pool, "priority": chance.choice([100, 100, 1])}
    asked |= {"starts_at": format_instant(starts_at)}
    if expires_at is not None:
        asked |= {"expires_at": format_instant(expires_at)}
    made = world.write(f"/v1/accounts/{account}/grants", asked)
    grant = Grant(made["id"], int(str(asked["amount"])), int(str(asked["priority"])), starts_at, expires_at, None)
    world.model.grants[account].append((pool, grant))
    world.edges += [starts_at] if expires_at is None else [starts_at, expires_at]


@verb(2)
def void_a_grant(world: World, chance: Random) -> None:
    """What it paid stays paid; a second time changes nothing."""
    account = world.account()
    given = world.model.grants[account]
    for pool, grant in some(chance, given, 1):
        world.write(f"/v1/accounts/{account}/grants/{grant.id}/void", None, status=200)
        if grant.voided_at is None:
            voided = Grant(grant.id, grant.amount, grant.priority, grant.starts_at, grant.expires_at, world.now)
            given[given.index((pool, grant))] = pool, voided
            world.edges.append(world.now)


@verb(3)
def deposit(world: World, chance: Random) -> None:
    """Money that comes in, goes out again as far as it is there, or is put right."""
    account = world.account()
    amount, held = chance.randrange(1, 200), sum(world.model.money[account])
    path = f"/v1/accounts/{account}/wallet"
    if chance.random() < 0.7:
        world.write(f"{path}/deposits", {"amount_micros": amount, "reference": f"p{world.made}"})
    elif chance.random() < 0.3:
        world.write(f"{path}/adjustments", {"amount_micros": amount, "reason": "goodwill"})
    else:
        amount = -chance.choice([amount, max(1, held), held + 1])
        asked = {"amount_micros": amount, "reason": "paid out"}
        if held + amount < 0:
            problem = world.ask("POST", f"{path}/adjustments", asked, status=409)
            assert (problem["code"], problem["balance_micros"]) == ("insufficient_funds", held)
            return
        world.write(f"{path}/adjustments", asked)
    world.model.money[account].append(amount)


@verb(2)
def change_plans(world: World, chance: Random) -> None:
    """A new one, and now and then an old one retires."""
    pool, days = chance.choice(PURSES), chance.choice([None, 1, 9])
    asked = {"name": "Some", "pool": pool, "amount": chance.randrange(1, 40), "price_micros": chance.randrange(1, 60)}
    made = world.write("/v1/plans", asked | {"days": days})
    world.model.plans.append(Plan(made["id"], pool, made["amount"], made["price_micros"], days))
    for plan in some(chance, world.model.plans, 1) if chance.random() < 0.5 else []:
        assert world.write(f"/v1/plans/{plan.id}/retire", None, status=200)["status"] == "retired"
        plan.retired = True


@verb(6)
def buy_a_plan(world: World, chance: Random) -> None:
    """Its price leaves the wallet and its grant begins, or neither."""
    if not world.model.plans:
        return
    on_sale = [one for one in world.model.plans if not one.retired]
    account, plan = world.account(), chance.choice([*world.model.plans, *on_sale, *on_sale])
    held = sum(world.model.money[account])
    path, asked = f"/v1/accounts/{account}/purchases", {"plan": plan.id}
    if plan.retired:
        assert world.ask("POST", path, asked, status=409)["code"] == "plan_retired"
        return
    if plan.price > held:
        problem = world.ask("POST", path, asked, status=409)
        assert (problem["balance_micros"], problem["price_micros"]) == (held, plan.price)
        return
    made = world.write(path, asked)
    ends = None if plan.days is None else world.now + plan.days * DAY
    world.model.money[account].append(-plan.price)
    world.model.bought[account].append((plan, made["grant"]))
    world.model.grants[account].append(
        (plan.pool, Grant(made["grant"], plan.amount, 100, second_of(world.now), ends, None))
    )
    world.edges += [second_of(world.now), *([] if ends is None else [ends])]


@verb(2)
def put_into_stock(world: World, chance: Random) -> None:
    """Another address, and a plan to lease it by."""
    number = len(world.model.stock)
    made = world.write("/v1/stock", {"kind": "isp", "address": f"10.1.{number // 250}.{number % 250}"})
    world.model.stock.append(made["id"])
    asked = {"kind": "isp", "days": chance.choice([1, 9]), "price_micros": chance.randrange(1, 30)}
    plan = world.write("/v1/lease-plans", asked)
    world.model.lease_plans.append(LeasePlan(plan["id"], plan["days"], plan["price_micros"]))


@verb(5)
def lease_an_address(world: World, chance: Random) -> None:
    """What was free for longest, for its price, or nothing."""
    if not world.model.lease_plans:
        return
    account, plan = world.account(), chance.choice(world.model.lease_plans)
    path, asked = f"/v1/accounts/{account}/leases", {"plan": plan.id}
    since = {item: max([one.over_at() for one in world.model.leases if one.item == item], default=0)
             for item in world.model.stock}  # fmt: skip
    free = sorted((item for item in since if since[item] <= world.now), key=lambda item: (since[item], item))
    held = sum(world.model.money[account])
    if not free or plan.price > held:
        problem = world.ask("POST", path, asked, status=409)
        assert problem["code"] == ("insufficient_funds" if free else "out_of_stock")
        return
    made = world.write(path, asked)
    [lease] = made["leases"]
    assert (lease["stock"], made["price_micros"]) == (free[0], plan.price)
    world.model.money[account].append(-plan.price)
    world.model.leases.append(Leased(lease["id"], account, free[0], world.now, world.now + plan.days * DAY))


@verb(4)
def renew_or_release_a_lease(world: World, chance: Random) -> None:
    """From its end, as long as it lasts."""
    if not world.model.leases:
        return
    lease, plan = chance.choice(world.model.leases), chance.choice(world.model.lease_plans)
    path, held = f"/v1/accounts/{lease.account}/leases/{lease.id}", sum(world.model.money[lease.account])
    lasts = lease.released is None and world.now < lease.end
    if chance.random() < 0.3:
        world.write(f"{path}/release", None, status=200)
        lease.released = world.now if lasts else lease.released
        return
    if not lasts or plan.price > held:
        problem = world.ask("POST", f"{path}/renew", {"plan": plan.id}, status=409)
        assert problem["code"] == ("insufficient_funds" if lasts else "lease_ended")
        return
    assert world.write(f"{path}/renew", {"plan": plan.id}, status=200)["price_micros"] == plan.price
    world.model.money[lease.account].append(-plan.price)
    lease.end += plan.days * DAY


@verb(3)
def ask_for_a_restart(world: World, chance: Random) -> None:
    """While the lease lasts, and once while it is not over."""
    if not world.model.leases:
        return
    lease, lasts_s = chance.choice(world.model.leases), chance.choice([10, 3600, 604_800])
    what = chance.choice(["restart", "reinstall"])
    path, body = f"/v1/accounts/{lease.account}/leases/{lease.id}/actions", {"what": what, "expires_in_s": lasts_s}
    if world.now >= lease.over_at():
        assert world.ask("POST", path, body, status=409)["code"] == "lease_ended"
        return
    open_one = next(
        (
            one
            for one in world.model.asked
            if (one.lease.id, one.what) == (lease.id, what) and one.status(world.now) in ("requested", "taken")
        ),
        None,
    )
    told = world.write(path, body)
    if open_one is not None:
        assert told["id"] == open_one.id
        return
    until = min(world.now + lasts_s * 1000, lease.end)
    world.model.asked.append(Asked(told["id"], lease, what, until))


@verb(4)
def take_or_answer_what_was_asked(world: World, chance: Random) -> None:
    """By whoever does it: once, in time, and the same again changes nothing."""
    if not world.model.asked:
        return
    one = chance.choice(world.model.asked[-5:])
    before = one.status(world.now)
    if chance.random() < 0.5:
        path, body, outcome = f"/v1/actions/{one.id}/take", None, ""
    else:
        outcome = chance.choice(["done", "failed"])
        path, body = f"/v1/actions/{one.id}/answer", {"outcome": outcome}
    if before not in ("requested", "taken") and not (outcome and before == outcome):
        assert world.ask("POST", path, body, status=409)["code"] == "action_over"
        return
    world.write(path, body, status=200)
    one.taken = True
    one.outcome = outcome or one.outcome


@verb(2)
def offer_other_ports(world: World, chance: Random) -> None:
    """A gateway more or less."""
    gone = [id for id in world.model.gateways if chance.random() < 0.3]
    for id in gone:
        world.ask("DELETE", f"/v1/gateways/{id}")
        del world.model.gateways[id]
    world.made += 1
    product, first = chance.choice(["residential", "mobile"]), chance.randrange(1, 60_000)
    last = first + chance.randrange(50)
    body = {"product": product, "host": f"gate-{world.made}.example", "first_port": first, "last_port": last}
    made = world.write("/v1/gateways", body | {"session": "rotating"})
    world.model.gateways[made["id"]] = product, first, last


@verb(1)
def replace_the_places(world: World, chance: Random) -> None:
    """Of a product, as a whole."""
    product = chance.choice(["residential", "mobile"])
    cities = sorted(chance.sample(["berlin", "bonn", "hamburg", "kiel", "mainz"], chance.randrange(1, 5)))
    rows = [{"country": "DE", "city": city} for city in cities]
    world.ask("PUT", f"/v1/places/{product}", rows)
    world.model.places[product] = cities


@verb(3)
def make_a_user(world: World, chance: Random) -> None:
    """One that only traffic brought gives way, with its past."""
    account, funded = world.account(), chance.random() < 0.6
    name = chance.choice([*NAMES, f"new{world.made}"] if chance.random() < 0.5 else [f"new{world.made}"])
    path, asked = f"/v1/accounts/{account}/users", {"name": name, "funded": funded}
    there = world.model.bearer(account, name, world.now)
    if there is not None and there.managed:
        assert world.ask("POST", path, asked, status=409)["code"] == "name_taken"
        return
    made = world.write(path, asked)
    user = User(account, name, world.now, made["id"], funded=funded, managed=True)
    if there is not None:
        assert there.id != made["id"]
        world.model.hand_over_addresses(there, user)
        world.model.give_way(there, world.now)
    world.model.bear(user)
    world.edges.append(world.now)


@verb(3)
def rename_a_user(world: World, chance: Random) -> None:
    """Use dated before stays whose it was; the name given up is free at once. Whom only traffic brought gives way."""
    user, name = world.user(), chance.choice([*NAMES, "lea", "max"])
    if user is None or user.name == name:
        return
    path = f"/v1/accounts/{user.account}/users/{user.id}"
    there = world.model.bearer(user.account, name, world.now)
    if there is not None and there.managed:
        assert world.ask("PATCH", path, {"name": name}, status=409)["code"] == "name_taken"
        return
    assert world.ask("PATCH", path, {"name": name})["name"] == name
    if there is not None:
        world.model.give_way(there, world.now)
    world.model.give_up(user, world.now)
    world.edges.append(world.now)
    user.name, user.managed = name, True
    world.model.bear(user)


@verb(2)
def limit_a_user(world: World, chance: Random) -> None:
    user = world.user()
    if user is None:
        return
    limit = {"amount": chance.randrange(60), "unit": chance.choice(["bytes", "requests"])}
    limit |= {"window": chance.choice(["lifetime", "day", "month"])}
    path = f"/v1/accounts/{user.account}/users/{user.id}"
    user.limit = chance.choice([None, limit, limit])
    assert world.ask("PATCH", path, {"limit": user.limit})["limit"] == user.limit
    user.managed = user.managed or user.limit is not None  # nothing changed, nothing managed


@verb(1)
def delete_a_user(world: World, chance: Random) -> None:
    """What a funded user has not spent goes back to the account."""
    user = world.user()
    if user is None:
        return
    unspent = {one.id: world.model.unspent(one, world.now) for one in world.model.allocations if one.user is user}
    answer = world.ask("DELETE", f"/v1/accounts/{user.account}/users/{user.id}")
    assert answer["status"] == "deleted"
    for one in world.model.allocations:
        one.returned += unspent.get(one.id, 0)
    world.model.give_up(user, world.now)
    world.model.forget_addresses(user)
    world.edges.append(world.now)
    user.deleted = user.managed = True


@verb(1)
def erase_a_user(world: World, chance: Random) -> None:
    """Name and labels go, of one that is in use or deleted; nothing that is counted changes."""
    fit = [one for one in world.model.users if one.id]
    if not fit:
        return
    user = chance.choice(fit)
    unspent = {one.id: world.model.unspent(one, world.now) for one in world.model.allocations if one.user is user}
    if not user.deleted:
        for one in world.model.allocations:
            one.returned += unspent.get(one.id, 0)
        world.edges.append(world.now)
    path = f"/v1/accounts/{user.account}/users/{user.id}/erase"
    told = world.write(path, None, status=202)
    until = time.monotonic() + 60
    while told["state"] == "pending" and time.monotonic() < until:
        assert not told["detail"], told
        time.sleep(0.005)
        told = world.ask("GET", path)
    assert (told["state"], told["user"]) == ("finished", f"erased-{user.id}")
    world.model.forget_addresses(user)
    world.model.erase(user)
    world.told.clear()  # an erasure is the one thing that changes what was answered


@verb(1)
def erase_an_account(world: World, chance: Random) -> None:
    """One that appeared: closed, then without any text; nothing that is counted changes, and it cannot be changed."""
    waiting = {event["account"] for event in world.model.held.values()}
    late = [name for name in world.model.accounts if name.startswith("late")]
    fit = [name for name in late if name not in world.model.erased | waiting]
    if not fit:
        return
    path = f"/v1/accounts/{chance.choice(fit)}"
    assert world.ask("POST", f"{path}/erase", status=409)["code"] == "conflict"
    world.ask("PATCH", path, {"status": "closed"})
    told = world.write(f"{path}/erase", None, status=202)
    until = time.monotonic() + 60
    while told["state"] == "pending" and time.monotonic() < until:
        assert not told["detail"], told
        time.sleep(0.005)
        told = world.ask("GET", f"{path}/erase")
    assert told["state"] == "finished"
    assert world.ask("PATCH", path, {"name": "again"}, status=409)["code"] == "account_erased"
    world.model.erase_account(told["account"])
    world.told.clear()  # as above


@verb(4)
def allocate(world: World, chance: Random) -> None:
    """Covered by what is left and by credit, to the last byte, or refused."""
    user, pool = world.user(funded=True), chance.choice(PURSES)
    if user is None:
        return
    purse = world.model.balance(user.account, pool, world.now)
    covered = purse["left"] + purse["credit"]
    amount = max(1, chance.choice([chance.randrange(1, 15), chance.randrange(1, 15), covered, covered + 1]))
    expires_at = chance.choice([None, None, world.now + chance.randrange(1, 20 * DAY)])
    path, asked = f"/v1/accounts/{user.account}/users/{user.id}/allocations", {"amount": amount, "pool": pool}
    asked |= {} if expires_at is None else {"expires_at": format_instant(expires_at)}
    if amount > covered:
        problem = world.ask("POST", path, asked, status=409)
        assert (problem["code"], problem["left"]) == ("not_covered", covered)
        return
    made = world.write(path, asked)
    world.model.allocations.append(Allocation(made["id"], user, pool, amount, world.now, expires_at))
    world.edges += [] if expires_at is None else [expires_at]


@verb(3)
def take_back(world: World, chance: Random) -> None:
    """All that is unspent, or a part of it; more is refused."""
    for one in some(chance, world.model.allocations, 1):
        unspent = world.model.unspent(one, world.now)
        amount = chance.choice([None, chance.randrange(1, 10), max(1, unspent), unspent + 1])
        path = f"/v1/accounts/{one.user.account}/users/{one.user.id}/allocations/{one.id}/return"
        asked = {} if amount is None else {"amount": amount}
        if amount is not None and amount > unspent:
            assert world.ask("POST", path, asked, status=409)["left"] == unspent
            continue
        one.returned += unspent if amount is None else amount
        assert world.write(path, asked, status=200)["returned"] == one.returned


@verb(3)
def create_vouchers(world: World, chance: Random) -> None:
    """All are covered by what is left and by credit, or none is made."""
    account, pool, count = world.account(), chance.choice(PURSES), chance.randrange(1, 4)
    purse = world.model.balance(account, pool, world.now)
    covered = purse["left"] + purse["credit"]
    each = covered // count
    amount = max(1, chance.choice([chance.randrange(1, 9), chance.randrange(1, 9), each, each + 1]))
    asked = {"amount": amount, "count": count, "pool": pool, "duration_s": chance.randrange(1, 9 * DAY // 1000)}
    path = f"/v1/accounts/{account}/vouchers"
    if amount * count > covered:
        problem = world.ask("POST", path, asked, status=409)
        assert (problem["code"], problem["amount"], problem["left"]) == ("not_covered", amount * count, covered)
        return
    for one in world.write(path, asked)["items"]:
        made = Voucher(one["id"], one["code"], account, pool, amount, int(str(asked["duration_s"])), world.now)
        world.model.vouchers.append(made)
    world.edges.append(world.now)


@verb(3)
def redeem_a_voucher(world: World, chance: Random) -> None:
    """By anybody, once; an ended one is refused, and says why."""
    account = world.account()
    for one in some(chance, world.model.vouchers[-6:], 1):
        path, asked = f"/v1/accounts/{account}/redemptions", {"code": one.code}
        if one.status != "unused":
            problem = world.ask("POST", path, asked, status=409)
            assert (problem["code"], problem["voucher_status"]) == ("voucher_ended", one.status)
            continue
        made = world.write(path, asked)
        one.status, one.redeemed_by = "used", account
        ends = world.now + one.duration_s * 1000
        assert (made["source"], made["reference"], made["amount"]) == ("cdk", one.id, one.amount)
        world.model.grants[account].append((one.pool, Grant(made["id"], one.amount, 100, second_of(world.now), ends)))
        world.edges += [second_of(world.now), ends]


@verb(2)
def revoke_a_voucher(world: World, chance: Random) -> None:
    """Its draw was never there; a used one stays used, and a second time changes nothing."""
    for one in some(chance, world.model.vouchers, 1):
        path = f"/v1/accounts/{one.account}/vouchers/{one.id}/revoke"
        if one.status == "used":
            assert world.ask("POST", path, status=409)["code"] == "voucher_ended"
        else:
            one.status = "revoked"
            assert world.write(path, None, status=200)["status"] == "revoked"


@verb(3)
def check_in(world: World, chance: Random) -> None:
    """Once on each date of the wall calendar, and no more in a month than the cap."""
    account = world.account()
    zone = ZoneInfo(world.model.accounts[account].zone)
    today = datetime.fromtimestamp(world.now / 1000, zone).date()
    mine, path = world.model.check_ins[account], f"/v1/accounts/{account}/check-ins"
    given = sum(amount for day, _, amount in mine if (day.year, day.month) == (today.year, today.month))
    if mine and mine[-1][0] >= today:
        assert world.ask("POST", path, status=409)["code"] == "checked_in"
    elif given >= REWARD["check_in_cap_bytes"]:
        assert world.ask("POST", path, status=409)["code"] == "check_in_cap_reached"
    else:
        amount = min(REWARD["check_in_bytes"], REWARD["check_in_cap_bytes"] - given)
        made = world.write(path, None)
        assert (made["day"], made["amount"]) == (today.isoformat(), amount)
        ends = world.now + REWARD["check_in_days"] * DAY
        mine.append((today, world.now, amount))
        world.model.grants[account].append(("traffic", Grant(made["grant"], amount, 100, second_of(world.now), ends)))
        world.edges += [second_of(world.now), ends]


@verb(2)
def close_a_period(world: World, chance: Random) -> None:
    """Frozen as it is now; what is closed already cannot be closed again."""
    account = world.account()
    start = world.past()
    end = min(world.now, start + chance.randrange(1, 9 * DAY))
    if start == end:
        return
    asked = {"from": format_instant(start), "to": format_instant(end)}
    mine = [one for one in world.model.periods if one.account == account]
    if any(one.start < end and start < one.end for one in mine):
        assert world.ask("POST", f"/v1/accounts/{account}/periods", asked, status=409)["code"] == "period_overlap"
        return
    made = world.write(f"/v1/accounts/{account}/periods", asked)
    frozen = total(inside(world.model.rows, account, start, end))
    told = made["statement"]["total"]
    assert (told["bytes_up"], told["bytes_down"], told["requests"]) == (
        frozen.bytes_up,
        frozen.bytes_down,
        frozen.requests,
    )
    for pool, balance in made["statement"]["balance"].items():
        expected = world.model.balance(account, pool, end)
        assert {name: value for name, value in balance.items() if name != "unit"} == {
            name: expected[name] for name in balance if name != "unit"
        }
    world.edges += [start, end]
    world.model.periods.append(Period(made["id"], account, start, end, len(world.model.rows), made))


@verb(2)
def whitelist_an_address(world: World, chance: Random) -> None:
    """Put on a list, enabled or not, taken off, or a whole list replaced; an account's own or a user's."""
    user = world.user() if chance.random() < 0.6 else None
    account, pool = world.account() if user is None else user.account, chance.choice(PURSES)
    path = f"/v1/accounts/{account}" if user is None else f"/v1/accounts/{account}/users/{user.id}"
    path, known = f"{path}/whitelist/{pool}", world.model.whitelist
    some_addresses = chance.sample(ADDRESSES, chance.randrange(len(ADDRESSES)))
    if chance.random() < 0.2:
        told = world.ask("PUT", path, {"addresses": some_addresses})["items"]
        assert {one["address"] for one in told} == set(some_addresses)
        kept = {key: enabled for key, enabled in known.items() if key[:3] != (account, user, pool)}
        world.model.whitelist = kept | {(account, user, pool, one): True for one in some_addresses}
        return
    for address in some_addresses[:2]:
        key, segment = (account, user, pool, address), address.replace("/", "%2F")
        if chance.random() < 0.3:
            there = known.pop(key, None)
            told = world.ask("DELETE", f"{path}/{segment}", status=404 if there is None else 200)
            assert there is None or told["enabled"] == there
        else:
            known[key] = chance.random() < 0.7
            assert world.ask("PUT", f"{path}/{segment}", {"enabled": known[key]})["address"] == address


# The process and time


@verb(4)
def wait(world: World, chance: Random) -> None:
    world.clock.at += chance.randrange(3 * DAY)
    world.settle_held()


@verb(1)
def roll_old_months_up(world: World, chance: Random) -> None:
    """Months pass, and what was received before becomes few rows. From then on its events cannot be shown alone; all
    else is checked as ever. A list in memory is never compacted."""
    if isinstance(world.services.store.inner, MemoryStore):
        assert world.ask("POST", "/v1/retention", {}, status=409)["code"] == "conflict"
        return
    old = len(world.model.rows)
    if old == 0:  # nothing happened yet: there is no month
        return
    world.clock.at += 100 * DAY
    world.settle_held()
    world.made += 1
    send(world, [an_event(world, chance, sure=True) | {"source": "gw", "id": f"e{world.made}"}])
    world.compact()
    world.model.compacted = old
    world.past_moments.clear()
    world.told.clear()


@verb(1)
def restart(world: World, chance: Random) -> None:
    """A stop as it should be."""
    world.close()
    world.reopen()


@verb(2)
def kill(world: World, chance: Random) -> None:
    """A stop as it should not be."""
    world.kill()
    world.reopen()


@verb(1)
def start_with_the_wrong_ledger(world: World, chance: Random) -> None:
    """None, or the copy of an earlier moment: the start is refused, and with the right one nothing is lost."""
    file = world.services.ledger.file
    world.close()
    if file is not None:
        right, copy = file.with_suffix(".right"), file.with_suffix(".copy")
        file.rename(right)
        if copy.exists():
            copy.rename(file)
        world.services.ledger = Ledger.open(world.ledger_url)
        with pytest.raises((LedgerMissing, LedgerOlder)):
            world.services.open()
        world.services.ledger.close()
        file.unlink()
        shutil.copy(right, copy)
        right.rename(file)
    world.reopen()


@verb(2)
def set_the_clock_back(world: World, chance: Random) -> None:
    """By seconds, for a while, with or without a restart in it: nothing is dated before what was, and what was
    answered stays."""
    back, before = chance.randrange(1, 8) * 1000, world.now
    world.clock.at -= back
    if chance.random() < 0.5:
        world.kill()
        world.reopen()
    world.made += 1
    send(world, [an_event(world, chance, sure=True) | {"source": "gw", "id": f"e{world.made}"}])
    checks.answers_of_the_past(world, chance)
    world.clock.at = max(world.clock.at + back, before)


# What they have in common


def an_event(world: World, chance: Random, *, sure: bool = False) -> dict[str, Any]:
    """Nearly always acceptable; `sure`: always."""
    at = world.instant()
    account = world.account()
    if not sure and chance.random() < 0.06:
        at += 41 * DAY
    if not sure and chance.random() < 0.06:
        account = chance.choice(["nobody", world.late_account])
    return {
        "account": account,
        "user": world.name(account),
        "product": chance.choice([*POOLS, "residential", "residential"]),
        "time": format_instant(at),
        "bytes_up": chance.randrange(5),
        "bytes_down": chance.randrange(9),
        "requests": chance.randrange(3),
        "status": chance.choice([200, 404]),
        "labels": {"country": chance.choice(["de", "us"])},
    }


def as_sent(row: Row) -> dict[str, Any]:
    """The event again, as somebody sends it who never learned that it arrived. Its user is told by its content."""
    return {"source": row.source, "account": row.account, "product": row.product, "status": row.status} | {
        "bytes_up": row.adds.bytes_up,
        "bytes_down": row.adds.bytes_down,
        "requests": row.adds.requests,
        "user": row.sent_user,
    }


def send(world: World, sent: list[dict[str, Any]]) -> None:
    expected = world.model.take(sent, world.now)
    risky = any(status == "stored" for status, _ in expected)
    found, again = deliver(world, "/v1/events?receipts=all", sent, risky)
    retriable = [receipt.get("retriable", False) for receipt in found["receipts"]]
    assert retriable == [code in RETRIABLE for _, code in expected]
    for receipt, (status, code) in zip(found["receipts"], expected, strict=True):
        same(receipt, status, code, again)
    assert sum(found[name] for name in ("stored", "duplicate", "conflict", "refused")) == len(sent)
    world.learn_users()


def deliver(world: World, path: str, sent: list[dict[str, Any]], risky: bool) -> tuple[Any, bool]:
    """Send until it is answered, as a sender must, through the faults that may befall a write; and whether what was
    stored may be told as a duplicate."""
    fault = world.chance.choice([*[none] * 40, *FAULTS]) if risky else none
    again = fault(world, path, sent)
    return world.ask("POST", path, sent), again


Fault = Callable[[World, str, list[dict[str, Any]]], bool]


def none(world: World, path: str, sent: list[dict[str, Any]]) -> bool:
    return False


def journal_fails(world: World, path: str, sent: list[dict[str, Any]]) -> bool:
    """Nothing of it is there, and nothing is claimed."""
    world.services.journal.before.append(OSError("disk I/O error"))
    world.ask("POST", path, sent, status=503)
    return False


def journal_is_in_doubt(world: World, path: str, sent: list[dict[str, Any]]) -> bool:
    """Settled before the answer: the next answer is the first one."""
    world.services.journal.after.append(TimeoutError("no answer"))
    return False


def commit_fails(world: World, path: str, sent: list[dict[str, Any]]) -> bool:
    """The keys follow from the record."""
    world.services.fail_keys("COMMIT", sqlite3.OperationalError("disk I/O error"))
    return False


def dies_before_the_journal(world: World, path: str, sent: list[dict[str, Any]]) -> bool:
    world.services.journal.before.append(Death())
    die(world, path, sent)
    return False


def dies_after_the_journal(world: World, path: str, sent: list[dict[str, Any]]) -> bool:
    world.services.journal.after.append(Death())
    die(world, path, sent)
    return True


def dies_at_the_commit(world: World, path: str, sent: list[dict[str, Any]]) -> bool:
    world.services.fail_keys("COMMIT", Death())
    die(world, path, sent)
    return True


FAULTS: Final[tuple[Fault, ...]] = (
    journal_fails,
    journal_is_in_doubt,
    commit_fails,
    dies_before_the_journal,
    dies_after_the_journal,
    dies_at_the_commit,
)


def die(world: World, path: str, sent: list[dict[str, Any]]) -> None:
    dies = {"/v1/corrections": world.services.die_correcting, "/v1/readings": world.services.die_metering}
    dies.get(path, world.services.die)(*sent)
    world.process.close()
    world.reopen()


def same(receipt: dict[str, Any], status: str, code: str, again: bool) -> None:
    if again and status == "stored":
        assert receipt["status"] == "duplicate", receipt
        return
    assert (receipt["status"], receipt.get("code", "")) == (status, code), receipt


def some(chance: Random, of: list[Any], most: int) -> list[Any]:
    return chance.sample(of, chance.randrange(min(most, len(of)) + 1))
