"""Settings that take one of a few words: the words are listed wherever the setting is documented, and in the error."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Annotated, Any, Literal, get_args, get_origin

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from flowtally.agents.follow.agent import KINDS
from flowtally.agents.follow.config import parsed
from flowtally.cli.configured import help_of
from flowtally.config import Config, load_config, settings
from flowtally.core.choices import choice, choices_of, listed, wrong_word
from flowtally.core.errors import ConfigError
from flowtally.vendors import VENDORS

DOCS = Path(__file__).parents[2] / "docs"
DIALECTS = {one.name: one.settings for one in VENDORS}
SERVER: list[tuple[str, type[msgspec.Struct]]] = [("", Config), *DIALECTS.items()]


def literals(of: type[msgspec.Struct]) -> Iterator[tuple[str, Any, tuple[str, ...]]]:
    """Name as it is written, type and words of each field that takes a few words."""
    for field in msgspec.structs.fields(of):
        plain = get_args(field.type)[0] if get_origin(field.type) is Annotated else field.type
        if get_origin(plain) is Literal:
            yield field.encode_name, field.type, get_args(plain)


def of_server() -> list[tuple[str, str, tuple[str, ...]]]:
    """Vendor or "", name, words."""
    return [(vendor, name, words) for vendor, shape in SERVER for name, _, words in literals(shape)]


def of_agent() -> list[tuple[str, str, tuple[str, ...]]]:
    """Array, field, words."""
    return [(kind, name, words) for kind, of in KINDS.items() for name, _, words in literals(of.entry)]


@pytest.mark.parametrize("shape", [*(shape for _, shape in SERVER), *(kind.entry for kind in KINDS.values())])
def test_every_word_of_every_setting_has_its_meaning(shape: type[msgspec.Struct]) -> None:
    for name, kind, words in literals(shape):
        found = choices_of(kind)
        assert tuple(found) == words, name
        assert all(found.values()), name


@pytest.mark.parametrize(("vendor", "name", "words"), of_server())
def test_a_wrong_word_is_answered_with_the_words_there_are(vendor: str, name: str, words: tuple[str, ...]) -> None:
    variable = "FLOWTALLY_" + (f"{vendor}_{name}" if vendor else name).upper()
    with pytest.raises(ConfigError) as raised:
        load_config({variable: "sideways"}, DIALECTS)
    assert "'sideways'" in str(raised.value)
    assert all(f"{word} (" in str(raised.value) for word in words)


@pytest.mark.parametrize(("vendor", "name", "words"), of_server())
def test_the_page_of_settings_lists_them_with_their_meanings(vendor: str, name: str, words: tuple[str, ...]) -> None:
    [one] = [one for one in settings(dict(SERVER)[vendor], vendor) if one.name == name]
    [line] = [line for line in (DOCS / "reference/settings.md").read_text().splitlines() if f"`{one.variable}`" in line]
    assert all(f"`{word}`: {one.values[word]}" in line for word in words)


@pytest.mark.parametrize(("kind", "name", "words"), of_agent())
def test_the_agents_configuration_does_the_same(kind: str, name: str, words: tuple[str, ...]) -> None:
    text = f'[[{kind}]]\nname = "a"\n{name} = "sideways"\n'.encode()
    with pytest.raises(ConfigError) as raised:
        parsed(text, "agent.toml", KINDS, {})
    assert "sideways" in str(raised.value)
    assert all(f"{word} (" in str(raised.value) for word in words)
    lines = [line for page in ("agent.md", "pollers.md") for line in (DOCS / page).read_text().splitlines()]
    assert any(line.startswith(f"| `{name}`") and all(f"`{word}`" in line for word in words) for line in lines)


@pytest.mark.parametrize("name", [name for vendor, name, _ in of_server() if not vendor and name.startswith("log_")])
def test_an_option_of_serve_lists_them_too(name: str) -> None:
    assert all(word in help_of(name) for word in choices_of(_type(name)))


def _type(name: str) -> Any:
    return {field.name: field.type for field in msgspec.structs.fields(Config)}[name]


def test_a_yes_or_no_says_how_it_is_written() -> None:
    with pytest.raises(ConfigError, match=r"= 'maybe': it takes true or false"):
        load_config({"FLOWTALLY_CREATE_UNKNOWN_USERS": "maybe"})


@given(st.dictionaries(st.text("abcdef-", min_size=1), st.text("xyz "), min_size=1, max_size=5))
def test_any_words_are_listed_in_their_order(values: dict[str, str]) -> None:
    kind = Annotated[Literal["a"], choice("One.", values)]
    assert choices_of(kind) == values
    told = listed(values)
    assert told.count(" or ") >= (len(values) > 1)


def test_other_faults_are_told_in_words() -> None:
    class Shape(msgspec.Struct):
        port: int
        word: Annotated[Literal["a", "b"], choice("One.", {"a": "first", "b": "second"})] = "a"

    for given_, said in (
        ({"port": "x"}, "port: a whole number is expected, not text"),
        ({"port": 1, "word": "c"}, "it takes a (first) or b (sec"),
    ):
        with pytest.raises(msgspec.ValidationError) as raised:
            msgspec.convert(given_, Shape)
        assert said in wrong_word(raised.value, Shape)
