"""No value of ours shows in a log or in a traceback the secret that is in it."""

from __future__ import annotations

import importlib
import pkgutil
import re
from collections.abc import Iterator
from typing import Any, Final

import msgspec
import pytest
from httpx import URL

import flowtally
from flowtally.providers.asking import _Request
from flowtally.providers.shadow import Shown
from flowtally.vendors.base import Asked

SECRET: Final = "s3cret-that-nobody-shows"
NAMED: Final = re.compile(r"(\w+_)?(secrets?|token|password|cookie)")
NONE: Final[dict[tuple[str, str], str]] = {
    ("AsOf", "token"): "a moment",
    ("Settings", "cookie"): "the name of one",
    ("ProviderAnswer", "secrets"): "their names",
    ("VendorInfo", "secrets"): "their names and meanings",
    ("Puller", "secrets"): "their names and meanings",
    ("Shadow", "secret"): "names of members",
    ("Rotated", "secrets"): "how many",
}
UNTOLD: Final = "flowtally.ledger.migrations"  # Alembic runs them


def structs() -> Iterator[type[msgspec.Struct]]:
    for module in pkgutil.walk_packages(flowtally.__path__, "flowtally."):
        if not module.name.endswith("__main__") and not module.name.startswith(f"{UNTOLD}.env"):
            importlib.import_module(module.name)
    waiting, seen = [msgspec.Struct], set[type]()
    while waiting:
        for one in waiting.pop().__subclasses__():
            if one not in seen:
                seen.add(one)
                waiting.append(one)
                if one.__module__.startswith("flowtally."):
                    yield one


def says_whether(one: type[msgspec.Struct], name: str) -> bool:
    """Yes or no is no secret."""
    return any(vars(each).get("__annotations__", {}).get(name) in {"bool", bool} for each in one.__mro__)


def test_every_value_that_holds_a_secret_writes_itself_without_it() -> None:
    checked = 0
    for one in structs():
        names = [name for name in one.__struct_fields__ if NAMED.fullmatch(name) and not says_whether(one, name)]
        for name in names:
            if (one.__name__, name) in NONE:
                continue
            made = one(**dict.fromkeys(one.__struct_fields__, 0) | {name: SECRET})
            assert SECRET not in repr(made), f"{one.__module__}.{one.__name__}: say repr_without(self, {name!r})"
            assert f"{name}='...'" in repr(made)
            checked += 1
    assert checked > 15


@pytest.mark.parametrize(
    "made",
    [
        Shown(query=(("token", SECRET),), headers={"Authorization": SECRET}),
        Asked("GET", "/x", {"token": SECRET}, {"token": SECRET}, {"password": SECRET}),
        _Request("GET", URL(f"http://x/?a={SECRET}"), [(b"X-Api-Key", SECRET.encode())], SECRET.encode(), "GET x"),
    ],
)
def test_what_is_sent_or_was_asked_is_not_written_where_a_secret_may_be(made: Any) -> None:
    assert SECRET not in repr(made)
    assert "'...'" in repr(made)


def test_what_is_no_secret_is_written_as_ever_and_none_is_seen_to_be_none() -> None:
    assert repr(Shown(query=(("token", SECRET),))) == "Shown(query='...', headers={})"
