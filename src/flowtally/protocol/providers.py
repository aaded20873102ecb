"""Providers: accounts at vendors, what they say, and how asking them went."""

from __future__ import annotations

import msgspec
from msgspec import UNSET, UnsetType

from flowtally.core.edges import DateOrInstant, Instant
from flowtally.core.reported import Grain, GrantStanding
from flowtally.core.unshown import repr_without
from flowtally.core.words import Owned, ProviderState, PullOutcome, Unit


class VendorSetting(msgspec.Struct, frozen=True):
    """Something that is said when a provider is added.

    meaning: What it is, for people.
    default: What it is where nothing is said; null: it must be said.
    choices: What it may be; empty: any text.
    """

    name: str
    meaning: str
    default: str | None
    choices: list[str]


class VendorInfo(msgspec.Struct, frozen=True):
    """A vendor whose accounts can be connected.

    vendor: Its name here.
    title: Its name for people.
    address: Where it is asked.
    secrets: What it is asked with; kept encrypted, never shown.
    settings: What else is said about the account there.
    every_s: How often its figures move, in seconds: how often it is asked unless the provider says otherwise.
    keeps_days: How many days back it answers; null: it does not say.
    """

    vendor: str
    title: str
    address: str
    secrets: list[VendorSetting]
    settings: list[VendorSetting]
    every_s: int
    keeps_days: int | None


class ProviderRequest(msgspec.Struct, forbid_unknown_fields=True):
    """An account at a vendor to connect.

    name: 1 to 64 small letters, digits, dots, dashes and underscores. It names the series of its figures, so it is
        never another's.
    vendor: Which vendor, by its name here.
    secrets: What the vendor is asked with, by name.
    settings: What else its vendor wants to know, by name.
    since: From when on its usage is wanted: a date is its beginning in UTC. Null: as far back as the vendor answers, at
        most 90 days.
    every_s: Seconds between two pulls; null: as often as its vendor's figures move.
    address: Where it is asked instead of at the vendor's own address. Only credentials of the installation may say it.
    """

    name: str
    vendor: str
    secrets: dict[str, str]
    settings: dict[str, str] = {}
    since: DateOrInstant | None = None
    every_s: int | None = None
    address: str | None = None

    def __repr__(self) -> str:
        return repr_without(self, "secrets")


class ProviderChange(msgspec.Struct, forbid_unknown_fields=True):
    """What is left out stays.

    secrets: New ones, by name; those of other names stay.
    settings: All of them anew; those left out have their defaults.
    every_s: Seconds between two pulls.
    paused: Whether it is asked only when somebody wants it to be.
    address: Where it is asked; null or empty: at the vendor's own address. Only credentials of the installation may say
        it.
    """

    secrets: dict[str, str] | UnsetType = UNSET
    settings: dict[str, str] | UnsetType = UNSET
    every_s: int | UnsetType = UNSET
    paused: bool | UnsetType = UNSET
    address: str | UnsetType | None = UNSET

    def __repr__(self) -> str:
        return repr_without(self, "secrets")


class ProviderAnswer(msgspec.Struct, frozen=True):
    """An account at a vendor. Its secrets are never shown.

    name: Its name, and the series of its figures.
    vendor: Which vendor, by its name here.
    settings: What was said about it, with the defaults.
    secrets: Which secrets it has.
    since: From when on its usage is wanted.
    told_until: Up to when its vendor has told all usage since `told_from`; null: nothing yet.
    state: What the last pull came to. `new`: it was not asked yet. `late`: no answer that could be used; it is asked
        again soon. Or nobody has asked it, an hour after its time. `denied`: the vendor refuses the secrets.
        `changed_shape`: the vendor said what nobody understands.
    state_since: Since when it is so.
    detail: Why, where it is not well.
    failures: How many pulls in a row failed.
    every_s: Seconds between two pulls.
    paused: Whether it is asked only when somebody wants it to be.
    address: Where it is asked instead of at the vendor's own address; null: there.
    tried_at: When it was asked last; null: it was not.
    pulled_at: When that went well last; null: it did not.
    next_at: When it is asked next, or its turn came; null: it is not asked.
    removed_at: When it was removed; null: it was not.
    told_from: From when on its vendor has told all usage up to `told_until`. Later than `since` where it does not
        answer so far back, or has left something out: what is missing before it is not known, and not zero.
    """

    name: str
    account: str
    vendor: str
    settings: dict[str, str]
    secrets: list[str]
    since: Instant
    told_until: Instant | None
    state: ProviderState
    state_since: Instant
    detail: str
    failures: int
    every_s: int
    paused: bool
    address: str | None
    created_at: Instant
    tried_at: Instant | None
    pulled_at: Instant | None
    next_at: Instant | None
    removed_at: Instant | None
    told_from: Instant | None = None


class ProviderCheckAnswer(msgspec.Struct, frozen=True):
    """What a test call came to.

    provider: The name of the provider.
    outcome: As the `state` of a provider.
    detail: Why, where it is not well.
    works: What its secrets can see, a sentence each.
    cannot: What they cannot see.
    """

    provider: str
    outcome: PullOutcome
    detail: str
    works: list[str]
    cannot: list[str]


class PullAnswer(msgspec.Struct, frozen=True):
    """One pull.

    began_at: When it began.
    outcome: What it came to, as the `state` of a provider.
    calls: How many requests the vendor had.
    figures: How many figures it said.
    changed: How many it had said otherwise before, those among them that it says no more.
    """

    began_at: Instant
    ended_at: Instant
    outcome: PullOutcome
    detail: str
    calls: int
    figures: int
    changed: int


class VendorBalance(msgspec.Struct, frozen=True):
    """What a vendor says is left.

    label: Which of its balances.
    quantity: What is counted: bytes, requests, or money in millionths of the currency.
    left: What is left; null: it is not told.
    used: What was used of it; null: it is not told.
    total: What it was; null: it is not told.
    currency: Of money; else empty.
    expires_at: When the first of it ends; null: it does not, or that is not told.
    step: The smallest difference it tells.
    seen_at: Since when it is said so.
    """

    label: str
    quantity: Owned
    left: int | None
    used: int | None
    total: int | None
    currency: str
    expires_at: Instant | None
    step: int
    seen_at: Instant


class VendorGrant(msgspec.Struct, frozen=True):
    """A grant as the vendor lists it.

    order: Its order there.
    kind: What it says the grant is.
    quantity: What it is of: bytes or requests.
    standing: Whether use can still be paid with it.
    left: What is left of it, if it is active.
    created_at: When it was given; null: that cannot be read.
    expires_at: When it ends; null: it does not, or that cannot be read.
    raw_created: When it was given, as the vendor writes it.
    raw_expires: When it ends, as the vendor writes it.
    gone_at: Since when the vendor lists it no more; null: it does.
    """

    id: str
    order: str
    kind: str
    quantity: Unit
    amount: int
    used: int
    left: int
    created_at: Instant | None
    expires_at: Instant | None
    standing: GrantStanding
    raw_created: str
    raw_expires: str
    gone_at: Instant | None


class RunOut(msgspec.Struct, frozen=True):
    """When nothing will be left, if use goes on as in the last days.

    at: When; null: it cannot be said.
    per_day: The pace: bytes or requests in 24 hours of the use that is taken from this balance; null: nothing is known.
    days: Of how many days it is the mean: of the last seven whole ones of the vendor's calendar, those it has told.
    reason: Why it cannot be said; empty where it can.
    balance: Which of the balances is meant; empty: the vendor tells none that use is taken from.
    expires: Whether what is left then expires, before it is used up.
    """

    at: Instant | None
    per_day: int | None
    days: int
    reason: str
    balance: str = ""
    expires: bool = False


class ProviderBalanceAnswer(msgspec.Struct, frozen=True):
    """What a vendor says is left, and when it runs out.

    provider: The name of the provider.
    pulled_at: When it was asked last and that went well; null: never.
    balances: What it says is left, each of its balances.
    run_out: When nothing is left of what use is taken from, at the present pace.
    """

    provider: str
    account: str
    pulled_at: Instant | None
    balances: list[VendorBalance]
    run_out: RunOut


class VendorSubUser(msgspec.Struct, frozen=True):
    """A sub-user as the vendor lists it.

    enabled: Whether it may go on.
    limit: The most it may use, in bytes; null: there is no limit, or that is not told.
    used: What it ever used, in bytes; null: that is not told.
    first_at: When it was listed first.
    gone_at: Since when the vendor lists it no more; null: it does.
    """

    name: str
    enabled: bool
    limit: int | None
    used: int | None
    first_at: Instant
    gone_at: Instant | None


class ProviderStretch(msgspec.Struct, frozen=True):
    """A stretch of time of which a vendor told the usage.

    ends_at: Its end, which no longer belongs to it.
    grain: How long the spans are that it told: hours, days, or from one pull to the next.
    zone: The calendar they are cut by.
    step: The smallest difference of two of its figures, in bytes or requests.
    asked_at: When it was told last.
    """

    starts_at: Instant
    ends_at: Instant
    grain: Grain
    zone: str
    step: int
    asked_at: Instant


class ProviderStretchesAnswer(msgspec.Struct, frozen=True):
    """Of which stretches a vendor told the usage: of all others nothing is known.

    provider: The name of the provider.
    stretches: In order; they do not overlap.
    """

    provider: str
    stretches: list[ProviderStretch]
