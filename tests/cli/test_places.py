"""`flowtally place`: what each command asks, and what it prints."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from tests.cli.fake import Program

MADE: dict[str, Any] = {
    "product": "residential", "countries": 2, "states": 51, "cities": 29_880, "asns": 0,
    "replaced_at": "2026-07-01T09:30:00Z",
}  # fmt: skip
CITY = {"kind": "city", "country": "US", "state": "alabama", "code": "alabaster", "name": "Alabaster"}
ASN = {"kind": "asn", "country": "US", "state": None, "code": "AS7922", "name": "Comcast"}
LIST = "/v1/places/residential"


def test_import_sends_the_file_as_it_is(flowtally: Program, tmp_path: Path) -> None:
    flowtally.fake.answers[f"PUT {LIST}"] = (200, MADE)
    (tmp_path / "cities.csv").write_text("country\nDE\n")
    ran = flowtally("place", "import", str(tmp_path / "cities.csv"))
    assert (ran.code, ran.out.splitlines()[3].split()) == (0, ["cities", "29,880"])
    assert flowtally.fake.asked[-1].body == "country\nDE\n"
    (tmp_path / "cities.json").write_text('[{"country":"DE"}]')
    flowtally.fake.answers["PUT /v1/places/mobile"] = (200, MADE | {"product": "mobile"})
    ran = flowtally("place", "import", str(tmp_path / "cities.json"), "--product", "mobile", "--json")
    assert ran.document == MADE | {"product": "mobile"}
    assert flowtally.fake.asked[-1].body == [{"country": "DE"}]


def test_import_names_each_line_that_is_wrong(flowtally: Program, tmp_path: Path) -> None:
    faults = [
        {"line": 2, "field": "country", "reason": "'USA' is no country code"},
        {"line": 7, "field": "", "reason": "cut"},
    ]
    problem = {"code": "unprocessable", "detail": "2 faults, nothing was changed", "faults": faults, "wrong": 2}
    flowtally.fake.answers[f"PUT {LIST}"] = (422, problem)
    (tmp_path / "cities.csv").write_text("country\nUSA\n")
    ran = flowtally("place", "import", str(tmp_path / "cities.csv"))
    assert (ran.code, ran.out) == (1, "")
    assert ran.err.splitlines()[:2] == ["cities.csv:2: country: 'USA' is no country code", "cities.csv:7: cut"]
    assert "nothing was changed" in ran.err.splitlines()[2]


def test_import_of_a_file_that_is_not_there(flowtally: Program, tmp_path: Path) -> None:
    ran = flowtally("place", "import", str(tmp_path / "none.csv"))
    assert ran.code == 2
    assert "cannot be read: No such file" in ran.err


def test_list_shows_products_or_the_places_of_one(flowtally: Program) -> None:
    flowtally.fake.answers["GET /v1/places"] = (200, {"items": [MADE], "next": None})
    shown = flowtally("place", "list").out.splitlines()[1].split()
    assert shown == ["residential", "2", "51", "29,880", "0", "2026-07-01T09:30Z"]
    assert flowtally("place", "list", "--json").document == [MADE]
    flowtally.fake.answers[f"GET {LIST}"] = (200, {"items": [CITY], "next": None})
    out = flowtally("place", "list", "residential", "--kind", "city", "--country", "US", "--state", "alabama").out
    assert out.splitlines()[1].split() == ["US", "alabama", "alabaster", "Alabaster"]
    asked = {"kind": ["city"], "country": ["US"], "state": ["alabama"], "limit": ["1000"]}
    assert flowtally.fake.asked[-1].query == asked
    flowtally.fake.answers[f"GET {LIST}"] = (200, {"items": [ASN], "next": None})
    assert flowtally("place", "list", "residential", "--kind", "asn").out.splitlines()[1].split() == [
        "US",
        "AS7922",
        "Comcast",
    ]
    assert flowtally("place", "list", "residential", "--kind", "asn", "--json").document == [ASN]


def test_remove_shows_what_was_there(flowtally: Program) -> None:
    flowtally.fake.answers[f"DELETE {LIST}"] = (200, MADE)
    assert "29,880" in flowtally("place", "remove", "residential").out
    assert flowtally("place", "remove", "residential", "--json").document == MADE
