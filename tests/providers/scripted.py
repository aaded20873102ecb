"""A vendor whose every word is written down in the test, and a usage store that only notes what it was told."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any

from flowtally.core.reported import Paying, Statement, UseSaid
from flowtally.ingest.report_plan import ReportAnswer
from flowtally.ledger.providers.connected import Provider
from flowtally.providers.asking import SharedPace
from flowtally.providers.puller import Pace, ProviderSetting, Puller, Sight, ToPull

Word = Statement | Exception | Callable[[], None]
Script = list[Sequence[Word]]


class Vendor:
    """`script` has a list for each pull: statements that it says, errors that end it, calls that happen in between."""

    def __init__(self, *script: Sequence[Word], settle_days: int = 2, keeps_days: int | None = 90) -> None:
        self.script: Script = list(script)
        self.asked: list[ToPull] = []
        self.sight: Sight | Exception = Sight(("all",))
        self.puller = Puller(
            vendor="scripted",
            title="Scripted",
            base_url="https://vendor.example/api",
            secrets=(ProviderSetting("token", "the token"), ProviderSetting("key", "the key", "")),
            settings=(
                ProviderSetting("grain", "how finely", "day", ("day", "hour"), fixed=True),
                ProviderSetting("zone", "its calendar", "UTC"),
            ),
            pace=Pace(0),
            every_s=1800,
            settle_days=settle_days,
            keeps_days=keeps_days,
            quantity="bytes",
            check=self._check,
            pull=self._pull,
            paying=Paying("traffic", "product"),
        )

    def _check(self, ask: Any, to_pull: ToPull) -> Sight:
        self.asked.append(to_pull)
        if isinstance(self.sight, Exception):
            raise self.sight
        return self.sight

    def _pull(self, ask: Any, to_pull: ToPull) -> Iterator[Statement]:
        self.asked.append(to_pull)
        for word in self.script.pop(0) if self.script else ():
            if isinstance(word, Exception):
                raise word
            if callable(word):
                word()
            else:
                ask.calls += 1
                yield word


class Line:
    """The connection to it."""

    calls = 0

    def __init__(self, secrets: Mapping[str, str]) -> None:
        self.secrets = secrets

    def __enter__(self) -> Line:
        return self

    def __exit__(self, *raised: object) -> None:
        """Nothing is held."""

    def check(self, puller: Puller, to_pull: ToPull) -> Sight:
        return puller.check(self, to_pull)  # type: ignore[arg-type]

    def pull(self, puller: Puller, to_pull: ToPull) -> Iterator[Statement]:
        return puller.pull(self, to_pull)  # type: ignore[arg-type]


def connect(
    provider: Provider,
    puller: Puller,
    secrets: Mapping[str, str],
    stop: threading.Event,
    whole_s: float,
    shared: SharedPace,
) -> Any:
    return Line(secrets)


class Reported:
    """What the usage store was told. `fault`: what it raises instead."""

    def __init__(self) -> None:
        self.said: list[tuple[str, str, UseSaid]] = []
        self.fault: Exception | None = None

    def __call__(self, account: str, series: str, said: UseSaid) -> ReportAnswer:
        if self.fault is not None:
            raise self.fault
        self.said.append((account, series, said))
        return ReportAnswer(new=len(said.figures))
