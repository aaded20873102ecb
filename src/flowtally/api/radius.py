"""Accounting of RADIUS in, as FreeRADIUS's `rlm_rest` hands it over. What attributes mean is `radius`'s, what a reading
adds is ingest's.

An answer to accounting is a promise, as everywhere: 204 once it is stored. Anything else makes FreeRADIUS answer
nothing, so the NAS sends it again.
"""

from __future__ import annotations

from functools import partial
from typing import Annotated, Final

import msgspec
from msgspec import Meta

from flowtally.core.edges import load_zone
from flowtally.core.errors import MalformedBody, UnknownZone, Unprocessable, UnsupportedMedia
from flowtally.core.events import MAX_NAME_CHARS
from flowtally.core.media import JSON
from flowtally.core.radius import RadiusMapping, attributes_of, reading_of
from flowtally.core.readings import MAX_INTERVAL_S, Reading
from flowtally.web.bodies import WRITER_ERRORS, AnyRequest, read_body
from flowtally.web.call import Call, Reply
from flowtally.web.inputs import check_known
from flowtally.web.operation import operation

MAX_BODY_BYTES: Final = 256 * 1024  # a packet has 4 KiB
Text = Annotated[str, Meta(min_length=1, max_length=MAX_NAME_CHARS)]
ACCOUNTING = {
    "User-Name": {"type": "string", "value": ["alice"]},
    "NAS-Identifier": {"type": "string", "value": ["nas-1"]},
    "Acct-Status-Type": {"type": "integer", "value": ["Interim-Update"]},
    "Acct-Session-Id": {"type": "string", "value": ["5f2a91c3"]},
    "Acct-Session-Time": {"type": "integer", "value": [600]},
    "Acct-Input-Octets": {"type": "integer", "value": [1200]},
    "Acct-Output-Octets": {"type": "integer", "value": [50_000]},
    "Acct-Output-Gigawords": {"type": "integer", "value": [1]},
}


class RadiusAttribute(msgspec.Struct, frozen=True):
    """An attribute as FreeRADIUS 3 writes it.

    type: The type of its values, in FreeRADIUS's words.
    value: Its values; the first one counts.
    """

    type: str
    value: list[str | int]


class AccountingQuery(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    account: Annotated[Text | None, Meta(description="The account of sessions that name none.")] = None
    account_from: Annotated[
        Text | None,
        Meta(
            description="The attribute that names the account (Class, Realm, NAS-Identifier ...), or `realm`: what "
            "follows the last @ of the user's name, or stands before a backslash, and is then left out of it."
        ),
    ] = None
    user_from: Annotated[Text, Meta(description="The attribute that names the user.")] = "User-Name"
    product: Annotated[Text | None, Meta(description="The product of sessions that name none.")] = None
    product_from: Annotated[Text | None, Meta(description="The attribute that names the product.")] = None
    source: Annotated[Text, Meta(description="The source; one for all servers a NAS may send to.")] = "radius"
    interval_s: Annotated[
        Annotated[int, Meta(ge=1, le=MAX_INTERVAL_S)] | None,
        Meta(description="How often a NAS sends an Interim-Update."),
    ] = None
    zone: Annotated[
        Text | None,
        Meta(
            description="The time zone FreeRADIUS runs in, which writes dates by it; not needed for UTC.",
            examples=["Europe/Berlin"],
        ),
    ] = None


@operation(
    "POST",
    "/v1/radius/accounting",
    may="readings:write",
    narrows=True,
    summary="Account for RADIUS sessions",
    sends=True,
    status=204,
    query=AccountingQuery,
    answer=None,
    errors=(*WRITER_ERRORS, UnknownZone),
    raw_body={JSON: ACCOUNTING},
    raw_json=dict[str, str | int | RadiusAttribute],
)
async def send_accounting(call: Call, request: AnyRequest, query: AccountingQuery) -> Reply:
    """The attributes of one Accounting-Request as FreeRADIUS's module `rest` writes them (`body = 'json'`). A session
    is a counter, a Start, Interim-Update or Stop a reading of it, and an Accounting-On or -Off closes the counters of
    its NAS. Input is what the user sent: up. Other requests count nothing.

    204 as soon as it is stored, or was before; then FreeRADIUS answers the NAS. With any other status it does not, and
    the NAS sends it again. 422 says what of it cannot be stored, in `reason` as a receipt's code of a reading."""
    kind = request.headers.get("content-type", JSON)
    if kind.partition(";")[0].strip().lower() != JSON:
        raise UnsupportedMedia(f"Content-Type {kind[:100]!r} is not {JSON}: set body = 'json'", accepted=[JSON])
    body = await read_body(request, min(MAX_BODY_BYTES, call.services.config.max_json_bytes), call.services.config)
    try:
        said = attributes_of(body)
    except (ValueError, RecursionError) as error:
        raise MalformedBody(f"The body is no JSON of attributes: {error}.") from None
    reading = reading_of(said, _asked(query, call.credential.account), call.now)
    if reading is not None:
        await _store(call, reading)
    return Reply(b"", status=204)


def _asked(query: AccountingQuery, account: str | None) -> RadiusMapping:
    for text in (query.account, query.product, query.source):
        check_known("A name", text or "")
    return RadiusMapping(
        source=query.source,
        account=query.account or account or "",
        account_from=query.account_from or "",
        user_from=query.user_from,
        product=query.product or "",
        product_from=query.product_from or "",
        interval_s=query.interval_s,
        zone=load_zone(query.zone) if query.zone else None,
    )


async def _store(call: Call, reading: Reading) -> None:
    in_thread = partial(call.services.read, call.credential)
    raw = msgspec.json.encode(reading)
    done = await call.services.ingest.meter(raw, JSON, None, call.credential, in_thread=in_thread)
    call.services.metrics.readings(done)
    for one in done.receipts:
        if one.status == "refused":
            raise Unprocessable(
                f"Accounting of {one.counter or reading.closes}: {one.detail}.",
                reason=one.code,
                retriable=one.retriable,
            )
