"""Files of places: what a row says, and every line that is wrong named."""

from __future__ import annotations

import csv
import json
from io import StringIO
from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from flowtally.core.errors import Unprocessable
from flowtally.core.words import PlaceFormat
from flowtally.ledger.inventory import catalogue as of
from flowtally.ledger.inventory import iso
from flowtally.ledger.inventory.catalogue import Catalogue, make_catalogue
from flowtally.ledger.inventory.place_files import COLUMNS, read_rows
from flowtally.protocol import PlaceRow


def read(text: str | bytes, form: PlaceFormat = "csv") -> Catalogue:
    return make_catalogue(read_rows(text.encode() if isinstance(text, str) else text, form))


def shown(text: str, form: PlaceFormat = "csv") -> list[str]:
    return [f"{one.kind} {one.key} {one.name}" for one in read(text, form).places]


def refused(text: str | bytes, form: PlaceFormat = "csv") -> list[tuple[int, str, str]]:
    with pytest.raises(Unprocessable) as told:
        read(text, form)
    faults: Any = told.value.extra["faults"]
    assert told.value.extra["wrong"] == len(faults)
    assert "nothing was changed" in told.value.detail
    return [(one.line, one.field, one.reason) for one in faults]


def test_a_row_says_every_place_that_it_names() -> None:
    assert shown("country,state,city,asn,asn_name\nUS,US-AL,Alabaster,,\nUS,,,7922,Comcast\nAD,,Escaldes,,\n") == [
        "country AD Andorra",
        "country US United States",
        "state US/alabama Alabama",
        "city AD//escaldes Escaldes",
        "city US/alabama/alabaster Alabaster",
        "asn US/AS7922 Comcast",
    ]


def test_the_same_file_as_json_says_the_same() -> None:
    rows = [{"country": "us", "state": "AL", "city": "Alabaster"}, {"country": "US", "asn": 7922, "asn_name": None}]
    lines = "\n".join(map(json.dumps, rows))
    expected = shown("asn, City ,STATE,country\n,Alabaster,Alabama,US\nas7922,,,us")
    assert shown(json.dumps(rows), "json") == shown(json.dumps(rows, indent=3), "json") == expected
    assert shown(lines, "json") == shown("\n\n" + lines + "\n", "json") == expected


def test_columns_are_the_members_of_a_row() -> None:
    assert PlaceRow.__struct_fields__ == COLUMNS


@pytest.mark.parametrize(
    ("state", "key", "name"),
    [
        ("alabama", "alabama", "Alabama"),
        ("Alabama", "alabama", "Alabama"),
        ("us-al", "alabama", "Alabama"),
        ("al", "alabama", "Alabama"),
        ("New York", "newyork", "New York"),
        ("newyork", "newyork", "New York"),
    ],
)
def test_a_state_is_found_however_it_is_called(state: str, key: str, name: str) -> None:
    assert f"state US/{key} {name}" in shown(f"country,state\nUS,{state}\n")


def test_accents_and_other_letters_become_codes() -> None:
    assert [iso.code_of(one) for one in ("São Paulo", "Saint-Denis", "Łódź", "Straße", "Москва", "東京", "...")] == [
        "saopaulo", "saintdenis", "łodz", "strasse", "москва", "東京", "",
    ]  # fmt: skip


def test_countries_have_the_names_that_people_use_in_several_languages() -> None:
    assert [iso.country_name(one) for one in ("US", "BO", "KR", "XX")] == [
        "United States", "Bolivia", "South Korea", None,
    ]  # fmt: skip
    assert [iso.country_name_in("US", one) for one in iso.LANGUAGES] == ["美国", "Соединённые штаты", "美國"]
    assert iso.country_name_in("XX", "ru") is None


def test_every_subdivision_has_a_code_and_is_found_by_each_of_its_names() -> None:
    import pycountry

    assert len(list(pycountry.subdivisions)) > 4000
    for one in pycountry.subdivisions:
        found = iso.subdivision(one.country_code, one.code)
        assert found is not None, one
        assert found[0]
        assert found == iso.subdivision(one.country_code, found[1]) == iso.subdivision(one.country_code, found[0])


def test_what_iso_does_not_have_is_named_once_in_the_file() -> None:
    text = (
        "country,country_name,state,state_name,city\nXK,,,,Peja\nXK,Kosovo,,,\nDE,,bavaria,,Hof\nDE,,bavaria,Bavaria,\n"
    )
    assert {"country XK Kosovo", "state DE/bavaria Bavaria", "city DE/bavaria/hof Hof"} <= set(shown(text))
    assert refused(text.replace("Kosovo", "").replace("Bavaria", "")) == [
        (2, "country", "ISO 3166 knows no country 'XK': correct it, or name it (country_name)"),
        (4, "state", "ISO 3166 knows no state 'bavaria' of DE: correct it, or name it (state_name)"),
    ]


def test_a_name_of_the_file_counts_before_that_of_iso() -> None:
    assert shown("country,country_name\nUS,\nUS,USA\nUS,USA\n") == ["country US USA"]


def test_a_place_may_be_said_again_by_the_same_name_and_not_by_another() -> None:
    assert len(read("country,city\nFR,Saint-Denis\nFR,Saint-Denis\n").places) == 2
    assert refused("country,city\nFR,Saint-Denis\nFR,\nFR,Saint Denis\n") == [
        (4, "city", "FR//saintdenis is 'Saint Denis' here and 'Saint-Denis' in line 2")
    ]
    apart = "country,city,city_code\nFR,Saint-Denis,\nFR,Saint Denis,saint-denis-2\n"
    assert shown(apart)[1:] == ["city FR//saint-denis-2 Saint Denis", "city FR//saintdenis Saint-Denis"]


@pytest.mark.parametrize(
    ("header", "row", "field"),
    [
        ("country", "USA", "country"),
        ("country,city", ",Hof", "country"),
        ("country,city", "DE,...", "city"),
        ("country,city", f"DE,{'x' * 129}", "city"),
        ("country,city", "DE,H\x07f", "city"),
        ("country,city_code", "DE,hof", "city"),
        ("country,city,city_code", "DE,Hof,Hof", "city_code"),
        ("country,city,city_code", "DE,Hof,a/b", "city_code"),
        ("country,state", "DE,...", "state"),
        ("country,asn", "DE,AS0", "asn"),
        ("country,asn", "DE,4294967296", "asn"),
        ("country,asn", "DE,AS12x", "asn"),
        ("country,asn_name", "DE,Net", "asn"),
        ("country,city", "DE", ""),
        ("country,city", "DE,Hof,more", ""),
    ],
)
def test_a_row_that_is_wrong_is_told_by_line_and_field(header: str, row: str, field: str) -> None:
    width = header.count(",")
    text = f"{header}\nFR{',' * width}\n\n{row}\nFR{',' * width}\n"
    assert [(line, name) for line, name, _ in refused(text)] == [(4, field)]


@pytest.mark.parametrize(
    ("text", "line"),
    [
        ("city\nHof\n", 1),
        ("country,town\nDE,Hof\n", 1),
        ("country,country\nDE,DE\n", 1),
        ('country,city\nDE,"Ho"f\n', 2),
        ('country,city\nDE,Hof\nDE,"Hof\n', 3),
        (b"country,city\nDE,Hof\nDE,\xff\n", 3),
    ],
)
def test_what_is_no_file_of_places_is_told_by_line(text: str | bytes, line: int) -> None:
    assert [one[0] for one in refused(text)] == [line]


def test_a_value_over_several_lines_of_csv_counts_them() -> None:
    assert [one[:2] for one in refused('country,city\nDE,"H\nof"\nUSA,\n')] == [(2, "city"), (4, "country")]


@pytest.mark.parametrize(
    ("text", "line"),
    [
        ("{", 1),
        ("[\n{}\n", 2),
        ('[{"country":"DE"},\n', 2),
        ('[{"country":"DE"}]\nmore', 2),
        ('[{"country":"DE"}\n{"country":"DE"}]', 2),
        ('{"country":"DE"}\n{"country":"DE"', 2),
        ('{"country":"DE"}{"country":"DE"}', 1),
        ('{"country":"DE"}\n7\n', 2),
        ('[{"country":"DE"},\n["country"]]', 2),
        ('{"country":"DE","country":"FR"}', 1),
        ('{"country":"DE"}\n{"country":"DE","town":"Hof"}', 2),
        ('{"country":"DE"}\n{"country":"DE","city":7}', 2),
        ('{"country":"DE"}\n{"country":"DE","asn":1.5}', 2),
        ('{"country":"DE"}\n{"country":"DE","asn":true}', 2),
        ('{"country":"DE"}\n{"country":"DE","asn":NaN}', 2),
        ('{"country":"DE"}\n{"country":"DE","asn":' + "9" * 5000 + "}", 2),
        ('{"country":"DE"}\n' + "[" * 100_000, 2),
        ('"text"', 1),
    ],
)
def test_json_that_is_wrong_is_told_by_line(text: str, line: int) -> None:
    assert line in {one[0] for one in refused(text, "json")}


@pytest.mark.parametrize(
    ("text", "form"), [("", "csv"), ("country\n", "csv"), ("", "json"), ("[]", "json"), ("[ ]\n", "json")]
)
def test_a_file_without_a_place_is_refused(text: str, form: PlaceFormat) -> None:
    assert refused(text, form) == []


def test_there_is_a_most_of_places(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(of, "MAX_PLACES", 2)
    assert len(read("country\nDE\nFR\n").places) == 2
    with pytest.raises(Unprocessable, match="at most 2"):
        read("country\nDE\nFR\nUS\n")


def test_only_the_first_faults_are_told_and_all_are_counted() -> None:
    with pytest.raises(Unprocessable) as told:
        read("country\n" + "USA\n" * 150)
    faults: Any = told.value.extra["faults"]
    assert (len(faults), told.value.extra["wrong"]) == (100, 150)
    assert [one.line for one in faults] == list(range(2, 102))
    assert told.value.detail.startswith("150 faults, nothing was changed; line 2, country: 'USA'")


def test_a_mark_before_utf_8_is_no_part_of_the_header() -> None:
    assert shown("\ufeffcountry\nDE\n") == ["country DE Germany"]


# Any file is read whole, or every line that is wrong is named: rows are put together of good values and bad ones.
GOOD = st.fixed_dictionaries(
    {"country": st.sampled_from(["US", "de", "FR"])},
    optional={
        "state": st.sampled_from(["", "hamburg", "Texas", "Paris"]).filter(lambda one: one in ("", "Paris")),
        "city": st.sampled_from(["Hof", "Aix-en-Provence", "東京", "Bad Tölz"]),
        "asn": st.sampled_from(["AS1", "65551", "as4294967295"]),
    },
)
BAD = st.sampled_from(
    [{"country": ""}, {"country": "D1"}, {"country": "DE", "city": "--"}, {"country": "DE", "asn": "ASx"},
     {"country": "DE", "city_code": "x"}, {"country": "US", "state": "..."}, {"country": "FR", "city": "a\u2028b"}]
)  # fmt: skip
ROWS = st.lists(
    st.one_of(GOOD.filter(lambda one: one.get("state") != "Paris" or one["country"] == "FR"), BAD), min_size=1
)


def as_csv(rows: list[dict[str, str]]) -> str:
    out = StringIO()
    writer = csv.DictWriter(out, COLUMNS, restval="", lineterminator="\n")
    writer.writeheader()
    writer.writerows(rows)
    return out.getvalue()


@given(ROWS)
def test_a_file_is_read_whole_or_names_exactly_the_lines_that_are_wrong(rows: list[dict[str, str]]) -> None:
    wrong = [number for number, row in enumerate(rows) if row in BAD_ROWS]
    for text, form, first in ((as_csv(rows), "csv", 2), ("\n".join(map(json.dumps, rows)), "json", 1)):
        if wrong:
            assert [line for line, *_ in refused(text, form)] == [first + number for number in wrong]  # type: ignore[arg-type]
            continue
        found = read(text, form)  # type: ignore[arg-type]
        assert {one.country for one in found.places} == {row["country"].upper() for row in rows}
        assert {one.name for one in found.places if one.kind == "city"} == {
            row["city"] for row in rows if "city" in row
        }
        keys = [(of.KINDS.index(one.kind), one.key) for one in found.places]
        assert keys == sorted(set(keys)), "each once, in order"


BAD_ROWS: list[dict[str, str]] = [
    {"country": ""}, {"country": "D1"}, {"country": "DE", "city": "--"}, {"country": "DE", "asn": "ASx"},
    {"country": "DE", "city_code": "x"}, {"country": "US", "state": "..."}, {"country": "FR", "city": "a\u2028b"},
]  # fmt: skip


@given(st.one_of(st.binary(max_size=200), st.text(max_size=200).map(str.encode)), st.sampled_from(["csv", "json"]))
def test_whatever_is_sent_is_a_catalogue_or_told_by_lines_of_it(body: bytes, form: PlaceFormat) -> None:
    for sent in (body, b"country\n" + body, b'{"country":"DE"}\n' + body):
        try:
            assert read(sent, form).places
        except Unprocessable as error:
            faults: Any = error.extra["faults"]
            assert all(1 <= one.line <= sent.count(b"\n") + sent.count(b"\r") + 1 for one in faults)
            assert msgspec.json.encode(faults)
