"""Whose figures stand beside whose: names of the vendor on the left, ours on the right."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from flowtally.core.reconciling.names import Ambiguous, MatchedNames, NameMapping, NameRule, UserLine, match_names

STRIPPED = NameRule("billed", "prefix", "customer-")
SESSIONS = NameRule("measured", "pattern", "([^-]+)-session-[0-9]+")


def lines(found: MatchedNames) -> list[str]:
    """Each line as `theirs+theirs = ours+ours`."""
    return [f"{'+'.join(line.billed)} = {'+'.join(line.measured)}" for line in found.lines]


def matched(billed: str, measured: str, *rules: NameRule, table: tuple[tuple[str, str], ...] = ()) -> MatchedNames:
    return match_names(measured.split(), billed.split(), NameMapping(table, rules))


def test_the_same_name_is_the_same_user_and_a_stranger_has_a_line_of_its_own() -> None:
    found = matched("ann bob carl", "bob carl dora")
    assert lines(found) == ["ann = ", "bob = bob", "carl = carl", " = dora"]
    assert [line.both for line in found.lines] == [False, True, True, False]


def test_a_rule_takes_off_what_the_vendor_puts_before_or_after_a_name() -> None:
    suffix = NameRule("billed", "suffix", "@eu")
    assert lines(matched("customer-ann bob@eu x-carl", "ann bob carl", STRIPPED, suffix)) == [
        *("customer-ann = ann", "bob@eu = bob", " = carl", "x-carl = ")
    ]


def test_several_of_ours_may_be_one_of_the_vendors_and_the_other_way_round() -> None:
    assert lines(matched("ann bob", "ann-session-1 ann-session-22 bob", SESSIONS)) == [
        *("ann = ann-session-1+ann-session-22", "bob = bob")
    ]
    assert lines(matched("ann customer-ann", "ann bob", STRIPPED)) == ["ann+customer-ann = ann", " = bob"]


def test_the_table_goes_before_rules_and_before_the_same_name() -> None:
    found = matched("customer-ann ann x", "ann bob", STRIPPED, table=(("customer-ann", "bob"), ("gone", "nowhere")))
    assert lines(found) == ["ann = ann", "customer-ann = bob", "x = "]
    swapped = matched("ann bob", "ann bob", table=(("ann", "bob"), ("bob", "ann")))
    assert lines(swapped) == ["bob = ann", "ann = bob"]


def test_a_name_of_the_table_is_met_by_its_pair_alone_and_by_the_same_name_no_more() -> None:
    """Our bob is their sub7: whom they call bob is somebody else, whether or not sub7 is billed this month."""
    sub7 = (("sub7", "bob"),)
    assert lines(matched("sub7 bob", "bob amy", table=sub7)) == [" = amy", "bob = ", "sub7 = bob"]
    assert lines(matched("bob x", "bob amy", table=sub7)) == [" = amy", " = bob", "bob = ", "x = "]
    assert lines(matched("anna carl", "anna bert", table=(("anna", "bert"),))) == [" = anna", "anna = bert", "carl = "]
    assert lines(matched("sub7 customer-bob", "bob amy", STRIPPED, table=sub7)) == [
        *(" = amy", "sub7 = bob", "customer-bob = ")
    ]


def test_a_name_that_rules_lead_to_several_is_left_as_it_is_and_told() -> None:
    other = NameRule("billed", "pattern", "customer-(.*)-eu")
    found = matched("customer-ann-eu bob", "ann ann-eu bob", STRIPPED, other)
    assert lines(found) == [" = ann", " = ann-eu", "bob = bob", "customer-ann-eu = "]
    assert found.ambiguous == (Ambiguous("billed", "customer-ann-eu", ("ann", "ann-eu")),)


def test_where_a_side_names_nobody_the_only_line_is_everybody() -> None:
    for found in (match_names(["", "ann"], [""], NameMapping()), match_names(["", "ann"], [], NameMapping())):
        assert found.everybody
        assert found.lines == (UserLine(("", "ann"), ("",)),)
    assert match_names([], [], NameMapping()).lines == (UserLine(("",), ("",)),)


def test_nobody_is_nobody_whatever_a_rule_would_make_of_a_name() -> None:
    found = matched("customer- ann", "ann", STRIPPED)
    assert lines(found) == ["ann = ann", "customer- = "]


NAMES = st.lists(st.sampled_from(["", "a", "b", "c-a", "c-b", "a-1", "a-2", "c-a-1"]), max_size=6)
RULES = st.lists(
    st.builds(NameRule, st.sampled_from(["measured", "billed"]), st.just("prefix"), st.sampled_from(["c-", "a-"]))
    | st.builds(NameRule, st.sampled_from(["measured", "billed"]), st.just("pattern"), st.just("(.*)-[0-9]")),
    max_size=4,
)
TABLES = st.lists(st.tuples(st.sampled_from(["a", "b", "x"]), st.sampled_from(["a", "c-a", "y"])), max_size=3)


@given(NAMES, NAMES, RULES, TABLES, st.randoms(use_true_random=False))
def test_each_name_is_in_one_line_and_order_means_nothing(
    measured: list[str], billed: list[str], rules: list[NameRule], table: list[tuple[str, str]], chance: object
) -> None:
    found = match_names(measured, billed, NameMapping(tuple(table), tuple(rules)))
    for side in ("measured", "billed"):
        given_names = sorted(set(measured if side == "measured" else billed))
        shown = sorted(name for line in found.lines for name in getattr(line, side))
        assert shown == given_names or found.everybody
    for names in (measured, billed, rules, table):
        chance.shuffle(names)  # type: ignore[attr-defined]
    assert match_names(measured, billed, NameMapping(tuple(table), tuple(rules))) == found
