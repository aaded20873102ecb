"""Work of minutes: one at a time, its progress and its end are told, and it is stopped with the server."""

from __future__ import annotations

import threading
import time

import pytest
from tests.conftest import Clock

from flowtally.care.job import Job, Progress, Status
from flowtally.core.errors import Conflict, MissingRows


def ended(job: Job[int]) -> Status[int]:
    for _ in range(500):
        if job.status.state != "running":
            return job.status
        time.sleep(0.01)
    raise AssertionError("it does not end")


def test_a_job_tells_how_far_it_is_and_what_came_of_it(clock: Clock) -> None:
    job: Job[int] = Job("test", clock)
    go, told = threading.Event(), threading.Event()
    assert job.status.state == "never"

    def work(say: Progress) -> int:
        say("counting", 3, 10)
        told.set()
        go.wait(5)
        return 7

    job.start(work)
    told.wait(5)
    assert (job.status.state, job.status.step, job.status.done, job.status.total) == ("running", "counting", 3, 10)
    assert job.start(lambda say: 8) is job.status  # joined, not begun a second time
    go.set()
    assert (ended(job).result, job.status.state, job.status.ended_at) == (7, "done", clock.at)
    job.start(lambda say: 8)
    assert ended(job).result == 8


@pytest.mark.parametrize("error", [Conflict("not now"), MissingRows("5 are missing"), OSError("no disk"), ValueError()])
def test_a_job_that_fails_says_why(clock: Clock, error: Exception) -> None:
    job: Job[int] = Job("test", clock)

    def work(say: Progress) -> int:
        raise error

    job.start(work)
    assert ended(job).state == "failed"
    assert (str(error) or "ValueError") in job.status.detail


def test_closing_stops_a_job_at_its_next_word(clock: Clock) -> None:
    job: Job[int] = Job("test", clock)

    def work(say: Progress) -> int:
        while True:
            say("on and on")
            time.sleep(0.001)

    job.start(work)
    job.close()
    assert (job.status.state, job.status.detail) == ("failed", "The server stopped; start it again.")
