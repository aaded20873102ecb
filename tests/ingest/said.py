"""What a provider says, written as little as a test needs; and a bookkeeper who only remembers what was said last."""

from __future__ import annotations

from collections.abc import Iterable
from random import Random
from typing import Any, Final

import msgspec

from flowtally.core.reported import EVERYBODY, FigureSaid, UseSaid, span_key
from flowtally.core.times import DAY_MS, HOUR_MS

LENGTHS: Final = {"hour": HOUR_MS, "day": DAY_MS}
Amounts = dict[tuple[str, str], int]  # by key and quantity


def figure(day: int = 0, sub_user: str = "bob", amount: int = 1, *, grain: Any = "day", **more: Any) -> FigureSaid:
    """Of the span of this number, or (`grain` pull) of the grant of this number."""
    product = more.get("product", "residential")
    if grain == "pull":
        return FigureSaid(f"grant {day}", more.get("time", 0), sub_user, product, amount)
    time = day * LENGTHS[grain]
    return FigureSaid(span_key(grain, time, product, sub_user), time, sub_user, product, amount)


def said(*figures: FigureSaid, days: tuple[int, int] = (0, 10), grain: Any = "day", **more: Any) -> UseSaid:
    length = LENGTHS.get(grain, DAY_MS)
    usual: dict[str, Any] = {"quantity": "bytes", "zone": "UTC", "step": 1}
    stretch: dict[str, Any] = {"starts_at": days[0] * length, "ends_at": days[1] * length}
    return UseSaid(**(usual | stretch | {"grain": grain, "figures": figures} | more))


def later(one: UseSaid, by: int) -> UseSaid:
    """The same of so many milliseconds later, which are whole days."""
    figures = []
    for each in one.figures:
        time = each.time + by
        key = each.key if one.grain == "pull" else span_key(one.grain, time, each.product, each.sub_user)
        figures.append(msgspec.structs.replace(each, time=time, key=key))
    starts_at, ends_at = one.starts_at + by, one.ends_at + by
    return msgspec.structs.replace(one, starts_at=starts_at, ends_at=ends_at, figures=tuple(figures))


class Bookkeeper:
    """`stands`: what was said last, of every key and quantity of which anything was ever said."""

    def __init__(self) -> None:
        self.stands: Amounts = {}
        self.figures: dict[str, FigureSaid] = {}
        self.used: Amounts = {}  # by sub-user and quantity: of a grant, what it grew by is whoever's it was then
        self.changes = 0  # how often another amount than before was said

    def hear(self, said: UseSaid) -> None:
        told = {one.key: one for one in said.figures}
        right = {one.key: one.amount for one in said.figures}
        if said.grain != "pull":
            for key, one in self.figures.items():
                inside = said.starts_at <= one.time < said.ends_at and key.startswith(f"{said.grain} ")
                meant = said.of in (None, one.sub_user) and one.sub_user not in said.besides
                if inside and meant and key not in right and one.product in (said.products or [one.product]):
                    right[key] = 0
        self.figures |= told
        for key, amount in right.items():
            added, whose = (
                amount - self.stands.get((key, said.quantity), 0),
                (self.figures[key].sub_user, said.quantity),
            )
            self.used[whose] = self.used.get(whose, 0) + added
            self.changes += added != 0
            self.stands[key, said.quantity] = amount

    def copy(self) -> Bookkeeper:
        made = Bookkeeper()
        made.stands, made.figures, made.changes = dict(self.stands), dict(self.figures), self.changes
        made.used = dict(self.used)
        return made

    def total(self, quantity: str) -> int:
        return sum(amount for (_, of), amount in self.stands.items() if of == quantity)

    def by_user(self, *, erased: bool = False) -> dict[str, tuple[int, int]]:
        """Bytes and requests of each that come to something; `erased`: nobody has a name any more."""
        found: dict[str, tuple[int, int]] = {}
        for (one, quantity), amount in self.used.items():
            user = "" if erased else one
            up, requests = found.get(user, (0, 0))
            found[user] = (up + amount, requests) if quantity == "bytes" else (up, requests + amount)
        return {user: sums for user, sums in found.items() if sums != (0, 0)}

    def standing(self) -> Amounts:
        return {one: amount for one, amount in self.stands.items() if amount}


def added_up(rows: Iterable[Any]) -> Amounts:
    """Of rows as anything with these attributes, by the key they are about."""
    found: Amounts = {}
    for row in rows:
        for quantity, amount in (("bytes", row.bytes_down), ("requests", row.requests)):
            found[row.refers_to, quantity] = found.get((row.refers_to, quantity), 0) + amount
    return {one: amount for one, amount in found.items() if amount}


def a_statement(chance: Random, *, users: tuple[str, ...] = ("bob", "eve")) -> UseSaid:
    """Of any kind: whole stretches and those of one sub-user, or of one product and without some sub-users; spans of
    both lengths, in both quantities, and grants."""
    quantity = chance.choice(["bytes", "bytes", "requests"])
    grain = chance.choice(["day", "day", "hour", "pull"])
    product = chance.choice(["residential", "residential", "mobile"])
    of = None if grain == "pull" else chance.choice([None, None, None, EVERYBODY, "bob"])
    first = chance.randrange(5)
    days = (first, first + chance.randrange(1, 4))
    found: dict[str, FigureSaid] = {}
    for _ in range(chance.randrange(7)):
        user = chance.choice([EVERYBODY, *users] if of is None else [of])
        amount = chance.randrange(-3, 4) if user == EVERYBODY else chance.choice([0, 1, 2, 3, 2**53 - 1])
        more: dict[str, Any] = {"grain": grain, "product": product, "time": chance.randrange(DAY_MS)}
        one = figure(chance.randrange(*days), user, amount, **more)
        found[one.key] = one
    products = chance.choice([None, None, ("residential",)])
    besides = frozenset(chance.choice([(), (), (EVERYBODY, "eve")])) - {of}
    meant = [
        one for one in found.values() if one.sub_user not in besides and one.product in (products or [one.product])
    ]
    return said(*meant, days=days, grain=grain, quantity=quantity, of=of, products=products, besides=besides)
