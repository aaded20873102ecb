"""What readings add: a table a bookkeeper could read, then laws against a device that knows the truth."""

from __future__ import annotations

from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st
from tests.device_model import WORD, Device, Polled, low_words

from flowtally.core.counters import CLOCK_SLACK_MS, EPOCH_SLACK_MS, RUNS, Seen, Standing, Step, close, step
from flowtally.core.edges import format_instant, parse_instant
from flowtally.keys.counter_states import decode, encode

S = 1_000
T = 1_000_000 * S
RATE = 125_000_000


def seen(at_s: float, up: int | None, down: int | None = 0, requests: int | None = 0, **more: Any) -> Seen:
    return Seen(T + int(at_s * S), (up, down, requests), **{"max_rate": RATE, **more})


def run(*readings: Seen, last: Standing | None = None) -> list[Step]:
    steps: list[Step] = []
    for one in readings:
        steps.append(step(last, one))
        last = steps[-1].standing
    return steps


def told(*readings: Seen, last: Standing | None = None) -> list[tuple[str, int, bool]]:
    """Of each reading: by which rule, the bytes up it adds, whether there is a row of it."""
    return [(one.code, one.added.bytes_up, one.stores) for one in run(*readings, last=last)]


def test_the_first_reading_is_a_baseline_and_the_next_adds_what_came_since() -> None:
    assert told(seen(0, 500), seen(10, 700), seen(20, 700), seen(30, 701)) == [
        ("baseline", 0, True),
        ("", 200, True),
        ("no_change", 0, False),
        ("", 1, True),
    ]


def test_of_a_session_whose_start_was_seen_the_first_reading_counts_whole() -> None:
    assert told(seen(0, 500, from_zero=True), seen(10, 700, from_zero=True)) == [("", 500, True), ("", 200, True)]


def test_another_epoch_is_a_restart_whatever_the_values_are() -> None:
    [_, same, other] = told(seen(0, 500, epoch="a"), seen(10, 600, epoch="a"), seen(20, 900, epoch="b"))
    assert (same, other) == (("", 100, True), ("restarted", 900, True))


def test_two_instants_within_five_seconds_are_one_epoch() -> None:
    first, near, far = "2026-03-01T12:00:00Z", "2026-03-01T12:00:05Z", "2026-03-01T12:00:11Z"
    assert [code for code, _, _ in told(seen(0, 5, epoch=first), seen(10, 6, epoch=near), seen(20, 7, epoch=far))] == [
        "baseline",
        "",
        "restarted",
    ]


def test_a_fall_without_an_epoch_is_a_reset() -> None:
    assert told(seen(0, 500), seen(10, 40), seen(20, 60))[1:] == [("reset", 40, True), ("", 20, True)]


def test_a_low_word_that_fell_wrapped_where_it_was_more_than_half_full_and_the_rate_allows_it() -> None:
    [_, wrapped, after] = run(seen(0, 2**32 - 100, width=32), seen(10, 50, width=32), seen(20, 60, width=32))
    assert (wrapped.code, wrapped.added.bytes_up, wrapped.after[0]) == ("wrapped", 150, 2**32 + 50)
    assert (after.code, after.added.bytes_up) == ("", 10)


@pytest.mark.parametrize(
    ("before", "more", "code"),
    [
        (2**31 - 5, {}, "reset"),  # not half full
        (2**31 - 5, {"max_rate": 2**31}, "reset"),
        (2**31 + 5, {}, "reset"),  # 2 GB in 10 seconds are more than 1 Gbit/s
        (2**31 + 5, {"max_rate": 2**31}, "wrapped"),
        (2**31 - 5, {"max_rate": 2**31, "epoch": "a"}, "wrapped"),  # it is the same process: it cannot have begun anew
        (2**31 + 5, {"max_rate": 10, "epoch": "a"}, "reset"),
        (2**31 + 5, {"max_rate": 2**31, "width": 64}, "reset"),
    ],
)
def test_what_wraps_and_what_does_not(before: int, more: dict[str, Any], code: str) -> None:
    more = {"width": 32, **more}
    assert told(seen(0, before, **more), seen(10, 0, **more))[1][0] == code


def test_an_older_reading_with_less_is_late_and_changes_nothing() -> None:
    steps = run(seen(0, 100), seen(10, 500), seen(5, 300), seen(20, 510))
    assert [(one.code, one.added.bytes_up) for one in steps[1:]] == [("", 400), ("late", 0), ("", 10)]


def test_an_older_reading_with_more_counts_for_clocks_differ() -> None:
    assert told(seen(0, 100), seen(10, 500), seen(9, 505), seen(20, 510))[2:] == [("", 5, True), ("", 5, True)]


def test_a_smaller_value_within_what_clocks_differ_is_decided_by_the_next_reading() -> None:
    slack = CLOCK_SLACK_MS / S
    assert told(seen(0, 500), seen(slack, 40), seen(slack + 1, 45)) == [
        ("baseline", 0, True),
        ("late", 0, False),
        ("reset", 45, True),
    ]


def test_a_late_reading_of_before_a_restart_counts_what_it_knew_more() -> None:
    steps = run(seen(0, 100, epoch="a"), seen(20, 7, epoch="b"), seen(10, 160, epoch="a"), seen(10, 160, epoch="a"))
    assert [(one.code, one.added.bytes_up, one.stores) for one in steps[1:]] == [
        ("restarted", 7, True),
        ("late", 60, True),
        ("late", 0, False),
    ]


def test_a_late_reading_of_before_a_reset_is_told_by_its_time() -> None:
    assert told(seen(0, 100), seen(20, 7), seen(10, 160), seen(30, 9))[1:] == [
        ("reset", 7, True),
        ("late", 60, True),
        ("", 2, True),
    ]


def test_final_closes_and_what_comes_after_adds_only_what_is_more() -> None:
    assert told(seen(0, 100), seen(10, 150, final=True), seen(20, 150), seen(30, 140), seen(40, 170)) == [
        ("baseline", 0, True),
        ("", 50, True),
        ("after_final", 0, False),
        ("after_final", 0, False),
        ("after_final", 20, True),
    ]


def test_final_without_values_closes_with_the_last_ones() -> None:
    [_, end] = run(seen(0, 100), seen(10, None, None, None, final=True))
    assert (end.code, end.added.bytes_up, end.standing.end, end.after) == (
        "final_without_values",
        0,
        "final",
        (100, 0, 0),
    )


def test_a_session_id_that_comes_again_after_its_end_is_a_new_session() -> None:
    assert told(seen(0, 100, epoch="a", final=True), seen(10, 30, epoch="b"))[1] == ("", 30, True)


def test_what_was_closed_for_silence_is_opened_by_the_next_reading_and_loses_nothing() -> None:
    [first] = run(seen(0, 100))
    closed = close(first.standing, T + 60 * S, "missing_stop")
    assert told(seen(90, 130), seen(100, 130), last=closed) == [("reopened", 30, True), ("no_change", 0, False)]
    assert told(seen(90, 100), last=closed) == [("reopened", 0, True)]


def test_what_is_left_out_stays_as_it_was() -> None:
    steps = run(seen(0, 100, 200, 3), seen(10, 150, None, None), seen(20, None, 260, None))
    assert steps[-1].after == (150, 260, 3)


def test_a_quantity_that_was_always_left_out_is_first_read_when_it_is_there() -> None:
    steps = run(
        seen(0, 500, None), seen(10, 600, None), seen(20, 600, 9_000), seen(30, 650, 9_010), seen(40, 660, 9_010)
    )
    assert [(one.code, one.added.bytes_up, one.added.bytes_down) for one in steps] == [
        ("baseline", 0, 0),
        ("", 100, 0),
        ("baseline", 0, 0),
        ("", 50, 10),
        ("", 10, 0),
    ]
    late = run(seen(0, 500, None), seen(10, 600, 0), seen(20, 700, 70))
    assert [(one.code, one.added.bytes_up, one.added.bytes_down) for one in late[1:]] == [
        ("baseline", 100, 0),
        ("", 100, 70),
    ]


def test_what_was_left_out_begins_at_nothing_where_the_beginning_was_seen_or_is_another() -> None:
    seen_begin = run(seen(0, 500, None, from_zero=True), seen(10, 500, 70))
    assert (seen_begin[1].code, seen_begin[1].added.bytes_down) == ("", 70)
    other = run(seen(0, 500, None, epoch="a"), seen(10, 5, 70, epoch="b"), seen(20, 5, 75, epoch="b"))
    assert [(one.code, one.added.bytes_down) for one in other[1:]] == [("restarted", 70), ("", 5)]


@given(st.lists(st.tuples(*[st.integers(0, 9)] * 3, *[st.booleans()] * 3), min_size=1, max_size=20), st.booleans())
def test_of_each_quantity_counts_what_came_after_it_was_first_said(uses: list[Any], from_zero: bool) -> None:
    values, said = [0, 0, 0], [0, 0, 0]
    first: list[int | None] = [None, None, None]
    readings = []
    for index, use in enumerate(uses):
        values = [value + more for value, more in zip(values, use[:3], strict=True)]
        stated = [value if there else None for value, there in zip(values, use[3:], strict=True)]
        if stated == [None] * 3:
            continue
        readings.append(seen(index * 10, *stated, from_zero=from_zero))
        said = [old if new is None else new for old, new in zip(said, stated, strict=True)]
        first = [new if old is None else old for old, new in zip(first, stated, strict=True)]
    steps = run(*readings)
    began = [0 if from_zero or value is None else value for value in first]
    assert total(steps) == tuple(now - then for now, then in zip(said, began, strict=True))


def test_an_epoch_that_is_not_said_is_the_same_one() -> None:
    assert [code for code, _, _ in told(seen(0, 5), seen(10, 6, epoch="a"), seen(20, 7), seen(30, 8, epoch="a"))][
        1:
    ] == [
        "",
        "",
        "",
    ]


def _documented() -> list[list[list[str]]]:
    """The tables of the page: of each line its columns."""
    text = (Path(__file__).parents[2] / "docs" / "counters.md").read_text()
    tables = [block.partition("```")[0] for block in text.split("```text\n")[1:]]
    return [[_columns(line, head) for line in lines] for head, *lines in map(str.splitlines, tables)]


def _columns(line: str, head: str) -> list[str]:
    starts = [head.index(name) for name in ("at", "bytes_up", "says", "adds", "code")]
    return [line[start:end].strip() for start, end in pairwise([*starts, None])]


@pytest.mark.parametrize("table", _documented())
def test_the_page_on_counters_says_what_happens(table: list[list[str]]) -> None:
    readings: list[Seen] = []
    for at, up, says, _, _ in table:
        words = [one.split() for one in says.split(", ") if one]
        more: dict[str, Any] = {word: True if not value else value[0] for word, *value in words}
        if "width" in more:
            more["width"] = int(more["width"])
        values = (None, None, None) if up == "-" else (int(up), 0, 0)
        readings.append(seen(int(at), *values, **more))
    assert told(*readings) == [
        (code, int(adds), code != "no_change" and (int(adds) > 0 or code not in ("late", "after_final")))
        for _, _, _, adds, code in table
    ]


def test_a_restart_told_by_a_clock_that_is_behind_is_one() -> None:
    assert told(seen(0, 5, epoch="a"), seen(10, 9, epoch="a"), seen(9, 3, epoch="b"), seen(20, 4, epoch="b"))[2:] == [
        ("restarted", 3, True),
        ("", 1, True),
    ]


def test_two_processes_that_count_at_once_are_two_runs_and_none_counts_twice() -> None:
    """As when a new process takes over and the old one still serves what it has."""
    old = [seen(at, 100 + at, epoch="old") for at in range(0, 60, 10)]
    new = [seen(at + 5, at, epoch="new") for at in range(0, 60, 10)]
    both = [one for pair in zip(old, new, strict=True) for one in pair]
    assert sum(added for _, added, _ in told(*both)) == 50 + 50
    assert [code for code, _, _ in told(*both)][1:3] == ["restarted", ""]


def test_two_processes_that_stand_still_leave_no_rows() -> None:
    steps = run(*(seen(at, 100, epoch="ab"[at // 10 % 2]) for at in range(0, 200, 10)))
    assert [one.stores for one in steps] == [True, True] + [False] * 18


def test_a_run_of_which_nobody_told_before_the_next_one_counts_whole() -> None:
    assert told(seen(0, 5, epoch="a"), seen(30, 7, epoch="c"), seen(10, 40, epoch="b"), seen(12, 41, epoch="b"))[
        1:
    ] == [
        ("restarted", 7, True),
        ("late", 40, True),
        ("late", 1, True),
    ]
    assert told(seen(50, 5, epoch="a"), seen(10, 40, epoch="older than all"))[1] == ("late", 0, False)


def instant(at_s: float) -> str:
    return format_instant(T + int(at_s * S))


def test_an_epoch_that_moved_with_the_clock_it_was_worked_out_from_is_the_same_run() -> None:
    first = seen(0, 500, epoch=instant(-1000), epoch_derived=True)
    forward = seen(610, 700, epoch=instant(-400), epoch_derived=True)  # by ten minutes
    back = seen(20, 900, epoch=instant(-1000), epoch_derived=True)  # and back
    idle = seen(90, 900, epoch=instant(-940), epoch_derived=True)
    assert told(first, forward, back, idle) == [
        ("baseline", 0, True),
        ("clock_set", 200, True),
        ("clock_set", 200, True),
        ("clock_set", 0, True),
    ]


def test_a_restart_after_the_last_reading_is_one_however_the_epoch_was_worked_out() -> None:
    first = seen(0, 500, epoch=instant(-1000), epoch_derived=True)
    assert told(first, seen(10, 600, epoch=instant(-4), epoch_derived=True))[1] == ("restarted", 600, True)


def test_a_derived_epoch_that_moved_while_the_counter_fell_is_a_reset() -> None:
    first = seen(0, 500, epoch=instant(-1000), epoch_derived=True)
    assert told(first, seen(10, 40, epoch=instant(-400), epoch_derived=True))[1] == ("reset", 40, True)


def test_a_late_copy_of_a_session_that_ended_counts_nothing_though_its_beginning_is_worked_out_otherwise() -> None:
    last = seen(0, 500, epoch=instant(-1000), epoch_derived=True, from_zero=True, final=True)
    copies = [seen(9, value, epoch=instant(-990), epoch_derived=True) for value in (400, 500, 501)]
    assert told(last, *copies)[1:] == [("after_final", 0, False), ("after_final", 0, False), ("after_final", 1, True)]


def test_an_older_beginning_that_is_read_later_counts_from_there_on() -> None:
    """As of an old process that nobody could ask before; or of a new one, whose clock was set back."""
    first = seen(0, 500, epoch=instant(-10))
    assert told(first, *(seen(at, 600 + at, epoch=instant(-500)) for at in (10, 20, 30)))[1:] == [
        ("baseline", 0, True),
        ("", 10, True),
        ("", 10, True),
    ]


# -- laws -------------------------------------------------------------------------------------------------------------

Lives = st.lists(
    st.one_of(
        st.tuples(st.just("use"), st.integers(0, 10**9), st.integers(0, 10**9), st.integers(0, 50)),
        st.tuples(st.just("poll")),
        st.tuples(st.just("die")),
    ),
    min_size=1,
    max_size=40,
)


def live(life: list[tuple[Any, ...]]) -> tuple[Device, list[Polled]]:
    """The device after this life, and every poll of it, ten seconds apart."""
    device, polls = Device(T), []
    for what, *amounts in life:
        device.at += 10 * S
        if what == "use":
            device.use(*amounts)
        elif what == "die":
            device.begin()
        else:
            polls.append(device.poll())
    return device, polls


def meter(
    device: Device, taken: list[Polled], *, epochs: bool = True, skew: dict[int, int] | None = None
) -> list[Step]:
    readings = [
        Seen(
            one.at + (skew or {}).get(index, 0),
            one.values,
            device.epoch(one) if epochs else "",
            from_zero=True,
            max_rate=RATE,
        )
        for index, one in enumerate(taken)
    ]
    return run(*readings)


Clocks = st.lists(
    st.one_of(
        st.tuples(st.just("use"), st.integers(0, 10**6)),
        st.tuples(st.just("poll"), st.integers(-2 * S, 2 * S)),
        st.tuples(st.just("set"), st.integers(-3600 * S, 3600 * S)),
        st.tuples(st.just("die")),
    ),
    min_size=2,
    max_size=40,
)


def by_clock(life: list[tuple[Any, ...]], old: int) -> tuple[Device, list[Polled], list[Seen]]:
    """As `live`, of a device that tells how long it runs; the clock of who reads it is set. The first process runs for
    `old` ms already. A poll says how far off the beginning is that is worked out from it."""
    device, polls, readings = Device(T), [], []
    clock, began = 0, T - old
    for what, *amounts in life:
        device.at += 10 * S
        if what == "use":
            device.use(amounts[0], 0, 0)
        elif what == "die":
            device.begin()
            began = device.at
        elif what == "set":
            clock += amounts[0]
        else:
            polls.append(device.poll())
            epoch = format_instant(began + clock + amounts[0])
            at = device.at + clock
            readings.append(Seen(at, polls[-1].values, epoch, from_zero=True, max_rate=RATE, epoch_derived=True))
    return device, polls, readings


def total(steps: list[Step]) -> tuple[int, ...]:
    return tuple(sum(getattr(one.added, name) for one in steps) for name in ("bytes_up", "bytes_down", "requests"))


@settings(max_examples=300, deadline=None)
@given(Lives, st.data())
def test_with_epochs_the_total_is_all_that_was_ever_read_in_any_order(life: list[Any], data: st.DataObject) -> None:
    """Lost, repeated and late readings, two pollers with clocks a second apart: the most of each run counts, once."""
    device, polls = live(life)
    kept = [one for one in polls if data.draw(st.booleans())]
    taken = data.draw(_shuffled(device, kept))
    skew = {index: data.draw(st.sampled_from((-S, 0, S))) for index in range(len(taken))}
    steps = meter(device, taken, skew=skew)
    assert total(steps) == device.told(taken)
    assert all(one.added.bytes_up >= 0 and one.added.bytes_down >= 0 and one.added.requests >= 0 for one in steps)
    assert total(meter(device, [*taken, *taken], skew=skew)) == device.told(taken)


@st.composite
def _shuffled(draw: st.DrawFn, device: Device, polls: list[Polled]) -> list[Polled]:
    """Each is delivered up to three polls late, some twice; of as many runs as are remembered. The first stays the
    first: what an older one told is from before anything was counted."""
    order = sorted(range(len(polls)), key=lambda place: place + draw(st.integers(0, 3)))
    found: list[Polled] = []
    for place in order:
        found += [polls[place]] * draw(st.sampled_from((1, 1, 2)))
    found = [one for one in found if one.at >= found[0].at + 2 * S or one.run == found[0].run]
    runs = list(dict.fromkeys(one.run for one in found))[: RUNS + 1]
    return [one for one in found if one.run in runs]


@settings(max_examples=300, deadline=None)
@given(Clocks)
def test_a_clock_that_is_set_counts_nothing_twice_and_loses_nothing(life: list[tuple[Any, ...]]) -> None:
    """By less than the program runs already."""
    device, polls, readings = by_clock([one for one in life if one[0] != "die"], 40 * 3600 * S)
    assert total(run(*readings)) == device.told(polls)


@settings(max_examples=300, deadline=None)
@given(Clocks)
def test_where_a_clock_is_set_and_the_program_restarts_no_wrong_total_is_without_a_flag(life: list[Any]) -> None:
    """Where it did not restart just as long after its beginning as the clock was set back: nothing tells that."""
    _, polls, readings = by_clock(life, 0)
    began = [(polled.run, parse_instant(one.epoch)) for polled, one in zip(polls, readings, strict=True)]
    assume(all(run == other or abs(at - then) > EPOCH_SLACK_MS for run, at in began for other, then in began))
    most: dict[int, int] = {}
    wrong, flagged = 0, False
    for polled, one in zip(polls, run(*readings), strict=True):
        true = max(0, polled.values[0] - most.get(polled.run, 0))
        most[polled.run] = max(most.get(polled.run, 0), polled.values[0])
        wrong += one.added.bytes_up - true
        flagged |= one.code not in ("", "no_change")
        assert wrong == 0 or flagged
        flagged &= wrong != 0


@settings(max_examples=200, deadline=None)
@given(Lives)
def test_what_is_lost_at_a_restart_is_flagged_and_is_what_came_after_the_last_poll(life: list[Any]) -> None:
    """The bound: per run, what it counted between its last poll and its end."""
    device, polls = live([*life, ("poll",)])
    steps = meter(device, polls)
    missing = [of_truth - of_steps for of_truth, of_steps in zip(device.truth(), total(steps), strict=True)]
    last = {one.run: one.values for one in polls}
    bound = [
        sum(run.value[index] - last[number][index] for number, run in enumerate(device.runs) if number in last)
        + sum(run.value[index] for number, run in enumerate(device.runs) if number not in last)
        for index in range(3)
    ]
    assert missing == bound
    flags = sum(one.code == "restarted" for one in steps)
    assert flags == len({one.run for one in polls}) - 1


@settings(max_examples=200, deadline=None)
@given(Lives)
def test_without_epochs_nothing_is_counted_twice_and_what_is_missing_is_bounded(life: list[Any]) -> None:
    """A restart that nobody can see, for the new run was past the old one, costs at most what the old one had."""
    device, polls = live(life)
    steps = meter(device, polls, epochs=False)
    for counted, known in zip(total(steps), device.told(polls), strict=True):
        assert counted <= known
    unseen = len({one.run for one in polls}) - 1 - sum(one.code == "reset" for one in steps)
    if polls and not unseen:
        assert total(steps) == device.told(polls)


@settings(max_examples=300, deadline=None)
@given(st.lists(st.tuples(st.integers(0, 2 * 10**9), st.integers(0, 2 * 10**9)), max_size=40), st.data())
def test_low_words_count_as_whole_ones_do(uses: list[tuple[int, int]], data: st.DataObject) -> None:
    """A session of known start, polled each ten seconds at up to 200 MB/s, with 32 bits: no wrap is missed."""
    device, polls = Device(T), []
    for up, down in uses:
        device.at += 10 * S
        device.use(up, down, 1)
        polls.append(device.poll())
    taken = [one for one in polls if data.draw(st.booleans()) or one is polls[-1]]
    taken = [one for at, one in enumerate(taken) if at == 0 or _less_than_a_word(taken[at - 1], one)]
    if taken and max(taken[0].values) >= WORD:
        return
    readings = [
        Seen(one.at, low_words(one.values), "session", 32, from_zero=True, max_rate=2**32)  # type: ignore[arg-type]
        for one in taken
    ]
    steps = run(*readings)
    contiguous = all(_less_than_a_word(one, other) for one, other in pairwise(taken))
    if contiguous:
        assert total(steps) == device.told(taken)


def _less_than_a_word(before: Polled, after: Polled) -> bool:
    return all(new - old < WORD for new, old in zip(after.values, before.values, strict=True))


@settings(max_examples=200, deadline=None)
@given(Lives, st.booleans())
def test_a_counter_is_the_same_after_it_was_kept_and_read_again(life: list[Any], epochs: bool) -> None:
    device, polls = live(life)
    for one in meter(device, polls, epochs=epochs):
        assert decode(encode(one.standing)) == one.standing


@settings(max_examples=200, deadline=None)
@given(Lives)
def test_a_reading_that_is_repeated_adds_nothing(life: list[Any]) -> None:
    device, polls = live(life)
    last: Standing | None = None
    for one in polls:
        reading = Seen(one.at, one.values, device.epoch(one), max_rate=RATE)
        last = step(last, reading).standing
        again = step(last, reading)
        assert not again.stores
        assert again.added.bytes_up == 0
