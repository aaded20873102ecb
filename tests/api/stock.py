"""Two accounts with three of everything, for tests of lists; made once for a module: see tests/filling.py."""

from __future__ import annotations

from typing import Any, Final, NamedTuple

from tests.conftest import NOW
from tests.filling import Filled
from tests.usage.blocks import block

from flowtally.core.reported import GrantSaid, SubUserSaid
from flowtally.ledger.messages import outbox, webhooks
from flowtally.ledger.providers import connected, kept, pulls, said, shadows

DAY_MS: Final = 86_400_000
PLACES: Final = [
    {"country": country, "state": state, "city": city, "asn": n, "asn_name": f"Net {n}"}
    for country, state in (("US", "alabama"), ("DE", "berlin"), ("AD", None))
    for n, city in enumerate(("Ash", "Birch", "Cedar"), 1)
]
ACCOUNTS: Final = ("acme", "globex")


class Stock(NamedTuple):
    """`names`: of each account, what stands for the names in a path."""

    filled: Filled
    names: dict[str, dict[str, str]]


def stock(filled: Filled) -> Stock:
    filled.clock.at = NOW + 60 * DAY_MS
    write(filled, "/v1/accounts", {"id": "third"})
    for product in ("residential", "mobile", "isp"):
        write(filled, f"/v1/places/{product}", PLACES, "PUT")
    for account in ACCOUNTS:
        write(filled, "/v1/accounts", {"id": account, "carry_from": "2025-01-01T00:00:00Z"})
    for n in range(4):
        write(filled, "/v1/plans", {"id": f"plan{n}", "name": "P", "amount": 1, "price_micros": 1})
        offered = {"product": ("residential", "mobile")[n % 2], "host": "a.example", "first_port": n + 1}
        write(filled, "/v1/gateways", offered)
    write(filled, "/v1/plans/plan3/retire", {})
    for n in range(4):
        write(
            filled, "/v1/lease-plans", {"id": f"isp{n}", "kind": ("isp", "other")[n % 2], "days": 30, "price_micros": 1}
        )
    write(filled, "/v1/lease-plans/isp3/retire", {})
    for n in range(7):
        write(
            filled,
            "/v1/stock",
            {"kind": ("isp", "other")[n // 6], "address": f"192.0.2.{n}", "country": ("US", "DE")[n % 2]},
        )
    return Stock(filled, {account: stock_account(filled, account) for account in ACCOUNTS})


def stock_account(filled: Filled, account: str) -> dict[str, str]:
    of = f"/v1/accounts/{account}"
    for n in range(3):
        write(filled, f"{of}/grants", {"amount": 1_000_000})
        write(filled, f"{of}/wallet/deposits", {"amount_micros": 100})
        write(filled, f"{of}/purchases", {"plan": f"plan{n}"})
        write(filled, f"{of}/check-ins")
        write(filled, f"{of}/credentials", {"scope": "account"})
        write(filled, f"{of}/credentials", {"scope": "ingest"})
        write(filled, f"{of}/periods", {"from": f"2026-0{n + 1}-01", "to": f"2026-0{n + 1}-11"})
        filled.clock.at += DAY_MS
    for name in (f"{short} of {account}" for short in ("fay", "gus", "hal", "ida")):
        user = {"name": name, "funded": True, "product": "residential", "limit": {"amount": 0}}
        write(filled, f"{of}/users", user)
        for n in range(3):
            write(filled, f"{of}/users/{name}/allocations", {"amount": 10 + n})
            write(filled, f"{of}/users/{name}/whitelist/traffic/192.0.2.{n}", {}, "PUT")
            write(filled, f"{of}/whitelist/{('traffic', 'mobile')[n % 2]}/192.0.2.{n}", {}, "PUT")
    write(filled, f"{of}/users/ida of {account}", method="DELETE")
    for made in write(filled, f"{of}/vouchers", {"amount": 1, "count": 6})["items"][:3]:
        write(filled, f"{of}/vouchers/{made['id']}/revoke")
    connect(filled, account)
    item, leased = lease(filled, account)
    hook, ours = listen(filled, account)
    first = write(filled, f"{of}/periods", method="GET")["items"][0]["id"]
    for day in range(2, 7):
        at, last = NOW + len(filled.usage.rows) * 1_000, filled.usage.published().block
        late = [{"account": one, "time": NOW - (75 - day) * DAY_MS} for one in (account, "third")]
        filled.usage.append(block(last + (1 if day % 2 else 10**12), *late, received_at=at))
    return {
        "account": account,
        "user": f"fay of {account}",
        "period": first,
        "provider": f"thor-{account}",
        "product": "mobile",
        "stock": item,
        "lease": leased,
        "webhook": hook,
        "ours": ours,
    }


def lease(filled: Filled, account: str) -> tuple[str, str]:
    """Leases of one address after the other, and one of it that is held; which it is, and which lease. Of that one much
    is asked, and users are bound to it."""
    of = f"/v1/accounts/{account}/leases"
    free = write(filled, "/v1/stock?kind=isp&status=free", method="GET")["items"]
    for item in [free[0]["id"]] * 3:
        made = write(filled, f"{of}/give", {"stock": item})["leases"][0]["id"]
        write(filled, f"{of}/{made}/release")
    for one in free[:3]:
        held = write(filled, f"{of}/give", {"stock": one["id"]})["leases"][0]["id"]
    for n in range(4):
        asked = write(filled, f"{of}/{held}/actions", {"what": f"what{n}", "expires_in_s": 604_800})["id"]
        if n % 2:
            write(filled, f"/v1/actions/{asked}/answer", {"outcome": "done"})
    for short in ("fay", "gus", "hal"):
        write(filled, f"{of}/{held}/users/{short} of {account}", method="PUT")
    return str(free[0]["id"]), held


def listen(filled: Filled, account: str) -> tuple[str, str]:
    """Webhooks of the account and the operator's, one of each removed, with messages of which some are dead; which
    they are."""
    found = []
    for path in (f"/v1/accounts/{account}/webhooks", "/v1/webhooks"):
        made = [write(filled, path, {"url": f"https://{n}.example"})["id"] for n in range(4)]
        write(filled, f"{path}/{made[3]}", method="DELETE")
        found.append(made[0])
    at = filled.clock.at
    with filled.client.app.state.services.ledger.begin() as tx:
        for n in range(6):
            outbox.put(tx, f"{account} {n}", "balance.low", {"n": n}, account=account, now=at)
            if n == 2:
                for one in found:
                    webhooks.give_up(tx, one, "nobody is there")
    return found[0], found[1]


def connect(filled: Filled, account: str) -> None:
    """Providers, one of them removed; and what a vendor listed of the first, in part no more."""
    for name in ("thor", "odin", "freya", "loki"):
        asked = {"name": f"{name}-{account}", "vendor": "whitepages", "secrets": {"key": "aaaa-bbbb"}}
        write(filled, f"/v1/accounts/{account}/providers", asked)
    write(filled, f"/v1/accounts/{account}/providers/loki-{account}", method="DELETE")
    at = filled.clock.at
    with filled.client.app.state.services.ledger.begin() as tx:
        provider = connected.read_provider(tx, f"thor-{account}")
        for least in (0, 1):
            numbers = range(least, 5)
            grants = [GrantSaid(str(n), "", "order", "bytes", 9, n, None, None, "active") for n in numbers]
            said.put_grants(tx, provider, grants, {}, now=at)
            said.put_sub_users(tx, provider, [SubUserSaid(f"user{n}", True) for n in numbers], now=at)
        for _ in range(4):
            pulls.end_pull(tx, provider, "late", began_at=at, next_at=at, now=at)
            kept.keep_reconciliation(
                tx, provider, starts_at=0, ends_at=at, block=1, match="beyond", answer="{}", now=at
            )
        for dialect in ("whitepages", "thordata") * 2:  # whichever provider was asked
            one = shadows.Shadowed(account, dialect, provider.id, "GET /", at, "differed", "", "{}", "1", "2", (), 1)
            shadows.keep_asked(tx, [one], now=at)


def write(filled: Filled, path: str, body: Any = None, method: str = "POST") -> Any:
    answer = filled.client.request(method, path, json=body)
    assert answer.is_success, (path, answer.text)
    return answer.json()
