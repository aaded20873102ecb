"""Settings: where they come from, which win, and what a bad one says."""

from __future__ import annotations

from pathlib import Path

import pytest

from flowtally.config import Config, load_config, settings
from flowtally.core.errors import ConfigError


def test_everything_has_a_default_inside_the_data_directory(tmp_path: Path) -> None:
    config = load_config({}, data=str(tmp_path))
    assert config.usage_url == f"chdb:///{tmp_path}/usage"
    assert config.ledger_url == f"sqlite:///{tmp_path}/ledger.db"
    assert config.keys_url == f"sqlite:///{tmp_path}/keys.db"
    assert (config.host, config.max_future_s, config.create_unknown_users) == ("127.0.0.1", 300, True)


def test_an_argument_wins_over_the_environment() -> None:
    assert load_config({"FLOWTALLY_PORT": "1"}, port=2).port == 2
    assert load_config({"FLOWTALLY_PORT": "1"}, port=None).port == 1


def test_the_data_directory_becomes_absolute() -> None:
    assert load_config({}, data="here").data_dir == Path.cwd() / "here"


@pytest.mark.parametrize("empty", ["", None])
def test_an_empty_setting_is_not_given(empty: str | None) -> None:
    environment = {} if empty is None else {"FLOWTALLY_HOST": empty}
    assert load_config(environment).host == "127.0.0.1"


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("port", "99999"),
        ("port", "tcp://10.0.0.1:80"),
        ("max_future_s", "-1"),
        ("create_unknown_users", "maybe"),
        ("log_format", "xml"),
        ("block_rows", "200001"),
        ("metrics", "everybody"),
        ("currency", "usd"),
        ("currency", "DOLLARS"),
    ],
)
def test_a_bad_setting_is_named_with_its_value(name: str, value: str) -> None:
    with pytest.raises(ConfigError, match=f"{name} = '{value}'"):
        load_config({f"FLOWTALLY_{name.upper()}": value})


def test_a_setting_that_does_not_exist_is_an_error() -> None:
    with pytest.raises(ConfigError, match="FLOWTALLY_PRT is not a setting"):
        load_config({"FLOWTALLY_PRT": "1"})


def test_variables_of_the_client_and_of_kubernetes_are_left_alone() -> None:
    load_config(
        {"FLOWTALLY_URL": "x", "FLOWTALLY_TOKEN": "y", "FLOWTALLY_SERVICE_HOST": "z", "FLOWTALLY_PORT_1_TCP": "w"}
    )


@pytest.mark.parametrize("token", ["short", "x" * 1025, "with a space in the middle", "ü" * 30])
def test_a_weak_or_unusable_admin_token_is_refused_and_not_repeated(token: str) -> None:
    with pytest.raises(ConfigError, match="admin_token has") as raised:
        load_config({"FLOWTALLY_ADMIN_TOKEN": token})
    assert token not in str(raised.value)


def test_secrets_are_not_shown() -> None:
    config = load_config({"FLOWTALLY_ADMIN_TOKEN": "s" * 24, "FLOWTALLY_LEDGER_URL": "postgresql://me:secret@db/x"})
    assert "secret" not in repr(config)
    assert "s" * 24 not in repr(config)


def test_every_setting_is_documented() -> None:
    listed = list(settings())
    assert [setting.name for setting in listed] == [name for name in Config.__struct_fields__ if name != "vendors"]
    assert all(setting.description.endswith(".") for setting in listed)


def test_a_number_beyond_its_bounds_is_told_in_words() -> None:
    with pytest.raises(ConfigError, match=r"^port = 99999: a whole number of 65535 or less is expected\.$"):
        load_config({}, port=99_999)
    with pytest.raises(ConfigError, match="port = 'http': a whole number is expected, not text"):
        load_config({"FLOWTALLY_PORT": "http"})
