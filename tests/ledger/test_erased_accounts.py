"""Erasing an account: no table holds a text of it any more, every figure stays, and the audit trail is still whole."""

from __future__ import annotations

import shutil
from contextlib import closing
from pathlib import Path
from typing import Any

import msgspec
import pytest
from sqlalchemy import Connection, Text, delete, select, update
from tests.ledger.test_erasures import texts
from tests.ledger.test_every_command import code

from flowtally.core.comparing import Differs
from flowtally.core.errors import AccountErased, Conflict, NotFound, UnknownAccount
from flowtally.core.reported import BalanceSaid, GrantSaid, SubUserSaid
from flowtally.ledger import idempotency, used_keys
from flowtally.ledger.checks import rules
from flowtally.ledger.database import Ledger
from flowtally.ledger.erasing import erased_accounts, erasures
from flowtally.ledger.inventory import actions, bound_users, lease_plans, orders, stock
from flowtally.ledger.inventory.stock import NewStock
from flowtally.ledger.messages import deliveries, outbox, webhooks
from flowtally.ledger.messages.deliveries import Attempt
from flowtally.ledger.messages.webhooks import Webhook
from flowtally.ledger.money import plans, purchases, wallet
from flowtally.ledger.people import accounts, credentials, managed, senders, users, whitelist
from flowtally.ledger.providers import connected, kept, pulls, said, shadows, stretches
from flowtally.ledger.recorded import Filter, list_records
from flowtally.ledger.tables import audit as audit_rows
from flowtally.ledger.tables import audit_erased, metadata
from flowtally.ledger.traffic import check_ins, grants, periods, vouchers
from flowtally.ledger.trail import Actor

SECRET = "heimlich"  # part of every text of acme
# Every column that can hold a text, by what becomes of it with its account. Who adds one decides, and says so here.
EMPTIED = {
    "accounts": {"name"},
    "audit": {"address", "after", "before", "request_id"},
    "credentials": {"addresses", "name"},
    "deliveries": {"detail"},
    "grant_voids": {"reason"},
    "grants": {"reference"},
    "idempotency": {"key", "response"},
    "managed_users": {"name", "password"},
    "messages": {"body", "key"},
    "periods": {"statement"},
    "provider_balances": {"label"},
    "provider_grants": {"id", "kind", "raw_created", "raw_expires", "said_order"},
    "provider_pulls": {"detail"},
    "provider_reconciliations": {"answer"},
    "provider_secrets": {"sealed"},
    "provider_sub_users": {"name"},
    "providers": {"address", "detail", "rules", "settings"},
    "senders": {"name"},
    "shadow_differences": {"fields", "ours", "question", "theirs"},
    "shadows": {"detail"},
    "transfers": {"reason", "reference"},
    "used_keys": {"key"},
    "user_names": {"name"},
    "webhooks": {"description", "detail", "old_sealed", "sealed", "types", "url"},
    "whitelist": {"address"},
}
KEYS = {
    "account",
    "id",
    "provider",
    "pool",
    "user_id",
    "grant_id",
    "allocation_id",
    "plan_id",
    "stock_id",
    "lease_id",
    "transfer_id",
    "voucher_id",
}
CHOSEN = {"charge", "currency", "kind", "limit_unit", "limit_window", "overage", "scope", "status", "timezone"}
HASHES = {"digest", "key_hash", "token_hash"}
STAYS = {
    "actions": {"detail", "outcome", "taken_by", "what"},  # of the operator's machinery, about its server
    "deliveries": {"message", "state", "webhook"},
    "messages": {"type"},  # of our own words
    "audit": {"action", "credential", "door", "of_account", "subject"},  # who did what to what: ids and routes
    "check_ins": {"day"},
    "credentials": {"replaces", "rights", "sender"},
    "gateways": {"city", "country", "host", "product", "session", "state"},  # what is offered to all, about no account
    "grants": {"source"},  # what kind of grant it is
    "installation": {"audit_head", "generation", "holder"},
    "lease_plans": {"city", "country", "name", "region", "state"},
    "lease_terms": {"order_id", "what"},
    "managed_users": {"product"},
    "places": {"code", "country", "key", "name", "product", "state"},  # of no account, as their catalogues
    "place_catalogues": {"product"},
    "plans": {"name"},  # whoever runs flowtally wrote it, about no account; so in what was bought
    "pools": {"name"},
    "product_pools": {"product"},
    "products_used": {"product"},
    "provider_balances": {"quantity"},
    "provider_grants": {"quantity", "standing"},
    "provider_pulls": {"outcome"},
    "provider_reconciliations": {"match"},
    "provider_secrets": {"name"},  # which of those its vendor wants
    "provider_stretches": {"grain", "zone"},
    "providers": {"name", "state", "vendor"},  # the name is an id: of the series, whose figures stay
    "purchases": {"name"},
    "shadow_differences": {"dialect", "route"},  # of our own words
    "shadow_routes": {"dialect", "route"},
    "shadows": {"dialect"},
    # What is leased is the operator's, who had it before and who has it next.
    "stock": {"address", "city", "country", "name", "region", "sealed", "state", "username"},
    "transfer_entries": {"book"},
    "voucher_ends": {"redeemed_by"},
    "vouchers": {"sealed"},  # the code, which is ours
    "webhooks": {"state"},
}
SEEN = {"user_names", "managed_users", "past_settings", "erasures"}  # whose rows come and go with users


@pytest.fixture(scope="module")
def full_file(new_ledger: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("full") / "ledger.db"
    with closing(Ledger.open(f"sqlite:///{shutil.copy(new_ledger, path)}")) as ledger:
        fill_all(ledger)
    return path


@pytest.fixture
def url(request: pytest.FixtureRequest, kind: str, url: str) -> str:
    """Of a ledger that is full already, where a file is one."""
    if kind == "sqlite":
        shutil.copy(request.getfixturevalue("full_file"), url.removeprefix("sqlite:///"))
    return url


@pytest.fixture
def full(kind: str, ledger: Ledger) -> Ledger:
    if kind != "sqlite":
        fill_all(ledger)
    return ledger


def fill_all(ledger: Ledger) -> None:
    """`acme` with a text wherever one can be, `beta` with the same of another word."""
    for account, word in (("acme", SECRET), ("beta", "offen")):
        with ledger.begin() as tx:
            accounts.create_account(tx, account, name=f"{word} Ltd", now=1)
            accounts.change_account(tx, account, name=f"{word} Group", timezone="Asia/Tokyo", now=2)
            shown, *_ = credentials.issue(tx, "manage", account, f"{word} page", 3, addresses=["192.0.2.0/24"])
            credentials.issue(tx, "ingest", account, f"{word} gateway", 3)
        with ledger.begin(Actor("POST /x", shown.id, account, f"{word}-request", f"{word}:address")) as tx:
            grant = grants.give_grant(tx, account, 900, reference=f"{word} order", now=4)
            grants.void_grant(tx, grant.id, account, 5, reason=f"{word} gave back")
            grants.give_grant(tx, account, 900, reference=f"{word} order", now=4)
            fill(tx, account, word)
            statement = {"grants": [{"id": grant.id, "reference": f"{word} order", "amount": 900}]}
            close(tx, account, 0, 9, 0, statement)


def close(tx: Connection, account: str, start: int, end: int, after: int, statement: dict[str, Any]) -> periods.Period:
    said = msgspec.json.encode(statement).decode()
    return periods.close_period(tx, account, start, end, now=end, timezone="UTC", block=0, after=after, statement=said)


def fill(tx: Connection, account: str, word: str) -> None:
    wallet.deposit(tx, account, 103, now=4, currency="USD", reference=f"{word} paid", reason=f"{word} wished")
    plans.create_plan(tx, "A plan", 500, 60, now=4, currency="USD", plan_id=f"for-{account}")
    purchases.purchase(tx, account, f"for-{account}", now=5)
    wallet.adjust(tx, account, -40, now=6, currency="USD", reason=f"{word} asked", reference=f"{word} payout")
    check_ins.check_in(tx, account, check_ins.Reward(5, 30, 100), now=6)
    letter = word[0] if word[0] in "abcdef" else {"h": "a", "o": "b"}[word[0]]
    vouchers.create_vouchers(tx, account, 9, [code(letter)], now=6, pool="traffic", duration_s=60, left=20)
    vouchers.redeem_voucher(tx, account, letter * 64, now=7)
    made = managed.create_user(tx, account, f"{word} anna", password=f"{word} sealed", limit=users.Limit(5), now=4)
    managed.change_user(tx, account, f"{word} anna", name=f"{word} anne", now=5)
    users.ensure_users(tx, [(account, f"{word} bert"), (account, f"{word} carl"), (account, f"{word} dora")], 5)
    managed.create_user(tx, account, f"{word} fay", funded=True, now=5)
    managed.delete_user(tx, account, f"{word} carl", now=6)
    erasures.erase_user(tx, account, f"{word} dora", now=6)
    whitelist.put_address(tx, account, f"{word} anne", "198.51.100.7", now=6, most=2)
    whitelist.put_address(tx, account, None, "198.51.100.8", now=6, most=2)
    used_keys.use_key(tx, account, f"{word} key", "0" * 64, now=6)
    connect(tx, account, word)
    listen(tx, account, word)
    lease(tx, account)
    answers: list[tuple[str, dict[str, Any]]] = [
        ("", {"id": account, "name": f"{word} Ltd", "timezone": "UTC"}),
        ("", {"id": "grn_1", "account": account, "reference": f"{word} order", "amount": 7}),
        ("", {"items": [{"id": made.id, "account": account, "name": f"{word} anne", "funded": False}]}),
        ("", {"account": account, "user_id": made.id, "user": f"{word} anne", "address": "198.51.100.7"}),
        (account, {"account": account, "user_id": made.id, "user": f"{word} anne"}),
    ]
    for number, (whose, answer) in enumerate(answers):
        key = f"{word if whose else account} {number}"
        idempotency.remember(tx, whose, key, "0" * 64, status=201, answer=answer, now=7)


def lease(tx: Connection, account: str) -> None:
    """Something that it had and gave back: nothing of it is a text of the account."""
    item = stock.add_item(tx, NewStock("isp", f"{account}.example", sealed="sealed"), now=5)
    lease_plans.create_lease_plan(tx, "isp", 30, 3, now=5, currency="USD", plan_id=f"isp-{account}")
    [made] = orders.buy_leases(tx, account, f"isp-{account}", some=[item.id], now=6).leases
    asked = actions.request_action(tx, account, made, "restart", now=6, lasts_ms=60_000)
    actions.answer_action(tx, asked.id, "failed", by="crd_1", now=6, detail="the machine is off")
    bound_users.bind_user(tx, account, made, managed.create_user(tx, account, "bound", now=6).id, now=6)
    orders.release_lease(tx, account, made, now=7)


def listen(tx: Connection, account: str, word: str) -> None:
    """Webhooks of its own and the operator's, one of each disabled, and what was to be told."""

    def add(whose: str | None, text: str) -> Webhook:
        url = f"https://{text}.example"
        return webhooks.add_webhook(
            tx, whose, url, sealed=f"{text} sealed", types=[text, "a.b"], description=text, now=5
        )

    mine = add(account, word)
    webhooks.rotate_secret(tx, mine, sealed=f"{word} another", overlap_s=60, now=6)
    webhooks.disable(tx, add(account, word), f"{word} is gone", now=6)
    webhooks.change_webhook(tx, add(None, "ours"), types=[], now=6)
    outbox.put(tx, f"{word} key", "a.b", {"said": word}, account=account, now=7)
    for one in deliveries.due_deliveries(tx, 7, 9):
        deliveries.end_attempt(tx, one, Attempt(False, 500, f"{word} said no", 5), next_at=9, now=8)


def connect(tx: Connection, account: str, word: str) -> None:
    """A provider, all that it may say, and how asking it went."""
    made = connected.add_provider(
        tx,
        account,
        f"thor-{account}",
        "thordata",
        secrets={"token": f"{word} sealed"},
        settings={"note": f"{word} zone"},
        address=f"https://{word}.example",
        since=0,
        now=5,
    )
    connected.change_provider(tx, made.name, rules=msgspec.json.encode({"names": [f"{word} anna"]}).decode(), now=6)
    said.put_balances(tx, made, [BalanceSaid(f"{word} bob traffic", "bytes", 500)], now=7)
    order = GrantSaid(
        f"{word} 7", f"{word} order", f"{word} kind", "bytes", 9, 3, 1, 2, "active", f"{word} a", f"{word} b"
    )
    said.put_grants(tx, made, [order], {}, now=7)
    said.put_sub_users(tx, made, [SubUserSaid(f"{word} bob", True)], now=7)
    stretches.put_stretch(tx, made, stretches.Stretch(0, 7, "day", "UTC", 1, 7))
    answer = msgspec.json.encode({"users": [f"{word} bob"]}).decode()
    kept.keep_reconciliation(tx, made, starts_at=1, ends_at=7, block=1, match="beyond", answer=answer, now=7)
    pulls.end_pull(tx, made, "late", began_at=6, next_at=9, detail=f"{word} sample", now=7)
    shadows.set_shadow(tx, account, "thordata", enabled=True, provider=made.name, now=7)
    fields = (Differs(f"{word} at", f"{word} 1", f"{word} 2"),)
    texts = {name: f"{word} {name}" for name in ("question", "ours", "theirs")}
    asked = shadows.Shadowed(account, "thordata", made.id, "GET /", 7, "differed", fields=fields, count=1, **texts)
    failed = shadows.Shadowed(account, "thordata", made.id, "GET /", 7, "failed", f"{word} HTTP 500")
    shadows.keep_asked(tx, [asked, failed], now=7)


def pay_out_and_close(ledger: Ledger) -> None:
    with ledger.begin() as tx:
        left = wallet.balance_of(tx, "acme")
        if left:
            wallet.adjust(tx, "acme", -left, now=20, currency="USD", reason=f"{SECRET} gets it")
        accounts.change_account(tx, "acme", status="closed", now=21)


def erase(ledger: Ledger, *, steps: int | None = None) -> int:
    """The erasure, or its first steps only; how many there were."""
    with ledger.begin() as tx:
        erased_accounts.erase_account(tx, "acme", now=30)
    done = 0
    for _, step in erased_accounts.STEPS:
        place = None
        while True:
            if steps is not None and done == steps:
                return done
            with ledger.begin() as tx:
                place = step(tx, "acme", place)
            done += 1
            if place is None:
                break
    with ledger.begin() as tx:
        while erased_accounts.finish_users(tx, "acme", now=40):
            pass
        erased_accounts.finish_account(tx, "acme", now=40)
    return done


def figures(tx: Connection) -> dict[str, list[Any]]:
    """All numbers of all tables but those of users and records."""
    left_out = (
        SEEN
        | {
            "providers",
            "provider_secrets",
            "provider_grants",
            "provider_pulls",
            "provider_sub_users",
            "provider_reconciliations",
        }
        | {"provider_balances"}  # what was left at the vendor: nothing is counted by it
        | {"shadows", "shadow_differences"}
        | {"webhooks", "messages", "deliveries"}
        | {"audit", "audit_erased", "installation", "accounts", "credentials", "whitelist", "idempotency"}
    )
    tables = [one for one in metadata.sorted_tables if one.name not in left_out | {"used_keys"}]
    return {
        one.name: sorted(tuple(value for value in row if isinstance(value, int)) for row in tx.execute(select(one)))
        for one in tables
    }


def found(tx: Connection) -> list[str]:
    return [f"{fault.code} {fault.where}: {fault.detail}" for fault in rules.faults(tx)]


def test_no_row_of_any_table_holds_a_text_of_it_and_the_others_keep_theirs(full: Ledger) -> None:
    pay_out_and_close(full)
    with full.read() as tx:
        before = figures(tx)
        others = texts(tx).count("offen")
        assert found(tx) == []
    erase(full)
    with full.read() as tx:
        after = texts(tx)
        assert [line for line in after.splitlines() if SECRET in line] == []
        assert after.count("offen") == others
        assert figures(tx) == before
        assert found(tx) == []
        assert erased_accounts.texts_left(tx, "acme") == []
        gone = users.list_users(tx, "acme", deleted=True).items
        assert all((one.name, one.status) == (f"erased-{one.id}", "deleted") for one in gone)
        assert len(gone) == 6
        assert all(one.erased_at for one in gone)
        assert wallet.balance_of(tx, "acme") == 0
        record = accounts.read_account(tx, "acme")
        assert (record.name, record.erased_at, record.status) == ("", 30, "closed")
        assert all(one.revoked_at for one in credentials.list_credentials(tx, "acme").items)
        assert erased_accounts.read_erasure(tx, "acme").finished_at == 40


def test_of_every_column_with_text_it_is_said_whether_it_goes_or_stays(full: Ledger) -> None:
    with full.read() as tx:
        for table in metadata.sorted_tables:
            texts = {one.name for one in table.columns if isinstance(one.type, Text)}
            goes, stays = EMPTIED.get(table.name, set()), STAYS.get(table.name, set())
            assert goes.isdisjoint(stays)
            assert texts - KEYS - CHOSEN - HASHES <= goes | stays, f"of {table.name}: does it go with its account?"
            assert goes | stays <= texts
            for column in goes - {"password", "addresses", "address"}:
                rows = tx.execute(select(table.c[column])).scalars()
                assert any(SECRET in one for one in rows if one), f"{table.name}.{column} is not tried here"


def test_a_statement_that_was_made_before_its_account_was_erased_is_kept_without_texts(full: Ledger) -> None:
    pay_out_and_close(full)
    made_before = {"grants": [{"id": "grn_1", "reference": f"{SECRET} order", "amount": 900}]}
    erase(full)
    with full.begin() as tx:
        kept = close(tx, "acme", 9, 35, 1, made_before)
    assert msgspec.json.decode(kept.statement) == {"grants": [{"id": "grn_1", "reference": "", "amount": 900}]}
    with full.begin() as tx:
        assert SECRET not in texts(tx)
        assert found(tx) == []
        tx.execute(update(metadata.tables["periods"]).values(statement=msgspec.json.encode(made_before).decode()))
        assert [one for one in found(tx) if "periods still has texts" in one]


def test_answers_to_whoever_runs_it_are_given_again_without_texts(full: Ledger) -> None:
    pay_out_and_close(full)
    erase(full)
    with full.read() as tx:
        kept = [idempotency.replay_or_none(tx, "", f"acme {number}", "0" * 64) for number in range(4)]
        told = [msgspec.json.decode(one.body) for one in kept if one is not None]
        assert told[0] == {"id": "acme", "name": "", "timezone": "UTC"}
        assert told[1] == {"id": "grn_1", "account": "acme", "reference": "", "amount": 7}
        assert told[2]["items"][0]["name"] == f"erased-{told[2]['items'][0]['id']}"
        assert (told[3]["user"], told[3]["address"]) == (f"erased-{told[3]['user_id']}", "")
        assert idempotency.replay_or_none(tx, "acme", f"{SECRET} 4", "0" * 64) is None


@pytest.mark.parametrize("steps", [1, 9, 16])
def test_it_can_be_stopped_after_any_step_and_done_again(full: Ledger, steps: int) -> None:
    pay_out_and_close(full)
    done = erase(full, steps=steps)
    with full.read() as tx:
        assert found(tx) == [], f"after {done} steps"
        assert erased_accounts.pending(tx, 9) == ([] if done < steps else ["acme"])
        assert erasures.pending(tx, 9) == erasures.pending(tx, 9)
    erase(full)
    with full.read() as tx:
        assert SECRET not in texts(tx)
        assert found(tx) == []


def test_only_a_closed_account_without_money_is_erased(full: Ledger) -> None:
    with full.begin() as tx, pytest.raises(Conflict, match="close it first"):
        erased_accounts.erase_account(tx, "acme", now=30)
    with full.begin() as tx:
        wallet.deposit(tx, "acme", 7, now=8, currency="USD")
        accounts.change_account(tx, "acme", status="closed", now=21)
        with pytest.raises(Conflict, match=r"0\.000007 USD: pay it out first"):
            erased_accounts.erase_account(tx, "acme", now=30)
        with pytest.raises(UnknownAccount):
            erased_accounts.erase_account(tx, "nobody", now=30)
        with pytest.raises(NotFound):
            erased_accounts.read_erasure(tx, "acme")


def test_a_second_time_changes_nothing_but_has_it_looked_at_again(full: Ledger) -> None:
    pay_out_and_close(full)
    erase(full)
    with full.begin() as tx:
        before = erased_accounts.read_erasure(tx, "acme")
        again = erased_accounts.erase_account(tx, "acme", now=50)
        assert (again.asked_at, again.finished_at, before.finished_at) == (30, None, 40)
        assert erased_accounts.pending(tx, 9) == ["acme"]
        with pytest.raises(AccountErased):
            accounts.require_not_erased(tx, "acme")
        [sender] = senders.list_senders(tx, "acme").items
        with pytest.raises(AccountErased):
            senders.rename_sender(tx, sender.id, "again", now=50)


def test_after_a_restore_all_of_them_are_looked_at_again(full: Ledger) -> None:
    pay_out_and_close(full)
    erase(full)
    with full.begin() as tx:
        erased_accounts.reopen(tx)
        erasures.reopen(tx)
        assert erased_accounts.pending(tx, 9) == ["acme"]
        alone = erasures.pending(tx, 9)
        assert [users.names_of(tx, [one]) for one in alone] == [{one: f"erased-{one}"} for one in alone]
        accounts_of = erasures.accounts_of(tx, alone)
        assert accounts_of == {"beta"}, "those of the account end with it"


def test_a_record_that_lost_its_texts_cannot_be_edited_unseen(full: Ledger) -> None:
    pay_out_and_close(full)
    erase(full)
    with full.begin() as tx:
        number = tx.execute(select(audit_erased.c.number).order_by(audit_erased.c.number).limit(1)).scalar_one()
        record, mark = audit_rows.c.number == number, audit_erased.c.number == number
        for edit in (
            update(audit_rows).where(record).values(after='{"name":"another"}'),
            update(audit_rows).where(record).values(address="192.0.2.99"),
            update(audit_erased).where(mark).values(digest="0" * 64),
            delete(audit_erased).where(mark),
        ):
            saved = tx.begin_nested()
            tx.execute(edit)
            assert any(one.startswith("audit ") for one in found(tx)), edit
            saved.rollback()
        assert found(tx) == []


def test_the_records_keep_who_did_what_with_which_amounts(full: Ledger) -> None:
    with full.read() as tx:
        before = list_records(tx, Filter(account="acme"), limit=1000).items
    pay_out_and_close(full)
    erase(full)
    with full.read() as tx:
        after = list_records(tx, Filter(account="acme"), limit=1000).items[: len(before)]
    for one, other in zip(before, after, strict=True):
        same = ("number", "promise", "at", "credential", "of_account", "door", "action", "subject", "digest")
        assert [getattr(one, name) for name in same] == [getattr(other, name) for name in same]
        assert other.address == "" or other.of_account != "acme"
        for was, left in ((one.before, other.before), (one.after, other.after)):
            assert not was == "" != left
            if was:
                old, now = msgspec.json.decode(was), msgspec.json.decode(left)
                assert {name for name in old if old[name] != now[name]} <= {
                    "name", "reference", "reason", "void_reason", "addresses",
                }  # fmt: skip
