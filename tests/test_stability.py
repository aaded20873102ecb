"""What a release promised is still there (docs/stability.md): nothing of its surface has gone since."""

from __future__ import annotations

from pathlib import Path
from typing import Final

import pytest
from tests.surface import surface

RELEASED: Final = sorted((Path(__file__).parent / "fixtures/surface").glob("*.txt"))

# What went after its time of notice: the line, and the version whose notes told that it would go.
GONE: Final[dict[str, str]] = {}


@pytest.mark.parametrize("release", RELEASED, ids=lambda path: path.stem)
def test_nothing_that_a_release_had_is_gone(release: Path) -> None:
    promised = set(release.read_text().splitlines()) - GONE.keys()
    assert len(promised) > 1000, "nothing was read"
    gone = promised - set(surface())
    assert not gone, f"{release.stem} promised it: keep it, or let it go as docs/stability.md says"


def test_nothing_is_let_go_twice() -> None:
    had = {line for release in RELEASED for line in release.read_text().splitlines()}
    assert GONE.keys() <= had, "no release had it"
