"""What clients of the dialects are answered stays as it was, byte for byte: answers of an earlier version are kept."""

from __future__ import annotations

import gzip
import random
from collections.abc import Callable
from pathlib import Path

import msgspec
import pytest
from tests.conftest import Client
from tests.soak import sampled
from tests.vendors.recorded import VARIANTS, Request, World, client_of, draw

KEPT = Path(__file__).parents[1] / "fixtures" / "dialects"
REQUESTS = 120


class Recorded(msgspec.Struct, frozen=True):
    asked: Request
    told: str


@pytest.mark.parametrize("seed", range(len(VARIANTS)))
def test_what_was_answered_is_answered(make_client: Callable[..., Client], seed: int) -> None:
    """Where an answer is meant to change, remove the file: others are drawn, asked and kept."""
    world, kept = World(client_of(make_client, seed), random.Random(seed)), KEPT / f"{seed}.jsonl.gz"
    if not kept.exists():
        recorded = [Recorded(one, world.ask(one)) for one in draw(world, REQUESTS)]
        kept.write_bytes(gzip.compress(msgspec.json.Encoder().encode_lines(recorded), mtime=0))
        pytest.fail(f"{kept} was not there and is written; look at what it says")
    recorded = msgspec.json.Decoder(Recorded).decode_lines(gzip.decompress(kept.read_bytes()))
    for one in recorded[: sampled(len(recorded), 60)]:
        assert world.ask(one.asked) == one.told, one.asked
