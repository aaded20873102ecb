"""Every question a client can ask, each as a pure function that makes a ClientCall or a Listing.

A new operation is a function here; `make docs` makes the methods of both clients from it (`scripts/sources.py`).
`once`, where value is given, is your own `Idempotency-Key` (an order's number): the same call with the same key does it
once, however often and by whatever run of a program it is asked; without it that holds for the attempts of one call.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from types import NoneType
from typing import Final, Literal, TypedDict, Unpack

import msgspec

from flowtally import protocol as p
from flowtally.client.call import ClientCall, Listing, Page, Query, read, segment, write
from flowtally.core.corrections import Correction
from flowtally.core.endpoints import Session
from flowtally.core.events import LABEL
from flowtally.core.media import ARROW, JSON
from flowtally.core.readings import Reading
from flowtally.core.samples import ServerSample
from flowtally.core.texts import as_listed
from flowtally.core.words import (
    ActionOutcome,
    ActionState,
    Aggregation,
    DeliveryState,
    ExportFormat,
    Fill,
    LeaseState,
    Logins,
    PlaceKind,
    StockState,
    Unit,
)

PLACES_TIMEOUT_S: Final = 120.0  # half a million of them take their time
CHECK_TIMEOUT_S: Final = 90.0  # the server gives a check a minute
OF_RANGE: Final = {"start": "from", "from_": "from", "end": "to"}
WORDS: Final = OF_RANGE | {"users": "user", "products": "product", "accounts": "account"}


class UsageQuestion(TypedDict, total=False):
    """`start` and `end` (excluded), or in the API's words `from_` and `to`, are dates or RFC 3339; `by` any of user,
    product, status, source, series, label:<name>; `users` names or ids; `series` one or, by series, several.
    ApiError `unknown_user` where there is no such user."""

    start: str | None
    end: str | None
    from_: str | None
    to: str | None
    tz: str | None
    bucket: p.Bucket
    by: Iterable[str]
    users: Iterable[str]
    products: Iterable[str]
    series: str | Iterable[str]
    fill: Fill
    as_of: str | None


class ReconciliationAsked(TypedDict, total=False):
    """`start` and `end` (excluded): dates of the vendor's calendar or RFC 3339. `corrected_since`: an instant, from
    which changes of either side count as corrections."""

    start: str | None
    end: str | None
    corrected_since: str | None
    quantity: Unit | None


class SamplesQuestion(TypedDict, total=False):
    """`start` and `end` (excluded) are instants; `period_s` 60, 300, 3600 or 86400; `names` of gauges."""

    names: Iterable[str]
    start: str | None
    end: str | None
    period_s: int | None
    aggregation: Aggregation | None


class OverallUsageQuestion(UsageQuestion, total=False):
    """Over all accounts, or only `accounts`; `by` may be account too. `top`: so many groups, the others as one."""

    accounts: Iterable[str]
    top: int | None
    top_by: Unit


# ── usage in


def send_events(
    events: Iterable[p.PlainEvent] | bytes,
    *,
    atomic: bool = False,
    all_receipts: bool = False,
    logins: Logins | None = None,
) -> ClientCall[p.EventsAnswer]:
    """Send at most 100,000 events as one request; bytes are taken as NDJSON as they are. `logins`: what the events call
    users are logins at this vendor's gateways."""
    body = events if isinstance(events, bytes) else msgspec.json.Encoder().encode_lines(events)
    query: Query = {}
    if atomic:
        query["atomic"] = "true"
    if all_receipts:
        query["receipts"] = "all"
    if logins is not None:
        query["logins"] = logins
    return write("POST", "/v1/events", p.EventsAnswer, body, query=query, media_type="application/x-ndjson")


def event(source: str, id: str) -> ClientCall[p.EventAnswer]:
    """What became of one event; or a correction by its own source and id."""
    return read("/v1/events", p.EventAnswer, {"source": source, "id": id})


def source(source: str) -> ClientCall[p.SourceAnswer]:
    """Where a numbered source stands."""
    return read("/v1/sources", p.SourceAnswer, {"source": source})


def sources(sender: str | None = None) -> Listing[p.SourceDetail]:
    """Sources with their kind and owner; those of one sender, by its id."""
    return Listing("/v1/sources", Page[p.SourceDetail], _given(sender=sender))


def overlaps(source: str, events: Iterable[p.PlainEvent]) -> ClientCall[p.OverlapsAnswer]:
    """Which of at most 100 events, that are about to be sent as `source`, are there already under another source."""
    # What is not compared is left out. An id may be where the instant is.
    plain = [
        msgspec.structs.replace(event, source=source, id="" if event.time else event.id, position=None, labels=None)
        for event in events
    ]
    return write("POST", "/v1/sources/overlaps", p.OverlapsAnswer, p.OverlapsRequest(source, plain))


def taken_accounts(accounts: Iterable[str]) -> ClientCall[p.TakenAccountsAnswer]:
    """Whether events of these accounts (at most 100) would be stored now, and why not."""
    return read("/v1/events/accounts", p.TakenAccountsAnswer, {"account": list(accounts)})


def hand_over_source(source: str, sender: str) -> ClientCall[p.SourceDetail]:
    """Give a source to another sender, by its id. Needs the right sources:write."""
    return write("POST", "/v1/sources/hand-over", p.SourceDetail, p.SourceHandOver(source, sender))


def held(
    *,
    source: str | None = None,
    sequence: int | None = None,
    account: str | None = None,
    code: p.HeldCode | None = None,
) -> Listing[p.HeldEvent]:
    """Numbered events that are kept until their account or user is known, or their time has come."""
    number = None if sequence is None else str(sequence)
    return Listing("/v1/held", Page[p.HeldEvent], _given(source=source, sequence=number, account=account, code=code))


def retry_held(which: p.HeldFilter) -> ClientCall[p.HeldAnswer]:
    """Store those that may be stored now. Needs the right held:write, as `drop_held`."""
    return write("POST", "/v1/held/retry", p.HeldAnswer, which)


def drop_held(which: p.HeldDrop) -> ClientCall[p.HeldAnswer]:
    """Refuse them for good."""
    return write("POST", "/v1/held/drop", p.HeldAnswer, which)


def send_corrections(corrections: Iterable[Correction]) -> ClientCall[p.CorrectionsAnswer]:
    """Send at most 1,000 corrections as one request; their ids make repeating it safe."""
    return write("POST", "/v1/corrections", p.CorrectionsAnswer, list(corrections))


def send_readings(readings: Iterable[Reading], *, notable: bool = False) -> ClientCall[p.ReadingsAnswer]:
    """Send what counters stand at, at most 10,000 readings as one request. The server stores differences, so repeating
    it is safe. `notable`: receipts of those only that say something beyond the usual."""
    query: Query = {"receipts": "notable"} if notable else {}
    return write("POST", "/v1/readings", p.ReadingsAnswer, list(readings), query=query)


def send_samples(samples: Iterable[ServerSample]) -> ClientCall[p.SampleReceipts]:
    """Send what gauges of servers stood at, at most 10,000 samples as one request. Repeating it is safe."""
    return write("POST", "/v1/samples", p.SampleReceipts, list(samples))


def samples(server: str, **question: Unpack[SamplesQuestion]) -> ClientCall[p.SampleSeriesAnswer]:
    """Gauges of a server by periods."""
    return read("/v1/samples", p.SampleSeriesAnswer, _samples_query(question) | {"server": server})


def send_accounting(
    request: Mapping[str, object],
    *,
    account: str | None = None,
    account_from: str | None = None,
    user_from: str | None = None,
    product: str | None = None,
    product_from: str | None = None,
    source: str | None = None,
    interval_s: int | None = None,
    zone: str | None = None,
) -> ClientCall[None]:
    """Send the attributes of one RADIUS Accounting-Request, as FreeRADIUS's module `rest` writes them. It is stored
    when this returns; ApiError `unprocessable` says why it cannot be."""
    query = _given(
        account=account,
        account_from=account_from,
        user_from=user_from,
        product=product,
        product_from=product_from,
        source=source,
        interval_s=interval_s,
        zone=zone,
    )
    return write("POST", "/v1/radius/accounting", NoneType, dict(request), query=query)


def counters(source: str, prefix: str = "") -> Listing[p.CounterAnswer]:
    """The counters of a source as they stand, those whose names begin so."""
    return Listing("/v1/counters", Page[p.CounterAnswer], _given(source=source, prefix=prefix or None))


# ── questions


def audit(
    account: str | None = None,
    *,
    credential: str | None = None,
    action: str | None = None,
    subject: str | None = None,
    since: str | None = None,
    until: str | None = None,
) -> Listing[p.AuditAnswer]:
    """Who changed what, of all or about this account; `since` (until `until`, excluded) an instant. Needs an admin
    credential: others ask `account_audit`."""
    which = {"account": account, "credential": credential, "action": action, "subject": subject}
    return Listing("/v1/audit", Page[p.AuditAnswer], _given(**which, since=since, until=until))


def account_audit(
    account: str,
    *,
    action: str | None = None,
    subject: str | None = None,
    since: str | None = None,
    until: str | None = None,
) -> Listing[p.AuditAnswer]:
    """Who changed what of the account, as the account may know it."""
    path = f"/v1/accounts/{segment(account)}/audit"
    return Listing(path, Page[p.AuditAnswer], _given(action=action, subject=subject, since=since, until=until))


def usage(account: str, **question: Unpack[UsageQuestion]) -> ClientCall[p.UsageAnswer]:
    """What the account used, over a calendar."""
    return read(f"/v1/accounts/{segment(account)}/usage", p.UsageAnswer, _usage_query(question))


def usage_csv(account: str, **question: Unpack[UsageQuestion]) -> ClientCall[bytes]:
    """The same answer as CSV, as the server wrote it."""
    return read(f"/v1/accounts/{segment(account)}/usage", bytes, _usage_query(question), "text/csv")


def usage_arrow(account: str, **question: Unpack[UsageQuestion]) -> ClientCall[bytes]:
    """The same answer as an Arrow IPC stream."""
    return read(f"/v1/accounts/{segment(account)}/usage", bytes, _usage_query(question), ARROW)


def overall_usage(**question: Unpack[OverallUsageQuestion]) -> ClientCall[p.OverallUsageAnswer]:
    """What all accounts used, over a calendar. For credentials of no account."""
    return read("/v1/usage", p.OverallUsageAnswer, _usage_query(question))


def overall_usage_csv(**question: Unpack[OverallUsageQuestion]) -> ClientCall[bytes]:
    """The same answer as CSV, as the server wrote it."""
    return read("/v1/usage", bytes, _usage_query(question), "text/csv")


def overall_usage_arrow(**question: Unpack[OverallUsageQuestion]) -> ClientCall[bytes]:
    """The same answer as an Arrow IPC stream."""
    return read("/v1/usage", bytes, _usage_query(question), ARROW)


def balance(account: str, at: str | None = None, as_of: str | None = None) -> ClientCall[p.BalanceAnswer]:
    """What is left, now or `at` an instant (RFC 3339), as known now or `as_of` a past moment: the token of an earlier
    answer, or an instant."""
    query: Query = {name: value for name, value in (("at", at), ("as_of", as_of)) if value}
    return read(f"/v1/accounts/{segment(account)}/balance", p.BalanceAnswer, query)


def explain(
    account: str, at: str | None = None, *, top: int | None = None, as_of: str | None = None
) -> ClientCall[p.ExplainAnswer]:
    """How the balance came about, with `top` rows of each of its largest spans."""
    return read(f"/v1/accounts/{segment(account)}/explain", p.ExplainAnswer, _given(at=at, top=top, as_of=as_of))


def changes(
    since: str = "0", *, account: str | None = None, late_before: str | None = None, limit: int | None = None
) -> ClientCall[p.ChangesAnswer]:
    """A page of what changed since an instant, or since `next` of an earlier answer for the same account, which is how
    to follow. ApiError `cursor_gone` after the server was restored: begin again from an instant."""
    return read(
        "/v1/changes", p.ChangesAnswer, _given(since=since, account=account, late_before=late_before, limit=limit)
    )


def export(
    account: str,
    *,
    start: str | None = None,
    end: str | None = None,
    from_: str | None = None,
    to: str | None = None,
    format: ExportFormat = "parquet",
    as_of: str | None = None,
    held: bool = False,
) -> ClientCall[bytes]:
    """Every row of the account as a file, or (`held`) the events that are held. It may be large:
    `client.stream(calls.export(...))` reads it piece by piece; the headers `flowtally-rows` and `flowtally-block` say
    how many rows it has (a compacted one counts as its `entries`), up to which block; `flowtally-as-of` is the token to
    get the same again."""
    query = _usage_query(UsageQuestion(start=start, end=end, from_=from_, to=to, as_of=as_of))
    query |= {name: value for name, value in (("format", format), ("held", "true" if held else "")) if value}
    return read(f"/v1/accounts/{segment(account)}/export", bytes, query, "*/*")


# ── reconciliation


def reconciliation(
    account: str, provider: str, **question: Unpack[ReconciliationAsked]
) -> ClientCall[p.ReconciliationAnswer]:
    """What a vendor bills beside what was measured, and what explains the difference."""
    path = f"/v1/accounts/{segment(account)}/reconciliation"
    return read(path, p.ReconciliationAnswer, _reconciliation_query(provider, question))


def claim_sheet(
    account: str, provider: str, form: Literal["csv", "text"] = "text", **question: Unpack[ReconciliationAsked]
) -> ClientCall[bytes]:
    """Users and days beyond tolerance, to show to the vendor, as the server wrote it."""
    query = _reconciliation_query(provider, question) | {"format": form}
    return read(f"/v1/accounts/{segment(account)}/reconciliation", bytes, query, "*/*")


def keep_reconciliation(
    account: str, provider: str, request: p.ReconciliationRequest
) -> ClientCall[p.KeptReconciliationAnswer]:
    """Keep the answer of now for ever."""
    return write("POST", _kept(account, provider), p.KeptReconciliationAnswer, request)


def kept_reconciliations(account: str, provider: str) -> Listing[p.KeptReconciliationAnswer]:
    """In the order they were kept."""
    return Listing(_kept(account, provider), Page[p.KeptReconciliationAnswer])


def kept_reconciliation(account: str, provider: str, reconciliation: str) -> ClientCall[p.KeptReconciliationDetail]:
    """One as it was kept, beside the same question now."""
    return read(f"{_kept(account, provider)}/{segment(reconciliation)}", p.KeptReconciliationDetail)


def reconciliation_rules(account: str, provider: str) -> ClientCall[p.ReconciliationRules]:
    """By which rules a provider is compared."""
    return read(_rules(account, provider), p.ReconciliationRules)


def set_reconciliation_rules(
    account: str, provider: str, rules: p.ReconciliationRules
) -> ClientCall[p.ReconciliationRules]:
    """All of them anew."""
    return write("PUT", _rules(account, provider), p.ReconciliationRules, rules)


# ── periods


def close_period(account: str, request: p.PeriodRequest) -> ClientCall[p.PeriodAnswer]:
    """Freeze the statement of a span, for ever."""
    return write("POST", f"/v1/accounts/{segment(account)}/periods", p.PeriodAnswer, request)


def periods(account: str) -> Listing[p.PeriodAnswer]:
    return Listing(f"/v1/accounts/{segment(account)}/periods", Page[p.PeriodAnswer])


def period(
    account: str, period: str, *, cursor: str | None = None, as_of: str | None = None
) -> ClientCall[p.PeriodDetailAnswer]:
    """A closed period and what came into it since; `cursor`, the `next` of its changes, pages through them: of one
    moment where `as_of` is the first page's token."""
    path = f"/v1/accounts/{segment(account)}/periods/{segment(period)}"
    return read(path, p.PeriodDetailAnswer, _given(cursor=cursor, as_of=as_of))


def open_period(account: str, *, as_of: str | None = None) -> ClientCall[p.OpenPeriodAnswer]:
    """What came into closed periods and is in no statement yet."""
    return read(f"/v1/accounts/{segment(account)}/periods/open", p.OpenPeriodAnswer, _given(as_of=as_of))


# ── accounts, users, grants


def create_account(request: p.AccountRequest) -> ClientCall[p.AccountAnswer]:
    return write("POST", "/v1/accounts", p.AccountAnswer, request)


def account(account: str) -> ClientCall[p.AccountAnswer]:
    return read(f"/v1/accounts/{segment(account)}", p.AccountAnswer)


def accounts() -> Listing[p.AccountAnswer]:
    return Listing("/v1/accounts", Page[p.AccountAnswer])


def change_account(account: str, change: p.AccountChange) -> ClientCall[p.AccountAnswer]:
    """Only what `change` names is changed."""
    given = {name: value for name, value in msgspec.structs.asdict(change).items() if value is not None}
    return write("PATCH", f"/v1/accounts/{segment(account)}", p.AccountAnswer, given)


def users(
    account: str,
    *,
    deleted: bool = False,
    pool: str | None = None,
    product: str | None = None,
    usage: bool = False,
    limits: bool = False,
    exceeded: bool = False,
) -> Listing[p.UserAnswer]:
    """`deleted`: also those that were deleted. Only those of a `pool` or `product`, or `exceeded`: who are over their
    limit now; `usage`: with all that each ever used, `limits`: with where each limit stands."""
    switches = {"deleted": deleted, "usage": usage, "limits": limits, "exceeded": exceeded}
    query = _given(pool=pool, product=product) | {name: "true" for name, on in switches.items() if on}
    return Listing(f"/v1/accounts/{segment(account)}/users", Page[p.UserAnswer], query)


def create_user(account: str, request: p.UserRequest) -> ClientCall[p.UserAnswer]:
    return write("POST", f"/v1/accounts/{segment(account)}/users", p.UserAnswer, request)


def user(account: str, user: str) -> ClientCall[p.UserAnswer]:
    """By id or present name, as in all calls about one user."""
    return read(_user(account, user), p.UserAnswer)


def user_password(account: str, user: str) -> ClientCall[p.PasswordAnswer]:
    """The user's password in clear; ApiError `not_found` when it has none."""
    return read(f"{_user(account, user)}/password", p.PasswordAnswer)


def user_names(account: str, user: str) -> Listing[p.NameAnswer]:
    """What the user was called, and until when."""
    return Listing(f"{_user(account, user)}/names", Page[p.NameAnswer])


def change_user(account: str, user: str, change: p.UserChange) -> ClientCall[p.UserAnswer]:
    """Only what `change` names is changed; None takes away."""
    return write("PATCH", _user(account, user), p.UserAnswer, change)


def delete_user(account: str, user: str) -> ClientCall[p.UserAnswer]:
    return write("DELETE", _user(account, user), p.UserAnswer)


def erase_user(account: str, user: str) -> ClientCall[p.ErasureAnswer]:
    """Take the user's name and labels away for ever; `erasure` says when it is finished."""
    return write("POST", f"{_user(account, user)}/erase", p.ErasureAnswer)


def erasure(account: str, user: str) -> ClientCall[p.ErasureAnswer]:
    """How an erasure is doing; by the user's id."""
    return read(f"{_user(account, user)}/erase", p.ErasureAnswer)


def erase_account(account: str) -> ClientCall[p.AccountErasureAnswer]:
    """Take all texts of a closed account away for ever; `account_erasure` says when it is finished."""
    return write("POST", f"/v1/accounts/{segment(account)}/erase", p.AccountErasureAnswer)


def account_erasure(account: str) -> ClientCall[p.AccountErasureAnswer]:
    """How the erasure of an account is doing."""
    return read(f"/v1/accounts/{segment(account)}/erase", p.AccountErasureAnswer)


def user_usage(account: str, user: str, **question: Unpack[UsageQuestion]) -> ClientCall[p.UsageAnswer]:
    """What the user used, over a calendar, whatever it was called then."""
    return read(f"{_user(account, user)}/usage", p.UsageAnswer, _usage_query(question))


def user_balance(
    account: str, user: str, at: str | None = None, as_of: str | None = None
) -> ClientCall[p.UserBalanceAnswer]:
    """Where the user stands with its limit, and what a funded user has left; `at` and `as_of` as for `balance`."""
    return read(f"{_user(account, user)}/balance", p.UserBalanceAnswer, _given(at=at, as_of=as_of))


def explain_user(
    account: str, user: str, at: str | None = None, *, top: int | None = None, as_of: str | None = None
) -> ClientCall[p.ExplainAnswer]:
    """How the balance of a funded user came about, as `explain`."""
    return read(f"{_user(account, user)}/explain", p.ExplainAnswer, _given(at=at, top=top, as_of=as_of))


def allocate(
    account: str, user: str, request: p.AllocationRequest, *, once: str | None = None
) -> ClientCall[p.AllocationAnswer]:
    """Pass traffic of the account on to a funded user; ApiError `not_covered` says what is left."""
    return write("POST", f"{_user(account, user)}/allocations", p.AllocationAnswer, request, once=once)


def allocations(account: str, user: str) -> Listing[p.AllocationAnswer]:
    return Listing(f"{_user(account, user)}/allocations", Page[p.AllocationAnswer])


def take_back(
    account: str, user: str, allocation: str, request: p.ReturnRequest, *, once: str | None = None
) -> ClientCall[p.AllocationAnswer]:
    """Return what the user has not spent of an allocation, or a part of it."""
    path = f"{_user(account, user)}/allocations/{segment(allocation)}/return"
    return write("POST", path, p.AllocationAnswer, request, once=once)


def whitelist(account: str, user: str | None = None, *, pool: str | None = None) -> Listing[p.WhitelistAnswer]:
    """What the account's own whitelists hold, or those of a user, as in all calls about whitelists."""
    return Listing(_whitelist(account, user), Page[p.WhitelistAnswer], _given(pool=pool))


def replace_whitelist(
    account: str, pool: str, request: p.WhitelistRequest, user: str | None = None
) -> ClientCall[Page[p.WhitelistAnswer]]:
    """Let the pool's whitelist hold these addresses and no others."""
    return write("PUT", f"{_whitelist(account, user)}/{segment(pool)}", Page[p.WhitelistAnswer], request)


def put_on_whitelist(
    account: str, pool: str, address: str, change: p.WhitelistChange, user: str | None = None
) -> ClientCall[p.WhitelistAnswer]:
    """Put an address or network there, or enable or disable it; ApiError `limit_reached` when the list is full."""
    path = f"{_whitelist(account, user)}/{segment(pool)}/{segment(address)}"
    return write("PUT", path, p.WhitelistAnswer, change)


def remove_from_whitelist(
    account: str, pool: str, address: str, user: str | None = None
) -> ClientCall[p.WhitelistAnswer]:
    path = f"{_whitelist(account, user)}/{segment(pool)}/{segment(address)}"
    return write("DELETE", path, p.WhitelistAnswer)


def give_grant(account: str, request: p.GrantRequest, *, once: str | None = None) -> ClientCall[p.GrantAnswer]:
    return write("POST", f"/v1/accounts/{segment(account)}/grants", p.GrantAnswer, request, once=once)


def grant(account: str, grant: str) -> ClientCall[p.GrantAnswer]:
    return read(f"/v1/accounts/{segment(account)}/grants/{segment(grant)}", p.GrantAnswer)


def grants(account: str, *, source: str | None = None, reference: str | None = None) -> Listing[p.GrantAnswer]:
    """All of them, or those of one source and reference."""
    query = _given(source=source, reference=reference)
    return Listing(f"/v1/accounts/{segment(account)}/grants", Page[p.GrantAnswer], query)


def void_grant(account: str, grant: str) -> ClientCall[p.GrantAnswer]:
    return write("POST", f"/v1/accounts/{segment(account)}/grants/{segment(grant)}/void", p.GrantAnswer)


# ── money: in whole millionths of the currency


def wallet(account: str) -> ClientCall[p.WalletAnswer]:
    """What the account's wallet holds."""
    return read(_wallet(account), p.WalletAnswer)


def wallet_entries(account: str, *, reference: str | None = None) -> Listing[p.WalletEntryAnswer]:
    """What moved it, in the order it happened; all of it, or what has one reference."""
    return Listing(f"{_wallet(account)}/entries", Page[p.WalletEntryAnswer], _given(reference=reference))


def deposit(account: str, request: p.DepositRequest, *, once: str | None = None) -> ClientCall[p.WalletEntryAnswer]:
    """Money that came in. Needs the right wallet:write, as `adjust_wallet`."""
    return write("POST", f"{_wallet(account)}/deposits", p.WalletEntryAnswer, request, once=once)


def adjust_wallet(
    account: str, request: p.AdjustmentRequest, *, once: str | None = None
) -> ClientCall[p.WalletEntryAnswer]:
    """Put it right by hand, or pay out of it; ApiError `insufficient_funds` says what it holds."""
    return write("POST", f"{_wallet(account)}/adjustments", p.WalletEntryAnswer, request, once=once)


def plans(*, retired: bool = False) -> Listing[p.PlanAnswer]:
    """What can be bought; `retired`: also what no longer can."""
    query: Query = {"retired": "true"} if retired else {}
    return Listing("/v1/plans", Page[p.PlanAnswer], query)


def plan(plan: str) -> ClientCall[p.PlanAnswer]:
    return read(f"/v1/plans/{segment(plan)}", p.PlanAnswer)


def create_plan(request: p.PlanRequest, *, once: str | None = None) -> ClientCall[p.PlanAnswer]:
    return write("POST", "/v1/plans", p.PlanAnswer, request, once=once)


def retire_plan(plan: str) -> ClientCall[p.PlanAnswer]:
    """Sell it no more; what was bought stays."""
    return write("POST", f"/v1/plans/{segment(plan)}/retire", p.PlanAnswer)


def endpoints(
    account: str,
    *,
    product: str | None = None,
    number: int | None = None,
    session: Session | None = None,
    country: str | None = None,
    state: str | None = None,
    city: str | None = None,
) -> ClientCall[p.EndpointsAnswer]:
    """Some of the hosts and ports to connect to, another choice each time."""
    query = _given(product=product, number=number, session=session, country=country, state=state, city=city)
    return read(f"/v1/accounts/{segment(account)}/endpoints", p.EndpointsAnswer, query)


def gateways(*, product: str | None = None) -> Listing[p.GatewayAnswer]:
    """The hosts and ports that are offered. Needs the right gateways:read."""
    return Listing("/v1/gateways", Page[p.GatewayAnswer], _given(product=product))


def gateway(gateway: str) -> ClientCall[p.GatewayAnswer]:
    return read(f"/v1/gateways/{segment(gateway)}", p.GatewayAnswer)


def add_gateway(request: p.GatewayRequest) -> ClientCall[p.GatewayAnswer]:
    """Offer ports of a host. Needs the right gateways:write, as `remove_gateway`."""
    return write("POST", "/v1/gateways", p.GatewayAnswer, request)


def remove_gateway(gateway: str) -> ClientCall[p.GatewayAnswer]:
    """Offer them no more."""
    return write("DELETE", f"/v1/gateways/{segment(gateway)}", p.GatewayAnswer)


def buy_plan(account: str, request: p.PurchaseRequest, *, once: str | None = None) -> ClientCall[p.PurchaseAnswer]:
    """Buy a plan from the wallet; ApiError `insufficient_funds` says what it holds and what the plan costs."""
    return write("POST", f"/v1/accounts/{segment(account)}/purchases", p.PurchaseAnswer, request, once=once)


def purchases(account: str) -> Listing[p.PurchaseAnswer]:
    return Listing(f"/v1/accounts/{segment(account)}/purchases", Page[p.PurchaseAnswer])


def purchase(account: str, purchase: str) -> ClientCall[p.PurchaseAnswer]:
    """What was bought, as the plan was then."""
    return read(f"/v1/accounts/{segment(account)}/purchases/{segment(purchase)}", p.PurchaseAnswer)


# ── stock and leases


def stock(
    *,
    kind: str | None = None,
    address: str | None = None,
    country: str | None = None,
    status: StockState | None = None,
) -> Listing[p.StockAnswer]:
    """What can be leased, retired entries included; `address` finds every entry that an address ever had."""
    query = _given(kind=kind, address=address, country=country, status=status)
    return Listing("/v1/stock", Page[p.StockAnswer], query)


def stock_entry(stock: str) -> ClientCall[p.StockAnswer]:
    return read(f"/v1/stock/{segment(stock)}", p.StockAnswer)


def add_stock(request: p.StockRequest, *, once: str | None = None) -> ClientCall[p.StockAnswer]:
    """Put an address or a server into stock. ApiError `conflict` where it is there already."""
    return write("POST", "/v1/stock", p.StockAnswer, request, once=once)


def import_stock(request: p.StockImportRequest, *, once: str | None = None) -> ClientCall[p.StockImportAnswer]:
    """Put many into stock, all or none. ApiError `lines_refused` tells in `faults` what is wrong with which line."""
    return write("POST", "/v1/stock/import", p.StockImportAnswer, request, once=once)


def change_stock(stock: str, request: p.StockChange) -> ClientCall[p.StockAnswer]:
    return write("PATCH", f"/v1/stock/{segment(stock)}", p.StockAnswer, request)


def retire_stock(stock: str) -> ClientCall[p.StockAnswer]:
    """Nobody can lease it from now on; who has it keeps it to the end."""
    return write("POST", f"/v1/stock/{segment(stock)}/retire", p.StockAnswer)


def holders(stock: str) -> Listing[p.HolderAnswer]:
    """Who had it, and when."""
    return Listing(f"/v1/stock/{segment(stock)}/leases", Page[p.HolderAnswer])


def lease_plans(*, kind: str | None = None, retired: bool = False) -> Listing[p.LeasePlanAnswer]:
    """For how much stock is leased; `retired`: also what no longer can be bought."""
    return Listing("/v1/lease-plans", Page[p.LeasePlanAnswer], _given(kind=kind, retired="true" if retired else None))


def lease_plan(plan: str) -> ClientCall[p.LeasePlanAnswer]:
    return read(f"/v1/lease-plans/{segment(plan)}", p.LeasePlanAnswer)


def create_lease_plan(request: p.LeasePlanRequest, *, once: str | None = None) -> ClientCall[p.LeasePlanAnswer]:
    return write("POST", "/v1/lease-plans", p.LeasePlanAnswer, request, once=once)


def retire_lease_plan(plan: str) -> ClientCall[p.LeasePlanAnswer]:
    """Sell it no more; what was leased stays."""
    return write("POST", f"/v1/lease-plans/{segment(plan)}/retire", p.LeasePlanAnswer)


def buy_lease(account: str, request: p.LeaseRequest, *, once: str | None = None) -> ClientCall[p.LeaseOrderAnswer]:
    """Lease from stock, paid from the wallet; ApiError `out_of_stock`, `insufficient_funds`."""
    return write("POST", _leases(account), p.LeaseOrderAnswer, request, once=once)


def give_lease(
    account: str, request: p.GivenLeaseRequest, *, once: str | None = None
) -> ClientCall[p.LeaseOrderAnswer]:
    """Let an account have something for nothing."""
    return write("POST", f"{_leases(account)}/give", p.LeaseOrderAnswer, request, once=once)


def leases(account: str, *, kind: str | None = None, status: LeaseState | None = None) -> Listing[p.LeaseAnswer]:
    return Listing(_leases(account), Page[p.LeaseAnswer], _given(kind=kind, status=status))


def lease(account: str, lease: str) -> ClientCall[p.LeaseAnswer]:
    return read(f"{_leases(account)}/{segment(lease)}", p.LeaseAnswer)


def lease_terms(account: str, lease: str) -> Listing[p.LeaseTermAnswer]:
    """What happened to it, and what was paid for which time."""
    return Listing(f"{_leases(account)}/{segment(lease)}/terms", Page[p.LeaseTermAnswer])


def lease_password(account: str, lease: str) -> ClientCall[p.LeasePasswordAnswer]:
    """In clear; ApiError `not_found` where there is none, `lease_ended` when the lease is over."""
    return read(f"{_leases(account)}/{segment(lease)}/password", p.LeasePasswordAnswer)


def renew_lease(
    account: str, lease: str, request: p.LeaseRenewal, *, once: str | None = None
) -> ClientCall[p.LeaseOrderAnswer]:
    """Go on from its end."""
    path = f"{_leases(account)}/{segment(lease)}/renew"
    return write("POST", path, p.LeaseOrderAnswer, request, once=once)


def upgrade_lease(
    account: str, lease: str, request: p.LeaseUpgrade, *, once: str | None = None
) -> ClientCall[p.LeaseOrderAnswer]:
    """Make it larger for the rest of its time."""
    path = f"{_leases(account)}/{segment(lease)}/upgrade"
    return write("POST", path, p.LeaseOrderAnswer, request, once=once)


def change_lease(account: str, lease: str, request: p.LeaseChange) -> ClientCall[p.LeaseAnswer]:
    """Whether it is renewed by itself."""
    return write("PATCH", f"{_leases(account)}/{segment(lease)}", p.LeaseAnswer, request)


def release_lease(account: str, lease: str) -> ClientCall[p.LeaseAnswer]:
    """End it now; nothing is paid back."""
    return write("POST", f"{_leases(account)}/{segment(lease)}/release", p.LeaseAnswer)


def _leases(account: str) -> str:
    return f"/v1/accounts/{segment(account)}/leases"


def lease_order(account: str, order: str) -> ClientCall[p.LeaseOrderAnswer]:
    """What was done at once, and paid at once."""
    return read(f"/v1/accounts/{segment(account)}/lease-orders/{segment(order)}", p.LeaseOrderAnswer)


# ── vouchers and check-ins


def create_vouchers(
    account: str, request: p.VoucherRequest, *, once: str | None = None
) -> ClientCall[p.VouchersAnswer]:
    """Set traffic of the account aside in codes, all or none; ApiError `not_covered` says what is left."""
    return write("POST", _vouchers(account), p.VouchersAnswer, request, once=once)


def vouchers(
    account: str, *, status: p.VoucherStatus | None = None, code: str | None = None
) -> Listing[p.VoucherAnswer]:
    """Those the account created, with their codes; of one status, or the one with this code."""
    return Listing(_vouchers(account), Page[p.VoucherAnswer], _given(status=status, code=code))


def voucher(account: str, voucher: str) -> ClientCall[p.VoucherAnswer]:
    return read(f"{_vouchers(account)}/{segment(voucher)}", p.VoucherAnswer)


def revoke_voucher(account: str, voucher: str) -> ClientCall[p.VoucherAnswer]:
    """Take an unused one back; ApiError `voucher_ended` when it was used."""
    return write("POST", f"{_vouchers(account)}/{segment(voucher)}/revoke", p.VoucherAnswer)


def redeem_voucher(account: str, request: p.RedemptionRequest) -> ClientCall[p.GrantAnswer]:
    """Turn a code into a grant to the account, once ever."""
    return write("POST", f"/v1/accounts/{segment(account)}/redemptions", p.GrantAnswer, request)


def check_in(account: str) -> ClientCall[p.CheckInAnswer]:
    """Take the day's reward; ApiError `checked_in` says when it is possible again."""
    return write("POST", f"/v1/accounts/{segment(account)}/check-ins", p.CheckInAnswer)


def check_ins(account: str) -> Listing[p.CheckInAnswer]:
    return Listing(f"/v1/accounts/{segment(account)}/check-ins", Page[p.CheckInAnswer])


# ── credentials: of an account, or (account None) of the operator


def create_credential(account: str | None, request: p.CredentialRequest) -> ClientCall[p.CredentialAnswer]:
    """The answer is the only one that ever holds `token` and `key`."""
    return write("POST", _credentials(account), p.CredentialAnswer, request)


def credential(id: str) -> ClientCall[p.CredentialAnswer]:
    return read(f"/v1/credentials/{segment(id)}", p.CredentialAnswer)


def credentials(account: str | None = None) -> Listing[p.CredentialAnswer]:
    return Listing(_credentials(account), Page[p.CredentialAnswer])


def own_credential() -> ClientCall[p.CredentialAnswer]:
    """The credential this client asks with."""
    return read("/v1/credential", p.CredentialAnswer)


def change_credential(
    id: str, change: p.CredentialChange, account: str | None = None
) -> ClientCall[p.CredentialAnswer]:
    """Name, addresses, an earlier end: what is given. An admin needs no `account`."""
    return write("PATCH", f"{_credentials(account)}/{segment(id)}", p.CredentialAnswer, change)


def rotate_credential(
    id: str, request: p.RotateRequest | None = None, account: str | None = None
) -> ClientCall[p.CredentialAnswer]:
    """Another in its place; the answer is the only one that ever holds `token` and `key`. The old one works for the
    overlap. A credential may rotate itself: `rotate_credential(client.own_credential().id)`. Was the answer lost, do it
    again: a replacement that nobody has used is replaced."""
    path = f"{_credentials(account)}/{segment(id)}/rotate"
    return write("POST", path, p.CredentialAnswer, request or p.RotateRequest())


def revoke_credential(id: str, account: str | None = None) -> ClientCall[p.CredentialAnswer]:
    """Takes effect at once. An admin needs no `account`."""
    return write("POST", f"{_credentials(account)}/{segment(id)}/revoke", p.CredentialAnswer)


def confirm_credentials() -> ClientCall[p.ConfirmAnswer]:
    """Say that those which a restored backup brought back were looked at."""
    return write("POST", "/v1/credentials/confirm", p.ConfirmAnswer)


# ── senders: who owns sources, whichever credential it has


def senders(account: str | None = None) -> Listing[p.SenderAnswer]:
    """All senders, or those bound to an account. Needs the right senders:read; `rename_sender` senders:write."""
    return Listing("/v1/senders", Page[p.SenderAnswer], _given(account=account))


def sender(id: str) -> ClientCall[p.SenderAnswer]:
    return read(f"/v1/senders/{segment(id)}", p.SenderAnswer)


def rename_sender(id: str, name: str) -> ClientCall[p.SenderAnswer]:
    return write("PATCH", f"/v1/senders/{segment(id)}", p.SenderAnswer, p.SenderChange(name))


# ── servers that are leased: what is asked of them, who may use them, what they stand at


def request_action(
    account: str, lease: str, what: str = "restart", *, expires_in_s: int = p.ACTION_S
) -> ClientCall[p.ActionAnswer]:
    """Ask for it; while one of the same is not over, that one is answered."""
    return write("POST", f"{_lease(account, lease)}/actions", p.ActionAnswer, p.ActionRequest(what, expires_in_s))


def lease_actions(account: str, lease: str, *, status: ActionState | None = None) -> Listing[p.ActionAnswer]:
    """What was asked of what is leased, in the order it was asked for."""
    return Listing(f"{_lease(account, lease)}/actions", Page[p.ActionAnswer], _given(status=status))


def action(account: str, lease: str, action: str) -> ClientCall[p.ActionAnswer]:
    return read(f"{_lease(account, lease)}/actions/{segment(action)}", p.ActionAnswer)


def actions(*, status: ActionState | None = None) -> Listing[p.ActionAnswer]:
    """Of all accounts. Needs the right servers:read."""
    return Listing("/v1/actions", Page[p.ActionAnswer], _given(status=status))


def wait_for_actions(*, wait_s: int = 50, limit: int = 100) -> ClientCall[Page[p.ActionAnswer]]:
    """Those that nobody took yet, as soon as there is one, or none after `wait_s` seconds (at most 55)."""
    made = read("/v1/actions", Page[p.ActionAnswer], _given(status="requested", wait_s=wait_s, limit=limit))
    return msgspec.structs.replace(made, timeout_s=wait_s + 30.0)


def take_action(action: str) -> ClientCall[p.ActionAnswer]:
    """This credential does it. Needs the right servers:write, as `answer_action`."""
    return write("POST", f"/v1/actions/{segment(action)}/take", p.ActionAnswer)


def answer_action(action: str, outcome: ActionOutcome, detail: str = "") -> ClientCall[p.ActionAnswer]:
    """What became of it; the same again changes nothing."""
    return write("POST", f"/v1/actions/{segment(action)}/answer", p.ActionAnswer, p.ActionResult(outcome, detail))


def bound_users(account: str, lease: str) -> Listing[p.BoundUserAnswer]:
    """Which users may use what is leased."""
    return Listing(f"{_lease(account, lease)}/users", Page[p.BoundUserAnswer])


def bind_user(account: str, lease: str, user: str) -> ClientCall[p.BoundUserAnswer]:
    return write("PUT", f"{_lease(account, lease)}/users/{segment(user)}", p.BoundUserAnswer)


def unbind_user(account: str, lease: str, user: str) -> ClientCall[p.BoundUserAnswer]:
    return write("DELETE", f"{_lease(account, lease)}/users/{segment(user)}", p.BoundUserAnswer)


def lease_samples(account: str, lease: str, **question: Unpack[SamplesQuestion]) -> ClientCall[p.SampleSeriesAnswer]:
    """Gauges of what is leased, as `samples`, while the lease lasted."""
    return read(f"{_lease(account, lease)}/samples", p.SampleSeriesAnswer, _samples_query(question))


def _lease(account: str, lease: str) -> str:
    return f"/v1/accounts/{segment(account)}/leases/{segment(lease)}"


# ── providers: accounts at vendors, and what they say


def vendors() -> ClientCall[list[p.VendorInfo]]:
    """Vendors whose accounts can be connected, and what each must be told."""
    return read("/v1/vendors", list[p.VendorInfo])


def add_provider(account: str, request: p.ProviderRequest) -> ClientCall[p.ProviderAnswer]:
    """It is asked at once; `check_provider` tells what its secrets can see."""
    return write("POST", _providers(account), p.ProviderAnswer, request)


def providers(account: str | None = None, *, removed: bool = False) -> Listing[p.ProviderAnswer]:
    """Of an account, or (None) of all."""
    path = "/v1/providers" if account is None else _providers(account)
    return Listing(path, Page[p.ProviderAnswer], {"removed": "true"} if removed else {})


def find_provider(name: str) -> ClientCall[p.ProviderAnswer]:
    """The provider of this name, whichever account it belongs to."""
    return read(f"/v1/providers/{segment(name)}", p.ProviderAnswer)


def provider(account: str, name: str) -> ClientCall[p.ProviderAnswer]:
    return read(_provider(account, name), p.ProviderAnswer)


def change_provider(account: str, name: str, change: p.ProviderChange) -> ClientCall[p.ProviderAnswer]:
    """What is given; with other secrets, settings or address it is asked at once."""
    return write("PATCH", _provider(account, name), p.ProviderAnswer, change)


def remove_provider(account: str, name: str) -> ClientCall[p.ProviderAnswer]:
    """Its secrets are destroyed; what it said stays, and its name is nobody else's."""
    return write("DELETE", _provider(account, name), p.ProviderAnswer)


def pull_provider(account: str, name: str) -> ClientCall[p.ProviderAnswer]:
    """It has the next turn; `tried_at` of `provider` tells when that is done."""
    return write("POST", f"{_provider(account, name)}/pull", p.ProviderAnswer)


def check_provider(account: str, name: str) -> ClientCall[p.ProviderCheckAnswer]:
    """A test call to the vendor, now. It takes as long as the vendor takes, a minute at the most."""
    made = write("POST", f"{_provider(account, name)}/check", p.ProviderCheckAnswer)
    return msgspec.structs.replace(made, timeout_s=CHECK_TIMEOUT_S)


def provider_pulls(account: str, name: str) -> Listing[p.PullAnswer]:
    """The last ones, in the order they ended."""
    return Listing(f"{_provider(account, name)}/pulls", Page[p.PullAnswer])


def provider_balance(account: str, name: str) -> ClientCall[p.ProviderBalanceAnswer]:
    """What the vendor says is left, and when it runs out."""
    return read(f"{_provider(account, name)}/balance", p.ProviderBalanceAnswer)


def provider_grants(account: str, name: str, *, gone: bool = False) -> Listing[p.VendorGrant]:
    """Grants as the vendor lists them; `gone`: also those it lists no more."""
    return Listing(f"{_provider(account, name)}/grants", Page[p.VendorGrant], {"gone": "true"} if gone else {})


def provider_sub_users(account: str, name: str, *, gone: bool = False) -> Listing[p.VendorSubUser]:
    """Sub-users as the vendor lists them; `gone`: also those it lists no more."""
    return Listing(f"{_provider(account, name)}/sub-users", Page[p.VendorSubUser], {"gone": "true"} if gone else {})


def provider_stretches(
    account: str, name: str, *, start: str | None = None, end: str | None = None
) -> ClientCall[p.ProviderStretchesAnswer]:
    """Of which stretches the vendor told the usage: of all others nothing is known."""
    query = _given(**{"from": start, "to": end})
    return read(f"{_provider(account, name)}/stretches", p.ProviderStretchesAnswer, query)


def shadow(account: str, dialect: str) -> ClientCall[p.ShadowAnswer]:
    """Whether calls of a dialect are asked of the vendor, too, and how often its answers were ours."""
    return read(_shadow(account, dialect), p.ShadowAnswer)


def set_shadow(account: str, dialect: str, request: p.ShadowRequest) -> ClientCall[p.ShadowAnswer]:
    """On with a provider, or off."""
    return write("PUT", _shadow(account, dialect), p.ShadowAnswer, request)


def shadow_differences(account: str, *, dialect: str | None = None) -> Listing[p.ShadowDifference]:
    """The last calls that a vendor answered otherwise, in the order they were seen."""
    path = f"/v1/accounts/{segment(account)}/shadow/differences"
    return Listing(path, Page[p.ShadowDifference], _given(dialect=dialect))


# ── places


def place_catalogues() -> Listing[p.PlaceCatalogueAnswer]:
    """Of all products that have places."""
    return Listing("/v1/places", Page[p.PlaceCatalogueAnswer])


def places(
    product: str, *, kind: PlaceKind = "country", country: str | None = None, state: str | None = None
) -> Listing[p.PlaceAnswer]:
    """`country`: its code; `state`: the code of one, for cities of it alone."""
    query = _given(kind=kind, country=country, state=state)
    return Listing(_places(product), Page[p.PlaceAnswer], query | {"limit": "1000"})


def replace_places(
    product: str, rows: bytes | Iterable[p.PlaceRow], media_type: str = JSON
) -> ClientCall[p.PlaceCatalogueAnswer]:
    """`rows`: a file as it is, of this media type, or its rows. ApiError `unprocessable` has the lines that are wrong
    (`problem["faults"]`); nothing was changed then."""
    request = rows if isinstance(rows, bytes) else list(rows)
    made = write("PUT", _places(product), p.PlaceCatalogueAnswer, request, media_type=media_type)
    return msgspec.structs.replace(made, timeout_s=PLACES_TIMEOUT_S)


def remove_places(product: str) -> ClientCall[p.PlaceCatalogueAnswer]:
    return write("DELETE", _places(product), p.PlaceCatalogueAnswer)


def _places(product: str) -> str:
    return f"/v1/places/{segment(product)}"


# ── pools and products


def pools() -> Listing[p.PoolAnswer]:
    return Listing("/v1/pools", Page[p.PoolAnswer])


def create_pool(pool: str, request: p.PoolRequest) -> ClientCall[p.PoolAnswer]:
    return write("PUT", f"/v1/pools/{segment(pool)}", p.PoolAnswer, request)


def products() -> Listing[p.ProductAnswer]:
    return Listing("/v1/products", Page[p.ProductAnswer])


def map_product(product: str, request: p.ProductRequest) -> ClientCall[p.ProductAnswer]:
    return write("PUT", f"/v1/products/{segment(product)}", p.ProductAnswer, request)


# ── care: checks and backups run on the server; ask again how they are doing


def start_verify() -> ClientCall[p.VerifyAnswer]:
    """Begin a check of everything, or join the one that runs."""
    return write("POST", "/v1/verify", p.VerifyAnswer)


def verify() -> ClientCall[p.VerifyAnswer]:
    """How far the last check is, or what it found."""
    return read("/v1/verify", p.VerifyAnswer)


def start_retention(*, dry_run: bool = False) -> ClientCall[p.RetentionAnswer]:
    """Compact old rows, or tell what would be; or join the run that is under way."""
    return write("POST", "/v1/retention", p.RetentionAnswer, p.RetentionRequest(dry_run))


def retention() -> ClientCall[p.RetentionAnswer]:
    """Since when rows are kept as they came in, and how the last compacting is doing."""
    return read("/v1/retention", p.RetentionAnswer)


def start_backup(name: str | None = None, *, keep: int | None = None) -> ClientCall[p.BackupAnswer]:
    """Begin a backup in the server's own place for them, or join the one that runs. `keep`: when it is complete, remove
    older ones without a name until this many are left."""
    given: dict[str, str | int] = {"name": name} if name else {}
    return write("POST", "/v1/backups", p.BackupAnswer, given if keep is None else {**given, "keep": keep})


def backups() -> ClientCall[p.BackupsAnswer]:
    """How far the last backup is, and all that are kept."""
    return read("/v1/backups", p.BackupsAnswer)


def doctor() -> ClientCall[p.DoctorAnswer]:
    """Does the machine keep its promises, and what the installation holds."""
    return read("/v1/doctor", p.DoctorAnswer)


# ── webhooks: where messages go; without an account the operator's own


def add_webhook(request: p.WebhookRequest, account: str | None = None) -> ClientCall[p.WebhookAnswer]:
    """Its `secret` is in the answer, and never again."""
    return write("POST", _webhooks(account), p.WebhookAnswer, request)


def webhooks(account: str | None = None, *, removed: bool = False) -> Listing[p.WebhookAnswer]:
    """In the order they were added; `removed`: also those that were."""
    return Listing(_webhooks(account), Page[p.WebhookAnswer], {"removed": "true"} if removed else {})


def webhook(webhook: str, account: str | None = None) -> ClientCall[p.WebhookAnswer]:
    return read(_webhook(webhook, account), p.WebhookAnswer)


def change_webhook(webhook: str, change: p.WebhookChange, account: str | None = None) -> ClientCall[p.WebhookAnswer]:
    """What is given."""
    return write("PATCH", _webhook(webhook, account), p.WebhookAnswer, change)


def remove_webhook(webhook: str, account: str | None = None) -> ClientCall[p.WebhookAnswer]:
    """Its secrets are destroyed."""
    return write("DELETE", _webhook(webhook, account), p.WebhookAnswer)


def rotate_webhook(
    webhook: str, rotation: p.WebhookRotation, account: str | None = None
) -> ClientCall[p.WebhookAnswer]:
    """Another secret, in the answer; the present one signs, too, for a while."""
    return write("POST", f"{_webhook(webhook, account)}/rotate", p.WebhookAnswer, rotation)


def check_webhook(webhook: str, account: str | None = None) -> ClientCall[p.WebhookTestAnswer]:
    """A message of its own, now. It takes as long as the receiver takes, 15 seconds at the most."""
    made = write("POST", f"{_webhook(webhook, account)}/test", p.WebhookTestAnswer)
    return msgspec.structs.replace(made, timeout_s=CHECK_TIMEOUT_S)


def webhook_deliveries(
    webhook: str, account: str | None = None, *, state: DeliveryState | None = None
) -> Listing[p.DeliveryAnswer]:
    """In the order they were raised; `state`: only those that are so."""
    return Listing(f"{_webhook(webhook, account)}/deliveries", Page[p.DeliveryAnswer], _given(state=state))


def replay_webhook(webhook: str, replay: p.WebhookReplay, account: str | None = None) -> ClientCall[p.ReplayAnswer]:
    """Send one again, or all that are dead since an instant, under the ids they had."""
    return write("POST", f"{_webhook(webhook, account)}/replay", p.ReplayAnswer, replay)


# ── words of the API


def _webhooks(account: str | None) -> str:
    return "/v1/webhooks" if account is None else f"/v1/accounts/{segment(account)}/webhooks"


def _webhook(webhook: str, account: str | None) -> str:
    return f"{_webhooks(account)}/{segment(webhook)}"


def _providers(account: str) -> str:
    return f"/v1/accounts/{segment(account)}/providers"


def _provider(account: str, name: str) -> str:
    return f"{_providers(account)}/{segment(name)}"


def _shadow(account: str, dialect: str) -> str:
    return f"/v1/accounts/{segment(account)}/shadow/{segment(dialect)}"


def _user(account: str, user: str) -> str:
    return f"/v1/accounts/{segment(account)}/users/{segment(user)}"


def _wallet(account: str) -> str:
    return f"/v1/accounts/{segment(account)}/wallet"


def _whitelist(account: str, user: str | None) -> str:
    return f"{f'/v1/accounts/{segment(account)}' if user is None else _user(account, user)}/whitelist"


def _vouchers(account: str) -> str:
    return f"/v1/accounts/{segment(account)}/vouchers"


def _credentials(account: str | None) -> str:
    return "/v1/credentials" if account is None else f"/v1/accounts/{segment(account)}/credentials"


def _given(**values: str | int | None) -> Query:
    """What is not said is left out."""
    query: Query = {}
    query.update((name, str(value)) for name, value in values.items() if value is not None)
    return query


def _samples_query(question: SamplesQuestion) -> Query:
    query: Query = {"name": list(question.get("names", ()))}
    for name, word in (("start", "from"), ("end", "to"), ("period_s", "period_s"), ("aggregation", "aggregation")):
        if (value := question.get(name)) is not None:
            query[word] = str(value)
    return query


def _reconciliation_query(provider: str, question: ReconciliationAsked) -> Query:
    query: Query = {"provider": provider}
    query.update((WORDS.get(name, name), str(value)) for name, value in question.items() if value is not None)
    return query


def _kept(account: str, provider: str) -> str:
    return f"{_provider(account, provider)}/reconciliations"


def _rules(account: str, provider: str) -> str:
    return f"{_provider(account, provider)}/rules"


def _usage_query(question: UsageQuestion | OverallUsageQuestion) -> Query:
    """Lists become repeated parameters, what is not said is left out."""
    query: Query = {}
    for name, value in question.items():
        word = WORDS.get(name, name)
        if word in query and value is not None:
            raise TypeError(f"{name} says the same as another argument: both are {word!r} in the API")
        if isinstance(value, (str, int)):
            query[word] = str(value)
        elif isinstance(value, Iterable) and (values := list(value)):
            query[word] = [_group(one) for one in values] if name == "by" else values
    return query


def _group(name: str) -> str:
    """A label may have commas in its name, where the server reads a list."""
    return as_listed(name) if name.startswith(LABEL) else name
