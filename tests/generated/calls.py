"""Calls with the client that openapi-python-client makes: URL and token as arguments. Prints what was called.

Run, and checked by mypy, in a folder beside the generated package: see tests/test_generated_clients.py.
"""

from __future__ import annotations

import datetime
import sys
from typing import TypeVar

from flowtally_client import AuthenticatedClient
from flowtally_client.api.accounts import create_account, list_accounts, read_account
from flowtally_client.api.balance import read_balance
from flowtally_client.api.bytes_flows import bytesflows_read_asset
from flowtally_client.api.changes import read_changes
from flowtally_client.api.corrections import send_corrections
from flowtally_client.api.credentials import create_account_credential, read_own_credential
from flowtally_client.api.events import read_event, send_events
from flowtally_client.api.explain import explain_balance
from flowtally_client.api.grants import give_grant
from flowtally_client.api.plans import create_plan
from flowtally_client.api.purchases import create_purchase
from flowtally_client.api.thordata import (
    thordata_create_proxy_user,
    thordata_list_proxy_users,
    thordata_read_traffic_balance,
)
from flowtally_client.api.usage import read_usage
from flowtally_client.api.users import change_user, create_user, list_users
from flowtally_client.api.wallet import create_deposit, read_wallet
from flowtally_client.models import (
    AccountAnswer,
    AccountAnswerStatus,
    AccountPage,
    AccountRequest,
    BalanceAnswer,
    BytesFlowsAssetAnswer,
    ChangesAnswer,
    Correction,
    CorrectionsAnswer,
    CredentialAnswer,
    CredentialRequest,
    CredentialRequestScope,
    DepositRequest,
    EventAnswer,
    EventRef,
    EventsAnswer,
    ExplainAnswer,
    GrantAnswer,
    GrantRequest,
    LimitSetting,
    LimitSettingWindow,
    PlanAnswer,
    PlanRequest,
    Problem,
    PurchaseAnswer,
    PurchaseRequest,
    ReadUsageBucket,
    ThordataCreateUser,
    ThordataCreateUserStatus,
    ThordataTrafficBalance,
    ThordataTrafficBalanceAnswer,
    ThordataUserList,
    ThordataUserListAnswer,
    ThordataWrittenAnswer,
    UsageAnswer,
    UsageEvent,
    UserAnswer,
    UserChange,
    UserChangeStatus,
    UserPage,
    UserRequest,
    WalletAnswer,
    WalletEntryAnswer,
)

T = TypeVar("T")

NOW = datetime.datetime.now(datetime.UTC)
called: list[str] = []


def got(kind: type[T], answer: object, name: str) -> T:
    assert isinstance(answer, kind), f"{name}: {answer}"
    called.append(name)
    return answer


def customers(admin: AuthenticatedClient) -> None:
    made = create_account.sync(client=admin, body=AccountRequest(id="acme", timezone="Europe/Berlin"))
    account = got(AccountAnswer, made, "create_account")
    assert account.status is AccountAnswerStatus.ACTIVE
    assert account.created_at.tzinfo is not None
    second = got(AccountAnswer, create_account.sync(client=admin, body=AccountRequest(id="beta")), "create_account")
    assert (second.id, second.overage.value) == ("beta", "carry")
    assert got(AccountAnswer, read_account.sync("acme", client=admin), "read_account") == account

    page = got(AccountPage, list_accounts.sync(client=admin, limit=1), "list_accounts")
    assert isinstance(page.next_, str)
    rest = got(AccountPage, list_accounts.sync(client=admin, limit=1, cursor=page.next_), "list_accounts")
    assert [one.id for one in (*page.items, *rest.items)] == ["acme", "beta"]

    problem = got(Problem, read_account.sync("nobody", client=admin), "read_account")
    assert (problem.status, problem.code, problem["account"]) == (404, "unknown_account", "nobody")

    granted = give_grant.sync("acme", client=admin, body=GrantRequest(amount=10_000, starts_at=NOW))
    grant = got(GrantAnswer, granted, "give_grant")
    assert (grant.amount, grant.pool, grant.expires_at) == (10_000, "traffic", None)

    limit = LimitSetting(amount=5_000, window=LimitSettingWindow.MONTH)
    asked = UserRequest(name="alice", product="residential", limit=limit)
    user = got(UserAnswer, create_user.sync("acme", client=admin, body=asked), "create_user")
    assert isinstance(user.limit, LimitSetting)
    assert user.limit.amount == 5_000
    change = UserChange(status=UserChangeStatus.DISABLED, limit=None)
    changed = got(UserAnswer, change_user.sync("acme", user.id, client=admin, body=change), "change_user")
    assert (changed.status.value, changed.limit) == ("disabled", None)


def traffic(admin: AuthenticatedClient) -> None:
    events = [
        UsageEvent(source="gw", account="acme", id=id, user="alice", product="residential", time=NOW, bytes_down=3_000)
        for id in ("1", "2", "2")
    ]
    sent = got(EventsAnswer, send_events.sync(client=admin, body=events), "send_events")
    assert (sent.stored, sent.duplicate) == (2, 1)
    assert sent.receipts[0].status.value == "duplicate"
    event = got(EventAnswer, read_event.sync(client=admin, source="gw", id="1"), "read_event")
    assert (event.time is not None, event.bytes_down) == (True, 3_000)

    fix = Correction(id="fix-1", corrects=EventRef(source="gw", id="1"), bytes_down=2_000)
    corrected = got(CorrectionsAnswer, send_corrections.sync(client=admin, body=[fix]), "send_corrections")
    assert corrected.stored == 1

    today = NOW.date()
    found = read_usage.sync(
        "acme",
        client=admin,
        from_=today - datetime.timedelta(days=2),
        to=today + datetime.timedelta(days=2),
        bucket=ReadUsageBucket.TOTAL,
        by=["user", "product"],
    )
    usage = got(UsageAnswer, found, "read_usage")
    assert usage.total.bytes_ == 5_000
    [row] = usage.rows
    assert (row.user, row.product, row.bytes_) == ("alice", "residential", 5_000)
    assert row.start < NOW < row.end

    balance = got(BalanceAnswer, read_balance.sync("acme", client=admin), "read_balance")
    pool = balance.pools["traffic"]
    assert (pool.granted, pool.spent, pool.left) == (10_000, 5_000, 5_000)
    why = got(ExplainAnswer, explain_balance.sync("acme", client=admin), "explain_balance")
    assert why.pools["traffic"].used == 5_000
    users = got(UserPage, list_users.sync("acme", client=admin, usage=True), "list_users")
    assert users.items[0].used is not None
    changes = got(ChangesAnswer, read_changes.sync(client=admin, account="acme"), "read_changes")
    assert sum(one.bytes_ for one in changes.items) == 5_000


def money(admin: AuthenticatedClient) -> None:
    asked = PlanRequest(name="10 KB", amount=10_000, price_micros=2_500_000, days=30)
    plan = got(PlanAnswer, create_plan.sync(client=admin, body=asked), "create_plan")
    paid = create_deposit.sync("acme", client=admin, body=DepositRequest(amount_micros=10_000_000))
    assert got(WalletEntryAnswer, paid, "create_deposit").kind.value == "deposit"
    bought = create_purchase.sync("acme", client=admin, body=PurchaseRequest(plan=plan.id), idempotency_key="once")
    purchase = got(PurchaseAnswer, bought, "create_purchase")
    assert isinstance(purchase.expires_at, datetime.datetime)
    assert got(WalletAnswer, read_wallet.sync("acme", client=admin), "read_wallet").balance_micros == 7_500_000


def dialects(admin: AuthenticatedClient, url: str) -> None:
    asked = CredentialRequest(scope=CredentialRequestScope.MANAGE, name="shop")
    made = create_account_credential.sync("acme", client=admin, body=asked)
    credential = got(CredentialAnswer, made, "create_account_credential")
    token = str(credential.token)
    own = AuthenticatedClient(base_url=url, token=token)
    assert got(CredentialAnswer, read_own_credential.sync(client=own), "read_own_credential").account == "acme"
    asset = got(BytesFlowsAssetAnswer, bytesflows_read_asset.sync(client=own), "bytesflows_read_asset")
    assert asset.data.total_traffic == 20_000

    both = {"key": str(credential.key)}  # the dialect's second secret, beside the token
    shop = AuthenticatedClient(base_url=url, token=token, prefix="", auth_header_name="token", headers=both)
    new = ThordataCreateUser(
        username="user123", password="password123", traffic_limit="100", status=ThordataCreateUserStatus.TRUE
    )
    written = thordata_create_proxy_user.sync(client=shop, body=new)
    assert got(ThordataWrittenAnswer, written, "thordata_create_proxy_user").code == 200
    listed = got(ThordataUserListAnswer, thordata_list_proxy_users.sync(client=shop), "thordata_list_proxy_users")
    assert isinstance(listed.data, ThordataUserList)
    assert {one.username for one in listed.data.list_ or []} == {"alice", "user123"}
    left = thordata_read_traffic_balance.sync(client=shop)
    answer = got(ThordataTrafficBalanceAnswer, left, "thordata_read_traffic_balance")
    assert isinstance(answer.data, ThordataTrafficBalance)


def main(url: str, token: str) -> None:
    admin = AuthenticatedClient(base_url=url, token=token)
    customers(admin)
    traffic(admin)
    money(admin)
    dialects(admin, url)
    print(*called)


if __name__ == "__main__":
    main(*sys.argv[1:])
