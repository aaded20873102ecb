"""The bookkeeping of what has no receipt yet, in time that is handed in."""

from __future__ import annotations

import msgspec
import pytest

from flowtally.client import ApiError, Limits
from flowtally.client.outbox import Batch, Outbox
from flowtally.protocol import EventsAnswer, PlainEvent


def line(number: int) -> bytes:
    return msgspec.json.encode(PlainEvent(source="gw", account="acme", id=f"{number:04}"))


def trouble(retry_after_s: int | None = None, status: int = 503, code: str = "x") -> ApiError:
    error = ApiError(code, status, "why")
    error.retry_after_s = retry_after_s
    return error


def all_stored(batch: Batch) -> EventsAnswer:
    return EventsAnswer(len(batch), 0, 0, 0, [])


def filled(limits: Limits, events: int) -> Outbox:
    outbox = Outbox(limits)
    for number in range(events):
        outbox.add(line(number), now_s=100)
    return outbox


def test_a_batch_is_due_when_it_is_full_or_old() -> None:
    outbox = Outbox(Limits(batch_events=2, batch_age_s=5))
    assert outbox.wait_s(100, hurry=True) is None
    assert outbox.add(line(1), now_s=100)
    assert (outbox.wait_s(101, hurry=False), outbox.wait_s(105, hurry=False)) == (4, 0)
    assert outbox.wait_s(101, hurry=True) == 0
    assert outbox.add(line(2), now_s=101)
    assert outbox.wait_s(101, hurry=False) == 0
    assert not outbox.add(line(3), now_s=101), "its sender is awake already"


def test_retry_after_is_obeyed_to_the_second_also_in_a_hurry() -> None:
    outbox = filled(Limits(), 1)
    outbox.failed(outbox.take(), trouble(retry_after_s=7), now_s=100)
    assert outbox.wait_s(101, hurry=True) == 6
    outbox.failed(outbox.take(), trouble(retry_after_s=10**9), now_s=100)
    assert outbox.wait_s(100, hurry=True) == 3600


def test_pauses_double_up_to_the_longest_and_start_anew_after_an_answer() -> None:
    outbox = filled(Limits(batch_events=1, retry_first_s=1, retry_max_s=8), 2)
    pauses = []
    for _ in range(6):
        outbox.failed(outbox.take(), trouble(), now_s=100)
        pauses.append(outbox.wait_s(100, hurry=True) or 0)
    for pause, longest in zip(pauses, [1, 2, 4, 8, 8, 8], strict=True):
        assert longest / 2 <= pause <= longest
    batch = outbox.take()
    outbox.settle(batch, all_stored(batch))
    assert outbox.wait_s(100, hurry=True) == 0
    outbox.failed(outbox.take(), trouble(), now_s=100)
    assert (outbox.wait_s(100, hurry=True) or 0) <= 1


def test_a_batch_without_an_answer_is_taken_again_as_it_was() -> None:
    outbox = filled(Limits(batch_events=2), 2)
    batch = outbox.take()
    outbox.add(line(9), now_s=100)
    outbox.failed(batch, trouble(), now_s=100)
    assert outbox.take() is batch
    assert outbox.take().call is batch.call


def test_what_is_too_large_goes_in_halves_and_in_order() -> None:
    outbox, sent = filled(Limits(), 5), list[bytes]()
    while outbox.counts.pending:
        batch = outbox.take()
        if len(batch) > 1:
            assert outbox.failed(batch, trouble(status=413, code="http_413"), now_s=100) is None
        else:
            sent += batch.lines
            outbox.settle(batch, all_stored(batch))
    assert sent == [line(number) for number in range(5)]


def test_one_event_too_large_for_a_proxy_waits_and_for_the_server_is_refused() -> None:
    outbox = filled(Limits(), 1)
    assert outbox.failed(outbox.take(), trouble(status=413, code="http_413"), now_s=100) is None
    answer = outbox.failed(outbox.take(), trouble(status=413, code="too_large"), now_s=100)
    assert answer is not None
    assert [(receipt.id, receipt.code) for receipt in answer.receipts] == [("0000", "too_large")]


def test_room_counts_what_is_on_its_way() -> None:
    outbox = filled(Limits(max_events=2, batch_events=1), 2)
    batch = outbox.take()
    assert not outbox.fits(line(3))
    outbox.settle(batch, all_stored(batch))
    assert outbox.fits(line(3))


def test_what_is_given_up_leaves_in_order_and_what_a_spool_holds_stays_there() -> None:
    outbox = filled(Limits(batch_events=2), 3)
    outbox.take()
    assert outbox.give_up() == [line(0), line(1), line(2)]
    assert (outbox.counts.pending, outbox.counts.given_up) == (0, 3)
    outbox.resume(Batch([line(7)], resumed=True))
    assert outbox.give_up() == []


@pytest.mark.parametrize(
    "limits", [{"batch_events": 0}, {"batch_events": 100_001}, {"batch_bytes": 2**26}, {"max_bytes": 0}]
)
def test_limits_the_server_would_not_take_are_refused(limits: dict[str, int]) -> None:
    with pytest.raises(ValueError, match=r"batch|buffer"):
        Limits(**limits)
