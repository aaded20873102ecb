"""What is brought of an account with Whitepages: requests by UTC day.

Owns what is asked when, and what the answers mean. The counts are of all requests, whatever became of them: what is
billed of them its API does not tell. A day that is missing within the range had none.
"""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, date, datetime, timedelta
from typing import Final, NoReturn

from flowtally.core.reported import EVERYBODY, FigureSaid, Statement, UseSaid, span_key
from flowtally.core.times import DAY_MS, EPOCH
from flowtally.providers.puller import (
    AskVendor,
    ChangedShape,
    Denied,
    Limited,
    Pace,
    ProviderSetting,
    Puller,
    Sight,
    ToPull,
    VendorAnswer,
)
from flowtally.providers.reading import InAnswer, told
from flowtally.vendors.whitepages.wire import LIMIT_EXCEEDED, TOO_MANY, Refused, decode_fault, parse_day

USAGE: Final = "/v1/account/usage/"
MOST_DAYS: Final = 90  # of one answer, both ends counted: right by both readings of "90 days"


def check(ask: AskVendor, wanted: ToPull) -> Sight:
    """Whether the key may ask, by the use of today."""
    today = _date_of(wanted.now)
    said = _ask_days(ask, wanted, today, today)
    so_far = sum(one.amount for one in said.figures)
    return Sight((f"Requests by UTC day: {so_far} today",), ("What of them is billed: its API does not tell",))


def pull(ask: AskVendor, wanted: ToPull) -> Iterator[Statement]:
    """Of at most 90 days each, the oldest first."""
    first, today = _date_of(max(wanted.since, 0)), _date_of(wanted.now)
    while first <= today:
        last = min(first + timedelta(MOST_DAYS - 1), today)
        yield _ask_days(ask, wanted, first, last)
        first = last + timedelta(1)


def _ask_days(ask: AskVendor, wanted: ToPull, first: date, last: date) -> UseSaid:
    def again(answer: VendorAnswer) -> float | None:
        """The two limits differ by what they say, not by their status: one passes, the other lasts for a month."""
        if not 400 <= answer.status < 500:
            return None
        if _says(fault := decode_fault(answer.body), LIMIT_EXCEEDED):
            raise Limited(_shown(answer, fault), _until_next_month_s(wanted.now))
        return 0.0 if _says(fault, TOO_MANY) else None

    answer = ask(
        "GET",
        USAGE,
        query=[("start_date", first.isoformat()), ("end_date", last.isoformat())],
        headers={"X-Api-Key": wanted.secrets["key"]},
        again=again,
    )
    if not 200 <= answer.status < 300:
        _refuse(answer)
    return _read_days(told(answer), first, last, wanted.settings["product"])


def _refuse(answer: VendorAnswer) -> NoReturn:
    """401 is what one of their guides says of a wrong key; everywhere else it is 403."""
    fault = decode_fault(answer.body)
    shown = _shown(answer, fault)
    if _says(fault, TOO_MANY):
        raise Limited(shown)
    if answer.status in {401, 403}:
        raise Denied(shown)
    raise ChangedShape(shown, answer.text)


def _says(fault: Refused, message: str) -> bool:
    return fault.message.strip().casefold() == message.casefold()


def _shown(answer: VendorAnswer, fault: Refused) -> str:
    """What its service or its gateway said, or the text; the trace id is for the vendor's support."""
    said = answer.shown(" ".join(part for part in (fault.message, fault.long_message) if part), 300)
    return f"HTTP {answer.status}: {said}" + (f" (wp_trace_id {fault.wp_trace_id})" if fault.wp_trace_id else "")


def _read_days(body: InAnswer, first: date, last: date, product: str) -> UseSaid:
    """Of the range that the answer says it has: what lies outside was not told, so it is not nothing."""
    of = body.member("time_range")
    start, end = _day(of.member("start_date")), _day(of.member("end_date"))
    if not first <= start <= end <= last:
        of.wrong(f"is not within {first} to {last}, which was asked for")
    counts: dict[date, int] = {}
    for row in body.member("usage_data").items():
        dated = row.member("date")
        if (day := _day(dated)) in counts or not start <= day <= end:
            dated.wrong("was told already" if day in counts else f"is not within {start} to {end}")
        counts[day] = row.member("request_count").whole()
    figures = [
        FigureSaid(span_key("day", at := _instant(day), product, EVERYBODY), at, EVERYBODY, product, count)
        for day, count in sorted(counts.items())
        if count
    ]
    doubts = _doubts(body, counts, start, end, first, last)
    return UseSaid(
        "requests", "day", "UTC", _instant(start), _instant(end) + DAY_MS, 1, tuple(figures), doubts=tuple(doubts)
    )


def _doubts(body: InAnswer, counts: dict[date, int], start: date, end: date, first: date, last: date) -> Iterator[str]:
    """ChangedShape where days are missing that are not nothing: the total is more than the others have."""
    total, rows = body.member("total_requests_in_timeperiod"), sum(counts.values())
    if total.whole() > rows and len(counts) <= (end - start).days:
        total.wrong(f"is more than the {rows} of the days, and days are missing")
    if total.whole() != rows:
        yield f"{start} to {end}: the total is {total.whole()}, the days add up to {rows}"
    if (start, end) != (first, last):
        yield f"{first} to {last} was asked for, {start} to {end} was answered"


def _day(said: InAnswer) -> date:
    return parse_day(said.text()) or said.wrong("is no date such as 2025-09-12")


def _instant(day: date) -> int:
    return (day - EPOCH.date()).days * DAY_MS


def _date_of(at: int) -> date:
    return EPOCH.date() + timedelta(at // DAY_MS)


def _until_next_month_s(now: int) -> float:
    today = _date_of(now)
    following = date(today.year + today.month // 12, today.month % 12 + 1, 1)
    return (datetime(following.year, following.month, 1, tzinfo=UTC) - EPOCH).total_seconds() - now / 1000


PULLER: Final = Puller(
    vendor="whitepages",
    title="Whitepages",
    base_url="https://api.whitepages.com",
    secrets=(ProviderSetting("key", "The API key, as its calls have it in X-Api-Key."),),
    settings=(ProviderSetting("product", "The product of its requests.", "api"),),
    pace=Pace(between_s=1.0),
    every_s=1800,  # its data do not change sooner
    settle_days=2,
    keeps_days=None,
    quantity="requests",
    check=check,
    pull=pull,
)
