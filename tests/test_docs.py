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

from flowtally import config

ROOT = Path(__file__).parent.parent
BLOCK = re.compile(r"^```bash\n(.*?)^```$", re.MULTILINE | re.DOTALL)
LINK = re.compile(r"\]\(([^)#:]+)(?:#[^)]*)?\)")


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


@pytest.mark.parametrize("page", ["README.md", *(str(p.relative_to(ROOT)) for p in (ROOT / "docs").rglob("*.md"))])
def test_links_lead_somewhere(page: str) -> None:
    source = ROOT / page
    dead = [link for link in LINK.findall(source.read_text()) if not (source.parent / link).exists()]
    assert not dead


@pytest.mark.system
@pytest.mark.skipif(shutil.which("curl") is None, reason="curl is not installed")
def test_the_first_five_minutes_run_as_written(tmp_path: Path) -> None:
    script = "set -euo pipefail\n" + "\n".join(BLOCK.findall((ROOT / "README.md").read_text()))
    script = script.replace("/tmp/flowtally-events.json", str(tmp_path / "events.json"))
    with live_server(tmp_path / "data") as live:
        done = subprocess.run(
            ["bash", "-c", script], env=live.environment, capture_output=True, text=True, check=False, timeout=120
        )
    assert done.returncode == 0, done.stdout + done.stderr
    answers = [json.loads(line) for line in done.stdout.splitlines() if line.startswith("{")]
    account, grant, first, again, days, users, balance = answers
    assert (account["id"], grant["amount"]) == ("acme", 5_000_000_000)
    assert (first["stored"], again["stored"], again["duplicate"]) == (3, 0, 3)
    assert [row["bytes"] for row in days["rows"]] == [1_200_040_000, 800_025_000, 300_012_000]
    assert [row["start"][-6:] for row in days["rows"]] == ["+01:00", "+01:00", "+02:00"]
    assert {row["user"]: row["requests"] for row in users["rows"]} == {"ann": 2, "bob": 1}
    assert balance["pools"]["traffic"]["left"] == 2_699_923_000
    assert "2.699923 GB left" in done.stdout
    assert (
        sum("token" in line for line in done.stdout.splitlines() if not line.startswith("{")) == 2
    )  # answers have one too
