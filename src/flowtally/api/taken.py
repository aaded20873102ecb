"""Whether events of an account would be stored: for who is about to send some, and may read nothing else."""

from __future__ import annotations

from typing import Annotated

import msgspec
from msgspec import Meta

from flowtally.core.errors import BadRequest
from flowtally.core.texts import may_be_known
from flowtally.ingest.admission import account_reason, not_your_account
from flowtally.ledger.people import lookup
from flowtally.protocol import TakenAccount, TakenAccountsAnswer
from flowtally.protocol.words import MAX_ACCOUNTS_ASKED
from flowtally.web.call import Call
from flowtally.web.operation import operation


class TakenQuery(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    account: Annotated[
        list[str],
        Meta(
            description="The accounts' ids (repeatable, at most 100).",
            examples=[["acme"]],
            extra_json_schema={"minItems": 1, "maxItems": MAX_ACCOUNTS_ASKED},
        ),
    ]


@operation(
    "GET",
    "/v1/events/accounts",
    may="events:write",
    narrows=True,
    tag="events",
    summary="Whether events of accounts would be stored",
    query=TakenQuery,
    answer=TakenAccountsAnswer,
    errors=(BadRequest,),
    example=TakenAccountsAnswer(
        [TakenAccount("acme", True), TakenAccount("amce", False, "unknown_account", "there is no account 'amce'")]
    ),
)
def read_taken_accounts(call: Call, query: TakenQuery) -> TakenAccountsAnswer:
    """Stores nothing: to be asked before a log is sent. `code` is what a receipt of an event would say:
    `unknown_account`, `account_closed`, or `not_your_account`, which a key of an account is told of all others."""
    asked = list(dict.fromkeys(query.account))
    if len(asked) > MAX_ACCOUNTS_ASKED:
        raise BadRequest(
            f"account: at most {MAX_ACCOUNTS_ASKED} accounts; {len(asked)} are given.", parameter="account"
        )
    statuses = lookup.statuses(call.tx, filter(may_be_known, asked))
    return TakenAccountsAnswer([_taken(call, one, statuses.get(one)) for one in asked])


def _taken(call: Call, account: str, status: str | None) -> TakenAccount:
    mine = call.credential.account
    why = not_your_account(mine) if mine is not None and mine != account else account_reason(account, status)
    return TakenAccount(account, True) if why is None else TakenAccount(account, False, why.code, why.detail)
