"""Keeping a reconciliation as it was answered, and asking the same again to compare.

Owns what of an answer is kept (all of it) and what counts as changed: any figure, told day or verdict. A figure that
moved since is told with its size, for that is what a vendor or a late correction did to a bill that was checked.
"""

from __future__ import annotations

import msgspec

from flowtally.answers.moment import latest
from flowtally.answers.reconciled import MAX_DISPUTED, show_reconciliation
from flowtally.answers.reconciliation import ReconciliationQuestion, ReconciliationUsage, compare
from flowtally.core.edges import format_instant, parse_instant
from flowtally.ledger.database import Tx
from flowtally.ledger.providers import connected, kept
from flowtally.ledger.providers.connected import Provider
from flowtally.ledger.providers.kept import KeptReconciliation
from flowtally.protocol import KeptReconciliationAnswer, KeptReconciliationDetail, ReconciliationAnswer


def answer_question(
    tx: Tx, usage: ReconciliationUsage, question: ReconciliationQuestion, now: int, most: int = MAX_DISPUTED
) -> ReconciliationAnswer:
    """The answer of now, with the `most` largest of what is disputed. UnknownAccount, NotFound, BadRange."""
    return show_reconciliation(compare(tx, usage, question, latest(usage, now)), most)


def keep_answer(tx: Tx, answer: ReconciliationAnswer, now: int) -> KeptReconciliationAnswer:
    """Keep it for ever. NotFound, LimitReached."""
    provider = connected.read_provider(tx, answer.provider, answer.account)
    made = kept.keep_reconciliation(
        tx,
        provider,
        starts_at=parse_instant(answer.start),
        ends_at=parse_instant(answer.end),
        block=answer.known_block,
        match=answer.match,
        answer=msgspec.json.encode(answer).decode(),
        now=now,
    )
    return show_kept(made, provider.name)


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
    """What was kept, the same question now, and what moved between. NotFound."""
    was = kept.read_reconciliation(tx, whose, kept_id)
    then = read_answer(was.answer)
    question = ReconciliationQuestion(
        *(whose.account, whose.name, then.quantity, then.start, then.end, then.corrected_since, asked_again_days)
    )
    again = answer_question(tx, usage, question, now)
    return KeptReconciliationDetail(
        id=was.id,
        kept_at=format_instant(was.kept_at),
        changed=_figures(then) != _figures(again),
        measured_moved=again.total.measured - then.total.measured,
        billed_moved=again.total.billed - then.total.billed,
        unexplained_moved=again.total.unexplained - then.total.unexplained,
        kept=then,
        now=again,
    )


def read_answer(kept: str) -> ReconciliationAnswer:
    """What was kept. Where it does not say how much was left over, the least that it can have been is taken; where it
    does not say whose a disputed day was, whom it calls so."""
    told = msgspec.json.decode(kept)
    for sides in (told["total"], *(one["sides"] for of in ("spans", "users", "disputed") for one in told[of])):
        sides.setdefault("left_over", abs(sides["only_billed"] + sides["only_measured"] + sides["unexplained"]))
    whose = {one["user"]: one for one in told["users"]}
    for cell in told["disputed"]:
        for side in ("measured_users", "billed_users"):
            cell.setdefault(side, whose[cell["user"]][side])
    return msgspec.convert(told, ReconciliationAnswer)


def _figures(answer: ReconciliationAnswer) -> object:
    """What there is to be the same: not when it was asked."""
    spans = [(one.start, one.end, one.told, one.match, one.sides) for one in answer.spans]
    return answer.match, answer.total, spans, answer.users, answer.zone
