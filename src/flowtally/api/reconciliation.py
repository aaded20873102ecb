"""Whether a vendor's bill is what was measured, the sheet to claim with, and the rules it is compared by."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Annotated, Final

import msgspec
from msgspec import Meta

from flowtally.answers.claim_sheet import claim_csv, claim_text
from flowtally.answers.kept_reconciliations import (
    ToKeep,
    answer_question,
    compare_with_kept,
    keep_answer,
    plan_to_keep,
    show_kept,
)
from flowtally.answers.reconciled import MAX_CLAIMED, MAX_DISPUTED
from flowtally.answers.reconciliation import ReconciliationQuestion
from flowtally.core.edges import DateOrInstant, Instant
from flowtally.core.errors import (
    BadRange,
    BadRequest,
    Conflict,
    Forbidden,
    LimitReached,
    NotAcceptable,
    NotFound,
    RowsCompacted,
    UnknownAccount,
    Unprocessable,
)
from flowtally.core.media import CSV, JSON, PLAIN
from flowtally.core.reconciling.names import NameRule
from flowtally.core.reconciling.patterns import BadPattern
from flowtally.core.reconciling.rules import NamePair, ReconciliationRules, read_rules, write_rules
from flowtally.core.words import ListForm, Unit
from flowtally.ledger.pages import ListPage
from flowtally.ledger.people.accounts import read_account
from flowtally.ledger.providers import connected, kept
from flowtally.ledger.providers.connected import Provider
from flowtally.protocol import (
    CutTold,
    KeptReconciliationAnswer,
    KeptReconciliationDetail,
    OffsetFit,
    OverheadTold,
    ReconciliationAnswer,
    ReconciliationRequest,
    RoundingTold,
    Sides,
    SpanReconciled,
    UserReconciled,
)
from flowtally.web.auth import require_whole
from flowtally.web.call import Call, Reply
from flowtally.web.capacity.weights import of_reconciliation
from flowtally.web.lists import PageQuery, show_page
from flowtally.web.media import choose
from flowtally.web.operation import Listed, operation

KEPT_PATH: Final = "/v1/accounts/{account}/providers/{provider}/reconciliations"
RULES: Final = "/v1/accounts/{account}/providers/{provider}/rules"
FORMS: Final = {"json": JSON, "csv": CSV, "text": PLAIN}
SIDES = Sides(
    measured=1_000_000_000,
    billed=1_051_000_832,
    difference=51_000_832,
    cut=0,
    overhead=51_000_000,
    corrected=0,
    late=0,
    rounding=832,
    only_billed=0,
    only_measured=0,
    unexplained=0,
    rounding_bound=1024,
    left_over=0,
)
EXAMPLE = ReconciliationAnswer(
    account="acme",
    provider="thor-main",
    vendor="thordata",
    start="2026-03-01T00:00:00Z",
    end="2026-03-02T00:00:00Z",
    zone="UTC",
    grain="day",
    quantity="bytes",
    accounts=[],
    products=[],
    corrected_since=None,
    match="matches",
    total=SIDES,
    spans=[
        SpanReconciled(
            "2026-03-01T00:00:00Z", "2026-03-02T00:00:00Z", True, True, "2026-03-09T06:00:00Z", "matches", SIDES
        )
    ],
    users=[UserReconciled("ann", ["ann"], ["customer-ann"], "matches", SIDES)],
    disputed=[],
    disputed_in_all=0,
    cut=CutTold("declared_fits", 30, 832, 31_530_024_960, OffsetFit("+01:00", 40_000_000), None, 0),
    overhead=OverheadTold("claimed", 30, 50_998, 51_000, 51_001, False, 48_000_000, 51_000_000, 53_000_000),
    rounding=RoundingTold(1024, 14, 16, 0),
    oddities=[],
    ambiguous=[],
    known_block=4711,
    known_at="2026-03-09T08:00:00Z",
)
KEPT = KeptReconciliationAnswer(
    id="rec_0199f2c47b3a7c11a1f0b2c3d4e5f608",
    provider="thor-main",
    start="2026-03-01T00:00:00Z",
    end="2026-03-02T00:00:00Z",
    kept_at="2026-03-09T08:00:00Z",
    known_block=4711,
    match="matches",
)
DETAIL = KeptReconciliationDetail(KEPT.id, KEPT.kept_at, False, False, 0, 0, 0, EXAMPLE, EXAMPLE)
RULES_EXAMPLE = ReconciliationRules(
    products=["residential"],
    names=[NamePair("sub7", "bob")],
    rewriting=[NameRule("billed", "prefix", "customer-")],
)


class ReconciliationQuery(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    provider: Annotated[str, Meta(description="The provider's name.", examples=["thor-main"])]
    start: Annotated[
        DateOrInstant | None,
        Meta(
            description="The first instant: a date of the vendor's calendar or RFC 3339. Only whole days from there on "
            "are compared. Default: 30 days before `to`.",
            examples=["2026-03-01"],
        ),
    ] = msgspec.field(name="from", default=None)
    end: Annotated[
        DateOrInstant | None,
        Meta(
            description="The end, which no longer belongs to it: a date of the vendor's calendar or RFC 3339. Default: "
            "the end of what the vendor told.",
            examples=["2026-04-01"],
        ),
    ] = msgspec.field(name="to", default=None)
    corrected_since: Annotated[
        Instant | None,
        Meta(
            description="What either side changed after this instant, of days that stand still, counts as corrected. "
            "Give the instant of the bill. Default: nothing does."
        ),
    ] = None
    quantity: Annotated[
        Unit | None,
        Meta(description="What is compared. Default: what the vendor tells its use in, `bytes` or `requests`."),
    ] = None
    format: Annotated[
        ListForm | None,
        Meta(
            description="`csv` and `text` are the claim sheet: days beyond tolerance, and users on a day. CSV has all "
            "of them, or is refused where there are more than 100,000. Default: by the Accept header, else `json`."
        ),
    ] = None


@operation(
    "GET",
    "/v1/accounts/{account}/reconciliation",
    may="providers:read",
    summary="Compare a vendor's bill with what was measured",
    weigh=of_reconciliation,
    query=ReconciliationQuery,
    answer=ReconciliationAnswer,
    errors=(BadRequest, BadRange, UnknownAccount, NotFound, NotAcceptable, RowsCompacted, Forbidden),
    also=(CSV, PLAIN),
    example=EXAMPLE,
)
def read_reconciliation(call: Call, account: str, query: ReconciliationQuery) -> ReconciliationAnswer | Reply:
    """Both sides by day and by user, and what explains their difference, as whole numbers that add up to it exactly:
    names that only one side knows, days cut by another calendar, overhead, corrections, late data, rounding. The rest
    is unexplained. Days are those of the vendor; a day it was not asked about counts on neither side. Calendar and
    overhead are estimated from a week of days at the least, and taken only where they fit far better than nothing.

    `match` says whether what is left over (what is unexplained, and what only one side knows) is within the tolerances
    of the provider's rules. Too much and too little do not cancel out: their sizes are added up. A day that may still
    move is judged, and not disputed.

    It is of now: which days were told, and the rules, are not kept as they were."""
    form = choose(call.accept, tuple(FORMS.values())) if query.format is None else FORMS[query.format]
    whose = _check_sees(call, account, query.provider)
    question = _question(call, whose, query.quantity, query.start, query.end, query.corrected_since)
    most = MAX_CLAIMED if form == CSV else MAX_DISPUTED
    answer = answer_question(call.tx, call.usage, question, call.now, most)
    if form == JSON:
        return answer
    content, name = (claim_csv(answer), "claim.csv") if form == CSV else (claim_text(answer).encode(), "claim.txt")
    return Reply(content, form, headers={"Content-Disposition": f'attachment; filename="{name}"'})


def plan_kept(call: Call, account: str, provider: str, body: ReconciliationRequest) -> ToKeep:
    whose = _check_sees(call, account, provider)
    question = _question(call, whose, body.quantity, body.start, body.end, body.corrected_since)
    return plan_to_keep(call.tx, call.usage, question, call.now)


def _check_sees(call: Call, account: str, provider: str) -> Provider:
    """Forbidden where other accounts' use is compared, for credentials of one. UnknownAccount, NotFound."""
    read_account(call.tx, account)
    found = connected.read_provider(call.tx, provider, account)
    _check_accounts(call, account, read_rules(found.rules).accounts)
    return found


def _question(
    call: Call,
    provider: Provider,
    quantity: Unit | None,
    start: str | None,
    end: str | None,
    corrected_since: str | None,
) -> ReconciliationQuestion:
    """In what the vendor tells its use in, unless something else is asked: a vendor that tells of none has told it in
    something, too."""
    told_in, again_days = _habits(call, provider)
    return ReconciliationQuestion(
        provider.account, provider.name, quantity or told_in, start, end, corrected_since, again_days
    )


def _habits(call: Call, provider: Provider) -> tuple[Unit, int]:
    """What its vendor tells its use in, and for how many days a day is asked for again by the clock."""
    puller = call.services.providers.pullers.get(provider.vendor)
    # None: of a vendor that this version knows no more.
    return ("bytes", 0) if puller is None else (puller.quantity, puller.settle_days)


def _check_accounts(call: Call, account: str, named: Sequence[str]) -> None:
    if set(named) - {account}:
        require_whole(call.credential)


@operation(
    "POST",
    KEPT_PATH,
    may="providers:write",
    summary="Keep a reconciliation",
    body=ReconciliationRequest,
    answer=KeptReconciliationAnswer,
    status=201,
    errors=(UnknownAccount, NotFound, BadRange, LimitReached, RowsCompacted, Forbidden),
    prepare=plan_kept,
    body_example={"from": "2026-03-01", "to": "2026-04-01"},
    example=KEPT,
)
def add_reconciliation(
    call: Call, account: str, provider: str, body: ReconciliationRequest, prepared: ToKeep
) -> KeptReconciliationAnswer:
    """Keeps the whole answer of now for ever with the rules it was compared by, as of a bill that was checked. A
    provider has 1,000 at most."""
    return keep_answer(call.tx, prepared, call.now)


@operation(
    "GET",
    KEPT_PATH,
    may="providers:read",
    summary="List kept reconciliations",
    query=PageQuery,
    answer=Listed(KeptReconciliationAnswer),
    errors=(UnknownAccount, NotFound),
    example={"items": [KEPT], "next": None},
)
def list_reconciliations(
    call: Call, account: str, provider: str, query: PageQuery
) -> ListPage[KeptReconciliationAnswer]:
    """In the order they were kept."""
    whose = connected.read_provider(call.tx, provider, account)
    found = kept.list_reconciliations(call.tx, whose, query.cursor, query.limit)
    return show_page(found, lambda one: show_kept(one, whose.name))


@operation(
    "GET",
    KEPT_PATH + "/{reconciliation}",
    may="providers:read",
    summary="Compare a kept reconciliation with now",
    answer=KeptReconciliationDetail,
    errors=(UnknownAccount, NotFound, BadRange, RowsCompacted, Forbidden),
    example=DETAIL,
)
def read_kept_reconciliation(call: Call, account: str, provider: str, reconciliation: str) -> KeptReconciliationDetail:
    """What was answered then, the same question now by the rules of then, and what moved since: what the vendor changed
    in a bill that was checked, and what was measured late or corrected."""
    whose = _check_sees(call, account, provider)
    _, again_days = _habits(call, whose)
    found = compare_with_kept(call.tx, call.usage, whose, reconciliation, again_days, call.now)
    _check_accounts(call, account, found.kept.accounts)
    return found


@operation(
    "GET",
    RULES,
    may="providers:read",
    summary="Read by which rules a provider is compared",
    answer=ReconciliationRules,
    errors=(UnknownAccount, NotFound, Forbidden),
    example=RULES_EXAMPLE,
)
def read_reconciliation_rules(call: Call, account: str, provider: str) -> ReconciliationRules:
    """The usual ones where nobody said others."""
    rules = read_rules(connected.read_provider(call.tx, provider, account).rules)
    _check_accounts(call, account, rules.accounts)
    return rules


@operation(
    "PUT",
    RULES,
    may="providers:write",
    summary="Say by which rules a provider is compared",
    body=ReconciliationRules,
    answer=ReconciliationRules,
    errors=(UnknownAccount, NotFound, Conflict, Unprocessable, Forbidden),
    body_example=msgspec.to_builtins(RULES_EXAMPLE),
    example=RULES_EXAMPLE,
)
def put_reconciliation_rules(call: Call, account: str, provider: str, body: ReconciliationRules) -> ReconciliationRules:
    """All of them anew: what is left out is as usual. A pattern is a regular expression of one group, which is the name
    that is meant, without alternatives: `customer-(.+)-zone-.*`. Where rules lead to several names none is taken, and
    the answer says so."""
    was = read_rules(connected.read_provider(call.tx, provider, account).rules)
    _check_accounts(call, account, [*was.accounts, *body.accounts])
    for named in body.accounts:
        read_account(call.tx, named)
    try:
        rules = write_rules(body)
    except BadPattern as error:
        raise Unprocessable(f"rewriting: {error}", field="rewriting") from None
    connected.change_provider(call.tx, provider, now=call.now, rules=rules)
    return body
