"""The bench runs from end to end at a size that measures nothing. What it prints at real sizes: docs/benchmarks.md.

Its servers and helpers are forks of the fork server here, which have no modules to load; stopped by Ctrl-C, it has
those it starts by itself.
"""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any

import msgspec
import pytest
from bench import grown
from bench.__main__ import PARTS, main, run
from bench.events import LARGEST, MIDDLE, SMALL, Slice, held_keys
from bench.grown import MEMORY_REQUESTS
from bench.ingest import cases_of
from bench.postgres import find_binaries
from bench.report import Report, Row, compare
from bench.rounds import take_turns
from bench.server import RATIONS_NOBODY
from bench.sizes import SIZES
from bench.targets import DIALECTS, TARGETS, stand
from tests.fork_server import Program

from flowtally.config import load_config
from flowtally.core.events import UsageEvent, time_of_id
from flowtally.vendors import VENDORS
from flowtally.web.capacity.shares import Rule


def test_the_same_seed_gives_the_same_events() -> None:
    for ids in ("numbered", "v7", "random"):
        assert Slice(ids, "s", 10, 5).lines() == Slice(ids, "s", 10, 5).lines()
        assert Slice(ids, "s", 10, 5).lines() != Slice(ids, "s", 10, 5, seed=2).lines()


def test_every_line_is_an_event_that_flowtally_takes_and_carries_its_own_key() -> None:
    for ids in ("numbered", "v7", "random"):
        events = [msgspec.json.decode(line, type=UsageEvent) for line in Slice(ids, "s", 7, 50).lines()]
        assert len({(event.id, event.sequence) for event in events}) == 50
    numbered = [msgspec.json.decode(line, type=UsageEvent) for line in Slice("numbered", "s", 7, 3).lines()]
    assert [event.sequence for event in numbered] == ["8", "9", "10"]


def test_version_7_ids_follow_the_time_of_their_events() -> None:
    events = [msgspec.json.decode(line, type=UsageEvent) for line in Slice("v7", "s", 0, 20).lines()]
    times = [time_of_id(event.id) for event in events]
    assert None not in times
    assert times == sorted(times, key=lambda at: at or 0)


def test_a_history_fills_its_ninety_days_in_every_lap_and_half_of_it_is_one_account() -> None:
    lines = Slice("numbered", "s", 0, 2000, lap=1000).lines()
    events = [msgspec.json.decode(line, type=UsageEvent) for line in lines]
    assert events[0].time == events[1000].time
    assert (events[999].time or "")[:10] == "2026-03-31"
    assert 800 < sum(event.account == "acc0" for event in events) < 1200


def test_in_a_history_the_small_account_has_a_hundredth_of_the_middle_one() -> None:
    texts = Slice("numbered", "s", 0, 200_000, lap=200_000).lines()
    of = {name: sum(f'"account": "{name}"' in text for text in texts) for name in (LARGEST, MIDDLE, SMALL)}
    assert of[SMALL] > 0
    assert 50 < of[MIDDLE] / of[SMALL] < 200
    assert 40 < of[LARGEST] / of[MIDDLE] < 60


def test_a_measured_server_rations_nobody() -> None:
    """Or the bench, which asks in the name of one account without a pause, would be told to wait."""
    measured = Rule.of(load_config(RATIONS_NOBODY))
    assert measured.account_rate == 0
    assert Rule.of(load_config({})).account_rate > 0, "the part `fair` measures it"


def test_every_stage_leaves_room_for_what_is_sent_while_it_is_measured() -> None:
    """So that its questions meet exactly as many events as their row says."""
    for sizes in SIZES.values():
        ingest, memory = sizes.rounds * sizes.bulk, sizes.rounds * MEMORY_REQUESTS * sizes.large_batch
        before = 0
        for stored in sizes.stages:
            assert stored - before >= ingest
            before = stored + memory


def test_held_keys_are_all_different_and_older_than_the_first_event() -> None:
    keys = [row.tobytes() for portion in held_keys("v7", 1000, 1) for row in portion]
    assert len(set(keys)) == 1000
    first = msgspec.json.decode(Slice("v7", "s", 0, 1).lines()[0], type=UsageEvent).id.replace("-", "")
    assert max(key.hex() for key in keys) < first


def test_sides_take_turns_and_go_first_in_turn() -> None:
    order: list[str] = []

    def side(name: str) -> float:
        order.append(name)
        return 1.0

    take_turns(2, {"a": lambda: side("a"), "b": lambda: side("b")})
    assert order == ["a", "b", "b", "a"]


def test_a_ratio_is_the_median_of_the_rounds_ratios() -> None:
    row = compare("p", "c", "events/s", [10, 30, 20], "other", [20, 30, 80])
    assert (row.ours, row.base, row.ratio, row.low, row.high) == (20, 30, 0.5, 0.25, 1)


def test_a_target_is_judged_at_the_largest_size_and_says_when_it_was_not_measured() -> None:
    sizes = [Row("usage", f"middle, {n} stored", "ms", 5.0, ratio=ratio) for n, ratio in ((1, 1.5), (2, 2.5))]
    report = Report("tiny", 1, {}, 0.0, rows=sizes)
    found = {one.work: one for one in stand(report)}
    assert found["90 days, middle account: against its SQL"].met is False
    assert found["start: ready"].met is None
    assert len(found) == len(TARGETS)


def test_an_unknown_part_is_a_usage_error(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["--only", "ingest-numbered,coffee"]) == 2
    assert "coffee" in capsys.readouterr().err


def fork(command: Sequence[str | Path], *, env: dict[str, str] | None = None, **streams: Any) -> Program:
    """As `bench.process.spawn` starts `python -m MODULE ARGUMENTS`; its pipes carry bytes."""
    python, option, module, *arguments = map(str, command)
    assert (python, option) == (sys.executable, "-m")
    program: Any = Program(*arguments, module=module, env=os.environ if env is None else env, **streams)
    for name in ("stdin", "stdout"):
        if (pipe := getattr(program, name)) is not None:
            setattr(program, name, pipe.detach())
    return program  # type: ignore[no-any-return]


@pytest.fixture(scope="module")
def everything(tmp_path_factory: pytest.TempPathFactory) -> Report:
    """All parts, once: real servers, a real PostgreSQL where there is one, as few events as make sense."""
    place = tmp_path_factory.mktemp("bench")
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("bench.process.spawn", fork)
        patch.setattr("bench.server.spawn", fork)
        report = run("tiny", PARTS, beside=place)
    assert report.stopped == ""
    assert list(place.iterdir()) == [], "it leaves nothing behind"
    return report


def test_each_part_finds_something(everything: Report) -> None:
    assert {row.part for row in everything.rows} == set(PARTS)
    assert all(row.ours > 0 for row in everything.rows)
    assert all(row.ratio is None or row.ratio > 0 for row in everything.rows)


def test_ingest_is_compared_with_the_engine_and_ids_with_postgresql_too(everything: Report) -> None:
    def baselines(part: str) -> set[str]:
        return {row.baseline for row in everything.rows if row.part == part}

    assert baselines("ingest-numbered") == {"engine alone"}
    if find_binaries() is None:
        assert any("PostgreSQL" in remark for remark in everything.remarks)
    else:
        assert baselines("ingest-v7") == baselines("ingest-random")
        assert baselines("ingest-v7") == {"engine alone", "PostgreSQL", "PostgreSQL, favoured"}


def test_single_events_are_compared_with_a_server_that_does_nothing_and_with_postgresql(everything: Report) -> None:
    expected = {"no-op POST"} if find_binaries() is None else {"no-op POST", "PostgreSQL by hand"}
    for case, unit in (("1 x 64", "requests/s"), ("1 x 1", "ms")):
        rows = [row for row in everything.rows if row.part == "single" and row.case == case]
        assert {row.baseline for row in rows} == expected
        assert {row.unit for row in rows} == {unit}


def test_every_target_of_a_growing_installation_is_measured(everything: Report) -> None:
    served = {dialect.name for dialect in VENDORS}
    for target, standing in zip(TARGETS, everything.standings, strict=True):
        vendor = target.case.partition(",")[0]
        if target.part in grown.PARTS and (target.part != "dialects" or vendor in served):
            assert standing.met is not None, target.work


def test_targets_of_ingest_name_cases_that_are_measured_at_the_standard_sizes() -> None:
    named = {(target.part, target.case) for target in TARGETS if target.part.startswith("ingest-")}
    measured = {
        (f"ingest-{ids}", case.name)
        for ids in ("numbered", "v7", "random")
        for case in cases_of(SIZES["standard"], ids)
    }
    assert named <= measured


def test_a_report_says_with_which_settings_its_servers_ran(everything: Report) -> None:
    assert "FLOWTALLY_ACCOUNT_SHARE_PERCENT=0" in everything.machine["settings"]


def test_balance_stands_against_a_day_of_usage_and_against_its_first_time(everything: Report) -> None:
    first, last = SIZES["tiny"].stages
    for name in ("middle", "largest"):
        row = everything.find("balance", f"{name}, {last:,} stored", "usage of one day")
        assert row is not None
        assert row.notes["grants"] == 20
        assert everything.find("balance", f"growth of {name}, {last:,} stored", f"at {first:,}") is not None


def test_growth_tells_what_an_event_cost_the_server_at_both_stages(everything: Report) -> None:
    first, last = SIZES["tiny"].stages
    row = everything.find("growth", f"ingest, {last:,} stored", f"at {first:,}")
    assert row is not None
    assert row.notes["server_cpu_us_per_event"] > 0
    assert row.notes["at_first"] > 0


def test_memory_is_the_most_there_was_with_four_requests_under_way(everything: Report) -> None:
    for stored in SIZES["tiny"].stages:
        row = everything.find("start", f"memory, {stored:,} stored")
        assert row is not None
        assert row.notes["requests_under_way"] == 4
        assert row.notes["peak_MB"] >= max(row.ours, row.notes["loading_MB"], row.notes["asking_MB"])


def test_queries_start_and_memory_are_measured_at_every_stage(everything: Report) -> None:
    for stored in SIZES["tiny"].stages:
        for part, what in (("usage", "middle"), ("usage", "largest"), ("balance", "middle"), ("start", "ready")):
            assert everything.find(part, f"{what}, {stored:,} stored") is not None


def test_every_dialect_is_measured_against_the_native_read_of_its_figures(everything: Report) -> None:
    assert set(DIALECTS) >= {dialect.name for dialect in VENDORS}
    for stored in SIZES["tiny"].stages:
        for dialect in VENDORS:
            row = everything.find("dialects", f"{dialect.name}, {stored:,} stored", "native read")
            assert row is not None, dialect.name
            assert row.ratio is not None


def test_the_report_reads_back_from_json(everything: Report) -> None:
    assert msgspec.json.decode(msgspec.json.encode(everything), type=Report) == everything


def test_ctrl_c_ends_every_server_and_removes_every_file(tmp_path: Path) -> None:
    command = [sys.executable, "-m", "bench", "--quick", "--only", "ingest-numbered", "--dir", str(tmp_path)]
    bench = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, start_new_session=True)
    assert bench.stdout is not None
    for line in bench.stdout:
        if "ingest-numbered" in line:  # all its processes are alive now
            break
    bench.send_signal(signal.SIGINT)
    output, errors = bench.communicate(timeout=60)
    assert bench.returncode == 130, errors
    assert "not measured in this run" in output
    assert list(tmp_path.iterdir()) == []
    assert [line for line in _command_lines() if str(tmp_path) in line] == []


def _command_lines() -> list[str]:
    found: list[str] = []
    for process in Path("/proc").glob("[0-9]*/cmdline"):
        with suppress(OSError):
            found.append(process.read_bytes().replace(b"\0", b" ").decode(errors="replace"))
    return found
