"""Names of erased users in what was compared with vendors' bills: in answers that were kept, and in rules that say
which names are the same.

Owns where such names stand, and that no figure changes: a user is called by its id from then on, as everywhere. Answers
and rules of other accounts may name them, too, where a reseller compares the use of all its customers. A name that
somebody else bears stays: it is that one's as well. What a vendor calls its sub-users is the vendor's to say again.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any, Final

import msgspec
from sqlalchemy import ColumnElement, Connection, or_, select, update

from flowtally.ledger.ids import erased_name
from flowtally.ledger.people.names import chunks
from flowtally.ledger.tables import idempotency, provider_reconciliations, providers, user_names

NAMED: Final = ("users", "disputed", "oddities", "ambiguous", "names")  # members that hold names of users
OF_RULES: Final = "rules"  # the member of a kept answer that has its rules, with names of their own
RULES: Final = '"rewriting":'  # in every answer about rules


def names_borne_by(tx: Connection, user_ids: Iterable[str]) -> dict[str, str]:
    """What these users are or were called, and what they are called when they are erased."""
    found: dict[str, str] = {}
    for some in chunks(user_ids):
        query = select(user_names.c.name, user_names.c.user_id).where(user_names.c.user_id.in_(some))
        found |= {row.name: erased_name(row.user_id) for row in tx.execute(query)}
    return found


def forget_names(tx: Connection, account: str, borne: Mapping[str, str]) -> None:
    """Call them so. Once nobody of the account bears these names any more but others."""
    gone = dict(borne)
    for some in chunks(borne):
        mine = (user_names.c.account == account) & user_names.c.name.in_(some)
        for name in tx.execute(select(user_names.c.name).where(mine)).scalars():
            gone.pop(name, None)
    if not gone:
        return
    k, p, i = provider_reconciliations.c, providers.c, idempotency.c
    its = k.provider.in_(select(p.id).where(p.account == account))
    kept = select(k.id).where(or_(its, _says(k.answer, account)))
    for key in tx.execute(kept).scalars().all():  # an answer may be large: one at a time
        answer = tx.execute(select(k.answer).where(k.id == key)).scalar_one()
        if (told := _without(answer, gone)) != answer:
            tx.execute(update(provider_reconciliations).where(k.id == key).values(answer=told))
    ruled = select(p.id, p.rules).where(p.rules != "", or_(p.account == account, _says(p.rules, account)))
    for key, rules in tx.execute(ruled).all():
        if (told := _without(rules, gone)) != rules:
            tx.execute(update(providers).where(p.id == key).values(rules=told))
    said = select(i.account, i.key, i.response).where(_contains(i.response, RULES))
    for whose, key, response in tx.execute(said).all():
        if (told := _without(response, gone)) != response:
            tx.execute(update(idempotency).where(i.account == whose, i.key == key).values(response=told))


def _says(column: ColumnElement[str], account: str) -> ColumnElement[bool]:
    return _contains(column, msgspec.json.encode(account).decode())


def _contains(column: ColumnElement[str], text: str) -> ColumnElement[bool]:
    return column.contains(text, autoescape=True)


def _without(text: str, gone: Mapping[str, str]) -> str:
    """JSON with these names replaced where users are named; '' is an answer that is gone already."""
    if not text:
        return text
    told = msgspec.json.decode(text.encode())
    changed = told | _named_anew(told, gone)
    if rules := told.get(OF_RULES):
        changed[OF_RULES] = rules | _named_anew(rules, gone)
    return msgspec.json.encode(changed).decode() if changed != told else text


def _named_anew(told: Mapping[str, Any], gone: Mapping[str, str]) -> dict[str, Any]:
    return {name: _renamed(told[name], gone) for name in NAMED if name in told}


def _renamed(value: Any, gone: Mapping[str, str]) -> Any:
    if isinstance(value, str):
        return gone.get(value, value)
    if isinstance(value, list):
        return [_renamed(one, gone) for one in value]
    if isinstance(value, dict):
        return {name: _renamed(one, gone) for name, one in value.items()}
    return value
