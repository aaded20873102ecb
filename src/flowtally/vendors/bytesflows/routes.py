"""BytesFlows' two endpoints over our grants, balance and wallet.

Both print the account's grants in all pools that charge bytes, burnt down as its balance is: `trafficUsed` is what a
grant has paid for, traffic passed on included. So they never say anything but what the native balance says.
"""

from __future__ import annotations

from typing import Final
from zoneinfo import ZoneInfo

import msgspec

from flowtally.answers import account_balance
from flowtally.core import burndown
from flowtally.core.edges import load_zone
from flowtally.ledger.money import wallet
from flowtally.ledger.traffic.grants import Grant
from flowtally.vendors.base import DialectCall, Nothing, Route, declaring
from flowtally.vendors.bytesflows import wire
from flowtally.vendors.bytesflows.parameters import RecordsQuery

_ALL: Final = ("product",)

ROUTES: Final[list[Route]] = []
route = declaring(ROUTES)


class Paid(msgspec.Struct, frozen=True):
    """A grant, and what it has paid for."""

    grant: Grant
    burnt: burndown.GrantBalance

    @property
    def is_active(self) -> bool:
        """A used up grant is still active; one that has not begun is not yet."""
        return self.burnt.state in ("active", "spent")

    @property
    def created_at(self) -> int:
        """As they print it: nothing of theirs pays for use before it was made, so one that is back-dated was made when
        it begins."""
        return min(self.grant.created_at, self.grant.starts_at)


@route(
    "GET",
    wire.ASSET,
    may="balance:read",
    answer=wire.Asset,
    summary="Available traffic and money",
    example=wire.Asset(188_978_561_024, 188_944_515_072, msgspec.Raw(b"0.00"), "USD"),
)
def read_asset(call: DialectCall, given: Nothing) -> wire.Asset:
    """Of all grants that are active now: what they were of, and what is left of them. The wallet's balance."""
    active = [one.burnt for one in paid_grants(call) if one.is_active]
    return wire.Asset(
        sum(one.grant.amount for one in active),
        sum(one.unspent for one in active),
        wire.show_money(wallet.balance_of(call.tx, call.account)),
        call.services.config.currency,
    )


@route(
    "GET",
    "/api/v1/user/traffic/records",
    may="grants:read",
    takes=RecordsQuery,
    answer=wire.Records,
    summary="Grants, and what each has paid for",
    example=wire.Records(
        [
            wire.Record(
                id="123456",
                order_id="ORD-7890",
                source_type="order",
                traffic=1_073_741_824,
                traffic_used=524_288,
                create_time="2026-02-21 20:00:00",
                expire_time="2026-03-21 20:00:00",
                status=1,
            )
        ],
        1,
    ),
)
def list_records(call: DialectCall, given: RecordsQuery) -> wire.Records:
    """Every grant of the account, the latest first."""
    found = [one for one in paid_grants(call) if given.source_type in ("", one.grant.source)]
    found.sort(key=lambda one: (one.created_at // 1000, one.grant.id), reverse=True)  # as it is printed
    page = found[given.page()]
    zone = load_zone(call.settings.timezone)
    return wire.Records([_show(one, zone, call.settings.no_expiry) for one in page], len(found))


def paid_grants(call: DialectCall) -> list[Paid]:
    """All grants of the account that pay for bytes, burnt down as of now by one question to the usage store."""
    usage = call.usage
    given, pools = account_balance.burn_pools(
        call.tx, call.account, call.now, lambda where, edges: usage.sums(edges, where, _ALL)
    )
    burnt = {one.grant.id: one for pool in pools.values() if pool.unit == "bytes" for one in pool.balance.grants}
    return [Paid(grant, burnt[grant.id]) for grant in given if grant.id in burnt]


def _show(one: Paid, zone: ZoneInfo, no_expiry: str) -> wire.Record:
    grant = one.grant
    return wire.Record(
        id=grant.id,
        order_id=grant.reference or grant.id,  # one given by hand has no order: never an empty text
        source_type=grant.source,
        traffic=grant.amount,
        traffic_used=one.burnt.spent,
        create_time=wire.show_time(one.created_at, zone),
        expire_time=no_expiry if grant.expires_at is None else wire.show_time(grant.expires_at, zone),
        status=int(one.is_active),
    )
