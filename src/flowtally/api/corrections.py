"""What is right of events: corrections, voids and free adjustments. Everything but the door is ingest's."""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial

from flowtally.core.corrections import Correction, Quantities
from flowtally.core.errors import NotAsExpected
from flowtally.ledger.trail import ids
from flowtally.protocol import CorrectionReceipt, CorrectionsAnswer
from flowtally.web.bodies import WRITER_ERRORS, AnyRequest, read_body
from flowtally.web.call import Call
from flowtally.web.inputs import NoQuery
from flowtally.web.operation import operation

EXAMPLES = [
    {
        "id": "fix-2026-03-02-1",
        "corrects": {"source": "gateway-1", "id": "0199f2c4-7b3a-7c11-a1f0-b2c3d4e5f607"},
        "bytes_down": 40_000,
        "expects": {"bytes_down": 50_000},
        "reason": "the gateway counted a retransmission",
    },
    {"id": "fix-2026-03-02-2", "corrects": {"source": "squid-1", "id": "4711"}, "void": True},
    {
        "id": "goodwill-88",
        "account": "acme",
        "product": "residential",
        "time": "2026-03-01T12:00:00Z",
        "bytes_down": -5_000_000_000,
        "reason": "outage of 1 March",
    },
]


@operation(
    "POST",
    "/v1/corrections",
    may="corrections:write",
    narrows=True,
    summary="Correct events",
    sends=True,
    query=NoQuery,
    answer=CorrectionsAnswer,
    errors=(*WRITER_ERRORS, NotAsExpected),
    raw_body={"application/json": EXAMPLES},
    raw_json=list[Correction],
    example=CorrectionsAnswer(
        stored=1,
        duplicate=0,
        conflict=0,
        refused=1,
        receipts=[
            CorrectionReceipt(
                0,
                "corrections",
                "fix-2026-03-02-1",
                "stored",
                added=Quantities(0, -10_000, 0),
                before=Quantities(1200, 50_000, 1),
                after=Quantities(1200, 40_000, 1),
            ),
            CorrectionReceipt(
                1,
                "corrections",
                "fix-2026-03-02-2",
                "refused",
                "unknown_event",
                "there is no event '4711' of source 'squid-1'",
            ),
        ],
    ),
)
async def send_corrections(call: Call, request: AnyRequest) -> CorrectionsAnswer:
    """One correction or an array of at most 1,000. With `corrects` (`id` is the number where the source is numbered):
    the event's right quantities, of which those left out stay as they stand, or `void`. What is stored is the
    difference to what the event stands at, dated and grouped like the event; usage and balances follow in the same
    commit. `expects` guards against correcting something else than was looked at: 409 `not_as_expected` with what is
    `present`, and nothing of the request stored. Without `corrects`: a free adjustment of signed quantities with a
    reason, for who has the right `sources:write` too. A wrong account or time: void the event and send it again.

    `(source, id)` of a correction counts once for ever; a `source` belongs to the sender that first wrote it.
    Unless said otherwise it is `corrections`, which is the administrators': who has not the right `sources:write`
    names one of its own, and corrects events of its own sources.
    Codes of receipts: `already_void` and `no_change` (stored, adding nothing), `other_content` (conflict),
    `unknown_event`, `refused_event`, `unknown_account`, `account_closed`, `unknown_user`, `time_in_future`,
    `adjustment_needs_admin` (refused)."""
    kind, encoding = (request.headers.get(name) for name in ("content-type", "content-encoding"))
    with call.services.bodies.hold(call.credential.account) as hold:
        body = await read_body(request, call.services.config.max_body_bytes, call.services.config, hold)
        record, in_thread = partial(_record, call), partial(call.services.read, call.credential)
        done = await call.services.ingest.correct(
            body, kind or "", encoding, call.credential, record, hold.add, in_thread
        )
    call.services.metrics.corrections(done)
    return done


def _record(call: Call, asked: Sequence[Correction]) -> None:
    """Without reasons: a user's may be erased. Of a credential of an account it is about that one, whatever it names:
    what is asked for here may be refused."""
    if not asked:
        return
    whose = {call.credential.account or one.account for one in asked}
    voids = sum(one.void for one in asked)
    said = ids([f"{one.source}/{one.id}" for one in asked])
    account = next(iter(whose)) if len(whose) == 1 else ""
    call.record("event.correct", account=account or None, subject=asked[0].source, voids=voids, **said)
