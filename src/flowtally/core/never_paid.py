"""What nothing will pay, and why: use dated before anything that could pay for it had begun. Pure.

Owns the telling apart, not the burn: the parts are `burndown`'s shortfalls, so they add up to what a balance has as
`overage_before_carry` (under the policy `forgive`: to what was forgiven before the first grant began). Grants as they
stand decide: one that is given later and starts earlier pays for it after all.
"""

from __future__ import annotations

from collections.abc import Sequence

import msgspec

from flowtally.core.burndown import Balance, Grant, Shortfall
from flowtally.core.words import Overage, UnpaidSince, UnpaidWhy


class Beginning(msgspec.Struct, frozen=True):
    """From when on use that nobody paid waits for a grant, and what began then: the account (its `carry_from`), or the
    user whose purse it is."""

    at: int
    what: UnpaidSince


class UnpaidPart(msgspec.Struct, frozen=True):
    """`amount` was used or drawn before `before`, when `began` did: the first `grant`, the account, or the user.
    `no_grant`: no grant had begun; `not_covered`: those of then did not cover it, and later ones do not pay for it.
    `first` is when the first span of it begins."""

    amount: int
    before: int
    began: UnpaidSince
    why: UnpaidWhy
    first: int
    grant: str = ""


def first_grant(grants: Sequence[Grant]) -> Grant | None:
    """The grant that begins first, of those that ever do: one that was voided before never does."""
    beginning = (one for one in grants if one.voided_at is None or one.starts_at < one.voided_at)
    return min(beginning, key=lambda one: (one.starts_at, one.id), default=None)


def before_all(first: tuple[int, str] | None, beginning: Beginning, overage: Overage) -> UnpaidPart | None:
    """What use has to be dated before for nothing to pay for it, given the first grant that begins: its instant and its
    id. None where there is nothing to be before: what is never granted under `forgive` is forgiven, as was agreed."""
    if first is not None and (overage == "forgive" or first[0] <= beginning.at):
        return UnpaidPart(0, first[0], "grant", "no_grant", 0, first[1])
    return None if overage == "forgive" else UnpaidPart(0, beginning.at, beginning.what, "no_grant", 0)


def find(balance: Balance, beginning: Beginning, overage: Overage) -> tuple[UnpaidPart, ...]:
    """The parts of it in a balance that was burnt with this beginning and policy: none nearly always, two at most."""
    first = first_grant([one.grant for one in balance.grants])
    told = before_all(None if first is None else (first.starts_at, first.id), beginning, overage)
    if told is None:
        return ()
    fate = "forgiven" if overage == "forgive" else "before_carry"
    lost = [one for one in balance.shortfalls if one.fate == fate]
    early = _part(
        [one for one in lost if one.start < told.before], told
    )  # a grant's start is an edge: no span has both
    if overage == "forgive":
        return early
    uncovered = UnpaidPart(0, beginning.at, beginning.what, "not_covered", 0)
    return early + _part([one for one in lost if one.start >= told.before], uncovered)


def _part(lost: Sequence[Shortfall], told: UnpaidPart) -> tuple[UnpaidPart, ...]:
    amount = sum(one.amount for one in lost)
    return (msgspec.structs.replace(told, amount=amount, first=min(one.start for one in lost)),) if amount else ()
