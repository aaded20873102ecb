"""The rules of a provider, as they are kept and read."""

from __future__ import annotations

import msgspec
import pytest

from flowtally.core.reconciling.facts import Tolerances
from flowtally.core.reconciling.names import NameMapping, NameRule
from flowtally.core.reconciling.patterns import BadPattern
from flowtally.core.reconciling.rules import USUAL, NamePair, ReconciliationRules, read_rules, write_rules


def test_rules_are_read_as_they_were_kept_and_none_are_the_usual_ones() -> None:
    rules = ReconciliationRules(
        products=["residential"],
        names=[NamePair("sub7", "bob"), NamePair("", "")],
        rewriting=[NameRule("billed", "pattern", "customer-(.+)"), NameRule("measured", "suffix", "@eu")],
        tolerances=Tolerances(1, 2, 3, 4),
        settle_days=5,
    )
    assert read_rules(write_rules(rules)) == rules
    assert rules.mapping == NameMapping((("sub7", "bob"), ("", "")), tuple(rules.rewriting))
    assert read_rules("") == ReconciliationRules(tolerances=USUAL)


@pytest.mark.parametrize(("kind", "text"), [("pattern", "(a|b)"), ("prefix", ""), ("suffix", "")])
def test_a_rule_that_means_nothing_is_not_kept(kind: str, text: str) -> None:
    rule = msgspec.convert({"side": "billed", "kind": kind, "text": text}, NameRule)
    with pytest.raises(BadPattern):
        write_rules(ReconciliationRules(rewriting=[rule]))
