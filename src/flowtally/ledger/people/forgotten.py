"""What is left of a JSON value when the texts that people chose are taken out of it. Pure.

Owns which members of answers, records and statements are such texts. Ids, instants, amounts and settings are none, and
stay. Leaves to `erased_accounts` where such values are kept.
"""

from __future__ import annotations

from typing import Any, Final

from flowtally.ledger.ids import erased_name

TEXTS: Final = frozenset(
    {"name", "reference", "reason", "void_reason", "address", "addresses", "url", "description", "types"}
)
OF_PLANS: Final = frozenset({"plan", "plan_id"})  # beside these, `name` is the plan's


def without_texts(value: Any) -> Any:
    """The same with every text empty; a user is called by its id."""
    if isinstance(value, list):
        return [without_texts(one) for one in value]
    if not isinstance(value, dict):
        return value
    kept = {name: _empty(name, one, value) for name, one in value.items()}
    user_id = value.get("user_id")
    if isinstance(user_id, str) and isinstance(value.get("user"), str):
        kept["user"] = erased_name(user_id) if user_id else value["user"]
    if "funded" in value and "name" in value and isinstance(value.get("id"), str):
        kept["name"] = erased_name(value["id"])
    return kept


def _empty(name: str, one: Any, beside: dict[str, Any]) -> Any:
    if name not in TEXTS or (name == "name" and not OF_PLANS.isdisjoint(beside)):
        return without_texts(one)
    return "" if isinstance(one, str) else [] if isinstance(one, list) else one
