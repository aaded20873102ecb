"""A fifth vendor is a folder and one line: the worked example of docs/dialects/adding.md, put in place and served."""

from __future__ import annotations

import re
import shutil
from collections.abc import Iterator
from datetime import date
from decimal import Decimal
from pathlib import Path

import httpx
import pytest
from docs.examples.plainproxy import PLAINPROXY, wire
from hypothesis import given
from hypothesis import strategies as st
from tests.live import Live, live_server
from tests.vendors.test_folders import NAMES, imported, is_base_enough

from flowtally import vendors
from flowtally.client import Client
from flowtally.protocol import AccountRequest, CredentialRequest, PlainEvent
from flowtally.vendors.base import Dialect

ROOT = Path(__file__).parents[2]
EXAMPLE = ROOT / "docs" / "examples" / "plainproxy"
PAGE = ROOT / "docs" / "dialects" / "adding.md"
QUOTED = re.compile(r"\(\.\./examples/plainproxy/(\w+\.py)\):\n\n```python\n(.*?)^```$", re.MULTILINE | re.DOTALL)
FOLDER = "src/flowtally/vendors/plainproxy"
BEFORE = "VENDORS: Final[tuple[Dialect, ...]] = ("


@pytest.fixture(scope="module")
def source(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Our source with the folder in it, and the line."""
    copy = tmp_path_factory.mktemp("fifth")
    shutil.copytree(ROOT / "src", copy / "src", ignore=shutil.ignore_patterns("__pycache__"))
    shutil.copytree(EXAMPLE, copy / FOLDER, ignore=shutil.ignore_patterns("__pycache__"))
    registry = copy / "src/flowtally/vendors/__init__.py"
    text = registry.read_text()
    assert BEFORE in text
    line = f"from flowtally.vendors.plainproxy import PLAINPROXY\n\n{BEFORE}PLAINPROXY, "
    registry.write_text(text.replace(BEFORE, line))
    return copy


@pytest.fixture(scope="module")
def live(source: Path) -> Iterator[Live]:
    with live_server(source / "data", {"FLOWTALLY_PLAINPROXY_TIMEZONE": "Asia/Kolkata"}, source / "src") as live:
        yield live


@pytest.fixture(scope="module")
def token(live: Live) -> str:
    """Of an account with 1.25 GB on 10 March in Kolkata, after 20 GB before."""
    with Client(live.url, live.token) as client:
        client.create_account(AccountRequest(id="acme"))
        uses = [("1", "2026-03-09T18:29:59Z", 20 * 10**9), ("2", "2026-03-09T18:30:00Z", 1_259_999_999)]
        answer = client.send_events(
            PlainEvent("gw", "acme", id, time=time, product="residential", bytes_down=count) for id, time, count in uses
        )
        assert answer.stored == 2
        return str(client.create_credential("acme", CredentialRequest(scope="account")).token)


def test_it_answers_as_the_vendor_does(live: Live, token: str) -> None:
    ask = httpx.get(f"{live.url}/plainproxy/traffic?day=2026-03-10", headers={"X-Plain-Key": token})
    assert ask.status_code == 200, ask.text
    assert wire.decode(ask.content) == wire.Traffic("2026-03-10", "1.25", "21.25")


@pytest.mark.parametrize(
    ("query", "key", "status", "says"),
    [
        ("", None, 400, "bad request: day"),
        ("?day=yesterday", None, 400, "bad request: day"),
        ("?day=9999-12-31", None, 400, "bad request: day"),
        ("?day=2026-03-10", "", 401, "no access"),
        ("?day=2026-03-10", "nobody", 401, "no access"),
    ],
)
def test_it_refuses_as_the_vendor_does(
    live: Live, token: str, query: str, key: str | None, status: int, says: str
) -> None:
    answer = httpx.get(f"{live.url}/plainproxy/traffic{query}", headers={"X-Plain-Key": token if key is None else key})
    assert (answer.status_code, answer.json()) == (status, {"error": says})


def test_it_is_in_the_openapi_document_beside_the_others(live: Live) -> None:
    document = httpx.get(f"{live.url}/schema/openapi.json").json()
    assert document["paths"]["/plainproxy/traffic"]["get"]["tags"] == ["PlainProxy"]
    assert {dialect.title for dialect in vendors.VENDORS} < {tag["name"] for tag in document["tags"]}


def test_the_example_is_a_dialect_and_none_of_ours() -> None:
    assert isinstance(PLAINPROXY, Dialect)
    assert PLAINPROXY.name not in {dialect.name for dialect in vendors.VENDORS}


def test_the_example_has_the_files_of_every_vendor_and_needs_no_more_of_the_frame() -> None:
    files = list(EXAMPLE.glob("*.py"))
    assert {path.stem for path in files} == NAMES - {"samples", "README", "pull"}, "there is nobody to be asked"
    assert all(is_base_enough(module, "") for path in files for module in imported(path))


@given(st.lists(st.integers(0, 10**12), min_size=1, max_size=40))
def test_its_days_add_up_in_its_own_step(days: list[int]) -> None:
    shown = [wire.show(date(2026, 3, 1), sum(days[:number]), used).result for number, used in enumerate(days)]
    hundredths = [int(Decimal(one.used_gb) * 100) for one in shown]
    assert sum(hundredths) == sum(days) // 10**7


def test_the_page_quotes_the_example_as_it_is() -> None:
    quoted = dict(QUOTED.findall(PAGE.read_text()))
    assert set(quoted) == {path.name for path in EXAMPLE.glob("*.py")}
    for name, code in quoted.items():
        assert code == (EXAMPLE / name).read_text(), f"{name} says something else"
