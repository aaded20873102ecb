"""Every page that tells a story runs as it is written, and prints what it says (`tests/pages.py` has the rules)."""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import Final

import pytest
from tests.live import live_server
from tests.on_path import on_path
from tests.pages import DOCS, blocks, is_like, prints_what_it_says, run

# Pages whose `bash` blocks are run, each against a server of its own.
STORIES: Final[tuple[str, ...]] = (
    "api.md",
    "closing.md",
    "corrections.md",
    "deploy.md",
    "erasing.md",
    "events.md",
    "explaining.md",
    "start/buyer.md",
    "start/reseller.md",
    "start/seller.md",
)


@pytest.mark.system
@pytest.mark.skipif(shutil.which("curl") is None, reason="curl is not installed")
@pytest.mark.parametrize("page", STORIES)
def test_a_page_runs_as_written(page: str, tmp_path: Path) -> None:
    story = blocks((DOCS / page).read_text())
    assert story, "no block to run"
    folder = tmp_path / "folder"
    folder.mkdir()
    with live_server(tmp_path / "data") as live, on_path(live.environment) as environment:
        printed = run(story, environment, folder)
    for block, said in zip(story, printed, strict=True):
        prints_what_it_says(block, said)


def test_what_a_page_shows_is_compared_line_by_line() -> None:
    assert is_like("a ... c\n...\nend\n", "a b c\nmore\nlines  \nend\n")
    assert is_like("...\nend\n", "end\n")
    assert not is_like("a ... c\nend\n", "a b c\nmore\nend\n")
    assert not is_like("2.69 GB left", "2.68 GB left")
    assert not is_like("one", "one\ntwo")
    assert is_like(f"usr_{'a1' * 16} ann", f"usr_{'0f' * 16} ann")
    assert not is_like(f"usr_{'a1' * 16} ann", f"grn_{'0f' * 16} ann")


def test_blocks_are_found_with_what_they_print(tmp_path: Path) -> None:
    page = "# A\n\n```bash\nprintf 1\n```\n\n```text\n1\n```\n\n```sh\nnever\n```\n\n```bash\necho 2\n```\n\n"
    page += "Then\n\n```text\n9\n```\n"
    first, second = blocks(page)
    assert (first.line, first.prints, second.prints) == (3, "1\n", None)
    assert run([first, second], {"PATH": "/usr/bin:/bin"}, tmp_path) == ["1", "2\n"]


def test_a_page_that_fails_is_told_by_the_line_of_its_block(tmp_path: Path) -> None:
    page = "```bash\necho fine\n```\n\n```bash\necho why\nfalse\n```\n"
    with pytest.raises(AssertionError, match="line 5, exit 1:\necho why\nfalse"):
        run(blocks(page), {"PATH": "/usr/bin:/bin"}, tmp_path)
