"""Logins at vendors' gateways: the user's name in one, such as `alice` in `td-customer-alice-country-us`. Pure.

Owns how each vendor's gateways write a login: a prefix, the name, and parameters of the connection. The name ends where
the first parameter begins, so `-country-` is in no name. Leaves to the doors whether a name is a login at all.

Source: thordata-sdk 1.8 (`types/proxy.py`); for IPFoxy, logins in public code: its pages tell of the prefix alone.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from typing import Final, get_args

from flowtally.core.words import Logins


def _grammar(prefix: str, parameters: Sequence[str]) -> re.Pattern[str]:
    return re.compile(f"{prefix}(?P<name>.+?)(?:-(?:{'|'.join(parameters)})-.*)?", re.DOTALL)


_GRAMMARS: Final[Mapping[Logins, re.Pattern[str]]] = {
    "thordata": _grammar("td-customer-", ("continent", "country", "state", "city", "asn", "sessid", "sesstime")),
    "ipfoxy": _grammar("customer-", ("cc", "st", "city", "sessid", "ttl")),
}
KINDS: Final[tuple[Logins, ...]] = get_args(Logins)


def name_in(login: str, kind: Logins) -> str:
    """The user's name; what is no login of this kind is the name itself, as a gateway's own users are logged."""
    found = _GRAMMARS[kind].fullmatch(login)
    return login if found is None else found["name"]
