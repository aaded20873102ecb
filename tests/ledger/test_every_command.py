"""The laws of every command, over one list of all commands. A new command joins the list and inherits the laws."""

from __future__ import annotations

import inspect
import re
import shutil
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from functools import cache
from pathlib import Path
from types import ModuleType
from typing import Any

import msgspec
import pytest
from sqlalchemy import Connection, Select, Table, insert, literal_column, select, union_all
from sqlalchemy.exc import DBAPIError
from tests.soak import few

from flowtally.core.comparing import Differs
from flowtally.core.errors import IdempotencyMismatch
from flowtally.core.leasing import Size
from flowtally.core.reported import BalanceSaid, GrantSaid, SubUserSaid
from flowtally.ledger import idempotency, pools, used_keys
from flowtally.ledger.checks import rules
from flowtally.ledger.database import Ledger
from flowtally.ledger.erasing import erased_accounts, erasures
from flowtally.ledger.installation import read_installation
from flowtally.ledger.inventory import actions, bound_users, gateways, lease_plans, orders, places, stock
from flowtally.ledger.inventory.catalogue import Catalogue, OfferedPlace
from flowtally.ledger.inventory.stock import NewStock
from flowtally.ledger.messages import deliveries, outbox, webhooks
from flowtally.ledger.money import plans, purchases, wallet
from flowtally.ledger.people import accounts, credentials, managed, rotation, senders, users, whitelist
from flowtally.ledger.providers import connected, kept, pulls, said, shadows
from flowtally.ledger.tables import audit, installation, metadata
from flowtally.ledger.traffic import allocations, check_ins, grants, periods, vouchers
from flowtally.ledger.traffic.codes import Code

NOW = 1_700_000_000_000
MODULES: list[ModuleType] = [accounts, users, managed, erasures, allocations, pools, grants, credentials, rotation]
MODULES += [
    erased_accounts,
    senders,
    idempotency,
    periods,
    wallet,
    plans,
    purchases,
    whitelist,
    vouchers,
    check_ins,
    used_keys,
    connected,
    kept,
    pulls,
    said,
    shadows,
    stock,
    lease_plans,
    orders,
    gateways,
    places,
    actions,
    bound_users,
    webhooks,
    outbox,
    deliveries,
]
DIGEST = idempotency.request_digest("POST", "/v1/things", b"{}")


class World(msgspec.Struct, frozen=True):
    """What the commands find: an account, a grant to void; credentials to revoke, change and rotate and one that asks;
    users to change, delete, erase and allocate to, an allocation to take back, an erasure to finish; an account to
    erase and one that was, its user's erasure to finish; money, a plan; providers;
    vouchers to end; something to lease, and a lease."""

    grant_id: str
    revocable: str
    changeable: str
    rotatable: str
    asking: str
    funded: users.User
    allocation: str
    erased: str
    revocable_voucher: str
    sender: str
    stock: dict[str, str]  # free ones by what is done to them
    leases: dict[str, str]
    actions: list[str]  # to take, to answer


BALANCE = BalanceSaid("traffic", "bytes", 500)
# A difference that is to be forgotten.
OLD = {"id": "shd_1", "account": "acme", "dialect": "thordata", "route": "GET /", "at": 5, "question": "", "ours": "",
       "theirs": "", "fields": "[]", "count": 1}  # fmt: skip
GRANT = GrantSaid("7", "A-1", "order", "bytes", 900, 30, 1, 2, "active")

Command = Callable[[Connection, World], object]

COMMANDS: dict[str, Command] = {
    "create_account": lambda tx, w: accounts.create_account(tx, "new", now=NOW),
    "change_account": lambda tx, w: accounts.change_account(tx, "beta", name="Beta", status="suspended", now=NOW),
    "ensure_users": lambda tx, w: users.ensure_users(tx, [("acme", "ann"), ("acme", "bob"), ("acme", "")], NOW),
    "ensure_histories": lambda tx, w: users.ensure_histories(tx, [("acme", "ann"), ("acme", "bob")], NOW),
    "create_user": lambda tx, w: managed.create_user(tx, "acme", "cid", password="sealed", now=NOW),
    "change_user": lambda tx, w: managed.change_user(tx, "acme", "dora", name="doro", limit=users.Limit(5), now=NOW),
    "delete_user": lambda tx, w: managed.delete_user(tx, "acme", "eve", now=NOW),
    "erase_user": lambda tx, w: erasures.erase_user(tx, "acme", "gil", now=NOW),
    "finish": lambda tx, w: erasures.finish(tx, [w.erased], now=NOW),
    "erase_account": lambda tx, w: erased_accounts.erase_account(tx, "gone", now=NOW),
    "finish_users": lambda tx, w: erased_accounts.finish_users(tx, "left", now=NOW),
    "finish_account": lambda tx, w: erased_accounts.finish_account(tx, "left", now=NOW),
    "allocate": lambda tx, w: allocations.allocate(tx, w.funded, 50, pool="mobile", left=70, now=NOW),
    "take_back": lambda tx, w: allocations.take_back(tx, w.funded, w.allocation, unspent=30, amount=10, now=NOW),
    "put_address": lambda tx, w: whitelist.put_address(tx, "acme", "fay", "192.0.2.1", now=NOW, most=2),
    "replace_addresses": lambda tx, w: whitelist.replace_addresses(
        tx, "acme", None, ["192.0.2.3", "10.0.0.0/8"], pool="mobile", now=NOW, most=2
    ),
    "create_vouchers": lambda tx, w: vouchers.create_vouchers(
        tx, "acme", 9, [code("c"), code("d")], now=NOW, pool="mobile", duration_s=60, left=20
    ),
    "redeem_voucher": lambda tx, w: vouchers.redeem_voucher(tx, "acme", "a" * 64, now=NOW),
    "revoke_voucher": lambda tx, w: vouchers.revoke_voucher(tx, w.revocable_voucher, "acme", now=NOW),
    "check_in": lambda tx, w: check_ins.check_in(tx, "acme", check_ins.Reward(5, 30, 100), now=NOW),
    "create_pool": lambda tx, w: pools.create_pool(tx, "gold", "requests", NOW),
    "map_product": lambda tx, w: pools.map_product(tx, "isp", "mobile", NOW),
    "mark_products_used": lambda tx, w: pools.mark_products_used(tx, ["residential", "mobile"], NOW),
    "give_grant": lambda tx, w: grants.give_grant(tx, "acme", 10**9, source="order", reference="A-1", now=NOW),
    "void_grant": lambda tx, w: grants.void_grant(tx, w.grant_id, "acme", NOW, reason="paid back"),
    "deposit": lambda tx, w: wallet.deposit(tx, "acme", 70, now=NOW, currency="USD", reference="P-1"),
    "adjust": lambda tx, w: wallet.adjust(tx, "acme", -20, now=NOW, currency="USD", reason="paid out"),
    "create_plan": lambda tx, w: plans.create_plan(tx, "Some", 10**9, 5, now=NOW, currency="USD", days=30),
    "retire_plan": lambda tx, w: plans.retire_plan(tx, "old", now=NOW),
    "purchase": lambda tx, w: purchases.purchase(tx, "acme", "small", now=NOW),
    "issue": lambda tx, w: _issued(*credentials.issue(tx, "account", "acme", "page", NOW)),
    "create_sender": lambda tx, w: senders.create_sender(tx, "acme", "gateway", NOW),
    "rename_sender": lambda tx, w: senders.rename_sender(tx, w.sender, "gateway 1", now=NOW),
    "import_token": lambda tx, w: credentials.import_token(tx, "x" * 20, name="env", now=NOW),
    "revoke": lambda tx, w: credentials.revoke(tx, w.revocable, NOW),
    "change_credential": lambda tx, w: credentials.change_credential(tx, w.changeable, now=NOW, expires_at=NOW + 1),
    "rotate": lambda tx, w: _issued(*rotation.rotate(tx, w.rotatable, now=NOW, overlap_s=60)),
    "close_period": lambda tx, w: periods.close_period(
        tx, "acme", 0, NOW, now=NOW, timezone="UTC", block=3, statement="{}", after=0
    ),
    "add_provider": lambda tx, w: connected.add_provider(
        tx, "acme", "another", "thordata", secrets={"token": "sealed"}, settings={"zone": "UTC"}, since=0, now=NOW
    ),
    "change_provider": lambda tx, w: connected.change_provider(
        tx, "changed", secrets={"token": "sealed anew"}, settings={}, paused=True, now=NOW
    ),
    "remove_provider": lambda tx, w: connected.remove_provider(tx, "removed", now=NOW),
    "end_pull": lambda tx, w: pulls.end_pull(
        tx, connected.read_live(tx, "pulled"), "late", began_at=NOW, next_at=NOW + 1, detail="HTTP 500", now=NOW
    ),
    "ask_now": lambda tx, w: pulls.ask_now(tx, connected.read_live(tx, "asked"), now=3),
    "put_balances": lambda tx, w: said.put_balances(tx, listed(tx), [BALANCE], now=NOW),
    "put_grants": lambda tx, w: said.put_grants(tx, listed(tx), [GRANT], {"7": 3}, now=NOW),
    "put_sub_users": lambda tx, w: said.put_sub_users(tx, listed(tx), [SubUserSaid("bob", True, 5)], now=NOW),
    "keep_reconciliation": lambda tx, w: kept.keep_reconciliation(
        tx, listed(tx), starts_at=5, ends_at=9, block=3, match="beyond", answer="{}", now=NOW
    ),
    "set_shadow": lambda tx, w: shadows.set_shadow(
        tx, "acme", "thordata", enabled=True, provider="listed", share=20, now=NOW
    ),
    "keep_asked": lambda tx, w: shadows.keep_asked(tx, [differed(tx, NOW)], now=NOW),
    "forget_differences": lambda tx, w: shadows.forget_differences(tx, now=NOW),
    "add_item": lambda tx, w: stock.add_item(tx, NewStock("isp", "198.51.100.9", 80, sealed="sealed"), now=NOW),
    "import_items": lambda tx, w: stock.import_items(tx, [NewStock("isp", f"198.51.100.{n}") for n in (7, 8)], now=NOW),
    "change_item": lambda tx, w: stock.change_item(tx, w.stock["change"], username="other", now=NOW),
    "retire_item": lambda tx, w: stock.retire_item(tx, w.stock["retire"], now=NOW),
    "create_lease_plan": lambda tx, w: lease_plans.create_lease_plan(tx, "isp", 30, 5, now=NOW, currency="USD"),
    "retire_lease_plan": lambda tx, w: lease_plans.retire_lease_plan(tx, "unsold", now=NOW),
    "buy_leases": lambda tx, w: orders.buy_leases(tx, "acme", "gate", now=NOW, grace_ms=5),
    "give_lease": lambda tx, w: orders.give_lease(tx, "acme", w.stock["give"], now=NOW),
    "renew_leases": lambda tx, w: orders.renew_leases(tx, "acme", [w.leases["renew"]], now=NOW),
    "upgrade_lease": lambda tx, w: orders.upgrade_lease(tx, "acme", w.leases["upgrade"], "larger", now=NOW),
    "release_lease": lambda tx, w: orders.release_lease(tx, "acme", w.leases["release"], now=NOW),
    "release_all": lambda tx, w: orders.release_all(tx, "beta", now=NOW),
    "set_auto_renew": lambda tx, w: orders.set_auto_renew(tx, "acme", [w.leases["auto"]], True, now=NOW),
    "add_gateway": lambda tx, w: gateways.add_gateway(
        tx, "residential", "a.example", 10, 19, session="sticky", hold_s=600, country="US", now=NOW
    ),
    "replace_places": lambda tx, w: places.replace_places(
        tx, "residential", Catalogue([OfferedPlace("country", "US", "", "US", "United States")]), now=NOW
    ),
    "request_action": lambda tx, w: actions.request_action(
        tx, "acme", w.leases["renew"], "restart", now=NOW, lasts_ms=60_000
    ),
    "take_action": lambda tx, w: actions.take_action(tx, w.actions[0], by="crd_1", now=NOW),
    "answer_action": lambda tx, w: actions.answer_action(tx, w.actions[1], "done", by="crd_1", now=NOW),
    "bind_user": lambda tx, w: bound_users.bind_user(tx, "acme", w.leases["renew"], w.funded.id, now=NOW),
    "add_webhook": lambda tx, w: webhooks.add_webhook(tx, "acme", "https://a.example", sealed="sealed", now=NOW),
    "change_webhook": lambda tx, w: webhooks.change_webhook(tx, hook(tx, "change"), enabled=False, now=NOW),
    "rotate_secret": lambda tx, w: webhooks.rotate_secret(
        tx, hook(tx, "rotate"), sealed="sealed anew", overlap_s=9, now=NOW
    ),
    "remove_webhook": lambda tx, w: webhooks.remove_webhook(tx, hook(tx, "remove"), now=NOW),
    "disable": lambda tx, w: webhooks.disable(tx, hook(tx, "disable"), "it is gone", now=NOW),
    "forget_ended_secrets": lambda tx, w: webhooks.forget_ended_secrets(tx, NOW),
    "put": lambda tx, w: outbox.put(tx, "two", "balance.low", {"left": 5}, now=NOW),
    "forget_old": lambda tx, w: outbox.forget_old(tx, NOW),
    "end_attempt": lambda tx, w: deliveries.end_attempt(
        tx,
        next(one for one in deliveries.due_deliveries(tx, NOW, 9) if one.webhook == hook(tx, "rotated").id),
        deliveries.Attempt(False, 500, "HTTP 500", 5),
        next_at=NOW + 5,
        now=NOW,
    ),
    "replay": lambda tx, w: deliveries.replay(tx, hook(tx, "replay"), dead(tx), now=NOW),
    "replay_dead": lambda tx, w: deliveries.replay_dead(tx, hook(tx, "replay"), 0, now=NOW),
    "use_key": lambda tx, w: used_keys.use_key(tx, "acme", "order-7", DIGEST, now=NOW),
    "remember": lambda tx, w: idempotency.remember(tx, w.asking, "k", DIGEST, status=201, answer={"id": 1}, now=NOW),
}
every_command = pytest.mark.parametrize("name", COMMANDS)


def differed(tx: Connection, at: int) -> shadows.Shadowed:
    fields = (Differs("n", "1", "2", "1"),)
    return shadows.Shadowed("acme", "thordata", listed(tx).id, "GET /", at, "differed", "", "{}", "1", "2", fields, 1)


def hook(tx: Connection, name: str) -> webhooks.Webhook:
    return next(one for one in webhooks.list_webhooks(tx, "acme").items if one.description == name)


def dead(tx: Connection) -> str:
    return deliveries.list_deliveries(tx, hook(tx, "replay")).items[0].id


def listed(tx: Connection) -> connected.Provider:
    return connected.read_live(tx, "listed")


def _issued(credential: credentials.Credential, token: str, key: str) -> dict[str, object]:
    return msgspec.structs.asdict(credential) | {"token": token, "key": key}


def code(letter: str) -> Code:
    return Code(letter * 64, f"sealed {letter}")


def make_world(tx: Connection) -> World:
    accounts.create_account(tx, "acme", now=1)
    accounts.create_account(tx, "beta", now=1)
    grant = grants.give_grant(tx, "acme", 500, now=2)
    revocable, *_ = credentials.issue(tx, "ingest", None, "old", 3)
    changeable, *_ = credentials.issue(tx, "ingest", None, "to change", 3)
    rotatable, *_ = credentials.issue(tx, "ingest", None, "to rotate", 3)
    asking, *_ = credentials.issue(tx, "admin", None, "asks", 3)
    managed.create_user(tx, "acme", "dora", now=4)
    users.ensure_users(tx, [("acme", "eve"), ("acme", "gil"), ("acme", "hal")], 4)
    funded = managed.create_user(tx, "acme", "fay", funded=True, now=4)
    allocation = allocations.allocate(tx, funded, 40, pool="traffic", left=500, now=5)
    whitelist.put_address(tx, "acme", None, "192.0.2.9", pool="mobile", now=5, most=2)
    erased = erasures.erase_user(tx, "acme", "hal", now=6)
    wallet.deposit(tx, "acme", 100, now=7, currency="USD")
    for name in ("small", "old"):
        plans.create_plan(tx, name, 500, 60, now=7, currency="USD", plan_id=name)
    _, unused = vouchers.create_vouchers(
        tx, "acme", 7, [code("a"), code("b")], now=7, pool="traffic", duration_s=60, left=14
    )
    _, erase_users = erased_accounts.STEPS[0]
    for name in ("gone", "left"):
        accounts.create_account(tx, name, now=7)
        users.ensure_users(tx, [(name, "ida")], 7)
        accounts.change_account(tx, name, status="closed", now=8)
    erased_accounts.erase_account(tx, "left", now=9)
    erase_users(tx, "left", None)
    assert revocable.sender is not None
    for name in ("changed", "removed", "pulled", "asked", "listed"):
        connected.add_provider(
            tx, "acme", name, "thordata", secrets={"token": "sealed", "key": "sealed"}, settings={}, since=0, now=4
        )
    tx.execute(insert(metadata.tables["shadow_differences"]), OLD | {"provider": listed(tx).id})
    make_webhooks(tx)
    some, leased = make_leases(tx)
    asked = [
        actions.request_action(tx, "acme", leased["auto"], what, now=NOW - 1, lasts_ms=60_000).id
        for what in ("take", "answer")
    ]
    made = (revocable.id, changeable.id, rotatable.id, asking.keys_of)
    return World(
        grant.id, *made, funded, allocation.id, erased.user_id, unused.id, revocable.sender, some, leased, asked
    )


def make_webhooks(tx: Connection) -> None:
    """One for each command, a message that waits for most of them and is dead for one, and one that is old."""
    outbox.put(tx, "old", "balance.low", {}, now=4)
    for name in ("change", "rotate", "remove", "disable", "replay", "rotated"):
        webhooks.add_webhook(tx, "acme", "https://a.example", sealed="sealed", description=name, now=4)
    webhooks.rotate_secret(tx, hook(tx, "rotated"), sealed="sealed anew", overlap_s=1, now=5)
    outbox.put(tx, "one", "balance.low", {"left": 9}, account="acme", now=NOW - 1)
    webhooks.give_up(tx, hook(tx, "replay").id, "nobody is there")


def make_leases(tx: Connection) -> tuple[dict[str, str], dict[str, str]]:
    """Of addresses that each command has for itself; `buy_leases` finds its own."""
    stock.add_item(tx, NewStock("gate", "198.51.100.1"), now=7)
    free = {
        name: stock.add_item(tx, NewStock("isp", f"198.51.100.1{n}"), now=7).id
        for n, name in enumerate(("change", "retire", "give"))
    }
    for name, cores in (("gate", None), ("larger", 4), ("unsold", None)):
        size = Size(cores)
        lease_plans.create_lease_plan(tx, "gate", 30, 9, now=7, currency="USD", size=size, plan_id=name)
    leased = {}
    for n, name in enumerate(("renew", "upgrade", "release", "auto", "all")):
        item = stock.add_item(tx, NewStock("gate", f"198.51.100.2{n}"), now=7)
        whose = "beta" if name == "all" else "acme"
        order = orders.give_lease(tx, whose, item.id, plan_id="gate", starts_at=NOW - 5, now=NOW)
        leased[name] = order.leases[0]
    return free, leased


@pytest.fixture(scope="module")
def made(new_ledger: Path, tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, World]:
    """A ledger with a world, made once: to make it took half of the time of each test."""
    path = tmp_path_factory.mktemp("world") / "ledger.db"
    shutil.copy(new_ledger, path)
    with closing(Ledger.open(f"sqlite:///{path}")) as ledger, ledger.begin() as tx:
        return path, make_world(tx)


@pytest.fixture
def url(kind: str, url: str, made: tuple[Path, World]) -> str:
    """Of a ledger that has the world already, where a file is one."""
    if kind == "sqlite":
        shutil.copy(made[0], url.removeprefix("sqlite:///"))
    return url


@pytest.fixture
def world(kind: str, ledger: Ledger, made: tuple[Path, World]) -> World:
    if kind == "sqlite":
        return made[1]
    with ledger.begin() as tx:
        return make_world(tx)


def rows(tx: Connection) -> list[str]:
    """Every row of every table; what is random (made ids, hashes) is blotted out. Counting is the transaction's, not
    the command's: it has a test of its own below."""
    return sorted(map(blotted, tx.execute(EVERY_ROW[tx.dialect.name]).scalars()))


def texts_of(table: Table, dialect: str) -> Select[Any]:
    """Its rows, each as one text that begins with the name of the table."""
    if dialect == "postgresql":
        return select(literal_column(f"'{table.name} ' || CAST({table.name} AS text)")).select_from(table)
    columns = " || ', ' || ".join(f'quote("{column.name}")' for column in table.columns)
    return select(literal_column(f"'{table.name} ' || {columns}")).select_from(table)


EVERY_ROW = {
    dialect: union_all(*(texts_of(one, dialect) for one in metadata.sorted_tables if one not in (installation, audit)))
    for dialect in ("sqlite", "postgresql")
}


@cache
def blotted(row: str) -> str:
    return re.sub(
        r"\b(acc|usr|grn|crd|alc|ret|per|trf|pln|ord|wip|vch|snd|prv|pul|rec|shd|stk|lpl|lse|gtw|act|whk|msg|dlv)_[0-9a-f]{32}\b"
        r"|\b[0-9a-f]{64}\b",
        "*",
        row,
    )


def ask(ledger: Ledger, world: World, command: Command, *, digest: str = DIGEST) -> tuple[bool, dict[str, Any]]:
    """What a door does with a write: replay, or run and remember. Says whether it was a replay, and the answer."""
    with ledger.begin() as tx:
        stored = idempotency.replay_or_none(tx, world.asking, "key-1", digest)
        if stored is not None:
            return True, msgspec.json.decode(stored.body)
        answer: dict[str, Any] = {"result": str(command(tx, world)), "token": "secret", "key": "secret"}
        idempotency.remember(tx, world.asking, "key-1", digest, status=201, answer=answer, now=NOW)
        return False, answer


def test_the_list_has_every_function_that_takes_a_transaction_and_now() -> None:
    found = {
        name
        for module in MODULES
        for name, function in inspect.getmembers(module, inspect.isfunction)
        if function.__module__ == module.__name__ and not name.startswith("_")
        if {"tx", "now"} <= inspect.signature(function).parameters.keys()
    }
    assert found == COMMANDS.keys()


@every_command
def test_a_command_leaves_no_trace_when_its_transaction_rolls_back(ledger: Ledger, world: World, name: str) -> None:
    with ledger.read() as tx:
        before = rows(tx)

    def run_and_fail() -> None:
        with ledger.begin() as tx:
            COMMANDS[name](tx, world)
            assert rows(tx) != before
            raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        run_and_fail()
    with ledger.read() as tx:
        assert rows(tx) == before


@every_command
def test_a_transaction_is_one_promise_and_its_rows_carry_its_number(ledger: Ledger, world: World, name: str) -> None:
    with ledger.read() as tx:
        before, old = read_installation(tx), promises_of(tx)
    with ledger.begin() as tx:
        COMMANDS[name](tx, world)
    with ledger.read() as tx:
        assert read_installation(tx).promises == before.promises + 1
        assert promises_of(tx) - old <= {before.promises + 1}


def promises_of(tx: Connection) -> set[int]:
    """The numbers that rows carry, in whichever table."""
    carrying = [table for table in metadata.sorted_tables if "promise" in table.c]
    assert {"grants", "grant_voids", "allocations", "allocation_returns", "vouchers", "voucher_ends"} <= {
        table.name for table in carrying
    }
    return {number for table in carrying for number in tx.execute(select(table.c.promise)).scalars()}


def test_a_transaction_that_rolls_back_is_no_promise(ledger: Ledger, world: World) -> None:
    def fail() -> None:
        with ledger.begin() as tx:
            COMMANDS["give_grant"](tx, world)
            raise ZeroDivisionError

    with ledger.read() as tx:
        before = read_installation(tx)
    with pytest.raises(ZeroDivisionError):
        fail()
    with ledger.read() as tx:
        assert read_installation(tx) == before


def test_the_latest_instant_of_a_promise_is_kept_and_never_goes_back(ledger: Ledger, world: World) -> None:
    for at, latest in ((50, 50), (70, 70), (60, 70)):
        ledger.use_clock(lambda at=at: at)  # type: ignore[misc]
        with ledger.begin() as tx:
            COMMANDS["give_grant"](tx, world)
        with ledger.read() as tx:
            assert read_installation(tx).last_at == latest


@every_command
def test_a_command_inside_a_savepoint_goes_with_it(ledger: Ledger, world: World, name: str) -> None:
    with ledger.begin() as tx:
        before = rows(tx)
        with tx.begin_nested() as savepoint:
            COMMANDS[name](tx, world)
            savepoint.rollback()
        assert rows(tx) == before


@every_command
def test_a_command_is_seen_after_the_commit_and_readers_do_not_wait_for_it(
    ledger: Ledger, world: World, name: str
) -> None:
    with ledger.read() as reader:
        before = rows(reader)
        with ledger.begin() as tx:
            COMMANDS[name](tx, world)
            inside = rows(tx)
            with ledger.read() as other:
                assert rows(other) == before
        assert rows(reader) == before  # one moment, as long as the reader looks
    with ledger.read() as reader:
        assert rows(reader) == inside != before


@every_command
def test_a_command_cannot_write_in_a_read_transaction(ledger: Ledger, world: World, name: str) -> None:
    with ledger.read() as tx:
        before = rows(tx)
    with pytest.raises(DBAPIError), ledger.read() as tx:
        COMMANDS[name](tx, world)
    with ledger.read() as tx:
        assert rows(tx) == before


@every_command
def test_two_commands_leave_the_same_ledger_in_either_order(ledger: Ledger, world: World, name: str) -> None:
    @contextmanager
    def undone(tx: Connection, command: str) -> Iterator[None]:
        with tx.begin_nested() as savepoint:
            COMMANDS[command](tx, world)
            yield
            savepoint.rollback()

    later = list(COMMANDS)[list(COMMANDS).index(name) + 1 :]  # each pair once
    with ledger.begin() as tx:
        with undone(tx, name):
            expected = {}
            for other in few(later, 3):
                with undone(tx, other):
                    expected[other] = rows(tx)
        for other, after in expected.items():
            with undone(tx, other), undone(tx, name):
                assert rows(tx) == after, other


@every_command
def test_the_same_idempotency_key_twice_is_once(ledger: Ledger, world: World, name: str) -> None:
    replayed, first = ask(ledger, world, COMMANDS[name])
    with ledger.read() as tx:
        once = rows(tx)
    again, second = ask(ledger, world, COMMANDS[name])
    with ledger.read() as tx:
        assert rows(tx) == once
    assert (replayed, again) == (False, True)
    assert second == {"result": first["result"]}  # the record without its secrets


@every_command
def test_the_same_idempotency_key_with_another_body_changes_nothing(ledger: Ledger, world: World, name: str) -> None:
    ask(ledger, world, COMMANDS[name])
    with ledger.read() as tx:
        once = rows(tx)
    with pytest.raises(IdempotencyMismatch):
        ask(ledger, world, COMMANDS[name], digest="0" * 64)
    with ledger.read() as tx:
        assert rows(tx) == once


@every_command
def test_a_command_that_failed_can_be_sent_again_with_its_key(ledger: Ledger, world: World, name: str) -> None:
    def fails(tx: Connection, world: World) -> object:
        COMMANDS[name](tx, world)
        raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        ask(ledger, world, fails)
    replayed, _ = ask(ledger, world, COMMANDS[name])
    assert not replayed


@every_command
def test_after_a_command_the_ledger_keeps_its_own_rules(ledger: Ledger, world: World, name: str) -> None:
    ask(ledger, world, COMMANDS[name])
    with ledger.read() as tx:
        assert list(rules.faults(tx)) == []
