"""What members of messages mean that have one name and one meaning in all of them: for the OpenAPI document.

A message that means something else by such a name, or has a name of its own, says it in a line of its docstring,
`name: what it is.`, or in the member's `Meta`; these win.
"""

from __future__ import annotations

from typing import Final

MEANINGS: Final = {
    # who and what
    "account": "The account's id.",
    "id": "The id: unique, and never used again.",
    "name": "The name, for people.",
    "user": "The user's name.",
    "user_id": "The user's id, which never changes.",
    "product": "What is metered, such as `residential`, `mobile` or `api`.",
    "pool": "The pool: the products that are paid from the same grants.",
    "source": "Who observed the use: a gateway, a program, a log file.",
    "sender": "The id of the sender: the owner of sources, whichever credential it has.",
    "counter": "The name of the counter in its source.",
    "labels": "Names and values of your own, up to 16 of them.",
    "timezone": "The IANA name of the time zone whose calendar is used.",
    "currency": "The currency of the installation (ISO 4217).",
    "plan": "The id of the plan.",
    "grant": "The id of the grant.",
    "code": "A stable word for why; empty where there is nothing to say.",
    "detail": "The same for people; this text may change. Empty where there is nothing to say.",
    "reason": "Why, as whoever did it wrote it.",
    "reference": "Your own number for it: of an order, of a payment.",
    # quantities
    "bytes_up": "Bytes sent by the user.",
    "bytes_down": "Bytes sent to the user.",
    "bytes": "Bytes in both directions: `bytes_up` + `bytes_down`.",
    "requests": "How many requests.",
    "amount": "How much, in the unit of the pool: bytes or requests.",
    "unit": "What is counted.",
    "charge": "What a pool takes from its grants.",
    "total": "The sum of all rows.",
    "rows": "How many rows: events, corrections and adjustments.",
    "used": "What was used, in the unit of the pool.",
    "left": "What can still be used, in the unit of the pool.",
    "spent": "What was paid for, in the unit of the pool.",
    "amount_micros": "Money in millionths of the currency.",
    "price_micros": "The price in millionths of the currency.",
    "duration_s": "For how many seconds what it is redeemed into can be used.",
    "priority": "Grants with a lower number pay first.",
    "funded": "Whether the user has its own balance, which alone pays for its use.",
    # instants
    "created_at": "When it was made.",
    "starts_at": "From when on it can pay.",
    "expires_at": "When it ends; null: never.",
    "received_at": "When the server received it.",
    "closed_at": "When it was closed.",
    "from": "The start of the span, which belongs to it.",
    "to": "The end of the span, which no longer belongs to it.",
    "start": "The start of the span, which belongs to it.",
    "end": "The end of the span, which no longer belongs to it.",
    "time": "When it happened.",
    "at": "The instant that is asked about: the answer counts what is dated before it.",
    "as_of": "The moment of the answer. Its token asks for the same answer again.",
    "block": "The number of the block: what the server stored in one commit. Later blocks have larger numbers.",
    # work that takes minutes
    "state": "How far it is.",
    "started_at": "When the work began; null where there was none.",
    "ended_at": "When the work ended; null before that.",
    "step": "What is being done now; empty where nothing is.",
    "done": "How much of `total` is done in this step.",
    "notes": "What else is worth knowing, one sentence each.",
    # lists
    "items": "What the page holds, in order.",
    "next": "The cursor of the next page; null on the last.",
    # receipts
    "index": "Which one of the request it is, from 0.",
    "receipts": "What became of single ones.",
    "stored": "How many were stored now.",
    "duplicate": "How many had been stored before, and are the same.",
    "conflict": "How many had been stored before, and are not the same.",
    "refused": "How many were refused.",
    "retriable": "Whether the reason for which it was refused may pass: send it again later.",
    "position": "A text of the sender's own, kept with the number up to which the source was sent.",
}
