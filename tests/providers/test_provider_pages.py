"""The pages about providers tell the truth: their commands run as written, a second flowtally playing the vendor, asked
without pauses; the page of a vendor names every secret and setting of it, with its default."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest
from tests.live import Live, live_server
from tests.on_path import on_path
from tests.pages import DOCS, blocks, prints_what_it_says, run

from flowtally.providers.puller import Puller
from flowtally.vendors import PULLERS

PAGES = DOCS / "providers"
STORIES = ("README.md", "bill.md", *(f"{vendor}.md" for vendor in PULLERS))
every_puller = pytest.mark.parametrize("puller", PULLERS.values(), ids=lambda puller: puller.vendor)


@pytest.fixture(scope="module")
def vendor(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Live]:
    with live_server(tmp_path_factory.mktemp("vendor") / "data") as server:
        yield server


@pytest.mark.system
@pytest.mark.skipif(shutil.which("curl") is None, reason="curl is not installed")
@pytest.mark.parametrize("page", STORIES)
def test_a_page_runs_as_written(vendor: Live, page: str, tmp_path: Path) -> None:
    story = blocks((PAGES / page).read_text())
    folder = tmp_path / "folder"
    folder.mkdir()
    with (
        live_server(tmp_path / "data", module="tests.providers.unhurried") as live,
        on_path(live.environment) as environment,
    ):
        printed = run(story, environment | {"VENDOR": vendor.url, "VENDOR_TOKEN": vendor.token}, folder)
    for block, said in zip(story, printed, strict=True):
        prints_what_it_says(block, said)
    assert any(block.prints for block in story), "it shows what is printed"


def test_every_page_is_run() -> None:
    assert {page.name for page in PAGES.glob("*.md")} == set(STORIES)


@every_puller
def test_a_page_names_every_secret_and_setting_of_its_vendor(puller: Puller) -> None:
    page = (PAGES / f"{puller.vendor}.md").read_text()
    rows = {line.split("|")[1].strip(): line for line in page.splitlines() if line.startswith("| `")}
    named = ", ".join(rows)
    assert not [one.name for one in (*puller.secrets, *puller.settings) if f"`{one.name}`" not in named]
    for one in puller.settings:
        row = next(line for names, line in rows.items() if f"`{one.name}`" in names)
        assert (f"`{one.default}`" if one.default else "none") in row.split("|")[2], one.name
        assert not [choice for choice in one.choices if f"`{choice}`" not in row], one.name
