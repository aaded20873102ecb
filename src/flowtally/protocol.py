"""The HTTP messages of our own API, shared by `api/`, `client/`, `agents/` and `cli/`.

Instants are RFC 3339 text, quantities whole numbers (bytes, requests), money never appears here.
"""

from __future__ import annotations

from typing import Annotated, Final, Literal

import msgspec
from msgspec import UNSET, Meta, UnsetType

from flowtally.corrections import EventRef, Quantities
from flowtally.events import UsageEvent as PlainEvent

__all__ = ["PlainEvent"]

MAX_EVENTS: Final = 100_000  # per request
MAX_BODY_BYTES: Final = 64 * 1024 * 1024  # decompressed, per request
DEFAULT_DURATION_S: Final = 90 * 86_400  # of what a voucher is redeemed into

ReceiptStatus = Literal["stored", "duplicate", "conflict", "refused"]
Bucket = Literal["15m", "hour", "day", "week", "month", "total"]
Scope = Literal["ingest", "account", "manage", "admin"]
VoucherStatus = Literal["unused", "used", "revoked"]
GrantState = Literal["pending", "active", "spent", "expired", "voided"]


class Receipt(msgspec.Struct, frozen=True, omit_defaults=True):
    """What became of one event of a request; `index` counts from 0 within the request."""

    index: int
    source: str
    id: str
    status: ReceiptStatus
    code: str = ""
    detail: str = ""


class EventsAnswer(msgspec.Struct, frozen=True):
    """Counts over all events of the request; `receipts` lists all but the stored ones unless asked for."""

    stored: int
    duplicate: int
    conflict: int
    refused: int
    receipts: list[Receipt]


class SourceAnswer(msgspec.Struct, frozen=True):
    """Where to resume a numbered source: `sequence` is its mark (0 before the first), None for a named source."""

    source: str
    sequence: int | None
    position: str | None


class CorrectionReceipt(msgspec.Struct, frozen=True, omit_defaults=True):
    """What became of one correction of a request. `added` is what it adds to the event (negative: takes away), `before`
    and `after` what the event stood at; a duplicate tells what it did the first time. An adjustment only adds."""

    index: int
    source: str
    id: str
    status: ReceiptStatus
    code: str = ""
    detail: str = ""
    added: Quantities | None = None
    before: Quantities | None = None
    after: Quantities | None = None


class CorrectionsAnswer(msgspec.Struct, frozen=True):
    """Counts over all corrections of the request, and a receipt for each."""

    stored: int
    duplicate: int
    conflict: int
    refused: int
    receipts: list[CorrectionReceipt]


class EventCorrection(msgspec.Struct, frozen=True):
    """One correction of an event, as stored: its own key, what it added, what the event stood at from then on."""

    source: str
    id: str
    received_at: str
    reason: str
    block: int
    added: Quantities
    after: Quantities


class EventAnswer(msgspec.Struct, frozen=True):
    """An event and what happened to it. `sequence` is None for a named source; `user_id` never changes. `bytes_up`,
    `bytes_down` and `requests` are as received; `sum` is what it stands at with its `corrections`, in their order.

    Or, by its own key, a correction of the event it `corrects`, dated and grouped like it, or a free adjustment: the
    quantities are what it added (negative: took away), with its `reason`; it has no `sum`."""

    source: str
    id: str
    sequence: int | None
    status: ReceiptStatus
    code: str
    detail: str
    series: str
    account: str
    user: str
    user_id: str
    product: str
    time: str | None
    received_at: str | None
    bytes_up: int
    bytes_down: int
    requests: int
    http_status: int
    labels: dict[str, str]
    block: int | None
    corrections: list[EventCorrection] = []
    sum: Quantities | None = None
    kind: Literal["use", "correction", "adjustment"] = "use"
    corrects: EventRef | None = None
    reason: str = ""


class CommitAnswer(msgspec.Struct, frozen=True):
    """A block and the instant it was received."""

    block: int
    received_at: str


class AsOf(msgspec.Struct, frozen=True):
    """The past moment of an answer: rows up to `block`, promises up to `instant`. `earliest` is the first commit whose
    rows are kept, which is how far back can be asked; None before the first event."""

    block: int
    instant: str
    earliest: CommitAnswer | None


class Totals(msgspec.Struct, frozen=True):
    bytes_up: int
    bytes_down: int
    bytes: int
    requests: int


class UsageAnswer(msgspec.Struct, frozen=True, omit_defaults=True):
    """`rows` carry `start`, `end` (end excluded, RFC 3339 in the asked zone), quantities and what `by` named. `as_of`
    only where it was asked for."""

    account: str
    start: str = msgspec.field(name="from")
    end: str = msgspec.field(name="to")
    timezone: str
    bucket: Bucket
    rows: list[dict[str, str | int | None]]
    total: Totals
    as_of: AsOf | None = None


class OverallUsageAnswer(msgspec.Struct, frozen=True, omit_defaults=True):
    """The same over all accounts, or those asked for. With `top` every row has `others`: 0 for a group of its own,
    else how many groups it sums up, whose names are null."""

    accounts: list[str] | None
    start: str = msgspec.field(name="from")
    end: str = msgspec.field(name="to")
    timezone: str
    bucket: Bucket
    rows: list[dict[str, str | int | None]]
    total: Totals
    as_of: AsOf | None = None


class Change(msgspec.Struct, frozen=True):
    """What one commit did to one account: how many rows of each kind (`late`: use dated before `late_before`), from
    when to when they are dated (both included), and what they add; negative takes away."""

    block: int
    received_at: str
    series: str
    account: str
    use: int
    late: int
    corrections: int
    adjustments: int
    earliest: str
    latest: str
    bytes_up: int
    bytes_down: int
    bytes: int
    requests: int


class ChangesAnswer(msgspec.Struct, frozen=True):
    """Changes in the order they were committed. Ask again with `since` = `next`, at once where there are `more`."""

    late_before: str
    items: list[Change]
    next: str
    more: bool


class PoolBalance(msgspec.Struct, frozen=True):
    """One pool of an account: granted = spent + left + pending + expired + voided, all in `unit`."""

    unit: Literal["bytes", "requests"]
    granted: int
    spent: int
    left: int
    pending: int
    expired: int
    voided: int
    overage: int
    credit: int
    drawn: int = (
        0  # passed on to funded users or set aside in vouchers: paid like use, so part of spent (or of overage)
    )


class GrantAnswer(msgspec.Struct, frozen=True):
    """A grant as given; `spent`, `left` and `state` are only known where a balance was computed."""

    id: str
    account: str
    pool: str
    amount: int
    source: str
    reference: str
    priority: int
    starts_at: str
    expires_at: str | None
    created_at: str
    voided_at: str | None
    spent: int | None = None
    left: int | None = None
    state: GrantState | None = None


class BalanceAnswer(msgspec.Struct, frozen=True, omit_defaults=True):
    """`as_of` only where it was asked for."""

    account: str
    at: str
    pools: dict[str, PoolBalance]
    grants: list[GrantAnswer]
    as_of: AsOf | None = None


class Paid(msgspec.Struct, frozen=True, omit_defaults=True):
    """`amount` paid at `at` for the use of a span, or for a draw. Among a grant's, `start` and `end` say for which
    span; among a span's, `grant` says by which grant (none: by credit)."""

    at: str
    amount: int
    grant: str = ""
    start: str = ""
    end: str = ""
    draw: str = ""


class Unpaid(msgspec.Struct, frozen=True):
    """What no grant paid: `open` waits for the next grant, `before_carry` never will be paid, `forgiven`."""

    fate: Literal["open", "before_carry", "forgiven"]
    amount: int


class Behind(msgspec.Struct, frozen=True):
    """One row behind a figure: an event, a correction of the event `corrects`, or an adjustment. `amount` is what it
    adds, in the pool's unit."""

    kind: str
    source: str
    id: str
    corrects: EventRef | None
    time: str
    received_at: str
    user: str
    user_id: str
    product: str
    amount: int
    reason: str
    block: int


class SpanExplained(msgspec.Struct, frozen=True):
    """used = events + corrections + adjustments = what is `paid` + `unpaid`, or, where it is negative, minus what it
    adds to the credit. `rows` counts all rows; `largest` lists those that count most, in the largest spans only."""

    start: str
    end: str
    used: int
    events: int
    corrections: int
    adjustments: int
    rows: int
    paid: list[Paid]
    unpaid: list[Unpaid]
    credit: int
    largest: list[Behind]


class DrawExplained(msgspec.Struct, frozen=True):
    """Traffic that left without being used, and what paid for it."""

    draw: str
    at: str
    amount: int
    paid: list[Paid]
    unpaid: list[Unpaid]


class GrantExplained(msgspec.Struct, frozen=True):
    """amount = spent + unspent, and spent = what it `paid`."""

    grant: GrantAnswer
    unspent: int
    paid: list[Paid]


class PoolExplained(msgspec.Struct, frozen=True):
    """used + drawn = spent + overage + forgiven - credit; the spans' `used` add up to `used`, the grants' `spent` to
    `spent`, the open and before_carry `unpaid` to `overage`. `overage_before_carry` is a part of it."""

    balance: PoolBalance
    used: int
    drawn: int
    forgiven: int
    overage_before_carry: int
    grants: list[GrantExplained]
    spans: list[SpanExplained]
    draws: list[DrawExplained]


class ExplainAnswer(msgspec.Struct, frozen=True, omit_defaults=True):
    """How a balance came about, with all that was committed up to `block`. `user` and `user_id` only where it is a
    user's: its allocations are the grants, their amounts less what was taken back."""

    account: str
    at: str
    block: int
    pools: dict[str, PoolExplained]
    user: str = ""
    user_id: str = ""


class AccountRequest(msgspec.Struct, forbid_unknown_fields=True):
    """`id` is made when missing; `carry_from` defaults to now; `overage` is fixed at creation."""

    id: str | None = None
    name: str = ""
    timezone: str = "UTC"
    carry_from: str | None = None
    overage: Literal["carry", "forgive"] = "carry"


class AccountChange(msgspec.Struct, forbid_unknown_fields=True):
    """What may change later: nothing that would alter past balances."""

    name: str | None = None
    timezone: str | None = None
    status: Literal["active", "suspended", "closed"] | None = None


class AccountAnswer(msgspec.Struct, frozen=True):
    id: str
    name: str
    timezone: str
    status: str
    carry_from: str
    overage: str
    created_at: str


class GrantRequest(msgspec.Struct, forbid_unknown_fields=True):
    """`amount` in the pool's unit; `starts_at` defaults to now, back-dating needs an admin credential."""

    amount: int
    pool: str = "traffic"
    source: str = "manual"
    reference: str = ""
    priority: int = 100
    starts_at: str | None = None
    expires_at: str | None = None


class CredentialRequest(msgspec.Struct, forbid_unknown_fields=True):
    scope: Scope = "account"
    name: str = ""


class CredentialAnswer(msgspec.Struct, frozen=True, omit_defaults=True):
    """`token` and `key` are present only in the answer that creates the credential."""

    id: str
    scope: Scope
    account: str | None
    name: str
    created_at: str
    revoked_at: str | None
    token: str | None = None
    key: str | None = None


class LimitSetting(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """At most `amount` of `unit` in each `window` of the account's calendar. A limit never pays, it only refuses."""

    amount: int
    unit: Literal["bytes", "requests"] = "bytes"
    window: Literal["lifetime", "day", "month"] = "lifetime"


class UserRequest(msgspec.Struct, forbid_unknown_fields=True):
    """`funded` is fixed when the user is made: its use is paid from its own purse only."""

    name: str
    product: str | None = None
    limit: LimitSetting | None = None
    funded: bool = False
    status: Literal["active", "disabled"] = "active"
    password: str | None = None


class UserChange(msgspec.Struct, forbid_unknown_fields=True):
    """What is left out stays; null takes a product, limit or password away."""

    name: str | UnsetType = UNSET
    product: str | UnsetType | None = UNSET
    limit: LimitSetting | UnsetType | None = UNSET
    status: Literal["active", "disabled"] | UnsetType = UNSET
    password: str | UnsetType | None = UNSET


class UserAnswer(msgspec.Struct, frozen=True):
    """`managed`: somebody made or changed it; the others are only known from traffic. Passwords are never shown here.
    `used`: all it ever used, only in a list that was asked for it."""

    id: str
    account: str
    name: str
    created_at: str
    product: str | None = None
    status: Literal["active", "disabled", "deleted"] = "active"
    funded: bool = False
    limit: LimitSetting | None = None
    has_password: bool = False
    managed: bool = False
    erased_at: str | None = None
    used: Totals | None = None


class PasswordAnswer(msgspec.Struct, frozen=True):
    """A user's password, in clear."""

    account: str
    user_id: str
    user: str
    password: str

    def __repr__(self) -> str:
        return f"PasswordAnswer(account={self.account!r}, user_id={self.user_id!r}, user={self.user!r}, password='...')"


class ErasureAnswer(msgspec.Struct, frozen=True):
    """`pending` until nothing that flowtally keeps holds the name or a label of the user: `step`, `done` of `total` and
    `detail` (why it stopped, where it did) are then of the work on all pending erasures."""

    account: str
    user_id: str
    user: str
    state: Literal["pending", "finished"]
    asked_at: str
    finished_at: str | None = None
    step: str = ""
    done: int = 0
    total: int = 0
    detail: str = ""


class NameAnswer(msgspec.Struct, frozen=True):
    """What a user was called, and until when (excluded; null: still). Null `from`: since ever."""

    name: str
    start: str | None = msgspec.field(name="from")
    end: str | None = msgspec.field(name="to")


class AllocationRequest(msgspec.Struct, forbid_unknown_fields=True):
    """`amount` in the pool's unit; what is not spent of it at `expires_at` is lost."""

    amount: int
    pool: str = "traffic"
    expires_at: str | None = None


class ReturnRequest(msgspec.Struct, forbid_unknown_fields=True):
    """`amount` in the pool's unit; left out: everything that is unspent."""

    amount: int | None = None


class AllocationAnswer(msgspec.Struct, frozen=True):
    """Traffic passed on to a user until `expires_at` (null: for ever); `returned` of it was taken back. `spent`, `left`
    and `expired` are only known where a balance was computed: amount = returned + spent + left + expired."""

    id: str
    account: str
    user: str
    user_id: str
    pool: str
    amount: int
    returned: int
    created_at: str
    spent: int | None = None
    left: int | None = None
    expires_at: str | None = None
    expired: int | None = None


class WhitelistRequest(msgspec.Struct, forbid_unknown_fields=True):
    """Everything a whitelist shall hold: IPv4, IPv6, networks."""

    addresses: list[str]


class WhitelistChange(msgspec.Struct, forbid_unknown_fields=True):
    enabled: bool = True


class WhitelistAnswer(msgspec.Struct, frozen=True):
    """An address or network on the whitelist of a pool: the account's own where `user` and `user_id` are null."""

    account: str
    user: str | None
    user_id: str | None
    pool: str
    address: str
    enabled: bool
    created_at: str
    changed_at: str


class VoucherRequest(msgspec.Struct, forbid_unknown_fields=True):
    """`count` vouchers of `amount` each, in the pool's unit. What one is redeemed into lasts `duration_s` seconds."""

    amount: int
    count: int = 1
    pool: str = "traffic"
    duration_s: int = DEFAULT_DURATION_S


class VoucherAnswer(msgspec.Struct, frozen=True):
    """`ended_at`: when it was used or revoked; `redeemed_by`: the account that used it."""

    id: str
    account: str
    code: str
    pool: str
    amount: int
    duration_s: int
    status: VoucherStatus
    created_at: str
    ended_at: str | None
    redeemed_by: str | None


class VouchersAnswer(msgspec.Struct, frozen=True):
    """The vouchers that one request created, in order."""

    items: list[VoucherAnswer]


class RedemptionRequest(msgspec.Struct, forbid_unknown_fields=True):
    """`code`: letters and digits; case matters."""

    code: str


class CheckInAnswer(msgspec.Struct, frozen=True, omit_defaults=True):
    """`day` is the local date in `timezone`, the account's zone then. `amount` was given in the pool `traffic`, as the
    grant `grant`. `next_at`, only when checking in: from when it is possible again."""

    account: str
    day: str
    timezone: str
    checked_in_at: str
    grant: str
    amount: int
    expires_at: str
    next_at: str | None = None


class LimitState(msgspec.Struct, frozen=True):
    """A limit at an instant; `exceeded`: nothing is left of it. `resets_at` is null for `lifetime`."""

    unit: Literal["bytes", "requests"]
    window: Literal["lifetime", "day", "month"]
    limit: int
    used: int
    left: int
    exceeded: bool
    resets_at: str | None


class UserBalanceAnswer(msgspec.Struct, frozen=True, omit_defaults=True):
    """`pools` and `allocations` are a funded user's own purses; empty for others: their account pays for them. `as_of`
    only where it was asked for."""

    account: str
    user: str
    user_id: str
    at: str
    status: Literal["active", "disabled", "deleted"]
    funded: bool
    limit: LimitState | None
    pools: dict[str, PoolBalance]
    allocations: list[AllocationAnswer]
    as_of: AsOf | None = None


class PoolRequest(msgspec.Struct, forbid_unknown_fields=True):
    charge: Literal["bytes", "requests", "nothing"]


class PoolAnswer(msgspec.Struct, frozen=True):
    name: str
    charge: Literal["bytes", "requests", "nothing"]
    products: list[str]


class ProductRequest(msgspec.Struct, forbid_unknown_fields=True):
    pool: str


class ProductAnswer(msgspec.Struct, frozen=True):
    product: str
    pool: str


class WalletAnswer(msgspec.Struct, frozen=True):
    """What the account's wallet holds, in millionths of the currency."""

    account: str
    balance_micros: int
    currency: str


class DepositRequest(msgspec.Struct, forbid_unknown_fields=True):
    """Money that came in; `reference` is the payment's own number."""

    amount_micros: int
    reference: str = ""


class AdjustmentRequest(msgspec.Struct, forbid_unknown_fields=True):
    """Below zero: out of the wallet."""

    amount_micros: int
    reason: str
    reference: str = ""


class WalletEntryAnswer(msgspec.Struct, frozen=True):
    """A movement of a wallet, as its account sees it: below zero, it left."""

    id: str
    account: str
    kind: Literal["deposit", "adjustment", "purchase"]
    amount_micros: int
    currency: str
    reference: str
    reason: str
    created_at: str


class PlanRequest(msgspec.Struct, forbid_unknown_fields=True):
    """`id` is made when missing; `amount` in the pool's unit; what it grants lasts `days` (null: for ever)."""

    name: str
    amount: int
    price_micros: int
    pool: str = "traffic"
    days: int | None = None
    id: str | None = None


class PlanAnswer(msgspec.Struct, frozen=True):
    """A retired plan is no longer sold."""

    id: str
    name: str
    pool: str
    amount: int
    price_micros: int
    currency: str
    days: int | None
    status: Literal["active", "retired"]
    created_at: str
    retired_at: str | None


class PurchaseRequest(msgspec.Struct, forbid_unknown_fields=True):
    """`plan`: its id."""

    plan: str


class PurchaseAnswer(msgspec.Struct, frozen=True):
    """What was bought, as the plan was then: `transfer` paid for it, `grant` is it."""

    id: str
    account: str
    plan: str
    name: str
    pool: str
    amount: int
    price_micros: int
    currency: str
    transfer: str
    grant: str
    created_at: str
    expires_at: str | None


class PeriodRequest(msgspec.Struct, forbid_unknown_fields=True):
    """Dates in the account's zone, or RFC 3339; `to` is excluded and in the past."""

    start: str = msgspec.field(name="from")
    end: str = msgspec.field(name="to")


class ProductTotals(msgspec.Struct, frozen=True):
    product: str
    pool: str
    bytes_up: int
    bytes_down: int
    bytes: int
    requests: int


class PoolTotals(msgspec.Struct, frozen=True):
    """`used`: what the pool charges, in bytes or requests."""

    pool: str
    charge: Literal["bytes", "requests", "nothing"]
    used: int
    bytes: int
    requests: int


class PeriodAdjustment(msgspec.Struct, frozen=True):
    """What came into the closed period `period` later: events that arrived late, corrections."""

    period: str
    start: str = msgspec.field(name="from")
    end: str = msgspec.field(name="to")
    products: list[ProductTotals]
    total: Totals


class PeriodStatement(msgspec.Struct, frozen=True):
    """What was frozen: use dated inside by product and pool, the balance at its end, and `adjustments`: what had come
    into earlier closed periods since the closing before this one. Use is everybody's; the balance is of the account's
    own purses, which do not pay for funded users."""

    products: list[ProductTotals]
    pools: list[PoolTotals]
    total: Totals
    balance: dict[str, PoolBalance]
    grants: list[GrantAnswer]
    adjustments: list[PeriodAdjustment]


class PeriodAnswer(msgspec.Struct, frozen=True):
    """A closed period and its statement, frozen at `block`; neither ever changes. `number` counts the closings."""

    id: str
    account: str
    number: int
    start: str = msgspec.field(name="from")
    end: str = msgspec.field(name="to")
    timezone: str
    block: int
    closed_at: str
    statement: PeriodStatement


class PeriodChange(msgspec.Struct, frozen=True):
    """What one block brought to one day of a closed period: `rows` events and corrections, and their sums."""

    block: int
    received_at: str
    start: str = msgspec.field(name="from")
    end: str = msgspec.field(name="to")
    rows: int
    bytes_up: int
    bytes_down: int
    bytes: int
    requests: int


class PeriodChanges(msgspec.Struct, frozen=True):
    """A page of changes by block and day: ask again with `cursor=next`; `next` is None on the last page."""

    items: list[PeriodChange]
    next: str | None


class PeriodAdjustments(msgspec.Struct, frozen=True):
    """Everything that came into the period between its block and `until_block`: statement + adjustments = usage."""

    until_block: int
    products: list[ProductTotals]
    pools: list[PoolTotals]
    total: Totals
    changes: PeriodChanges


class PeriodDetailAnswer(PeriodAnswer, frozen=True):
    """The frozen statement, and what came since."""

    adjustments: PeriodAdjustments


class OpenPeriodAnswer(msgspec.Struct, frozen=True):
    """What is not in any statement yet: what came into closed periods in blocks after `since_block`, the last
    closing's. The next closing takes it up to its own block."""

    account: str
    since_block: int
    until_block: int
    adjustments: list[PeriodAdjustment]
    total: Totals


class Problem(msgspec.Struct, frozen=True):
    """RFC 9457 problem details; `code` is stable, texts may change. Other members depend on the code."""

    type: str
    title: str
    status: int
    detail: str
    code: str
    request_id: str


class PageAnswer(msgspec.Struct, frozen=True):
    """A page of a list: ask again with `cursor=next`; `next` is None on the last page."""

    items: list[object]
    next: str | None


# Care: checks and backups run for minutes, so a request begins one and others ask how it is doing.

JobState = Literal["never", "running", "done", "failed"]


class CheckAnswer(msgspec.Struct, frozen=True):
    """A comparison that was made over `looked_at` things, of which `found` differ."""

    name: str
    looked_at: int
    found: int


class FindingAnswer(msgspec.Struct, frozen=True):
    """One difference: `code` is stable, `where` names the thing, `detail` says what differs."""

    check: str
    code: str
    where: str
    detail: str


class VerifyAnswer(msgspec.Struct, frozen=True):
    """A check: how far it is (`done` of `total` in `step`), and what it found about everything up to `block`.

    The first 200 findings are listed, `found` counts all: null until it is done. `detail` says why it failed."""

    state: JobState
    started_at: str | None = None
    ended_at: str | None = None
    step: str = ""
    done: int = 0
    total: int = 0
    block: int | None = None
    rows: int | None = None
    found: int | None = None
    checks: list[CheckAnswer] = []
    findings: list[FindingAnswer] = []
    notes: list[str] = []
    detail: str = ""


class RetentionRequest(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """`dry_run`: only tell what would be rolled up."""

    dry_run: bool = False


class RolledMonth(msgspec.Struct, frozen=True):
    """A month of receipt (UTC): entries that had rows of their own, and bytes on the disk before and after; after is
    null where nothing was done."""

    month: str
    entries: int
    bytes: int
    bytes_after: int | None = None


class RetentionAnswer(msgspec.Struct, frozen=True):
    """Since when rows are kept as they came in, and how the last rolling up is doing. Null: not set, never, or not
    known until it is done. `rolled_up_to_block`: up to it, past moments and changes may be refused."""

    state: JobState
    retain_rows_days: int | None
    rows_kept_since: str | None = None
    rolled_up_to_block: int | None = None
    started_at: str | None = None
    ended_at: str | None = None
    step: str = ""
    done: int = 0
    total: int = 0
    dry_run: bool | None = None
    months: list[RolledMonth] = []
    detail: str = ""


class BackupRequest(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """`name`: of the directory in the server's place for backups; default the present instant."""

    name: Annotated[str, Meta(pattern="^[A-Za-z0-9][A-Za-z0-9_-]{0,63}$")] | None = None


class BackupAnswer(msgspec.Struct, frozen=True):
    """A backup under way or made: what is null is not known until it is done. `size` in bytes; `paused_ms` is how
    long writers waited."""

    state: JobState
    started_at: str | None = None
    ended_at: str | None = None
    step: str = ""
    done: int = 0
    total: int = 0
    name: str | None = None
    path: str | None = None
    block: int | None = None
    rows: int | None = None
    files: int | None = None
    size: int | None = None
    paused_ms: float | None = None
    notes: list[str] = []
    detail: str = ""


class KeptBackup(msgspec.Struct, frozen=True):
    """A backup that is in the server's place for them."""

    name: str
    made_at: str
    block: int
    rows: int
    size: int


class BackupsAnswer(msgspec.Struct, frozen=True):
    """The last backup this process was asked for, and all that are there."""

    last: BackupAnswer
    place: str
    backups: list[KeptBackup]


class MachineCheck(msgspec.Struct, frozen=True):
    """One promise of the machine: what was seen, and why it matters where it is not well."""

    name: str
    verdict: Literal["ok", "warn", "fail"]
    seen: str
    detail: str = ""


class Installation(msgspec.Struct, frozen=True):
    """What it holds. Sizes in bytes, `lag_s` since the last block was received; null where nothing is known."""

    events: int
    accounts: int
    block: int
    received_at: str | None
    lag_s: float | None
    starts: int
    last_stop_clean: bool
    parts: int
    usage_bytes: int
    keys_bytes: int
    ledger_bytes: int | None
    waiting_events: int
    waiting_bytes: int


class DoctorAnswer(msgspec.Struct, frozen=True):
    """The machine's promises and the installation's figures; no figures where no server was asked."""

    checks: list[MachineCheck]
    installation: Installation | None = None
