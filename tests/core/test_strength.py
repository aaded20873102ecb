"""Which chosen secrets can be guessed; and what a start does with one as an admin token."""

from __future__ import annotations

import secrets
import shutil
import string
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.live import live_server

from flowtally.config import load_config
from flowtally.core.errors import ConfigError
from flowtally.core.strength import MIN_CHARS, new_characters, weakness
from flowtally.ledger.database import Ledger
from flowtally.ledger.people import credentials
from flowtally.server import open_services
from flowtally.start import ADMIN_SLOT

WEAK = (
    "a" * 32,
    "a" * 1024,
    "ab" * 32,
    "change-me-please-change-me",
    "change-me-please-change-me-please-change-me",
    "changeme" * 5,
    "0123456789" * 4,
    "abcdefghijklmnopqrstuvwxyz0123456789",
    "00000000-0000-0000-0000-000000000000",
    "my-super-secret-admin-token-please-change-it",
    "Passw0rd!" * 5,
    "aB3$" * 8,
    "Zk3vQ9xTn2Wb7Jr5",  # good, and too short
    "Zk3vQ9xT" * 5,
)
STRONG = "Zk3vQ9xTn2Wb7Jr5Hc8Pd4Ys6Lf1MgVu"


@pytest.mark.parametrize("token", WEAK)
def test_what_people_write_into_a_placeholder_is_weak(token: str) -> None:
    told = weakness(token)
    assert told is not None
    assert token not in told


def test_what_a_machine_draws_is_strong() -> None:
    for _ in range(300):
        for drawn in (secrets.token_hex(16), secrets.token_hex(32), secrets.token_urlsafe(24)):
            assert weakness(drawn) is None, drawn


@given(st.text(string.ascii_letters + string.digits + "-_", max_size=40), st.integers(2, 5))
def test_saying_it_again_makes_no_secret_stronger(text: str, times: int) -> None:
    assert new_characters(text * times) <= new_characters(text) + 2  # where two of them meet, something may be new


@given(st.text(string.printable, max_size=200))
def test_no_secret_has_more_new_characters_than_characters(text: str) -> None:
    assert 0 <= new_characters(text) <= len(text)
    assert weakness(text) is None or len(text) < MIN_CHARS or new_characters(text) < 20 or len(set(text)) < 8


def start(data: Path, **settings: Any) -> None:
    with open_services(load_config({}, data=str(data), usage_url="memory://", **settings), tell=lambda _: None):
        pass


@pytest.fixture(scope="module")
def started(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A data directory of a server that was started once, without a token."""
    start(data := tmp_path_factory.mktemp("started") / "data")
    return data


@pytest.mark.parametrize("token", [one for one in WEAK if len(one) >= 20])
def test_a_start_with_a_new_weak_token_is_refused_and_makes_nothing(tmp_path: Path, started: Path, token: str) -> None:
    with pytest.raises(ConfigError, match=r"admin_token is too weak.*openssl rand") as refused:
        start(tmp_path / "data", admin_token=token)
    assert token not in str(refused.value)
    assert list(tmp_path.iterdir()) == []
    shutil.copytree(started, tmp_path / "data")
    with pytest.raises(ConfigError, match="admin_token is too weak"):
        start(tmp_path / "data", admin_token=token)
    start(tmp_path / "data", admin_token=STRONG)


def test_a_weak_token_that_an_earlier_version_took_opens_with_a_warning_and_a_strong_one_replaces_it(
    tmp_path: Path,
) -> None:
    weak, data = "administrators-own-1", tmp_path / "data"
    start(data)
    ledger = Ledger.open(f"sqlite:///{data}/ledger.db")
    with ledger.begin() as tx:
        credentials.import_token(tx, weak, name=ADMIN_SLOT, now=1)
    ledger.close()
    with live_server(data, {"FLOWTALLY_ADMIN_TOKEN": weak}):
        log = (tmp_path / "data.log").read_text()
        assert "admin_token_weak" in log
        assert "openssl rand -hex 32" in log
        assert weak not in log
    start(data, admin_token=STRONG)
    with pytest.raises(ConfigError):  # it was locked out, and cannot come back
        start(data, admin_token=weak)
