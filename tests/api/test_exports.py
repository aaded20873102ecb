"""How many exports may be under way: of a credential, of an account, in all."""

from __future__ import annotations

from contextlib import ExitStack, suppress
from itertools import count

import pytest
from hypothesis import given
from hypothesis import strategies as st

from flowtally.config import load_config
from flowtally.core.errors import FlowtallyError, Overloaded, TooManyExports
from flowtally.ledger.people.credentials import Credential
from flowtally.web.capacity.exports import Exports

_names = count(1)


def credential(account: str | None) -> Credential:
    return Credential(f"crd_{next(_names)}", "admin" if account is None else "account", account, "x", 1)


def exports(most: int = 8, of_one: int = 2) -> Exports:
    return Exports(load_config({}, data="/nowhere", max_exports=most, max_exports_per_credential=of_one))


def test_a_credential_an_account_and_all_have_their_bounds() -> None:
    under_way = exports()
    with ExitStack() as closing:
        acme = [credential("acme") for _ in range(3)]
        for one in acme[:2]:
            for _ in range(2):
                closing.enter_context(under_way.take(one))
        for one, why in ((acme[0], "The credential"), (acme[2], "The account acme has 4")):
            with pytest.raises(TooManyExports, match=why), under_way.take(one):
                pass
        for one in (credential("b"), credential(None)):
            for _ in range(2):
                closing.enter_context(under_way.take(one))
        with pytest.raises(Overloaded, match="8 exports"), under_way.take(credential("c")):
            pass
    assert under_way.measures() == {"under_way": 0}


@given(st.lists(st.tuples(st.sampled_from("abc"), st.integers(0, 2), st.booleans())), st.integers(1, 6))
def test_no_order_of_begins_and_ends_breaks_a_bound_or_leaves_anything(
    steps: list[tuple[str, int, bool]], most: int
) -> None:
    under_way = exports(most)
    known = {(account, number): credential(account) for account in "abc" for number in range(3)}
    held: dict[tuple[str, int], list[ExitStack]] = {who: [] for who in known}
    for account, number, begins in steps:
        mine = held[account, number]
        if begins:
            one = ExitStack()
            with suppress(FlowtallyError):
                one.enter_context(under_way.take(known[account, number]))
                mine.append(one)
        elif mine:
            mine.pop().close()
        assert sum(map(len, held.values())) == under_way.measures()["under_way"] <= most
        for name in "abc":
            assert sum(len(of) for who, of in held.items() if who[0] == name) <= max(1, most // 2)
        assert all(len(of) <= 2 for of in held.values())
    for of in held.values():
        for one in of:
            one.close()
    assert under_way.measures() == {"under_way": 0}
