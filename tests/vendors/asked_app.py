"""The application as a vendor: `AskApp` is how pullers ask it, `Series` what stands after what they said."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any, Final

import httpx

from flowtally.core.reported import FigureSaid, GrantSaid, GrantsSaid, Statement, UseSaid, check_said
from flowtally.providers.puller import EarlierLooks, Failed, Limited, Puller, ToPull, VendorAnswer

TRIES: Final = 3


class AskApp:
    """Calls without a connection and without a pause. `base`: the path that the vendor's own address has. `before`: is
    done before each."""

    def __init__(self, client: httpx.Client, before: Callable[[], object] = lambda: None, base: str = "") -> None:
        self._client = client
        self._base = base
        self._before = before
        self.asked: list[tuple[str, dict[str, str]]] = []

    def __call__(
        self,
        method: str,
        path: str,
        *,
        query: Sequence[tuple[str, str]] = (),
        headers: Mapping[str, str] = {},
        form: Mapping[str, str] | None = None,
        safe: bool = False,
        again: Callable[[VendorAnswer], float | None] | None = None,
    ) -> VendorAnswer:
        assert (method, form) == ("GET", None), "a puller only reads"
        for _ in range(TRIES):
            self._before()
            self.asked.append((path, dict(query)))
            # Without what the test's client itself shows: it is the administrator's.
            told = self._client.get(self._base + path, params=dict(query), headers={"Authorization": "", **headers})
            answer = VendorAnswer(told.status_code, dict(told.headers), told.content)
            later = again(answer) if again else None
            if later is None and answer.status != 429 and answer.status < 500:
                return answer
        if answer.status == 429:
            raise Limited(answer.text)
        if answer.status >= 500:
            raise Failed(answer.text)
        return answer


def wanted(puller: Puller, secrets: Mapping[str, str], since: int, now: int, **more: Any) -> ToPull:
    """With the puller's own settings by default."""
    usual = {one.name: one.default or "" for one in puller.settings}
    looked = more.pop("looked", None)
    assert more.keys() <= usual.keys()
    return ToPull(
        {one.name: secrets.get(one.name, "") for one in puller.secrets}, {**usual, **more}, since, now, looked
    )


class Series:
    """What the vendor said last under each key, kept as a server keeps it."""

    def __init__(self) -> None:
        self.figures: dict[str, FigureSaid] = {}
        self.grants: tuple[GrantSaid, ...] = ()
        self.looked: EarlierLooks | None = None
        self._baseline: dict[str, int] | None = None

    def hear(self, statements: Iterable[Statement]) -> list[Statement]:
        heard = []
        for one in statements:
            heard.append(one)
            if isinstance(one, UseSaid):
                self._hear_use(one)
            elif isinstance(one, GrantsSaid):
                self.grants = one.grants
                if self._baseline is None:
                    self._baseline = {each.id: each.used for each in one.grants}
        return heard

    def _hear_use(self, said: UseSaid) -> None:
        check_said(said)
        if said.grain == "pull":
            self.looked = EarlierLooks(said.ends_at, self._baseline or {})
        else:
            stays = (one for one in self.figures.values() if not said.starts_at <= one.time < said.ends_at)
            self.figures = {one.key: one for one in stays}
        self.figures |= {one.key: one for one in said.figures}

    @property
    def total(self) -> int:
        return sum(one.amount for one in self.figures.values())

    def by_time(self) -> dict[int, int]:
        return {one.time: one.amount for one in self.figures.values() if one.amount}
