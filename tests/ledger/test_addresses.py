"""One spelling for each address."""

from __future__ import annotations

from ipaddress import ip_address, ip_network

import pytest
from hypothesis import given
from hypothesis import strategies as st

from flowtally.core.errors import Unprocessable
from flowtally.ledger.people.addresses import canonical, is_network


@pytest.mark.parametrize(
    ("text", "spelt"),
    [
        ("203.0.113.7", "203.0.113.7"),
        ("203.0.113.7/32", "203.0.113.7"),
        ("198.51.100.0/24", "198.51.100.0/24"),
        ("0.0.0.0/0", "0.0.0.0/0"),
        ("2001:DB8:0:0::1", "2001:db8::1"),
        ("2001:db8::1/128", "2001:db8::1"),
        ("2001:db8::/032", "2001:db8::/32"),
        ("::ffff:203.0.113.7", "203.0.113.7"),
        ("::FFFF:c633:6400/120", "198.51.100.0/24"),
        ("::/0", "::/0"),
    ],
)
def test_the_same_address_has_one_spelling(text: str, spelt: str) -> None:
    assert canonical(text) == canonical(spelt) == spelt


NONE = ["", "x", "1", "1.2.3", "1.2.3.4.5", "256.1.1.1", "01.2.3.4", " 1.2.3.4", "1.2.3.4 ", "1.2.3.4/", "/8"]
NONE += ["1.2.3.4/33", "::1/129", "10.0.0.1/8", "10.0.0.0/255.0.0.0", "10.0.0.0/0.255.255.255", "fe80::1%eth0"]
NONE += ["[::1]", "1.2.3.4:80", "\u0661.2.3.4", "10.0.0.0/\u0668", "1.2.3.4\x00", "16909060", "1" * 5000]


@pytest.mark.parametrize("text", NONE)
def test_what_is_no_address_is_refused_and_shown_short(text: str) -> None:
    with pytest.raises(Unprocessable) as refused:
        canonical(text)
    assert refused.value.extra["field"] == "address"
    assert len(refused.value.detail) < 250


@given(st.ip_addresses(), st.integers(0, 128))
def test_a_canonical_text_is_its_own_and_fits_the_column(address: object, bits: int) -> None:
    network = ip_network(f"{address}/{min(bits, ip_address(str(address)).max_prefixlen)}", strict=False)
    spelt = canonical(str(network))
    assert canonical(spelt) == spelt
    assert 2 <= len(spelt) <= 43
    assert is_network(spelt) == (network.num_addresses > 1)
