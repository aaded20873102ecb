"""Where messages may go: whatever a customer types, nothing of this machine or its networks is reached."""

from __future__ import annotations

from ipaddress import ip_network

import pytest
from tests.providers.test_connecting import PRIVATE

from flowtally.alerts.places import check_url, may_be_reached
from flowtally.core.errors import Unprocessable

CLOSED = [*PRIVATE, "64:ff9b:1::1", "64:ff9b:1:ffff::1", "100::1", "2001::1", "2001:1::1", "2001:1ff::1",
          "2002:808:808::", "::8.8.8.8", "64:ff9b::7f00:1", "::ffff:7f00:1"]  # fmt: skip
PUBLIC = ["8.8.8.8", "1.1.1.1", "2606:4700::1111", "::ffff:8.8.8.8", "64:ff9b::8.8.8.8", "2a00:1450::1"]
OPENED = (ip_network("10.0.0.0/8"), ip_network("fd00::/8"))
GOOD = [
    "https://hooks.example.com", "https://hooks.example.com:443/x?token=1", "https://hooks.example.com:8443/",
    "https://192.0.2.1/", "https://[2606:4700::1111]:1024/", "https://bücher.example/x",
]  # fmt: skip
BAD = [
    "", "hooks.example.com", "http://hooks.example.com", "ftp://a.example", "file:///etc/passwd", "gopher://a.example",
    "https://", "https:///x", "https://me@a.example", "https://me:pw@a.example", "https://@a.example",
    "https://a.example:22", "https://a.example:80", "https://a.example:0", "https://a.example:65536",
    "https://a.example:x", "https://a.example#x", "https://a.example/ x", "https://a.example\\@b.example",
    "https://a.example/\n", " https://a.example", "https://[::1", "https://[fe80::1%25eth0]/", "javascript:alert(1)",
    "https://a.example/#", "https://0177.0.0.1/",
]  # fmt: skip


@pytest.mark.parametrize("address", CLOSED)
def test_what_is_not_of_the_whole_internet_is_not_reached(address: str) -> None:
    assert not may_be_reached(address)


@pytest.mark.parametrize("address", PUBLIC)
def test_what_is_of_the_whole_internet_is(address: str) -> None:
    assert may_be_reached(address)


def test_what_the_operator_opened_is_reached_and_nothing_beside_it() -> None:
    assert may_be_reached("10.1.2.3", OPENED)
    assert may_be_reached("fd00::1", OPENED)
    assert not may_be_reached("192.168.1.1", OPENED)
    assert not may_be_reached("127.0.0.1", OPENED)


@pytest.mark.parametrize("url", GOOD)
def test_a_url_is_taken_as_it_is(url: str) -> None:
    assert check_url(url, whole=False) == url


@pytest.mark.parametrize("url", BAD)
def test_what_is_no_url_for_messages_is_refused_and_not_repeated(url: str) -> None:
    with pytest.raises(Unprocessable, match=r"^url: ") as told:
        check_url(url, whole=False)
    assert "pw" not in str(told.value)


def test_the_operator_may_say_http_and_any_port() -> None:
    for url in ("http://10.0.0.1:80/x", "https://10.0.0.1:90"):
        assert check_url(url, whole=True) == url
    with pytest.raises(Unprocessable):
        check_url("ftp://10.0.0.1", whole=True)
