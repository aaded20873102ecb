"""What tests of watching share."""

from __future__ import annotations

import pytest


@pytest.fixture(autouse=True)
def short_ends(monkeypatch: pytest.MonkeyPatch) -> None:
    """Whoever closes what serves the numbers waits for its thread."""
    monkeypatch.setattr("flowtally.agents.watch.endpoint._ENDS_S", 0.01)
