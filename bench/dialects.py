"""What a vendor's dialect costs: its read against the native reads of the same figures, on the same server.

A dialect asks the same questions and prints them otherwise, so the ratio should be near 1. Where one answer of a vendor
has the figures of several native reads, their times are added. The vendors' clients ask for the last weeks (some refuse
older days), so the account gets use there first: an event an hour for each product.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from functools import partial
from typing import Final

import httpx
import msgspec

from bench import targets
from bench.events import LARGEST, PRODUCTS
from bench.process import Actor, BenchError
from bench.report import compare
from bench.rounds import Run, ask, take_turns
from bench.server import Server
from flowtally.core.clock import now_ms
from flowtally.core.edges import format_instant
from flowtally.protocol import CredentialAnswer, CredentialRequest, PlainEvent

DAYS: Final = 30
TRAFFIC: Final = ("residential", "datacenter")  # of PRODUCTS, those of the pool `traffic`
_HOUR_MS: Final = 3_600_000


class Asked(msgspec.Struct, frozen=True):
    """What the questions are about: an account's credential, and whole UTC days up to yesterday."""

    credential: CredentialAnswer
    account: str
    start: int
    end: int

    @property
    def days(self) -> tuple[str, str]:
        """The first and the last day."""
        return format_instant(self.start)[:10], format_instant(self.end - 1)[:10]


class Read(msgspec.Struct, frozen=True):
    """A dialect's question, what its answer says when it succeeded, and the native questions with the same figures."""

    path: str
    success: bytes
    native: tuple[str, ...]
    headers: Mapping[str, str] = {}


def bytesflows(asked: Asked) -> Read:
    return Read("/api/v1/dashboard/asset", b'"code":200', (_balance(asked),), {"Authorization": _bearer(asked)})


def thordata(asked: Asked) -> Read:
    first, last = asked.days
    path = f"/api/account/usage-statistics?token={asked.credential.token}&from_date={first}&to_date={last}"
    lifetime = f"/v1/accounts/{asked.account}/usage?from=1970-01-01&tz=UTC&bucket=total{_of(TRAFFIC)}"
    return Read(path, b'"code":200', (_usage(asked, "day", TRAFFIC), lifetime, _balance(asked)))


def ipfoxy(asked: Asked) -> Read:
    path = (
        f"/ip/open-api/get-account-use-flow-list?account={asked.account}&unit=1&page_size=100"
        f"&start_time={asked.start // 1000}&end_time={asked.end // 1000 - 1}"
    )
    names = {"api-id": asked.credential.id, "api-token": str(asked.credential.token)}
    return Read(path, b'"code":0', (_usage(asked, "hour", (*TRAFFIC, "mobile")),), names)


def whitepages(asked: Asked) -> Read:
    first, last = asked.days
    path = f"/v1/account/usage/?start_date={first}&end_date={last}"
    return Read(path, b'"usage_data"', (_usage(asked, "day", ("api",)),), {"X-Api-Key": str(asked.credential.token)})


READS: Final[dict[str, Callable[[Asked], Read]]] = dict(
    zip(targets.DIALECTS, (thordata, bytesflows, ipfoxy, whitepages), strict=True)
)


def measure_dialects(run: Run, server: Server, client: Actor, stored: int) -> None:
    """One row for each vendor, of the largest account."""
    asked = _prepare(server, LARGEST)
    served = httpx.get(f"{server.url}/schema/openapi.json").json()["paths"]
    for vendor, read_of in READS.items():
        read = read_of(asked)
        if read.path.partition("?")[0].removesuffix("/") not in served:
            remark = f"{vendor} is not served: its dialect is not measured."
            run.report.remarks += [] if remark in run.report.remarks else [remark]
            continue
        run.say(f"dialects, {vendor}, {stored:,} stored")
        _check(server, read)

        def ask_all(paths: Sequence[str], headers: Mapping[str, str]) -> float:
            return sum(ask(client, server, path, run.sizes.queries, headers).median_ms for path in paths)

        subjects = {
            "dialect": partial(ask_all, [read.path], read.headers),
            "native": partial(ask_all, read.native, {"Authorization": _bearer(asked)}),
        }
        take_turns(1, subjects)  # once unmeasured: both have read the files
        found = take_turns(run.sizes.rounds, subjects)
        case, ours, base = f"{vendor}, {stored:,} stored", found["dialect"], found["native"]
        run.report.rows.append(
            compare("dialects", case, "ms", ours, targets.NATIVE, base, native_reads=len(read.native))
        )


def _prepare(server: Server, account: str) -> Asked:
    """Use in the last days, and a credential of the account. A second time the events are duplicates."""
    end = now_ms() // (24 * _HOUR_MS) * 24 * _HOUR_MS
    start = end - DAYS * 24 * _HOUR_MS
    with server.client() as client:
        client.send_events(_events(account, start, end))
        credential = client.create_credential(account, CredentialRequest(scope="account", name="bench"))
    return Asked(credential, account, start, end)


def _events(account: str, start: int, end: int) -> Iterator[PlainEvent]:
    for at in range(start, end, _HOUR_MS):
        for product in PRODUCTS:
            key = f"{product}-{at}"
            event = PlainEvent(
                "lately", account, key, time=format_instant(at), product=product, bytes_up=at % 1_000_003
            )
            yield msgspec.structs.replace(event, bytes_down=at % 999_983)


def _check(server: Server, read: Read) -> None:
    """Some vendors answer an error with 200 as well."""
    answer = httpx.get(f"{server.url}{read.path}", headers=dict(read.headers))
    if answer.status_code != httpx.codes.OK or read.success not in answer.content:
        raise BenchError(f"GET {read.path.partition('?')[0]}: {answer.status_code} {answer.text[:300]}")


def _usage(asked: Asked, bucket: str, products: Sequence[str]) -> str:
    span = f"from={format_instant(asked.start)}&to={format_instant(asked.end)}"
    return f"/v1/accounts/{asked.account}/usage?{span}&tz=UTC&bucket={bucket}{_of(products)}"


def _of(products: Sequence[str]) -> str:
    """Vendors tell of some pools only."""
    return "".join(f"&product={product}" for product in products)


def _balance(asked: Asked) -> str:
    return f"/v1/accounts/{asked.account}/balance"


def _bearer(asked: Asked) -> str:
    return f"Bearer {asked.credential.token}"
