"""Who looks whether the caller is there still: one at a time."""

from __future__ import annotations

import asyncio
from typing import Any

from flowtally.web import connection
from flowtally.web.connection import Connection, Lookout


def test_nobody_looks_while_the_answer_itself_does(monkeypatch: Any) -> None:
    """A stream asks while it sends. Two who ask at once are answered wrongly by the server: one heard that the caller
    had hung up, and the export was broken off."""
    monkeypatch.setattr(connection, "LOOK_AFTER_S", 0.01)
    asking, most, ends = 0, 0, asyncio.Event()
    messages = [{"type": "http.request", "body": b"", "more_body": False}]

    async def receive() -> Any:
        nonlocal asking, most
        if messages:
            return messages.pop()
        asking += 1
        most = max(most, asking)
        await ends.wait()
        asking -= 1
        return {"type": "http.disconnect"}

    async def stream() -> None:
        caller = Connection(receive, {"method": "GET", "headers": []}, Lookout())  # type: ignore[typeddict-item]
        assert (await caller.receive())["type"] == "http.request"
        told = asyncio.ensure_future(caller.receive())
        await asyncio.sleep(0.05)
        assert (most, caller.gone) == (1, False)
        ends.set()
        assert (await told)["type"] == "http.disconnect"
        assert caller.gone
        caller.close()

    asyncio.run(stream())


def test_one_timer_looks_at_all_that_take_a_while_and_at_no_other(monkeypatch: Any) -> None:
    monkeypatch.setattr(connection, "LOOK_AFTER_S", 0.02)
    lookout = Lookout()
    asked: list[str] = []

    def made(name: str) -> Connection:
        async def receive() -> Any:
            asked.append(name)
            await asyncio.Event().wait()

        return Connection(receive, {"method": "GET", "headers": []}, lookout)  # type: ignore[typeddict-item]

    async def left_behind() -> None:
        made("of a loop that has ended")

    async def first_round() -> None:
        callers = {name: made(name) for name in ("a", "b", "c")}
        callers["b"].close()
        await asyncio.sleep(0.01)
        callers["d"] = made("d")
        for _ in range(500):
            if len(asked) == 3:
                break
            await asyncio.sleep(0.01)
        late = made("e")
        late.close()
        await asyncio.sleep(0.05)
        for caller in callers.values():
            caller.close()

    asyncio.run(left_behind())
    asyncio.run(first_round())
    assert asked == ["a", "c", "d"]
