"""What tests of the client share."""

from __future__ import annotations

import pytest
import stamina


@pytest.fixture(autouse=True)
def short_pauses(monkeypatch: pytest.MonkeyPatch) -> None:
    """A client's own pauses between two tries of a call are short here; one that a server asks for stays as it is."""
    retry_context, short = stamina.retry_context, {"wait_initial": 0.01, "wait_jitter": 0.0}
    monkeypatch.setattr(stamina, "retry_context", lambda **patience: retry_context(**patience | short))
