"""Keeping a reconciliation as it was answered, and asking the same again to compare.

Owns what is kept, all of an answer and the rules by which it was compared, and what counts as changed: any figure, told
day or verdict. The same question is asked by the rules of then, so nothing changes because somebody allows more since.
A figure that moved is told with its size: that is what a vendor or a late correction did to a bill that was checked.
"""

from __future__ import annotations

from typing import Any

import msgspec

from flowtally.answers.moment import latest
from flowtally.answers.reconciled import MAX_DISPUTED, show_reconciliation
from flowtally.answers.reconciliation import ReconciliationQuestion, ReconciliationUsage, compare
from flowtally.core.edges import format_instant, parse_instant
from flowtally.core.reconciling.rules import ReconciliationRules, read_rules
from flowtally.ledger.database import Tx
from flowtally.ledger.erasing.erased_reconciliations import OF_RULES
from flowtally.ledger.providers import connected, kept
from flowtally.ledger.providers.connected import Provider
from flowtally.ledger.providers.kept import KeptReconciliation
from flowtally.protocol import KeptReconciliationAnswer, KeptReconciliationDetail, ReconciliationAnswer


def answer_question(
    tx: Tx, usage: ReconciliationUsage, question: ReconciliationQuestion, now: int, most: int = MAX_DISPUTED
) -> ReconciliationAnswer:
    """The answer of now, with the `most` largest of what is disputed. UnknownAccount, NotFound, BadRange."""
    return show_reconciliation(compare(tx, usage, question, latest(usage, now)), most)


class ToKeep(msgspec.Struct, frozen=True):
    """An answer, and the rules that it was made by."""

    answer: ReconciliationAnswer
    rules: ReconciliationRules


def plan_to_keep(tx: Tx, usage: ReconciliationUsage, question: ReconciliationQuestion, now: int) -> ToKeep:
    """What there is to keep now. UnknownAccount, NotFound, BadRange."""
    compared = compare(tx, usage, question, latest(usage, now))
    return ToKeep(show_reconciliation(compared), compared.rules)


def keep_answer(tx: Tx, made: ToKeep, now: int) -> KeptReconciliationAnswer:
    """Keep it for ever. NotFound, LimitReached."""
    answer = made.answer
    provider = connected.read_provider(tx, answer.provider, answer.account)
    told: dict[str, Any] = msgspec.to_builtins(answer)
    one = kept.keep_reconciliation(
        tx,
        provider,
        starts_at=parse_instant(answer.start),
        ends_at=parse_instant(answer.end),
        block=answer.known_block,
        match=answer.match,
        answer=msgspec.json.encode(told | {OF_RULES: made.rules}).decode(),
        now=now,
    )
    return show_kept(one, provider.name)


def show_kept(one: KeptReconciliation, provider: str) -> KeptReconciliationAnswer:
    return KeptReconciliationAnswer(
        id=one.id,
        provider=provider,
        start=format_instant(one.starts_at),
        end=format_instant(one.ends_at),
        kept_at=format_instant(one.kept_at),
        known_block=one.block,
        match=one.match,
    )


def compare_with_kept(
    tx: Tx, usage: ReconciliationUsage, whose: Provider, kept_id: str, asked_again_days: int, now: int
) -> KeptReconciliationDetail:
    """What was kept, the same question now by the same rules, and what moved between. NotFound."""
    was = kept.read_reconciliation(tx, whose, kept_id)
    then, rules = _read(was.answer)
    question = ReconciliationQuestion(
        *(whose.account, whose.name, then.quantity, then.start, then.end, then.corrected_since, asked_again_days)
    )
    again = show_reconciliation(compare(tx, usage, question, latest(usage, now), rules))
    return KeptReconciliationDetail(
        id=was.id,
        kept_at=format_instant(was.kept_at),
        changed=_figures(then) != _figures(again),
        rules_changed=None if rules is None else rules != read_rules(whose.rules),
        measured_moved=again.total.measured - then.total.measured,
        billed_moved=again.total.billed - then.total.billed,
        unexplained_moved=again.total.unexplained - then.total.unexplained,
        kept=then,
        now=again,
    )


def read_answer(kept: str) -> ReconciliationAnswer:
    """What was kept. Where it does not say how much was left over, the least that it can have been is taken; where it
    does not say whose a disputed day was, whom it calls so."""
    return _read(kept)[0]


def _read(kept: str) -> tuple[ReconciliationAnswer, ReconciliationRules | None]:
    """With the rules it was compared by; None where it was kept without them."""
    told = msgspec.json.decode(kept)
    rules = told.pop(OF_RULES, None)
    for sides in (told["total"], *(one["sides"] for of in ("spans", "users", "disputed") for one in told[of])):
        sides.setdefault("left_over", abs(sides["only_billed"] + sides["only_measured"] + sides["unexplained"]))
    whose = {one["user"]: one for one in told["users"]}
    for cell in told["disputed"]:
        for side in ("measured_users", "billed_users"):
            cell.setdefault(side, whose[cell["user"]][side])
    answer = msgspec.convert(told, ReconciliationAnswer)
    return answer, None if rules is None else msgspec.convert(rules, ReconciliationRules)


def _figures(answer: ReconciliationAnswer) -> object:
    """What there is to be the same: not when it was asked."""
    spans = [(one.start, one.end, one.told, one.match, one.sides) for one in answer.spans]
    return answer.match, answer.total, spans, answer.users, answer.zone
