"""Whose a counter is: from its name to account, user and product, and which way it counts. Pure.

    account = "acme"          every counter is this account's
    user-from = 'REGEX'       over the whole name; groups account, user, product; `up` or `down` where a counter knows
                              one direction: the one that took part says which

Without `user-from` the name is the user. A name that it does not match, or that ends without an account, is nobody's
and is left out: usage of nobody is never invented.
"""

from __future__ import annotations

import re
from typing import Final

import msgspec

from flowtally.agents.counters.settings import Counters
from flowtally.core.errors import ConfigError

GROUPS: Final = frozenset({"account", "user", "product", "up", "down"})


class Whose(msgspec.Struct, frozen=True):
    account: str
    user: str
    product: str
    up: bool  # which way it counts, where it counts one


class Naming:
    """The options made ready. ConfigError for those of no use."""

    def __init__(self, counters: Counters) -> None:
        self._counters = counters
        self._pattern = _compiled(counters) if counters.user_from else None
        if not counters.account and (self._pattern is None or "account" not in self._pattern.groupindex):
            raise ConfigError(f"counters {counters.name!r}: whose is it? Give account, or a group account in user-from")

    def whose(self, name: str) -> Whose | None:
        ours, up = self._counters, self._counters.direction == "up"
        if self._pattern is None:
            return Whose(ours.account, name, ours.product, up) if name else None
        found = self._pattern.fullmatch(name)
        if found is None:
            return None
        said = {group: text for group, text in found.groupdict().items() if text is not None}
        account = ours.account or said.get("account", "")
        if not account:
            return None
        if "up" in said or "down" in said:
            up = "up" in said
        return Whose(account, said.get("user", ""), said.get("product", "") or ours.product, up)


def _compiled(counters: Counters) -> re.Pattern[str]:
    where = f"counters {counters.name!r}: user-from"
    try:
        pattern = re.compile(counters.user_from)
    except re.error as error:
        raise ConfigError(f"{where}: not a regular expression: {error}") from None
    if unknown := set(pattern.groupindex) - GROUPS:
        raise ConfigError(f"{where}: unknown group {', '.join(sorted(unknown))}; known are {', '.join(sorted(GROUPS))}")
    if not pattern.groupindex:
        raise ConfigError(f"{where}: no named group; known are {', '.join(sorted(GROUPS))}")
    if counters.kind != "nftables" and {"up", "down"} & set(pattern.groupindex):
        raise ConfigError(f"{where}: a counter of {counters.kind} knows both directions; no group up or down")
    return pattern
