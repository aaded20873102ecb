"""Is everything that can be asked what the model says? Each check is told the world and its randomness, like a verb."""

from __future__ import annotations

import time
from collections import defaultdict
from collections.abc import Callable, Iterable
from datetime import UTC, datetime
from random import Random
from typing import Any, Final
from zoneinfo import ZoneInfo

from tests.conftest import NOW
from tests.world.model import PURSES, Row, User, inside, total
from tests.world.world import ACCOUNTS, DAY, NAMES, Told, World

from flowtally.answers.changes import KIND, Place
from flowtally.core import tokens
from flowtally.core.corrections import NOTHING, Quantities
from flowtally.core.cursors import Walk
from flowtally.core.edges import format_if_any, format_instant
from flowtally.ledger.checks import rules

Check = Callable[[World, Random], None]
ZONES: Final = ("UTC", "Asia/Kathmandu", "Europe/Berlin", "America/New_York", "Australia/Lord_Howe")
GROUPS: Final[dict[str, Callable[[Row], object]]] = {
    "product": lambda row: row.product,
    "user": lambda row: row.user.id if row.user else "",
    "status": lambda row: row.status,
    "source": lambda row: row.source,
    "label:country": lambda row: row.country,
}


def nothing_is_lost(world: World, chance: Random) -> None:
    """Rows, keys and what was acknowledged are of one mind."""
    world.services.whole()
    assert world.services.keys.committed().rows_total == world.model.stored
    for source, (mark, position) in world.model.marks.items():
        told = world.ask("GET", "/v1/sources", source=source)
        assert (told["sequence"], told["position"]) == (mark, position)


def usage(world: World, chance: Random) -> None:
    """Any span, zone, bucket and grouping: each part is right, and the parts add up to the whole."""
    for account in ACCOUNTS:
        usage_of(world, chance, account.name)


def usage_of(world: World, chance: Random, account: str) -> None:
    start, end = sorted((world.past(60), world.past(60) + 1))
    zone, bucket = chance.choice(ZONES), chance.choice(["15m", "hour", "day", "week", "month", "total"])
    if bucket == "15m":
        start = max(start, end - 20 * DAY)
    by = chance.sample(list(GROUPS), chance.randrange(4))
    asked: dict[str, Any] = {"from": format_instant(start), "to": format_instant(end), "tz": zone, "fill": "none"}
    asked |= {"by": ",".join(by)} if by else {}
    told = world.ask("GET", f"/v1/accounts/{account}/usage", **asked, bucket=bucket)
    rows = list(inside(world.model.rows, account, start, end))
    expected = grouped(rows, lambda row: (label(row.time, zone, bucket), *(GROUPS[name](row) for name in by)))
    keys = ["user_id" if name == "user" else name for name in by]
    found: dict[tuple[object, ...], Quantities] = {}
    for one in told["rows"]:
        assert one["bytes"] == one["bytes_up"] + one["bytes_down"]
        key = (label(instant(one["start"]), zone, bucket), *(one[name] for name in keys))
        assert key not in found
        found[key] = amounts(one)
    assert {key: sums for key, sums in found.items() if sums != NOTHING} == expected
    assert amounts(told["total"]) == total(rows)


def usage_of_all(world: World, chance: Random) -> None:
    """What all accounts used is what each used."""
    start, end = world.past(60), world.now + DAY
    asked: dict[str, Any] = {"from": format_instant(start), "to": format_instant(end), "bucket": "total"}
    told = world.ask("GET", "/v1/usage", **asked, by="account", fill="none")
    rows = [row for row in world.model.rows if start <= row.time < end]
    found = {(one["account"],): amounts(one) for one in told["rows"]}
    assert {key: sums for key, sums in found.items() if sums != NOTHING} == grouped(rows, lambda row: (row.account,))
    assert amounts(told["total"]) == total(rows)


def usage_as_it_stood(world: World, chance: Random) -> None:
    """Of any earlier check, asked for by the token of that moment."""
    span: dict[str, Any] = {"from": format_instant(0), "to": format_instant(world.now + DAY), "bucket": "total"}
    for token, count in chance.sample(world.past_moments, min(2, len(world.past_moments))):
        told = world.ask("GET", "/v1/usage", **span, as_of=token)
        assert amounts(told["total"]) == total(world.model.rows[:count])
    world.past_moments.append((world.ask("GET", "/v1/usage", **span)["as_of"]["token"], len(world.model.rows)))


def answers_of_the_past(world: World, chance: Random) -> None:
    """Whatever was answered once is answered again, to the letter, by the token it told: whatever happened since."""
    for one in chance.sample(world.told, min(5, len(world.told))):
        assert world.ask("GET", one.path, **one.query, as_of=one.answer["as_of"]["token"]) == one.answer
    for path, query in chance.sample(questions(world, chance), 3):
        if of_nobody(world, path, query, world.now):
            continue
        answer = world.ask("GET", path, **query)
        world.told.append(Told(path, query, answer))
        assert world.ask("GET", path, **query, as_of=answer["as_of"]["token"]) == answer
    then = world.now - chance.choice([0, 1, DAY])  # of an instant, too
    at = format_instant(then)
    path, query = chance.choice(questions(world, chance))
    closed_since = [one.id for one in world.model.periods if instant(one.answer["closed_at"]) > then]
    if any(path.endswith(f"/{one}") for one in closed_since):
        assert world.ask("GET", path, **query, as_of=at, status=404)["code"] == "not_found"
        return
    if of_nobody(world, path, query | {"as_of": at}, then):
        return
    world.told.append(Told(path, query, world.ask("GET", path, **query, as_of=at)))
    assert world.ask("GET", path, **query, as_of=at) == world.told[-1].answer


def of_nobody(world: World, path: str, asked: dict[str, Any], then: int) -> bool:
    """Is it about a name that nobody bears then, and nobody was the first to bear after? It is refused, and says who
    bore it last, unless that is erased. By the id whoever bore it is found."""
    if "user" not in asked:
        return False
    account, name = path.split("/")[3], asked["user"]
    if world.model.bearer(account, name, then) is not None:
        return False
    problem = world.ask("GET", path, **asked, status=404)
    before = [user.id for user, _ in world.model.bearers[account, name]]
    assert (problem["code"], problem["user"]) == ("unknown_user", name)
    assert ("bore that name until" in problem["detail"], before[-1:]) == (bool(before), named_in(problem, before))
    for id in before:
        world.ask("GET", path, **asked | {"user": id})
    return True


def named_in(problem: dict[str, Any], ids: list[str]) -> list[str]:
    return [id for id in dict.fromkeys(ids) if id in problem["detail"]]


def questions(world: World, chance: Random) -> list[tuple[str, dict[str, Any]]]:
    """All that have a moment; what they leave out is decided by it."""
    account = f"/v1/accounts/{world.account()}"
    asked: list[tuple[str, dict[str, Any]]] = [
        ("/v1/usage", {"by": "account,user", "fill": "none"}),
        (f"{account}/usage", {"by": chance.choice(["user", "product", "user,product"]), "bucket": "day"}),
        (f"{account}/usage", {"user": chance.choice(NAMES), "bucket": "total"}),
        (f"{account}/balance", {}),
        (f"{account}/balance", {"at": format_instant(world.past())}),
        (f"{account}/explain", {"top": 2}),
        (f"{account}/periods/open", {}),
    ]
    for one in some(chance, world.model.periods):
        asked.append((f"/v1/accounts/{one.account}/periods/{one.answer['id']}", {"limit": 3}))
    for user in some(chance, world.model.users):
        path = f"/v1/accounts/{user.account}/users/{user.id}"
        asked += [(f"{path}/balance", {}), (f"{path}/explain", {}), (f"{path}/usage", {"bucket": "total"})]
    return asked


def changes(world: World, chance: Random) -> None:
    """What every commit did to every account adds up to what is there."""
    found: dict[str, list[dict[str, Any]]] = defaultdict(list)
    end = world.ask("GET", "/v1/changes", since="2200-01-01T00:00:00Z")["next"]
    generation, *_ = tokens.decode(KIND, end, tuple[str, bytes, Any])
    since, more = Walk(KIND, generation, (None,)).cursor(Place(world.model.rolled_up_to_block)), True
    while more:
        told = world.ask("GET", "/v1/changes", since=since, limit=chance.choice([50, 1000]))
        for one in told["items"]:
            found[one["account"] if one["series"] == "metered" else one["series"]].append(one)
        since, more = told["next"], told["more"]
    for account in ACCOUNTS:
        kept = world.model.rows[world.model.compacted :]
        rows, mine = [row for row in kept if row.account == account.name], found[account.name]
        for kind, name in (("use", "use"), ("correction", "corrections"), ("adjustment", "adjustments")):
            assert sum(one[name] for one in mine) == sum(row.kind == kind for row in rows)
        for name in ("bytes_up", "bytes_down", "requests"):
            assert sum(one[name] for one in mine) == getattr(total(rows), name)
    for (_, series), keeper in world.model.providers.items():
        if not world.model.rolled_up_to_block:
            assert sum(one["use"] + one["corrections"] for one in found[series]) == keeper.changes
            assert sum(one["bytes"] for one in found[series]) == keeper.total("bytes")


def what_providers_said(world: World, chance: Random) -> None:
    """Each series is what was said last, beside what was measured and never part of it."""
    for (account, series), keeper in world.model.providers.items():
        span: dict[str, Any] = {"from": format_instant(0), "to": format_instant(10**13), "bucket": "total"}
        path = f"/v1/accounts/{account}/usage"
        both: dict[str, Any] = {"series": [series, "metered"], "by": "series,user"}
        answer = world.ask("GET", path, **span, **both)
        told = answer["totals"][series]
        assert (told["bytes"], told["requests"]) == (keeper.total("bytes"), keeper.total("requests"))
        assert answer["totals"]["metered"] == world.ask("GET", path, **span)["total"]
        rows = [one for one in answer["rows"] if one["series"] == series]
        found = {one["user"]: (one["bytes"], one["requests"]) for one in rows if one["bytes"] or one["requests"]}
        erased = account in world.model.erased
        assert found == keeper.by_user(erased=erased)


PARTS: Final = (
    "cut", "overhead", "corrected", "late", "rounding", "only_billed", "only_measured", "unexplained",
)  # fmt: skip


def reconciliations(world: World, chance: Random) -> None:
    """Both sides of each are what is answered of each alone; what explains their difference adds up to it, in every
    day, of every user and in all; and of what the vendor did not tell nothing is compared."""
    for account, series in world.model.providers:
        path, quantity = f"/v1/accounts/{account}", chance.choice(["bytes", "requests"])
        first, end = NOW // DAY * DAY - 14 * DAY, NOW // DAY * DAY
        asked: dict[str, Any] = {"provider": series, "quantity": quantity}
        asked |= {"from": format_instant(first), "to": format_instant(end)}
        if not world.ask("GET", f"{path}/providers/{series}/stretches", to="2200-01-01")["stretches"]:
            world.ask("GET", f"{path}/reconciliation", **asked, status=400)
            continue
        told = world.ask("GET", f"{path}/reconciliation", **asked)
        for one in (told["total"], *(each["sides"] for each in (*told["spans"], *told["users"]))):
            assert one["difference"] == one["billed"] - one["measured"] == sum(one[part] for part in PARTS)
        for part in ("measured", "billed", *PARTS):
            assert told["total"][part] == sum(one["sides"][part] for one in told["spans"])
            assert told["total"][part] == sum(one["sides"][part] for one in told["users"])
        for span in chance.sample(told["spans"], min(4, len(told["spans"]))):
            within = {"from": span["start"], "to": span["end"], "bucket": "total"}
            billed = world.ask("GET", f"{path}/usage", **within, series=series)["total"][quantity]
            measured = world.ask("GET", f"{path}/usage", **within)["total"][quantity]
            expected = (measured, billed) if span["told"] else (0, 0)
            assert (span["sides"]["measured"], span["sides"]["billed"]) == expected, span


def balances(world: World, chance: Random) -> None:
    """Each account's purses now and at some instant, and the equation that conserves bytes."""
    for account in ACCOUNTS:
        for at in (world.now, world.past()):
            told = world.ask("GET", f"/v1/accounts/{account.name}/balance", at=format_instant(at))
            for pool in PURSES:
                expected = world.model.balance(account.name, pool, at)
                same_purse(told["pools"].get(pool), expected, f"{account.name} {pool} {at}")
                same_loss(told, pool, expected, account.overage)
            spent = {one["id"]: one["spent"] for one in told["grants"]}
            for pool, grant in world.model.grants[account.name]:
                assert spent[grant.id] == world.model.balance(account.name, pool, at)[f"spent:{grant.id}"]
            assert len(spent) == len(world.model.grants[account.name])


def balances_that_went_on(world: World, chance: Random) -> None:
    """What memory says of now is what all that is stored says of this instant: the one is asked for without it."""
    for account in ACCOUNTS:
        path = f"/v1/accounts/{account.name}/balance"
        whole = world.ask("GET", path, at=format_instant(world.now))
        gone_on = world.ask("GET", path)
        assert {**gone_on, "as_of": None} == {**whole, "as_of": None}


def same_loss(told: dict[str, Any], pool: str, expected: dict[str, int], overage: str) -> None:
    """What nothing will pay: all that no grant carries; where it is forgiven, no more than that."""
    lost = sum(one["amount"] for one in told.get("never_paid", ()) if one["pool"] == pool)
    if overage == "carry":
        assert lost == expected["overage_before_carry"]
    else:
        assert lost <= expected["forgiven"]


def users(world: World, chance: Random) -> None:
    """Who they are, what they used whatever they were called, and what funded ones have left."""
    for account in ACCOUNTS:
        mine = [one for one in world.model.users if one.account == account.name]
        listed = world.ask("GET", f"/v1/accounts/{account.name}/users", deleted="true", limit=1000)["items"]
        assert {(one["id"], one["name"], one["status"] == "deleted", one["funded"]) for one in listed} == {
            (one.id, one.name, one.deleted, one.funded) for one in mine
        }
    for user in chance.sample(world.model.users, min(3, len(world.model.users))):
        path = f"/v1/accounts/{user.account}/users/{user.id}"
        start, end = world.past(60), world.now + DAY
        span: dict[str, Any] = {"from": format_instant(start), "to": format_instant(end), "bucket": "total"}
        used = total(row for row in inside(world.model.rows, user.account, start, end) if row.user is user)
        assert amounts(world.ask("GET", f"{path}/usage", **span)["total"]) == used
        names = world.ask("GET", f"{path}/names")["items"]
        assert {(one["name"], optional(one["from"]), optional(one["to"])) for one in names} == world.model.names(user)
    for user in world.model.users:
        if user.funded:
            told = world.ask(
                "GET", f"/v1/accounts/{user.account}/users/{user.id}/balance", at=format_instant(world.now)
            )
            for pool in PURSES:
                expected = world.model.purse(user, pool, world.now)
                same_purse(told["pools"].get(pool), expected, f"{user.name} {pool}")
                same_loss(told, pool, expected, world.model.accounts[user.account].overage)
            for one in told["allocations"]:
                assert one["amount"] == one["returned"] + one["spent"] + one["left"] + one["expired"]


def limits(world: World, chance: Random) -> None:
    """What was used in the window that holds the instant, by the calendar of the account's zone."""
    for user in [one for one in world.model.users if one.limit is not None]:
        at, limit, zone = chance.choice([world.now, world.past(3)]), user.limit, world.model.accounts[user.account].zone
        assert limit is not None
        path = f"/v1/accounts/{user.account}/users/{user.id}/balance"
        told = world.ask("GET", path, at=format_instant(at))["limit"]
        window = {"lifetime": "total"}.get(limit["window"], limit["window"])
        mine = [row for row in world.model.rows if row.user is user and row.time < at]
        used = total(row for row in mine if label(row.time, zone, window) == label(at, zone, window))
        amount = used.requests if limit["unit"] == "requests" else used.bytes_up + used.bytes_down
        assert (told["limit"], told["used"]) == (limit["amount"], amount)
        assert told["exceeded"] == (amount >= limit["amount"])


def passed_on(world: World, chance: Random) -> None:
    """What left the accounts' purses is in those of their users, or in vouchers."""
    for account in ACCOUNTS:
        told = world.ask("GET", f"/v1/accounts/{account.name}/balance", at=format_instant(world.now))["pools"]
        mine = [one for one in world.model.allocations if one.user.account == account.name]
        for pool in PURSES:
            drawn = sum(one.amount - one.returned for one in mine if one.pool == pool)
            aside = [one for one in world.model.vouchers if (one.account, one.pool) == (account.name, pool)]
            drawn += sum(one.amount for one in aside if one.status != "revoked")
            assert told.get(pool, {}).get("drawn", 0) == drawn


def whitelists(world: World, chance: Random) -> None:
    """Whose each address is, and whether it is enabled."""
    paths: list[tuple[str, User | None, str]] = [(one.name, None, f"/v1/accounts/{one.name}") for one in ACCOUNTS]
    paths += [(one.account, one, f"/v1/accounts/{one.account}/users/{one.id}") for one in world.model.users]
    for account, user, path in paths:
        told = world.ask("GET", f"{path}/whitelist", limit=1000)["items"]
        assert all(one["user_id"] == (None if user is None else user.id) for one in told)
        found = {(account, user, one["pool"], one["address"]): one["enabled"] for one in told}
        mine = {key: enabled for key, enabled in world.model.whitelist.items() if key[:2] == (account, user)}
        assert (found, len(told)) == (mine, len(mine))


def vouchers(world: World, chance: Random) -> None:
    """Whoever created them reads them, with their codes and what became of them; nobody else does."""
    for account in ACCOUNTS:
        status = chance.choice([None, "unused", "used", "revoked"])
        asked = "limit=1000" + ("" if status is None else f"&status={status}")
        told = world.ask("GET", f"/v1/accounts/{account.name}/vouchers?{asked}")["items"]
        mine = [one for one in world.model.vouchers if one.account == account.name and status in (None, one.status)]
        assert [(one["id"], one["code"], one["status"], one["redeemed_by"]) for one in told] == [
            (one.id, one.code, one.status, one.redeemed_by) for one in mine
        ]


def check_ins(world: World, chance: Random) -> None:
    for account in ACCOUNTS:
        told = world.ask("GET", f"/v1/accounts/{account.name}/check-ins", limit=1000)["items"]
        assert [(one["day"], instant(one["checked_in_at"]), one["amount"]) for one in told] == [
            (day.isoformat(), at, amount) for day, at, amount in world.model.check_ins[account.name]
        ]


def explanations(world: World, chance: Random) -> None:
    """Every part of an explanation adds up to the figure it explains, which is the balance's."""
    account, at = chance.choice(ACCOUNTS).name, chance.choice([world.now, world.past()])
    for name, pool in _explained(world, f"/v1/accounts/{account}", at).items():
        assert pool["used"] == world.model.balance(account, name, at)["used"]
    for user in some(chance, [one for one in world.model.users if one.account == account]):
        told = _explained(world, f"/v1/accounts/{account}/users/{user.id}", at)
        assert bool(told) == user.funded


def _explained(world: World, path: str, at: int) -> Any:
    balance = world.ask("GET", f"{path}/balance", at=format_instant(at))["pools"]
    told = world.ask("GET", f"{path}/explain", at=format_instant(at))["pools"]
    assert {name: pool["balance"] for name, pool in told.items()} == balance
    for pool in told.values():
        b = pool["balance"]
        assert pool["used"] + pool["drawn"] == b["spent"] + b["overage"] + pool["forgiven"] - b["credit"]
        assert sum(span["used"] for span in pool["spans"]) == pool["used"]
        assert sum(paid["amount"] for one in pool["grants"] for paid in one["paid"]) == b["spent"]
        for span in pool["spans"]:
            assert span["used"] == span["events"] + span["corrections"] + span["adjustments"]
            covered = sum(one["amount"] for one in [*span["paid"], *span["unpaid"]])
            assert span["used"] == covered - span["credit"]
            if span["rows"] <= len(span["largest"]):
                assert sum(row["amount"] for row in span["largest"]) == span["used"]
    return told


def events(world: World, chance: Random) -> None:
    """An event as it was sent, whose it was, and what it stands at."""
    for key in some(chance, sorted(world.model.gone)):
        assert world.ask("GET", "/v1/events", source=key[0], id=key[1], status=410)["code"] == "rolled_up"
    there = world.model.kept_events()
    for row in chance.sample(there, min(5, len(there))):
        told = world.ask("GET", "/v1/events", source=row.key[0], id=row.key[1])
        assert (told["account"], told["user_id"], told["product"]) == (
            row.account,
            row.user.id if row.user else "",
            row.product,
        )
        assert amounts(told) == row.adds
        assert amounts(told["sum"]) == world.model.stands(row.key)
        corrections = [one for one in world.model.rows if one.of == row.key]
        assert [(one["source"], one["id"]) for one in told["corrections"]] == [one.key for one in corrections]
    for row in some(chance, [one for one in world.model.rows[world.model.compacted :] if one.kind != "use"]):
        told = world.ask("GET", "/v1/events", source=row.key[0], id=row.key[1])
        of = None if row.of is None else {"source": row.of[0], "id": row.of[1]}
        assert (told["kind"], told["corrects"], amounts(told)) == (row.kind, of, row.adds)
    for source, id in some(chance, list(world.model.held)):
        told = world.ask("GET", "/v1/events", source=source, id=id)
        assert (told["status"], told["code"], told["retriable"]) == (
            "refused",
            world.model.code_of(world.model.held[source, id], world.now),
            True,
        )
    for source, id in some(chance, list(world.model.refused)):
        told = world.ask("GET", "/v1/events", source=source, id=id)
        assert (told["status"], told["code"]) == ("refused", world.model.refused[source, id])


def held(world: World, chance: Random) -> None:
    """What waits, and why."""
    told = world.ask("GET", "/v1/held", limit=1000)["items"]
    assert [(one["source"], str(one["sequence"])) for one in told] == sorted(
        world.model.held, key=lambda key: (key[0], int(key[1]))
    )
    for one in told:
        event = world.model.held[one["source"], str(one["sequence"])]
        assert one["code"] == world.model.code_of(event, world.now)
        assert (one["account"], one["user"], amounts(one)) == (
            event["account"],
            event["user"],
            Quantities(event["bytes_up"], event["bytes_down"], event["requests"]),
        )


def periods(world: World, chance: Random) -> None:
    """A statement never changes; with its adjustments it is the usage of now; each row is in one statement, or open."""
    for one in world.model.periods:
        told = world.ask("GET", f"/v1/accounts/{one.account}/periods/{one.id}")
        assert {name: value for name, value in told.items() if name not in ("adjustments", "as_of")} == one.answer
        late = total(inside(world.model.rows[one.rows :], one.account, one.start, one.end))
        assert amounts(told["adjustments"]["total"]) == late
        now = total(inside(world.model.rows, one.account, one.start, one.end))
        assert amounts(told["statement"]["total"]).plus(late) == now
    for account in ACCOUNTS:
        closed = [one for one in world.model.periods if one.account == account.name]
        since = closed[-1].rows if closed else len(world.model.rows)
        still = [row for one in closed for row in inside(world.model.rows[since:], account.name, one.start, one.end)]
        told = world.ask("GET", f"/v1/accounts/{account.name}/periods/open")
        assert amounts(told["total"]) == total(still)
        taken = amounts(told["total"])
        for one in closed:
            taken = taken.plus(amounts(one.answer["statement"]["total"]))
            for adjusted in one.answer["statement"]["adjustments"]:
                taken = taken.plus(amounts(adjusted["total"]))
        rows = [row for one in closed for row in inside(world.model.rows, account.name, one.start, one.end)]
        assert taken == total(rows)


def money(world: World, chance: Random) -> None:
    """A wallet holds what moved it, and never less than nothing; what was bought was granted."""
    for account in ACCOUNTS:
        path, moved = f"/v1/accounts/{account.name}", world.model.money[account.name]
        assert world.ask("GET", f"{path}/wallet")["balance_micros"] == sum(moved) >= 0
        entries = world.ask("GET", f"{path}/wallet/entries", limit=1000)["items"]
        assert [one["amount_micros"] for one in entries] == moved
        bought = world.ask("GET", f"{path}/purchases", limit=1000)["items"]
        expected = [(one.id, one.amount, one.price, grant) for one, grant in world.model.bought[account.name]]
        assert [(one["plan"], one["amount"], one["price_micros"], one["grant"]) for one in bought] == expected
    active = {one["id"] for one in world.ask("GET", "/v1/plans", limit=1000)["items"]}
    assert active == {one.id for one in world.model.plans if not one.retired}


def leases(world: World, chance: Random) -> None:
    """Who has what until when is what was agreed on, and nobody has what another has."""
    for account in ACCOUNTS:
        told = world.ask("GET", f"/v1/accounts/{account.name}/leases", limit=1000)["items"]
        mine = [one for one in world.model.leases if one.account == account.name]
        seen = [(one["id"], one["stock"], one["starts_at"], one["ends_at"], one["released_at"]) for one in told]
        assert seen == [(one.id, one.item, *map(format_if_any, (one.start, one.end, one.released))) for one in mine]
    held = {one.item for one in world.model.leases if world.now < one.over_at()}
    listed = world.ask("GET", "/v1/stock", limit=1000)["items"]
    assert {one["id"] for one in listed if one["status"] == "leased"} == held
    assert len(held) == sum(world.now < one.over_at() for one in world.model.leases)


def what_was_asked_of_servers(world: World, chance: Random) -> None:
    """Each request stands as it was answered, or is over in time and with its lease."""
    for account in ACCOUNTS:
        for lease in (one for one in world.model.leases if one.account == account.name):
            told = world.ask("GET", f"/v1/accounts/{account.name}/leases/{lease.id}/actions", limit=1000)["items"]
            mine = [one for one in world.model.asked if one.lease.id == lease.id]
            assert [(one["id"], one["what"], one["status"]) for one in told] == [
                (one.id, one.what, one.status(world.now)) for one in mine
            ]
    waiting = world.ask("GET", "/v1/actions", status=200, limit=1000)["items"]
    assert len(waiting) == len(world.model.asked)


def what_is_offered(world: World, chance: Random) -> None:
    """Gateways and places are those that were put last."""
    told = world.ask("GET", "/v1/gateways", limit=1000)["items"]
    found = {one["id"]: (one["product"], one["first_port"], one["last_port"]) for one in told}
    assert found == world.model.gateways
    for product, cities in world.model.places.items():
        listed = world.ask("GET", f"/v1/places/{product}", kind="city", country="DE", limit=1000)["items"]
        assert [one["code"] for one in listed] == cities


def the_ledger_keeps_its_own_rules(world: World, chance: Random) -> None:
    with world.services.ledger.read() as tx:
        assert list(rules.faults(tx)) == []


CHECKS: Final[tuple[Check, ...]] = (
    nothing_is_lost,
    usage,
    usage_of_all,
    what_providers_said,
    reconciliations,
    usage_as_it_stood,
    answers_of_the_past,
    changes,
    balances,
    balances_that_went_on,
    users,
    limits,
    passed_on,
    whitelists,
    vouchers,
    check_ins,
    explanations,
    events,
    held,
    periods,
    money,
    leases,
    what_was_asked_of_servers,
    what_is_offered,
    the_ledger_keeps_its_own_rules,
)


def verify_finds_nothing(world: World) -> None:
    """The server's own check of itself; there is none over a list in memory."""
    told = world.ask("POST", "/v1/verify", status=202)
    until = time.monotonic() + 60
    while told["state"] == "running" and time.monotonic() < until:
        time.sleep(0.05)
        told = world.ask("GET", "/v1/verify")
    assert (told["state"], told["found"], told["rows"]) == ("done", 0, world.model.stored), told


# What they have in common


def amounts(one: dict[str, Any]) -> Quantities:
    return Quantities(one["bytes_up"], one["bytes_down"], one["requests"])


def instant(text: str) -> int:
    return round(datetime.fromisoformat(text).timestamp() * 1000)


def optional(text: str | None) -> int | None:
    return None if text is None else instant(text)


def label(at: int, zone: str, bucket: str) -> object:
    """What an event's calendar span is called: by the calendar on the wall, not by edges."""
    local = datetime.fromtimestamp(at // 1000, UTC).astimezone(ZoneInfo(zone))
    return {
        "total": "",
        "month": (local.year, local.month),
        "week": tuple(local.isocalendar())[:2],
        "day": local.date(),
        "hour": (local.date(), local.hour, local.utcoffset()),
        "15m": (local.date(), local.hour, local.minute // 15, local.utcoffset()),
    }[bucket]


def grouped(rows: Iterable[Row], key: Callable[[Row], tuple[object, ...]]) -> dict[tuple[object, ...], Quantities]:
    """Those groups that come to something."""
    found: dict[tuple[object, ...], list[Row]] = defaultdict(list)
    for row in rows:
        found[key(row)].append(row)
    return {name: sums for name, mine in found.items() if (sums := total(mine)) != NOTHING}


def same_purse(told: dict[str, Any] | None, expected: dict[str, int], whose: str) -> None:
    names = ("granted", "spent", "left", "pending", "expired", "voided", "overage", "credit", "drawn")
    found = {name: (told or {}).get(name, 0) for name in names}
    assert found == {name: expected[name] for name in names}, whose
    paid = found["spent"] + found["overage"] + expected["forgiven"] - found["credit"]
    assert expected["used"] + found["drawn"] == paid, whose
    parts = found["spent"] + found["left"] + found["pending"] + found["expired"] + found["voided"]
    assert found["granted"] == parts, whose


def some(chance: Random, of: list[Any]) -> list[Any]:
    return chance.sample(of, min(2, len(of)))
