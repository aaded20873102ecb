"""Every dialect has a page that tells the truth: its commands run as written, it names all that is served and set."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest
from tests.live import Live, live_server
from tests.on_path import on_path
from tests.pages import blocks, prints_what_it_says, run

from flowtally.config import settings
from flowtally.vendors import VENDORS
from flowtally.vendors.base import Dialect

PAGES = Path(__file__).parents[2] / "docs" / "dialects"
every_vendor = pytest.mark.parametrize("dialect", VENDORS, ids=lambda dialect: dialect.name)


@pytest.fixture(scope="module")
def live(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Live]:
    with live_server(tmp_path_factory.mktemp("pages") / "data") as server:
        yield server


@every_vendor
@pytest.mark.system
@pytest.mark.skipif(shutil.which("curl") is None, reason="curl is not installed")
def test_the_commands_of_a_page_run_as_written(live: Live, dialect: Dialect, tmp_path: Path) -> None:
    story = blocks((PAGES / f"{dialect.name}.md").read_text())
    with on_path(live.environment) as environment:
        printed = run(story, environment, tmp_path)
    for block, said in zip(story, printed, strict=True):
        prints_what_it_says(block, said)
    assert any("curl" in block.script and block.prints for block in story), "it shows what a vendor's client is told"
    assert not any("nothing will pay" in said or "never_paid" in said for said in printed)


@every_vendor
def test_a_page_names_every_route_and_every_setting(dialect: Dialect) -> None:
    page = (PAGES / f"{dialect.name}.md").read_text()
    assert not [route.path for route in dialect.routes if route.path not in page]
    names = {one.name.upper() for one in settings(dialect.settings, dialect.name)}
    assert not [name for name in names if f"_{name}`" not in page]
