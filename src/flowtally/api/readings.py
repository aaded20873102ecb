"""Readings of cumulative counters in, what they add out. Everything but the door is ingest's."""

from __future__ import annotations

from functools import partial
from typing import Annotated, Final

import msgspec
from msgspec import Meta

from flowtally.core.corrections import Quantities
from flowtally.core.errors import NotFound
from flowtally.core.readings import Reading
from flowtally.core.words import ReceiptsTold
from flowtally.ledger.pages import DEFAULT_LIMIT, ListPage
from flowtally.protocol import CounterAnswer, ReadingReceipt, ReadingsAnswer
from flowtally.web.bodies import WRITER_ERRORS, AnyRequest, read_body
from flowtally.web.call import Call, Reply
from flowtally.web.inputs import ANY_TEXT
from flowtally.web.lists import Cursor, Limit
from flowtally.web.operation import Listed, operation
from flowtally.web.problems import HELD

USUAL: Final = frozenset({"", "no_change"})  # what is not notable of a reading that is not refused
READING = {
    "source": "xray-1",
    "counter": "user>>>alice>>>traffic",
    "account": "acme",
    "user": "alice",
    "product": "residential",
    "time": "2026-03-01T12:00:10Z",
    "bytes_up": 1_200,
    "bytes_down": 50_000,
    "epoch": "2026-03-01T08:30:00Z",
    "interval_s": 10,
}
CLOSING = {"source": "nas-1", "closes": "nas-1/", "time": "2026-03-01T12:00:11Z"}


class ReadingsQuery(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    receipts: Annotated[
        ReceiptsTold,
        Meta(
            description="`all`: a receipt for every reading; `notable`: only for readings that were refused or counted "
            "by a rule beyond the usual one."
        ),
    ] = "all"


@operation(
    "POST",
    "/v1/readings",
    may="readings:write",
    narrows=True,
    summary="Send readings of counters",
    sends=True,
    query=ReadingsQuery,
    answer=ReadingsAnswer,
    errors=WRITER_ERRORS,
    raw_body={
        "application/json": [READING, CLOSING],
        "application/x-ndjson": '{"source":"nas-1","counter":"nas-1/5f","account":"acme","time":"2026-03-01T12:00:10Z",'
        '"bytes_up":1,"bytes_down":2,"final":true}\n',
    },
    raw_json=list[Reading],
    example=ReadingsAnswer(
        stored=1,
        duplicate=0,
        refused=1,
        receipts=[
            ReadingReceipt(
                0,
                "xray-1",
                "user>>>alice>>>traffic",
                "stored",
                id="user>>>alice>>>traffic/2",
                added=Quantities(200, 10_000, 0),
                before=Quantities(1_000, 40_000, 0),
                after=Quantities(1_200, 50_000, 0),
            ),
            ReadingReceipt(
                1,
                "xray-1",
                "user>>>bob>>>traffic",
                "refused",
                "unknown_account",
                "there is no account 'amce'",
                retriable=True,
            ),
        ],
    ),
)
async def send_readings(call: Call, request: AnyRequest, query: ReadingsQuery) -> Reply:
    """What counters stand at: a reading, an array of at most 10,000, or one a line; bodies may be compressed with gzip
    or zstd. What is stored is the difference to the counter's reading before, dated at this one's time, for the
    account, user and product that this one names. A reading that is sent again, or late, or by two, counts once; one
    that never came is in the next one.

    A counter is its `source` and its name; a source of counters takes no events. The first reading counts nothing, or
    all where it says `from_zero`. Another `epoch`, or a smaller value, is a restart: all of the value counts. A reading
    of before the restart that comes after it still counts for what it knew more. `final` closes the counter. With
    `closes` all open counters of the source whose names begin so are closed, as they were last read.

    Codes of receipts: `baseline`, `restarted`, `reset`, `wrapped`, `clock_set`, `late`, `after_final`,
    `final_without_values`, `missing_stop`, `reopened`, `moved` (stored), `no_change`, `late`, `after_final`
    (duplicate), `invalid_reading`, `bad_time`, `too_large`, `too_many_counters`, `unknown_account`, `account_closed`,
    `unknown_user`, `time_in_future`, `not_your_account` (refused: the counter has not moved). See the page on
    counters."""
    hold = request.scope[HELD].enter_context(call.services.bodies.hold(call.credential.account))  # type: ignore[typeddict-item]
    body = await read_body(request, call.services.config.max_body_bytes, call.services.config, hold)
    kind, encoding = (request.headers.get(name) for name in ("content-type", "content-encoding"))
    in_thread = partial(call.services.read, call.credential)
    done = await call.services.ingest.meter(body, kind or "", encoding, call.credential, hold.add, in_thread)
    call.services.metrics.readings(done)
    if query.receipts == "notable":
        done = msgspec.structs.replace(done, receipts=[one for one in done.receipts if _is_notable(one)])
    reply = Reply(msgspec.json.encode(done))
    hold.become(len(reply.content))
    return reply


class CountersQuery(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    source: Annotated[str, Meta(description="The name of the source.", examples=["xray-1"])]
    prefix: Annotated[
        str, Meta(description="Only counters whose names begin with this.", examples=["nas-1/"]), ANY_TEXT
    ] = ""
    cursor: Cursor = None
    limit: Limit = DEFAULT_LIMIT


@operation(
    "GET",
    "/v1/counters",
    may="sources:read",
    narrows=True,
    or_sent=True,
    summary="List the counters of a source",
    sends=True,
    query=CountersQuery,
    answer=Listed(CounterAnswer),
    errors=(NotFound,),
    example=ListPage(
        [
            CounterAnswer(
                source="xray-1",
                counter="user>>>alice>>>traffic",
                account="acme",
                user="alice",
                user_id="usr_0199f2c47b3a7c11a1f0b2c3d4e5f607",
                product="residential",
                state="open",
                epoch="2026-03-01T08:30:00Z",
                bytes_up=1_200,
                bytes_down=50_000,
                requests=0,
                began_at="2026-03-01T08:30:10Z",
                time="2026-03-01T12:00:10Z",
                seen_at="2026-03-01T12:00:10.020Z",
                interval_s=10,
                rows=812,
                flag="restarted",
                flagged_at="2026-03-01T08:30:10Z",
            )
        ],
        None,
    ),
)
async def list_counters(call: Call, request: AnyRequest, query: CountersQuery) -> ListPage[CounterAnswer]:
    """Counters of a source in order of their names, as they were last read: closed or open, and the last rule beyond
    the usual that a reading of them was counted by. A counter that is silent for three of its intervals is closed as
    `missing_stop`; the next reading opens it again. Closed ones are listed for a day, those of which no reading says
    how often they are read for a month after the last one: that they are no longer listed changes nothing for who
    reads them again. A credential of scope `ingest` asks about sources of its own sender, one of an account sees
    counters of that account."""
    ingest, credential = call.services.ingest, call.credential
    return await call.answered(
        lambda: ingest.counters(query.source, query.prefix, credential, query.cursor, query.limit)
    )


def _is_notable(one: ReadingReceipt) -> bool:
    return one.status == "refused" or one.code not in USUAL
