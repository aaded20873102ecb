"""Those who ask at the same time as others do: an actor of its own that asks, for a while, from several connections.

A refusal (429) is no failure here: it is counted, and the next question comes after `pause_s`, whatever the server
said of when to come back. Times are of the answers that were given. Plain connections of the standard library, a thread
each: nobody here is to be fast.
"""

from __future__ import annotations

import http.client
import threading
import time
import uuid
from collections.abc import Callable
from statistics import quantiles
from typing import Final
from urllib.parse import urlsplit

import msgspec

from bench.process import serve_jobs

PAUSE_S: Final = 0.01
PATIENCE_S: Final = 120
REFUSED: Final = (429, 503)


class Job(msgspec.Struct, frozen=True):
    """Ask `path` from `readers` connections for `seconds`, at least once each; or send single events of `account`."""

    url: str
    token: str
    path: str
    seconds: float
    readers: int = 1
    account: str = ""
    pause_s: float = PAUSE_S


class Asked(msgspec.Struct, frozen=True):
    """`seconds` until the last answer; `failures` are the first answers that were neither 200 nor a refusal."""

    seconds: float
    answered: int
    refused: int
    median_ms: float
    p95_ms: float
    failures: list[str]


class _Reader:
    """One connection, one request at a time."""

    def __init__(self, job: Job) -> None:
        self._job = job
        address = urlsplit(job.url)
        self._connection = http.client.HTTPConnection(str(address.hostname), address.port, timeout=PATIENCE_S)
        self._headers = {"Authorization": f"Bearer {job.token}"}
        self.times: list[float] = []  # milliseconds
        self.refused = 0
        self.failures: list[str] = []

    def run(self, until: float) -> None:
        try:
            while True:
                self._once()
                if time.perf_counter() >= until:
                    return
        except (OSError, http.client.HTTPException) as error:
            self.failures.append(repr(error))
        finally:
            self._connection.close()

    def _once(self) -> None:
        started = time.perf_counter()
        if self._job.account:
            headers = {**self._headers, "Content-Type": "application/json"}
            self._connection.request("POST", self._job.path, _event(self._job.account), headers)
        else:
            self._connection.request("GET", self._job.path, headers=self._headers)
        answer = self._connection.getresponse()
        body = answer.read()
        if answer.status == http.client.OK:
            self.times.append(1000 * (time.perf_counter() - started))
        elif answer.status in REFUSED:
            self.refused += 1
            time.sleep(self._job.pause_s)
        else:
            self.failures.append(f"{answer.status} {body[:300].decode(errors='replace')}")


def _event(account: str) -> bytes:
    at = time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime())
    event = {"source": f"fair-{account}", "id": str(uuid.uuid4()), "account": account, "time": at, "bytes_up": 1}
    return msgspec.json.encode(event)


def run(job: Job) -> Asked:
    readers = [_Reader(job) for _ in range(job.readers)]
    started = time.perf_counter()
    threads = [_started(reader.run, started + job.seconds) for reader in readers]
    for thread in threads:
        thread.join()
    times = [one for reader in readers for one in reader.times]
    cuts = quantiles(times, n=20, method="inclusive") if len(times) > 1 else (times or [0.0]) * 19
    failures = [one for reader in readers for one in reader.failures]
    refused = sum(reader.refused for reader in readers)
    return Asked(time.perf_counter() - started, len(times), refused, cuts[9], cuts[18], failures[:3])


def _started(work: Callable[[float], None], until: float) -> threading.Thread:
    thread = threading.Thread(target=work, args=(until,))
    thread.start()
    return thread


if __name__ == "__main__":
    serve_jobs(Job, run)
