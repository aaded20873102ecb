"""How one provider is compared: which of our use is its, whose names are the same, and how much may be left over."""

from __future__ import annotations

from typing import Annotated, Final

import msgspec
from msgspec import Meta

from flowtally.core.reconciling.facts import Tolerances
from flowtally.core.reconciling.names import NameMapping, NameRule
from flowtally.core.reconciling.patterns import BadPattern, NamePattern

MAX_PAIRS: Final = 10_000
MAX_RULES: Final = 20
MAX_PRODUCTS: Final = 100
MAX_ACCOUNTS: Final = 1_000
Name = Annotated[str, Meta(max_length=256)]
USUAL: Final = Tolerances(span_per_mille=10, whole_per_mille=10)


class NamePair(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """A vendor's name and ours of one user.

    billed: The vendor's name of its sub-user; empty: what it ascribes to nobody.
    measured: The user's name here; empty: use without a user.
    """

    billed: Name
    measured: Name


class ReconciliationRules(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """How a provider's figures are compared with what was measured.

    accounts: Whose use went through the provider, such as a reseller's customers; empty: that of its own account alone.
        Only credentials of the installation may name others, and read what is compared by such rules.
    products: Only use of these products went through the provider; empty: all use. All that it bills is compared with
        it, whatever the vendor calls it.
    names: Which names are the same, where they differ. A name that is in it follows no rule, and the same name of the
        other side is somebody else.
    rewriting: Rules that make of a name of one side that of the other.
    tolerances: How much may be left over before it is told as beyond tolerance.
    settle_days: For how many days after a span has ended the vendor's figure may still move.
    """

    accounts: Annotated[list[Name], Meta(max_length=MAX_ACCOUNTS)] = []
    products: Annotated[list[Name], Meta(max_length=MAX_PRODUCTS)] = []
    names: Annotated[list[NamePair], Meta(max_length=MAX_PAIRS)] = []
    rewriting: Annotated[list[NameRule], Meta(max_length=MAX_RULES)] = []
    tolerances: Tolerances = USUAL
    settle_days: Annotated[int, Meta(ge=0, le=90)] = 3

    @property
    def mapping(self) -> NameMapping:
        return NameMapping(tuple((one.billed, one.measured) for one in self.names), tuple(self.rewriting))


def read_rules(text: str) -> ReconciliationRules:
    """Rules as the ledger keeps them; empty: the usual ones."""
    return msgspec.json.decode(text or "{}", type=ReconciliationRules)


def write_rules(rules: ReconciliationRules) -> str:
    """As the ledger keeps them. BadPattern where one is no pattern."""
    for rule in rules.rewriting:
        if rule.kind == "pattern":
            NamePattern(rule.text)
        elif not rule.text:
            raise BadPattern("a prefix or a suffix has one character at the least")
    return msgspec.json.encode(rules).decode()
