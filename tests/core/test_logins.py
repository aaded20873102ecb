"""Logins at vendors' gateways, and whose they are."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from flowtally.core.logins import KINDS, name_in
from flowtally.core.words import Logins

NAMES = st.text(st.characters(codec="utf-8", exclude_categories=["C"]), min_size=1, max_size=40)
WORDS = st.text("abcXYZ019_", min_size=1, max_size=8)


@pytest.mark.parametrize(
    ("login", "kind", "name"),
    [
        ("td-customer-user123", "thordata", "user123"),
        ("td-customer-user123-country-us", "thordata", "user123"),
        ("td-customer-user123-continent-eu-country-de-state-bavaria-city-munich-asn-AS3320", "thordata", "user123"),
        ("td-customer-user123-country-us-city-new-york-sessid-a-b-sesstime-10", "thordata", "user123"),
        ("td-customer-shop-7-country-us", "thordata", "shop-7"),
        ("td-customer-shop-country", "thordata", "shop-country"),  # a parameter has a value
        ("td-customer-", "thordata", "td-customer-"),
        ("customer-ABC2000", "ipfoxy", "ABC2000"),
        ("customer-ABC2000-cc-US-st-NewYork-city-NewYork-sessid-1776245039_10000-ttl-60", "ipfoxy", "ABC2000"),
        ("customer-ABC2000-cc-US", "ipfoxy", "ABC2000"),
        ("customer-ABC2000-country-us", "ipfoxy", "ABC2000-country-us"),
        ("customer-ABC2000", "thordata", "customer-ABC2000"),
        ("user123", "thordata", "user123"),  # as at a static address, without a prefix
        ("user123-country-us", "thordata", "user123-country-us"),
        ("", "thordata", ""),
    ],
)
def test_the_name_is_between_the_prefix_and_the_first_parameter(login: str, kind: Logins, name: str) -> None:
    assert name_in(login, kind) == name


@given(NAMES, st.sampled_from(KINDS), WORDS, WORDS)
def test_every_login_of_a_name_without_parameters_is_the_names(
    name: str, kind: Logins, country: str, session: str
) -> None:
    prefix, place = {"thordata": ("td-customer-", "country"), "ipfoxy": ("customer-", "cc")}[kind]
    plain = name_in(prefix + name, kind)
    if plain == name:  # no parameter is in the name
        assert name_in(f"{prefix}{name}-{place}-{country}", kind) == name
        assert name_in(f"{prefix}{name}-{place}-{country}-sessid-{session}", kind) == name
    else:
        assert name.startswith(plain)


def test_what_their_own_client_logs_in_with_is_read() -> None:
    """The official Python client builds the login of a proxy."""
    proxy = pytest.importorskip("thordata").ProxyConfig(
        username="user123", password="p", continent="na", country="us", state="new_york", city="new_york",
        asn="AS7922", session_id="abc-1", session_duration=10,
    )  # fmt: skip
    login = proxy.build_username()
    assert login.startswith("td-customer-user123-continent-na")
    assert name_in(login, "thordata") == "user123"
