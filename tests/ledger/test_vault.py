"""The vault: a key file for the owner alone, and a start that says so when it is not the right one."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from flowtally.core.errors import ConfigError, Unprocessable
from flowtally.ledger.vault import Vault


def test_the_first_start_makes_a_key_for_its_owner_alone(tmp_path: Path) -> None:
    path = tmp_path / "data" / "passwords.key"
    sealed = Vault.open(path, None).seal("pässword")
    assert path.stat().st_mode & 0o777 == 0o600
    assert [one.name for one in path.parent.iterdir()] == ["passwords.key"]
    assert "ssword" not in sealed
    assert Vault.open(path, sealed).reveal(sealed) == "pässword"


def test_starts_at_once_agree_on_one_key(tmp_path: Path) -> None:
    with ThreadPoolExecutor(8) as threads:
        vaults = list(threads.map(lambda _: Vault.open(tmp_path / "passwords.key", None), range(8)))
    assert {vaults[0].reveal(vault.seal("x")) for vault in vaults} == {"x"}


def test_a_key_that_is_missing_or_of_another_installation_is_named_and_never_made_anew(tmp_path: Path) -> None:
    sealed = Vault.open(tmp_path / "a.key", None).seal("x")
    Vault.open(tmp_path / "b.key", None)
    (tmp_path / "c.key").write_text("SECRETSECRET")
    for name, reason in (("none.key", "is missing"), ("b.key", "is not the key"), ("c.key", "holds no key")):
        with pytest.raises(ConfigError, match=reason) as refused:
            Vault.open(tmp_path / name, sealed)
        assert "SECRET" not in str(refused.value)
    assert not (tmp_path / "none.key").exists()


@pytest.mark.parametrize("password", ["", "x" * 257, "a\x00b"])
def test_a_password_that_cannot_be_is_refused_without_repeating_it(tmp_path: Path, password: str) -> None:
    with pytest.raises(Unprocessable) as refused:
        Vault.open(tmp_path / "a.key", None).seal(password)
    assert "xx" not in refused.value.detail
