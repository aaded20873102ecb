"""The whole server over a random life, against the model: what happens is in `verbs` and
`caring`, what must hold in `checks`.

Everything random comes from a seed, which is in the name of the test and in what is printed when it fails, with the
last verbs. A seed that ever failed joins REGRESSIONS. In a soak there are more seeds (tests/soak.py);
`FLOWTALLY_TEST_WORLD_STEPS=2000` plays each for longer.
"""

from __future__ import annotations

import os
import shutil
from collections.abc import Callable, Iterator
from contextlib import closing
from pathlib import Path
from random import Random
from typing import Final

import pytest
from tests.clickhouse import clickhouse_server, server_url  # noqa: F401
from tests.engine import chdb_directory, database_url  # noqa: F401
from tests.soak import FIRST_SEED, done, sampled, seeds
from tests.world import caring  # its verbs join the list
from tests.world.checks import CHECKS, verify_finds_nothing
from tests.world.verbs import VERBS, draw
from tests.world.world import World

from flowtally.ingest import committer
from flowtally.usage.memory import MemoryStore
from flowtally.usage.open import open_usage
from flowtally.usage.store import UsageStore

STEPS: Final = int(os.environ.get("FLOWTALLY_TEST_WORLD_STEPS", sampled(250, 75)))
REGRESSIONS: Final[tuple[int, ...]] = ()  # with the steps and the day: a verb that joins changes what seeds play
CHECK_EVERY: Final = 25  # steps; all checks at the end

MakeWorld = Callable[[UsageStore, int], World]


@pytest.fixture
def make_world(tmp_path: Path, new_ledger: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[MakeWorld]:
    monkeypatch.setattr(committer, "SETTLE_AGAIN_S", (0.001, 0.002))
    monkeypatch.setattr("os.sync", lambda: None)  # the whole machine's; these tests cut no power
    made: list[World] = []

    def make(store: UsageStore, seed: int) -> World:
        ledger = Path(shutil.copy(new_ledger, tmp_path / "ledger.db"))
        made.append(World(tmp_path, ledger, store, seed))
        return made[-1]

    yield make
    for one in made:
        one.kill()


def play(world: World, steps: int, seed: int) -> None:
    told: list[str] = []
    try:
        for step in range(1, steps + 1):
            world.pass_time()
            world.settle_held()
            verb = draw(world.chance)
            told.append(f"{step} {verb.__name__}")
            verb(world, world.chance)
            if step % CHECK_EVERY == 0 or step == steps:
                for check in CHECKS:
                    told.append(f"{step} check {check.__name__}")
                    check(world, world.chance)
    except BaseException:
        print(f"seed {seed}, at {', '.join(told[-30:])}")
        raise


@pytest.mark.soak
@pytest.mark.filterwarnings("ignore::pytest.PytestUnhandledThreadExceptionWarning")  # they die, as they are told
@pytest.mark.parametrize("seed", [*REGRESSIONS, *seeds(4, 20)])
def test_the_world_is_what_the_model_says(make_world: MakeWorld, seed: int) -> None:
    play(make_world(MemoryStore(), seed), STEPS, seed)
    done(histories=1, steps=STEPS)


@pytest.mark.soak
@pytest.mark.filterwarnings("ignore::pytest.PytestUnhandledThreadExceptionWarning")
@pytest.mark.parametrize("seed", seeds(1, 3, first=10_000))
def test_and_so_it_is_over_the_engine_which_verify_finds_whole(
    make_world: MakeWorld,
    database_url: str,  # noqa: F811
    seed: int,
) -> None:
    with closing(open_usage(database_url)) as store:
        world = make_world(store, seed)
        for _ in range(3):
            play(world, STEPS // 6, seed)
            verify_finds_nothing(world)
        done(histories=1, steps=STEPS // 2)
        if not world.restores:
            caring.make_a_backup(world, world.chance)
            caring.restore_the_last_backup(world, world.chance)


@pytest.mark.soak
@pytest.mark.filterwarnings("ignore::pytest.PytestUnhandledThreadExceptionWarning")
@pytest.mark.parametrize("seed", seeds(1, 3, first=20_000))
def test_and_over_a_clickhouse_server(
    make_world: MakeWorld,
    server_url: str,  # noqa: F811
    seed: int,
) -> None:
    """Each question crosses HTTP, so it is a shorter life."""
    with closing(open_usage(server_url)) as store:
        world = make_world(store, seed)
        play(world, STEPS // 8, seed)
        verify_finds_nothing(world)
        done(histories=1, steps=STEPS // 8)


def test_every_verb_that_joined_the_list_is_drawn() -> None:
    chance = Random(FIRST_SEED)
    assert {draw(chance) for _ in range(2000)} == {one for one, _ in VERBS.values()}
