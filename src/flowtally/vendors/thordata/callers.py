"""Who asks Thordata's API: a token and a key, under the names that each generation of it has for them. Pure."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final, Literal

from flowtally.core.errors import Unauthenticated
from flowtally.vendors.base import Asked, Place, Secrets, WrongKey
from flowtally.vendors.thordata.settings import Settings

PLACES: Final[tuple[Place, ...]] = ("headers", "query", "form")
TOKEN: Final = ("token",)
KEY: Final = ("key",)


def scheme(name: str, holds: Literal["token", "key"]) -> Mapping[str, str]:
    """Of the OpenAPI document: a header that holds this part of a credential."""
    told = f"The {holds} of a credential of an account."
    return {"type": "apiKey", "in": "header", "name": name, "description": told, "x-holds": holds}


SCHEMES: Final = {"thordataToken": scheme("token", "token"), "thordataKey": scheme("key", "key")}


def shown(
    asked: Asked, settings: Settings, token_names: tuple[str, ...] = TOKEN, key_names: tuple[str, ...] = KEY
) -> Secrets:
    """The token, and the key where it is sent: in the headers, the query or the body. An empty token where there is
    none. Unauthenticated with two that differ; WrongKey without a key that is required, or with two."""
    token = _one_of(asked, token_names, Unauthenticated)
    key = "" if settings.key == "ignored" else _one_of(asked, key_names, WrongKey)
    if token and settings.key == "required" and not key:
        raise WrongKey("There is no key.")
    return Secrets(token, key or None)


def _one_of(asked: Asked, names: tuple[str, ...], wrong: type[Unauthenticated]) -> str:
    """What stands under these names of one secret."""
    given = {asked.secret(name, *PLACES, wrong=wrong) for name in {*names, *(name.lower() for name in names)}} - {""}
    if len(given) > 1:
        raise wrong(f"{names[0]} is given more than once, and not the same.")
    return given.pop() if given else ""
