"""What a vendor says, put into a stopped installation as a pull would: an actor of its own.

There is no door for it, and the vendors' own pace would take minutes. The provider is paused: nobody is asked.
"""

from __future__ import annotations

import asyncio

import msgspec

from bench.process import serve_jobs
from bench.server import TOKEN
from flowtally.config import load_config
from flowtally.core.clock import now_ms
from flowtally.core.reported import FigureSaid, UseSaid, span_key
from flowtally.core.times import DAY_MS
from flowtally.ledger.providers import connected, stretches
from flowtally.ledger.providers.stretches import Stretch
from flowtally.ledger.trail import server
from flowtally.start import started

PRODUCT = "residential"


class Job(msgspec.Struct, frozen=True):
    """Of each user what the vendor says of each day from `start` on."""

    data: str
    account: str
    provider: str
    start: int
    step: int
    users: dict[str, list[int]]


class Told(msgspec.Struct, frozen=True):
    figures: int


def tell(job: Job) -> Told:
    days = len(next(iter(job.users.values())))
    end = job.start + days * DAY_MS
    figures = tuple(
        FigureSaid(span_key("day", at, PRODUCT, user), at, user, PRODUCT, amounts[day])
        for user, amounts in job.users.items()
        for day in range(days)
        if (at := job.start + day * DAY_MS)
    )
    said = UseSaid("bytes", "day", "UTC", job.start, end, job.step, figures)
    config = load_config({}, data=job.data, admin_token=TOKEN)
    with started(config, now_ms) as opened:
        with opened.ledger.begin(server("bench")) as tx:
            connected.add_provider(
                tx, job.account, job.provider, "thordata", secrets={}, settings={}, since=job.start, now=now_ms()
            )
            provider = connected.change_provider(tx, job.provider, now=now_ms(), paused=True)
            stretches.put_stretch(tx, provider, Stretch(job.start, end, "day", "UTC", job.step, now_ms()))
        asyncio.run(opened.ingest.report(job.account, job.provider, said))
    return Told(len(figures))


if __name__ == "__main__":
    serve_jobs(Job, tell)
