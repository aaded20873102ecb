"""What is in stock, for how much it is leased, and who holds it."""

from __future__ import annotations

import msgspec
from msgspec import UNSET, UnsetType

from flowtally.core.edges import Instant
from flowtally.core.unshown import repr_without
from flowtally.core.words import LeaseState, LeaseStep, PlanStatus, StockState


class StockRequest(msgspec.Struct, forbid_unknown_fields=True):
    """An address or a server that can be leased.

    kind: Such as `isp`, `datacenter` or `unlimited`: small letters, digits, `_` and `-`.
    address: An IP address or a host name.
    port: Where it listens; null: any.
    username: What its holder logs in with.
    password: What its holder logs in with. It is kept encrypted.
    name: The name of its host, where it has one beside the address.
    country: Its country, as you write it for your customers.
    state: The part of the country.
    region: The name of the place where it stands, such as `na-siliconvalley`.
    cpu_cores: How many CPUs a server has.
    memory_mib: How much memory a server has, in MiB.
    bandwidth_mbps: How fast it may be, in millions of bits a second.
    """

    kind: str
    address: str
    port: int | None = None
    username: str = ""
    password: str | None = None
    name: str = ""
    country: str = ""
    state: str = ""
    city: str = ""
    region: str = ""
    cpu_cores: int | None = None
    memory_mib: int | None = None
    bandwidth_mbps: int | None = None

    def __repr__(self) -> str:
        return repr_without(self, "password")


class StockChange(msgspec.Struct, forbid_unknown_fields=True):
    """What is to be changed; what is left out stays.

    password: Another password; null: none.
    """

    username: str | UnsetType = UNSET
    password: str | UnsetType | None = UNSET
    name: str | UnsetType = UNSET
    country: str | UnsetType = UNSET
    state: str | UnsetType = UNSET
    city: str | UnsetType = UNSET
    region: str | UnsetType = UNSET
    cpu_cores: int | UnsetType | None = UNSET
    memory_mib: int | UnsetType | None = UNSET
    bandwidth_mbps: int | UnsetType | None = UNSET

    def __repr__(self) -> str:
        return repr_without(self, "password")


class StockLine(StockRequest, forbid_unknown_fields=True):
    """One line of an import.

    line: Where it stands in your file, which errors name; null: its place in the list.
    """

    line: int | None = None


class StockImportRequest(msgspec.Struct, forbid_unknown_fields=True):
    """Everything that is put into stock at once.

    items: 1 to 50,000 lines.
    """

    items: list[StockLine]


class StockImportAnswer(msgspec.Struct, frozen=True):
    """What was put into stock.

    count: How many lines were taken.
    ids: The id of each, in the order of the lines.
    """

    count: int
    ids: list[str]


class StockAnswer(msgspec.Struct, frozen=True):
    """An address or a server in stock.

    port: Where it listens; null: any.
    name: The name of its host.
    state: The part of the country.
    region: The name of the place where it stands.
    cpu_cores: How many CPUs a server has; null: not said.
    memory_mib: How much memory a server has, in MiB; null: not said.
    bandwidth_mbps: How fast it may be, in millions of bits a second; null: not said.
    status: `leased`: somebody holds it; `kept`: the lease has ended, and its holder may still renew it.
    free_at: From when on it is free, as its leases stand; null: it has none, or one without an end.
    changed_at: When it was changed last.
    retired_at: When it was taken out of stock; null: it was not.
    """

    id: str
    kind: str
    address: str
    port: int | None
    username: str
    has_password: bool
    name: str
    country: str
    state: str
    city: str
    region: str
    cpu_cores: int | None
    memory_mib: int | None
    bandwidth_mbps: int | None
    status: StockState
    free_at: Instant | None
    created_at: Instant
    changed_at: Instant
    retired_at: Instant | None


class LeasePlanRequest(msgspec.Struct, forbid_unknown_fields=True):
    """A plan to lease by.

    kind: Which kind of stock it is for.
    days: For how many times 24 hours.
    country: Only what is there; empty: anywhere. So are `state`, `city` and `region`.
    cpu_cores: Only servers of that size; null: any. So are `memory_mib` and `bandwidth_mbps`.
    id: The id it shall have; null: one is made.
    name: A name for people to read; null: one is made of kind and days.
    """

    kind: str
    days: int
    price_micros: int
    country: str = ""
    state: str = ""
    city: str = ""
    region: str = ""
    cpu_cores: int | None = None
    memory_mib: int | None = None
    bandwidth_mbps: int | None = None
    id: str | None = None
    name: str | None = None


class LeasePlanAnswer(msgspec.Struct, frozen=True):
    """A plan to lease by. A retired plan is no longer sold.

    kind: Which kind of stock it is for.
    days: For how many times 24 hours.
    country: Only what is there; empty: anywhere. So are `state`, `city` and `region`.
    cpu_cores: Only servers of that size; null: any. So are `memory_mib` and `bandwidth_mbps`.
    status: Whether it is sold.
    retired_at: When it was retired; null: it was not.
    """

    id: str
    name: str
    kind: str
    days: int
    price_micros: int
    currency: str
    country: str
    state: str
    city: str
    region: str
    cpu_cores: int | None
    memory_mib: int | None
    bandwidth_mbps: int | None
    status: PlanStatus
    created_at: Instant
    retired_at: Instant | None


class LeaseRequest(msgspec.Struct, forbid_unknown_fields=True):
    """What to lease.

    plan: The plan to lease by.
    count: How many.
    stock: Which ones, by their ids; empty: those that were free for longest.
    country: Only what is there; empty: anywhere. So are `state`, `city` and `region`.
    auto_renew: Whether they are renewed by themselves before they end, paid from the wallet.
    """

    plan: str
    count: int = 1
    stock: list[str] = []
    country: str = ""
    state: str = ""
    city: str = ""
    region: str = ""
    auto_renew: bool = False


class GivenLeaseRequest(msgspec.Struct, forbid_unknown_fields=True):
    """What an account may have for nothing.

    stock: Which address or server.
    plan: The plan that says when it ends, and by which it is renewed; null: none.
    starts_at: Since when it has it; null: from now on.
    ends_at: When it ends, where no plan says so; null: it has no end.
    auto_renew: Whether it is renewed by itself before it ends, by the plan, paid from the wallet.
    """

    stock: str
    plan: str | None = None
    starts_at: Instant | None = None
    ends_at: Instant | None = None
    auto_renew: bool = False


class LeaseChange(msgspec.Struct, forbid_unknown_fields=True):
    """What changes of a lease.

    auto_renew: Whether it is renewed by itself before it ends, by the plan it has, paid from the wallet.
    """

    auto_renew: bool


class LeaseRenewal(msgspec.Struct, forbid_unknown_fields=True):
    """How to go on with a lease.

    plan: The plan for the time after its end; null: the one it has.
    free: Whether nobody pays for it; only for whoever may give grants (`grants:write`).
    """

    plan: str | None = None
    free: bool = False


class LeaseUpgrade(msgspec.Struct, forbid_unknown_fields=True):
    """How large a lease is to be.

    plan: A plan for a larger size.
    free: Whether nobody pays for it; only for whoever may give grants (`grants:write`).
    """

    plan: str
    free: bool = False


class LeaseAnswer(msgspec.Struct, frozen=True):
    """A lease, with what it is of.

    stock: The id of what it is of.
    plan: The plan by which it is renewed; null: none.
    port: Where it listens; null: any.
    has_password: Whether there is a password, which a route of its own tells.
    name: The name of its host.
    state: The part of the country.
    region: The name of the place where it stands.
    cpu_cores: How many CPUs of the server the lease is for; null: not said.
    memory_mib: How much of its memory, in MiB; null: not said.
    bandwidth_mbps: How fast, in millions of bits a second; null: not said.
    status: `grace`: it has ended and can still be renewed; `ended`: it is over.
    ends_at: When it ends; null: it has no end.
    renewable_until: Until when it can be renewed; null: it has no end, or was released.
    released_at: When it was released; null: it was not.
    auto_renew: Whether it is renewed by itself within the last hour before it ends, paid from the wallet.
    """

    id: str
    account: str
    stock: str
    plan: str | None
    kind: str
    address: str
    port: int | None
    username: str
    has_password: bool
    name: str
    country: str
    state: str
    city: str
    region: str
    cpu_cores: int | None
    memory_mib: int | None
    bandwidth_mbps: int | None
    status: LeaseState
    starts_at: Instant
    ends_at: Instant | None
    renewable_until: Instant | None
    released_at: Instant | None
    created_at: Instant
    auto_renew: bool = False


class LeaseOrderAnswer(msgspec.Struct, frozen=True):
    """What was done to some leases at once.

    what: What was done.
    price_micros: What all of it costs together, in millionths of the currency.
    transfer: The id of the wallet's entry that paid for it; null: nobody paid.
    leases: As they are now.
    """

    id: str
    account: str
    what: LeaseStep
    price_micros: int
    currency: str
    transfer: str | None
    created_at: Instant
    leases: list[LeaseAnswer]


class LeaseTermAnswer(msgspec.Struct, frozen=True):
    """What happened to a lease.

    number: The first is 1.
    what: What happened.
    order: The id of the order that it was part of.
    plan: The plan by which it happened; null: none.
    starts_at: From when on the price is for.
    ends_at: Until when the price is for; null: it has no end.
    price_micros: What the plan costs for that time, in millionths of the currency.
    transfer: The id of the wallet's entry that paid for the order; null: nobody paid.
    """

    number: int
    what: LeaseStep
    order: str
    plan: str | None
    starts_at: Instant
    ends_at: Instant | None
    price_micros: int
    currency: str
    transfer: str | None
    created_at: Instant


class HolderAnswer(msgspec.Struct, frozen=True):
    """Who had an address or a server, and when.

    lease: The id of the lease.
    until: Since when the account has it no more, or will have it no more; null: the lease has no end.
    status: `grace`: it has ended and can still be renewed; `ended`: it is over.
    """

    account: str
    lease: str
    starts_at: Instant
    until: Instant | None
    status: LeaseState


class LeasePasswordAnswer(msgspec.Struct, frozen=True):
    """What the holder of a lease logs in with."""

    account: str
    lease: str
    username: str
    password: str

    def __repr__(self) -> str:
        return repr_without(self, "password")
