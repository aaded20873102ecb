"""What a reading of a cumulative counter adds to what is counted already. Pure.

Owns what is known of a counter (`Standing`) and the rules by which a reading moves it (`step`): restarts, wraps, late
and missing and final readings. Leaves to `ingest` whose use it is and where it is kept. Instants are milliseconds.

A counter's life is cut into *runs*: from a beginning (a start of its process, a reset) to the next. Within a run values
only grow, so what counts of a run is the largest value that was read of it: this makes order and repetition harmless.
The last runs before the present one are remembered, so that a late reading of one of them is told from a restart.
"""

from __future__ import annotations

from typing import Final, Literal

import msgspec
from msgspec.structs import replace

from flowtally.core.corrections import NOTHING, Quantities
from flowtally.core.counter_values import ZERO, Stated, Values, difference, extended, fell, filled, wrapped
from flowtally.core.edges import find_instant

EPOCH_SLACK_MS: Final = 5_000  # two instants so near are one beginning: it is worked out as now less the time it ran
CLOCK_SLACK_MS: Final = 2_000  # by which clocks of two who read one counter may differ
RUNS: Final = 4  # before the present one that are remembered

End = Literal["", "final", "missing_stop"]
NONE: Final = (False, False, False)


class Run(msgspec.Struct, frozen=True, array_like=True, gc=False):
    """From one beginning of a counter to the next: when it was first read, the most that was read of it."""

    epoch: str
    began_at: int
    values: Values


class Standing(msgspec.Struct, frozen=True, array_like=True, gc=False):
    """What is known of a counter. `number` counts the rows it has, `time` is of the latest reading, `earlier` are
    other runs, the one that was the present one last first; `flag` is the rule of the last row that was not a usual
    one, and when. It is kept in the rows as JSON: new members go to the end."""

    number: int
    run: Run
    time: int
    end: End
    account: str
    user: str  # the user's id
    product: str
    interval_s: int | None = None
    earlier: tuple[Run, ...] = ()
    flag: str = ""
    flagged_at: int = 0
    unsaid: tuple[bool, bool, bool] = NONE  # quantities that every reading left out, which may stand at anything


class Seen(msgspec.Struct, frozen=True, gc=False):
    """A reading, as far as the rules go. `values`: None for what was left out."""

    time: int
    values: Stated
    epoch: str = ""
    width: int = 64
    final: bool = False
    from_zero: bool = False
    max_rate: int = 0
    epoch_derived: bool = False


class Step(msgspec.Struct, frozen=True, gc=False):
    """What a reading does. `stores`: there is something to keep, if only that the counter moved; else it told nothing
    new. `code`: which rule it was, empty for the usual one. `before` and `after`: the run it was counted in."""

    standing: Standing
    stores: bool
    code: str
    after: Values
    before: Values | None = None
    added: Quantities = NOTHING


def step(last: Standing | None, seen: Seen) -> Step:
    """What this reading does to a counter. Whose it is stays as it was: that is the caller's to say."""
    if last is None:
        return _first(seen)
    if _stands_still(last, seen):
        return _nothing(replace(last, time=max(last.time, seen.time)), "no_change")
    if last.unsaid != NONE and _same(last.run.epoch, seen.epoch):
        return _say(last, seen)
    return _move(last, seen)


def _move(last: Standing, seen: Seen) -> Step:
    if _same(last.run.epoch, seen.epoch):
        if seen.time >= last.run.began_at or (run := _run_of(last, seen)) is None:
            return _go_on(last, seen)
        return _late(last, run, seen)
    if seen.epoch_derived and _overlap(last, seen):
        return _go_on_by_another_clock(last, seen)
    if (run := _run_of(last, seen)) is not None:
        return _late(last, run, seen)
    if _is_later(last, seen):
        return _begin(last, seen, "" if last.end == "final" else "restarted")
    if seen.time > last.time + CLOCK_SLACK_MS:
        return _begin_older(last, seen)
    return _begin_before(last, seen) if _is_after_the_oldest(last, seen) else _nothing(last, "late")


def _stands_still(last: Standing, seen: Seen) -> bool:
    """By far the usual case of a counter that is read often: told at once. Seldom is it so where this says no."""
    return (
        seen.values == last.run.values
        and seen.epoch == last.run.epoch
        and seen.width == 64
        and not (seen.final or last.end or any(last.unsaid))
        and seen.time >= last.run.began_at
    )


def close(last: Standing, at: int, end: End) -> Standing:
    """The counter ended with what was last read of it. A reading of a later time than `at` opens it again."""
    return replace(last, number=last.number + 1, time=max(last.time, at), end=end)


def _first(seen: Seen) -> Step:
    values = filled(seen.values, ZERO)
    run = Run(seen.epoch, seen.time, values)
    standing = Standing(1, run, seen.time, "final" if seen.final else "", "", "", "")
    if seen.from_zero:
        return Step(standing, True, "", values, added=Quantities(*values))
    up, down, requests = (value is None for value in seen.values)
    return Step(replace(standing, unsaid=(up, down, requests)), True, "baseline", values)


def _say(last: Standing, seen: Seen) -> Step:
    """A quantity that was always left out is there for the first time: a first reading of it, which counts nothing."""
    up, down, requests = (
        new if unsaid and new is not None else old
        for unsaid, new, old in zip(last.unsaid, seen.values, last.run.values, strict=True)
    )
    still = tuple(unsaid and new is None for unsaid, new in zip(last.unsaid, seen.values, strict=True))
    if still == last.unsaid:
        return _move(last, seen)
    known = replace(last, run=replace(last.run, values=(up, down, requests)), unsaid=still)
    done = _move(known, seen)
    if done.code == "no_change":
        done = _grown(known, seen, done.after, "")
    return replace(done, code=done.code or "baseline") if done.stores else _nothing(last, done.code)


def _begin(last: Standing, seen: Seen, code: str) -> Step:
    """Another run: all of it is new."""
    values = filled(seen.values, ZERO)
    standing = replace(
        last,
        number=last.number + 1,
        run=Run(seen.epoch or last.run.epoch, seen.time, values),
        time=max(last.time, seen.time),
        end="final" if seen.final else "",
        earlier=(last.run, *last.earlier)[:RUNS],
        unsaid=NONE,
    )
    return Step(standing, True, code, values, last.run.values, Quantities(*values))


def _go_on(last: Standing, seen: Seen) -> Step:
    before, behind = last.run.values, seen.time <= last.time + CLOCK_SLACK_MS
    now = extended(seen.values, before, seen.width, behind=behind)
    if fell(before, now):
        if last.end == "final":
            return _nothing(last, "after_final")
        if behind:  # of two who read it one was slower, or sent it later; a true fall shows in the next reading
            return _close_late(last, seen) if seen.final else _nothing(last, "late")
        over = _wrapped(last, seen, now)
        return _begin(last, seen, "reset") if over is None else _grown(last, seen, over, "wrapped")
    if last.end == "final":
        return _nothing(last, "after_final") if now == before else _grown(last, seen, now, "after_final")
    if last.end == "missing_stop" and not seen.final:
        return _after_missing(last, seen, now)
    code = "reopened" if last.end == "missing_stop" else ""
    if seen.final:
        code = "final_without_values" if seen.values == (None, None, None) else code
        return _grown(last, seen, now, code)
    if now == before:
        return _nothing(replace(last, time=max(last.time, seen.time)), "no_change")
    return _grown(last, seen, now, "")


def _go_on_by_another_clock(last: Standing, seen: Seen) -> Step:
    """The epoch moved with the clock it was worked out from: of the run it says nothing, only a fall does."""
    done = _go_on(last, seen)
    if done.code == "no_change":  # kept all the same: it is what the next epochs are compared with
        done = _grown(last, seen, done.after, "")
    if not done.stores:
        return done
    # The latest reading is this one: those before it were dated by another clock.
    return replace(done, code=done.code or "clock_set", standing=replace(done.standing, time=seen.time))


def _after_missing(last: Standing, seen: Seen, now: Values) -> Step:
    """It was closed without a last reading. One that is older than that counts, and leaves it closed."""
    if seen.time > last.time:
        return _grown(last, seen, now, "reopened")
    if now == last.run.values:
        return _nothing(last, "late")
    done = _grown(last, seen, now, "late")
    return replace(done, standing=replace(done.standing, end="missing_stop"))


def _grown(last: Standing, seen: Seen, now: Values, code: str) -> Step:
    before = last.run.values
    # The epoch of a run may drift, where it is worked out from a clock: the latest is what the next is compared with.
    run = Run(seen.epoch or last.run.epoch, last.run.began_at, now)
    end: End = "final" if seen.final or last.end == "final" else ""
    standing = replace(last, number=last.number + 1, run=run, time=max(last.time, seen.time), end=end)
    return Step(standing, True, code, now, before, difference(before, now))


def _close_late(last: Standing, seen: Seen) -> Step:
    return Step(close(last, seen.time, "final"), True, "late", last.run.values, last.run.values)


def _begin_before(last: Standing, seen: Seen) -> Step:
    """A run between those that are remembered, of which nobody had told: all of it is new, and it is over."""
    values = filled(seen.values, ZERO)
    earlier = (Run(seen.epoch, seen.time, values), *last.earlier)
    standing = replace(last, number=last.number + 1, earlier=earlier[:RUNS])
    return Step(standing, True, "late", values, ZERO, Quantities(*values))


def _begin_older(last: Standing, seen: Seen) -> Step:
    """A run that began before all that are remembered, and is read after them: how much of it was counted nobody
    knows, so it counts from here on. Not where the counter was closed: that had its end, and this is another one."""
    if last.end == "final" or seen.epoch_derived:
        return _begin(last, seen, "restarted")
    return replace(_begin(last, seen, "baseline"), added=NOTHING)


def _late(last: Standing, place: int, seen: Seen) -> Step:
    """A reading of a run before the present one: it may have seen more of it than all before."""
    run = last.earlier[place]
    now = extended(seen.values, run.values, seen.width, behind=True)
    goes_on = _goes_on(last, seen)
    if fell(run.values, now) or (now == run.values and not (goes_on and seen.final)):
        return _nothing(last, "late")
    grown, others = replace(run, values=now), (*last.earlier[:place], *last.earlier[place + 1 :])
    added = difference(run.values, now)
    if goes_on:
        end: End = "final" if seen.final else ""
        standing = replace(last, run=grown, time=seen.time, end=end, earlier=(last.run, *others), unsaid=NONE)
        return Step(replace(standing, number=last.number + 1), True, "", now, run.values, added)
    earlier = (*last.earlier[:place], grown, *last.earlier[place + 1 :])
    return Step(replace(last, number=last.number + 1, earlier=earlier), True, "late", now, run.values, added)


def _goes_on(last: Standing, seen: Seen) -> bool:
    """Whether a run before the present one is the present one after all: it is read later than the present one was.
    Two may count at once, as processes do of which one takes over from the other."""
    return seen.time > last.time and not last.end


def _nothing(last: Standing, code: str) -> Step:
    return Step(last, False, code, last.run.values, last.run.values)


def _run_of(last: Standing, seen: Seen) -> int | None:
    """Which of the earlier runs it is a reading of: of this epoch, the last one that had begun by then."""
    same = [place for place, run in enumerate(last.earlier) if _same(run.epoch, seen.epoch)]
    same.sort(key=lambda place: -last.earlier[place].began_at)
    begun = (place for place in same if last.earlier[place].began_at <= seen.time + CLOCK_SLACK_MS)
    return next(begun, same[-1] if same else None)


def _is_later(last: Standing, seen: Seen) -> bool:
    """Whether an epoch that is not known is later than the present one. Instants say it; of others the time tells."""
    ours, theirs = find_instant(last.run.epoch), find_instant(seen.epoch)
    if ours is not None and theirs is not None:
        return theirs > ours
    return seen.time + CLOCK_SLACK_MS >= last.time


def _is_after_the_oldest(last: Standing, seen: Seen) -> bool:
    """Whether an epoch that is not known began after the first one that is remembered: of one before it nobody knows
    whether it was counted, or was there before anything was."""
    oldest = min((last.run, *last.earlier), key=lambda run: run.began_at)
    ours, theirs = find_instant(oldest.epoch), find_instant(seen.epoch)
    if ours is not None and theirs is not None:
        return theirs > ours
    return seen.time > oldest.began_at


def _same(one: str, other: str) -> bool:
    """Whether these are one beginning, as far as is known: where one is not, only a fall tells."""
    if one == other or not one or not other:
        return True
    a, b = find_instant(one), find_instant(other)
    return a is not None and b is not None and abs(a - b) <= EPOCH_SLACK_MS


def _overlap(last: Standing, seen: Seen) -> bool:
    """Whether the present run was still read when this one had begun. One process does not begin before the one
    before it has ended: then a clock was set, and it is the same."""
    ours, theirs = find_instant(last.run.epoch), find_instant(seen.epoch)
    if ours is None or theirs is None:
        return False
    return min(last.time, seen.time) - max(ours, theirs) > EPOCH_SLACK_MS


def _wrapped(last: Standing, seen: Seen, now: Values) -> Values | None:
    if seen.width != 32:
        return None
    most = seen.max_rate * (seen.time - last.time) // 1000
    return wrapped(last.run.values, now, most, known=bool(seen.epoch and last.run.epoch))
