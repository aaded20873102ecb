"""Whose a name was never changes: over random histories, against a log of who bore what.

The log is the slow obvious model: a line per bearer, appended as things happen.
"""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import Any

import numpy as np
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from sqlalchemy import Connection

from flowtally.core.errors import NameTaken
from flowtally.ingest.name_resolver import NameResolver
from flowtally.ledger.database import Ledger
from flowtally.ledger.erasing import erasures
from flowtally.ledger.people import accounts, managed, names, users

NAMES = st.sampled_from("abc")
STEPS = st.lists(
    st.one_of(
        st.tuples(st.just("create"), NAMES),
        st.tuples(st.just("see"), NAMES),
        st.tuples(st.just("rename"), NAMES, NAMES),
        st.tuples(st.just("delete"), NAMES),
        st.tuples(st.just("erase"), st.integers(0, 9)),
        st.tuples(st.just("wait"), st.integers(2, 9)),
    ),
    max_size=25,
)


class History:
    """`log`: name -> lines [from, until or None, user id], the first line from the beginning of time."""

    def __init__(self, ledger: Ledger) -> None:
        self.ledger, self.now = ledger, 100
        self.log: dict[str, list[list[Any]]] = {name: [] for name in "abc"}
        self.managed: set[str] = set()  # the others give way to whoever is made or renamed
        self.directory = NameResolver(ledger, lambda: self.now)  # one for all: it must forget what it should
        with ledger.begin() as tx:
            accounts.create_account(tx, "acme", now=1)

    def bearer(self, name: str, at: int) -> str | None:
        return next((who for start, end, who in self.log[name] if start <= at and (end is None or at < end)), None)

    def holder(self, name: str) -> str | None:
        return next((who for _, end, who in self.log[name] if end is None), None)

    def begin(self, name: str, user_id: str) -> None:
        lines = self.log[name]
        lines.append([lines[-1][1] if lines else 0, None, user_id])

    def end(self, name: str) -> None:
        self.log[name][-1][1] = self.now

    def step(self, tx: Connection, kind: str, *given: Any) -> None:
        if kind == "create":
            self.create(tx, *given)
        elif kind == "see" and self.holder(given[0]) is None:
            self.begin(given[0], users.ensure_users(tx, [("acme", given[0])], self.now)["acme", given[0]])
        elif kind == "rename":
            self.rename(tx, *given)
        elif kind == "delete" and (held := self.holder(given[0])) is not None:
            assert managed.delete_user(tx, "acme", given[0], now=self.now).id == held
            self.end(given[0])
        elif kind == "erase":
            self.erase(tx, *given)
        # Two ends of one user within a millisecond are a millisecond apart: the model would have to be told.
        self.now += given[0] if kind == "wait" else 2

    def create(self, tx: Connection, name: str) -> None:
        held = self.holder(name)
        try:
            made = managed.create_user(tx, "acme", name, now=self.now).id
        except NameTaken:
            assert held in self.managed
        else:
            assert held not in self.managed | {made}
            self.give_way(name)
            self.begin(name, made)
            self.managed.add(made)

    def give_way(self, name: str) -> None:
        if self.holder(name) is not None:
            self.end(name)

    def rename(self, tx: Connection, old: str, new: str) -> None:
        held, other = self.holder(old), self.holder(new)
        if held is None or old == new:
            return
        try:
            assert managed.change_user(tx, "acme", old, name=new, now=self.now).id == held
        except NameTaken:
            assert other in self.managed
        else:
            assert other not in self.managed
            self.give_way(new)
            self.end(old)
            self.begin(new, held)
            self.managed.add(held)

    def erase(self, tx: Connection, which: int) -> None:
        """Its lines go; what came after one begins where that did."""
        everybody = sorted({who for lines in self.log.values() for *_, who in lines})
        if not everybody:
            return
        gone = everybody[which % len(everybody)]
        erasures.erase_user(tx, "acme", gone, now=self.now)
        for lines in self.log.values():
            lines[:] = [line for line in lines if line[2] != gone]
            for before, line in zip([[0, 0, ""], *lines], lines, strict=False):
                line[0] = before[1]

    def check(self) -> None:
        moments = sorted({0, self.now, *(at for lines in self.log.values() for line in lines for at in line[:2] if at)})
        asked = [(("acme", name), at + by) for name in "abc" for at in moments for by in (-1, 0, 1) if at + by >= 0]
        with self.ledger.read() as tx:
            histories = names.histories(tx, [name for name, _ in asked])
        for (account, name), at in asked:
            assert names.bearer_at(histories.get((account, name), ()), at) == self.bearer(name, at), (name, at)
        self.directory.forget("acme")
        ids = self.directory.known_ids([name for name, _ in asked], np.array([at for _, at in asked]))
        assert ids == [self.bearer(name, at) for (_, name), at in asked]
        known = [one for one, user_id in zip(asked, ids, strict=True) if user_id is not None]
        found = self.directory.user_ids([name for name, _ in known], np.array([at for _, at in known]))
        assert found == [self.bearer(name, at) for (_, name), at in known]


@settings(max_examples=60, deadline=None, suppress_health_check=list(HealthCheck))
@given(steps=STEPS)
def test_an_event_belongs_to_whoever_bore_its_name_then(
    new_ledger: Path, tmp_path_factory: Any, steps: list[tuple[Any, ...]]
) -> None:
    path = shutil.copy(new_ledger, tmp_path_factory.mktemp("names") / "ledger.db")
    ledger = Ledger.open(f"sqlite:///{path}")
    try:
        history = History(ledger)
        for step in steps:
            with ledger.begin() as tx:
                history.step(tx, *step)
            history.check()
    finally:
        ledger.close()
