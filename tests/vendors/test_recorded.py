"""What clients of the dialects are answered stays as it was, byte for byte: answers of an earlier version are kept."""

from __future__ import annotations

import gzip
from collections.abc import Callable
from pathlib import Path

import pytest
from tests.conftest import Client
from tests.vendors.recorded import VARIANTS, answers

KEPT = Path(__file__).parents[1] / "fixtures" / "dialects"
REQUESTS = 120


@pytest.mark.parametrize("seed", range(len(VARIANTS)))
def test_what_was_answered_is_answered(make_client: Callable[..., Client], seed: int) -> None:
    """Where an answer is meant to change, remove the file: it is written anew, and git says what is different."""
    found, kept = list(answers(make_client, seed, REQUESTS)), KEPT / f"{seed}.txt.gz"
    if not kept.exists():
        kept.write_bytes(gzip.compress("\n".join(found).encode(), mtime=0))
        pytest.fail(f"{kept} was not there and is written; look at what it says")
    for number, (before, now) in enumerate(
        zip(gzip.decompress(kept.read_bytes()).decode().split("\n"), found, strict=True)
    ):
        assert now == before, f"request {number}"
