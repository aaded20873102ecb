"""What may stand in a `[[counters]]`, and whose a counter then is."""

from __future__ import annotations

import re
import tomllib
from pathlib import Path
from typing import Any

import msgspec
import pytest

from flowtally.agents.counters.naming import Naming, Whose
from flowtally.agents.counters.settings import Counters, read_counters
from flowtally.core.errors import ConfigError

GOOD = {"name": "xray-1", "kind": "xray", "address": "127.0.0.1:10085", "account": "acme"}
HAPROXY = {"kind": "haproxy", "address": "/run/haproxy/admin.sock"}
NFT = {"name": "nft", "kind": "nftables", "table": "inet usage", "account": "acme"}


def test_what_toml_says_is_taken() -> None:
    made = read_counters(
        tomllib.loads('name = "x"\nkind = "xray"\naddress = "[::1]:10085"\ntimeout-s = 1\naccount = "a"')
    )
    assert (made.address, made.timeout_s, made.interval_s) == ("[::1]:10085", 1.0, 10)


@pytest.mark.parametrize(
    ("wrong", "told"),
    [
        ({"kind": "squid"}, "kind"),
        ({"intervall-s": 3}, "intervall-s"),
        ({"interval-s": 0}, "interval-s"),
        ({"timeout-s": 3600}, "timeout-s"),
        ({"name": "a b"}, "name must be"),
        ({"name": ""}, "name must be"),
        ({"address": ""}, "address is missing"),
        ({"address": "127.0.0.1"}, "must be HOST:PORT"),
        ({"address": "http://127.0.0.1:1"}, "the host is none"),
        ({"address": "::1:10085"}, "brackets"),
        ({"address": "127.0.0.1:99999"}, "must be HOST:PORT"),
        ({"account": "a\nb"}, "account holds"),
        ({"table": "users"}, "table means nothing for xray"),
        ({**HAPROXY, "set": "users"}, "set means nothing for haproxy"),
        ({**HAPROXY, "table": "users;shutdown sessions"}, "no name of a stick table"),
        ({**HAPROXY, "peers": True}, "peers is about a stick table"),
        ({**HAPROXY, "table": "users", "peers": True, "master": True}, "without master"),
        ({**NFT, "table": "usage"}, "a family and a name"),
        ({**NFT, "table": "inet usage; flush ruleset"}, "a family and a name"),
        ({**NFT, "set": "{ x }"}, "no name of a set"),
        ({**NFT, "address": "127.0.0.1:1"}, "address means nothing for nftables"),
    ],
)
def test_what_is_of_no_use_is_told_with_its_name(wrong: dict[str, Any], told: str) -> None:
    table = wrong if "name" in wrong and "kind" in wrong else {**GOOD, **wrong}
    with pytest.raises(ConfigError, match=told):
        read_counters(table)


def naming(**settings: Any) -> Naming:
    return Naming(read_counters({**GOOD, **{name.replace("_", "-"): value for name, value in settings.items()}}))


def test_the_name_is_the_user_unless_an_expression_says_it() -> None:
    assert naming().whose("alice@example.com") == Whose("acme", "alice@example.com", "", False)
    split = naming(account="", user_from=r"(?P<account>[^-]+)-(?P<user>.+)@(?P<product>\w+)", product="other")
    assert split.whose("globex-bob@mobile") == Whose("globex", "bob", "mobile", False)
    assert split.whose("bob") is None, "nobody's use is not invented"
    assert naming(account="", user_from="(?P<account>.*?)-?(?P<user>[a-z]+)").whose("bob") is None


def test_a_counter_of_one_direction_says_which() -> None:
    table = {**NFT, "user-from": "(?P<user>.+)_(?:(?P<up>in)|(?P<down>out))"}
    assert [Naming(read_counters(table)).whose(name) for name in ("bob_in", "bob_out")] == [
        Whose("acme", "bob", "", True),
        Whose("acme", "bob", "", False),
    ]
    up = Naming(read_counters({**NFT, "direction": "up"})).whose("10.0.0.1")
    assert up == Whose("acme", "10.0.0.1", "", True)


@pytest.mark.parametrize(
    ("wrong", "told"),
    [
        ({"account": ""}, "whose is it"),
        ({"account": "", "user-from": "(?P<user>.+)"}, "whose is it"),
        ({"user-from": "("}, "not a regular expression"),
        ({"user-from": "(.+)"}, "no named group"),
        ({"user-from": "(?P<client>.+)"}, "unknown group client"),
        ({"user-from": "(?P<up>.+)"}, "knows both directions"),
    ],
)
def test_an_expression_of_no_use_is_told(wrong: dict[str, Any], told: str) -> None:
    with pytest.raises(ConfigError, match=told):
        naming(**wrong)


def test_what_the_page_shows_is_taken() -> None:
    found = re.search(r"```toml\n(.*?)```", Path("docs/pollers.md").read_text(), re.DOTALL)
    assert found is not None
    made = [read_counters(one) for one in tomllib.loads(found[1])["counters"]]
    assert [one.kind for one in made] == ["xray", "haproxy", "nftables"]
    for one in made:
        Naming(one)
    told = re.findall(r"^\| `([a-z-]+)`(?:, `[a-z-]+`)* \|", Path("docs/pollers.md").read_text(), re.MULTILINE)
    assert {field.encode_name for field in msgspec.structs.fields(Counters)} <= set(told)
