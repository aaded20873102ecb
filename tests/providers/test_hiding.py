"""Secrets in what a vendor says: whoever writes them otherwise hides nothing from us, and no half of one is shown."""

from __future__ import annotations

import html
import json
import re
from collections.abc import Callable
from typing import Final
from urllib.parse import quote, quote_plus

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from flowtally.providers.hiding import SECRET, Secrets, hide_passwords


def small_hex(text: str) -> str:
    return re.sub(r"%[0-9A-F]{2}|\\u[0-9A-F]{4}", lambda found: found[0].lower(), text)


def by_number(secret: str) -> str:
    """As an encoder writes it that trusts nothing but letters and digits."""
    units = secret.encode("utf-16-be")
    numbers = [units[n] * 256 + units[n + 1] for n in range(0, len(units), 2)]
    return "".join(chr(one) if chr(one).isascii() and chr(one).isalnum() else f"\\u{one:04X}" for one in numbers)


WAYS: Final[dict[str, Callable[[str], str]]] = {
    "as it is": str,
    "a path": lambda one: quote(one, safe=""),
    "a query": quote_plus,
    "a query in small letters": lambda one: small_hex(quote_plus(one)),
    "a query of a script": lambda one: quote(one, safe="!'()*"),
    "a query in a query": lambda one: quote(quote(one, safe="")),
    "a page": html.escape,
    "a page by number": lambda one: "".join(f"&#{ord(char)};" if not char.isalnum() else char for char in one),
    "a page by hex": lambda one: "".join(f"&#x{ord(char):X};" if not char.isalnum() else char for char in one),
    "JSON": lambda one: json.dumps(one)[1:-1],
    "JSON of PHP": lambda one: json.dumps(one)[1:-1].replace("/", "\\/"),
    "JSON by number": by_number,
    "JSON by number in small letters": lambda one: small_hex(by_number(one)),
    "JSON in JSON": lambda one: json.dumps(json.dumps(one)[1:-1])[1:-1],
}
KEY: Final = 'ab+cd/EF==\\ "x" &\'é\U0001f511'
texts = st.text(st.characters(exclude_categories=["Cs"]), min_size=4, max_size=30)


@given(secret=texts, around=st.sampled_from(["", " ", "ä ", "x=", '"']), way=st.sampled_from(sorted(WAYS)))
@example(secret=KEY, around="", way="JSON in JSON")
@example(secret="\\\\\\\\\\\\\\\\", around="", way="JSON in JSON")
def test_a_secret_is_found_however_it_is_spelled(secret: str, around: str, way: str) -> None:
    spelled = WAYS[way](secret)
    assert Secrets([secret]).hide(f"{around}{spelled}{around}").count(SECRET) >= 1


@pytest.mark.parametrize("way", WAYS)
def test_nothing_is_left_of_it(way: str) -> None:
    assert Secrets([KEY]).hide(f"<{WAYS[way](KEY)}>") == f"<{SECRET}>"


@pytest.mark.parametrize("way", WAYS)
def test_the_beginning_of_one_that_the_end_cut_off_is_taken_away(way: str) -> None:
    spelled, secrets = WAYS[way](KEY), Secrets(["other-secret", KEY])
    for size in range(8, len(spelled)):
        shown = secrets.hide_cut(f"ä{spelled[:size]}")
        assert shown in {"ä", f"ä{SECRET}"} or "cd" not in shown


def test_each_value_of_a_cookie_is_a_secret_and_names_are_none() -> None:
    secrets = Secrets(['session=COOKIEVALUE1234567; lang=en; token="abc.def"'])
    assert secrets.hide("invalid session COOKIEVALUE1234567 of abc.def (en)") == (
        f"invalid session {SECRET} of {SECRET} (en)"
    )
    assert secrets.hide('session=COOKIEVALUE1234567; lang=en; token="abc.def"') == SECRET


def test_what_is_too_short_to_be_a_secret_hides_nothing() -> None:
    assert Secrets(["", "abc"]).hide("abc of nobody") == "abc of nobody"
    assert Secrets(["abc"]).hide_cut("of ab") == "of ab"


@pytest.mark.parametrize(
    ("said", "shown"),
    [
        (r'{"password": "pa\"ss", "n": 1}', '{"password": "[secret]", "n": 1}'),
        ('{"password":"cut o', '{"password":"[secret]"'),
        ('{"password":12345678}', '{"password":"[secret]"}'),
        ('{"Password" : null,', '{"Password" : "[secret]",'),
        ("{'new_password': 'it', 'n': 1}", "{'new_password': \"[secret]\", 'n': 1}"),
        ('{"passwd":"p"}', '{"passwd":"[secret]"}'),
        ('{"password": {"is": 1}, "user": "u1"}', '{"password": {"is": 1}, "user": "u1"}'),
        ('{"password_length": 8}', '{"password_length": 8}'),
    ],
)
def test_members_that_are_passwords_are_not_shown(said: str, shown: str) -> None:
    assert hide_passwords(said) == shown
