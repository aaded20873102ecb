"""Every command of docs/operations.md runs as written, in order, beside a server over ./data."""

from __future__ import annotations

import re
import subprocess
from pathlib import Path

from tests.live import live_server
from tests.on_path import on_path

PAGE = Path(__file__).parents[2] / "docs" / "operations.md"
BLOCK = re.compile(r"^```bash\n(.*?)^```$", re.MULTILINE | re.DOTALL)


def test_the_commands_of_the_page_run_as_written(tmp_path: Path) -> None:
    script = "set -euo pipefail\n" + "\n".join(BLOCK.findall(PAGE.read_text()))
    for command in ("doctor", "verify", "retention", "backup", "restore", "rebuild-keys", "rebuild-roll-ups"):
        assert f"flowtally {command}" in script
    with live_server(tmp_path / "data") as live, on_path(live.environment) as environment:
        done = subprocess.run(
            ["bash", "-c", script], env=environment, cwd=tmp_path, capture_output=True, text=True, check=False,
            timeout=200,
        )  # fmt: skip
    assert done.returncode == 0, done.stdout + done.stderr
    assert done.stdout.count("is what it says it is.") == 2
    assert "before-upgrade" in done.stdout
