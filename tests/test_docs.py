"""The documentation is true: its pages follow the code, its examples run, its links lead somewhere."""

from __future__ import annotations

import json
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from tests.live import live_server
from tests.pages import blocks, prints_what_it_says, run

from flowtally import config

ROOT = Path(__file__).parent.parent
LINK = re.compile(r"\]\(([^)#:]+)(?:#[^)]*)?\)")
PLACE = re.compile(r"\]\(([^)#:]*)#([^)]+)\)")  # a link to a heading, of another page or of the same
PAGES = [*ROOT.glob("*.md"), *(ROOT / "docs").rglob("*.md")]


def test_the_generated_pages_are_not_stale() -> None:
    done = subprocess.run(
        [sys.executable, "scripts/docs.py", "--check"], cwd=ROOT, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr


def test_every_setting_has_its_line_and_says_something() -> None:
    page = (ROOT / "docs/reference/settings.md").read_text()
    for one in config.settings():
        assert f"`{one.variable}`" in page
        assert one.description, one.name


@pytest.mark.parametrize("page", [str(page.relative_to(ROOT)) for page in PAGES])
def test_links_lead_somewhere(page: str) -> None:
    source = ROOT / page
    dead = [link for link in LINK.findall(source.read_text()) if not (source.parent / link).exists()]
    assert not dead
    pages = [(source.parent / link if link else source, place) for link, place in PLACE.findall(source.read_text())]
    lost = [place for other, place in pages if other.suffix == ".md" and place not in headings(other)]
    assert not lost, "no heading is called so"


def headings(page: Path) -> set[str]:
    """The places of a page that a link can name: made of its headings as the hosts of repositories make them."""
    text = re.sub(r"^```.*?^```$", "", page.read_text(), flags=re.MULTILINE | re.DOTALL)
    names = [re.sub(r"\]\([^)]*\)", "]", name).lower() for name in re.findall(r"^#+ (.+)$", text, re.MULTILINE)]
    return {re.sub(r"[^\w\- ]", "", name).replace(" ", "-") for name in names}


def test_every_page_links_to_the_glossary() -> None:
    glossary = ROOT / "docs/glossary.md"
    pages = {ROOT / "README.md", *(ROOT / "docs").rglob("*.md")} - {glossary}
    without = [
        str(page.relative_to(ROOT))
        for page in pages
        if "decisions" not in page.parts
        and glossary not in [(page.parent / link).resolve() for link in LINK.findall(page.read_text())]
    ]
    assert not without


@pytest.mark.system
@pytest.mark.skipif(shutil.which("curl") is None, reason="curl is not installed")
def test_the_first_five_minutes_run_as_written(tmp_path: Path) -> None:
    story = blocks((ROOT / "README.md").read_text())
    with live_server(tmp_path / "data") as live:
        printed = run(story, live.environment, tmp_path)
    for block, said in zip(story, printed, strict=True):
        prints_what_it_says(block, said)
    lines = "\n".join(printed).splitlines()
    account, grant, first, again, users, balance = (json.loads(line) for line in lines if line.startswith("{"))
    assert (account["id"], grant["amount"]) == ("acme", 5_000_000_000)
    assert (first["stored"], again["stored"], again["duplicate"]) == (3, 0, 3)
    assert {row["user"]: (row["requests"], row["bytes"]) for row in users["rows"]} == {
        "ann": (2, 1_500_052_000),
        "bob": (1, 800_025_000),
    }
    assert balance["pools"]["traffic"]["left"] == 2_699_923_000
    assert sum(line.startswith("token ") for line in lines) == 2
