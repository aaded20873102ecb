"""Shadowed calls: asked once and afterwards, bounded, compared by what they mean; nothing secret is kept of them."""

from __future__ import annotations

import json
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

import msgspec
import pytest
from cryptography.fernet import Fernet
from tests.logged import Logged
from tests.providers.scripted import Reported, Vendor
from tests.providers.stub import Reply, Stub, cut_off, endless, ok, page, say, silent

from flowtally.core.errors import Unavailable
from flowtally.core.times import DAY_MS
from flowtally.ledger.database import Ledger
from flowtally.ledger.people import accounts
from flowtally.ledger.providers import connected, shadows
from flowtally.ledger.providers.shadows import Difference
from flowtally.ledger.vault import Vault, VaultKeys
from flowtally.providers.asking import VendorClient
from flowtally.providers.providers import Providers
from flowtally.providers.puller import ChangedShape, Denied, Pace, VendorAnswer
from flowtally.providers.shadow import Shadow, Shown
from flowtally.providers.shadowing import MOST_BYTES, MOST_OF_ACCOUNT, MOST_WAITING, AnsweredCall, Shadowing

T0 = 20_000 * DAY_MS
KEY = Fernet.generate_key()
TOKEN, SECOND = "s3cret/token", "s3cret-key"
PATH = "/api/days"


def refused(answer: VendorAnswer) -> Exception | None:
    with suppress(ChangedShape):
        return Denied("code 7") if answer.json() == {"code": 7} else None
    return None


SHADOW = Shadow(
    vendor="scripted",
    routes={PATH: "/days"},
    show=lambda path, secrets: Shown((("token", secrets["token"]),), {"X-Key": secrets["key"]}),
    refusal=refused,
    keys=("date",),
    volatile=frozenset({"trace"}),
)


class World:
    def __init__(self, ledger: Ledger, url: str) -> None:
        self.at = T0
        self.ledger = ledger
        vault = Vault(VaultKeys(KEY, KEY))
        pullers = {"scripted": Vendor().puller}
        self.providers = Providers(ledger, vault, Reported(), lambda: self.at, pullers, chance=lambda: 0.0)
        self.chance = 0.0
        self.shadowing = Shadowing(
            ledger, self.providers, lambda: self.at, {"scripted": SHADOW}, chance=lambda: self.chance
        )
        with ledger.begin() as tx:
            for account in ("acme", "beta"):
                accounts.create_account(tx, account, now=1)
            given = {"token": TOKEN, "key": SECOND}
            connected.add_provider(
                tx,
                "acme",
                "thor",
                "scripted",
                secrets={name: vault.seal_secret(name, one) for name, one in given.items()},
                settings={"grain": "day"},
                address=url,
                since=0,
                now=T0,
            )
        self.set()

    def set(self, *, enabled: bool = True, share: int = 100) -> None:
        with self.ledger.begin() as tx:
            shadows.set_shadow(tx, "acme", "scripted", enabled=enabled, provider="thor", share=share, now=self.at)
        self.shadowing.switches_changed()

    def offer(self, ours: Any = 1, query: tuple[tuple[str, str], ...] = (), account: str = "acme") -> None:
        body = ours if isinstance(ours, bytes) else json.dumps(ours).encode()
        self.shadowing.offer(AnsweredCall(account, "scripted", PATH, query, 200, body, self.at))

    def ask(self, ours: Any = 1, query: tuple[tuple[str, str], ...] = ()) -> dict[str, int]:
        self.offer(ours, query)
        assert self.shadowing.turn()
        return self.counts()

    def counts(self) -> dict[str, int]:
        return {name: int(count) for name, count in self.shadowing.measures().items() if count and name != "on"}

    def kept(self) -> list[Difference]:
        self.shadowing.keep()
        with self.ledger.read() as tx:
            return shadows.list_differences(tx, "acme").items

    def detail(self) -> str:
        self.shadowing.keep()
        with self.ledger.read() as tx:
            switch = shadows.read_shadow(tx, "acme", "scripted")
        assert switch is not None
        return switch.detail


Make = Callable[..., Any]


@pytest.fixture
def make(new_ledger: Path, tmp_path: Path) -> Make:
    @contextmanager
    def made(*replies: Reply) -> Iterator[tuple[World, Stub]]:
        path = tmp_path / "ledger.db"
        path.write_bytes(new_ledger.read_bytes())
        ledger = Ledger.open(f"sqlite:///{path}")
        try:
            with Stub(*replies) as stub:
                world = World(ledger, stub.url)
                try:
                    yield world, stub
                finally:
                    world.shadowing.close()
        finally:
            ledger.close()

    return made


# -- What is sent -----------------------------------------------------------------------------------------------------


def test_the_vendor_is_asked_once_with_the_callers_question_and_the_providers_secrets(make: Make) -> None:
    with make(ok("1")) as (world, stub):
        assert world.ask(1, (("day", "1"), ("name", "a b"))) == {"agreed": 1}
        [heard] = stub.heard
        assert (heard.method, heard.body) == ("GET", b"")
        assert heard.target == "/days?token=s3cret%2Ftoken&day=1&name=a+b"
        assert heard.headers["x-key"] == SECOND
        assert heard.headers.keys() <= {"accept", "accept-encoding", "user-agent", "host", "x-key", "connection"}


@pytest.mark.parametrize("path", ["/api/writes", "/api/days/", "/days", ""])
def test_only_routes_that_are_declared_are_wanted(make: Make, path: str) -> None:
    with make(ok()) as (world, _):
        assert world.shadowing.wants("acme", "scripted", PATH)
        assert not world.shadowing.wants("acme", "scripted", path)
        assert not world.shadowing.wants("acme", "thordata", PATH)
        assert not world.shadowing.wants("beta", "scripted", PATH)


def test_a_share_is_chosen_by_chance(make: Make) -> None:
    with make(ok()) as (world, _):
        world.set(share=20)
        for chance, wanted in ((0.0, True), (0.19, True), (0.2, False), (0.99, False)):
            world.chance = chance
            assert world.shadowing.wants("acme", "scripted", PATH) == wanted


@pytest.mark.parametrize("ended", ["off", "removed", "paused", "closed"])
def test_what_was_turned_off_while_a_call_waited_is_not_asked(make: Make, ended: str) -> None:
    with make(ok()) as (world, stub):
        world.offer()
        with world.ledger.begin() as tx:
            if ended == "removed":
                connected.remove_provider(tx, "thor", now=T0)
            elif ended == "paused":
                connected.change_provider(tx, "thor", paused=True, now=T0)
            elif ended == "closed":
                accounts.change_account(tx, "acme", status="closed", now=T0)
        if ended == "off":
            world.set(enabled=False)
        assert world.shadowing.turn()
        assert (world.counts(), stub.heard) == ({"dropped": 1}, [])


def test_pulls_and_shadows_keep_one_pace(make: Make, monkeypatch: pytest.MonkeyPatch) -> None:
    waited: list[float] = []

    def wait(self: VendorClient, seconds: float) -> None:
        waited.append(seconds)

    monkeypatch.setattr(VendorClient, "_sleep", wait)
    with make(ok("1")) as (world, _):
        with world.ledger.read() as tx:
            provider = connected.read_provider(tx, "thor")
        slow = msgspec.structs.replace(world.providers.pullers["scripted"], pace=Pace(100.0))
        monkeypatch.setattr(world.providers, "pullers", {"scripted": slow})
        with world.providers.line(provider, slow, {}, threading.Event(), 10**6) as client:
            client("GET", "/days")
            world.ask()
            client("GET", "/days")
        assert [round(seconds / 100) for seconds in waited] == [0, 1, 2]


# -- What is compared -------------------------------------------------------------------------------------------------


def test_what_says_the_same_agrees_and_what_does_not_is_told(make: Make) -> None:
    ours = {"trace": 1, "list": [{"date": "1", "mb": "5.00"}, {"date": "2", "mb": "7"}]}
    same = {"list": [{"mb": 7, "date": 2}, {"mb": 5, "date": 1}], "trace": 2}
    other = {"list": [{"mb": 7.5, "date": 2}, {"mb": 5, "date": 1}], "trace": 2}
    with make(ok(json.dumps(same)), ok(json.dumps(other))) as (world, _):
        assert world.ask(ours) == {"agreed": 1}
        assert world.ask(ours, (("day", "1"),)) == {"agreed": 1, "differed": 1}
        [one] = world.kept()
        assert (one.provider, one.route, one.at, one.question) == ("thor", f"GET {PATH}", T0, '{"day":"1"}')
        assert [(each.place, each.ours, each.theirs, each.by) for each in one.fields] == [
            ("list[2].mb", '"7"', "7.5", "0.5")
        ]
        assert one.ours == json.dumps(ours, separators=(",", ":"))
        assert '"mb":7.5' in one.theirs


def test_another_status_is_a_difference(make: Make) -> None:
    with make(say(404, "1")) as (world, _):
        assert world.ask(1) == {"differed": 1}
        [one] = world.kept()
        assert [(each.place, each.theirs) for each in one.fields] == [("HTTP status", "404")]


def test_an_answer_that_is_another_as_a_whole_is_told_so(make: Make) -> None:
    with make(ok("[]")) as (world, _):
        world.ask({"a": 1})
        [one] = world.kept()
        assert [(each.place, each.ours, each.theirs) for each in one.fields] == [("all of it", '{"a":1}', "[]")]


def test_a_huge_answer_with_many_differences_is_kept_in_part(make: Make) -> None:
    theirs = json.dumps([{"date": n, "n": "x" * 50} for n in range(20_000)])
    with make(ok(theirs)) as (world, _):
        assert world.ask([]) == {"differed": 1}
        [one] = world.kept()
        assert (len(one.fields), one.count) == (50, 10_000)
        assert len(one.theirs) == shadows.MAX_ANSWER_CHARS
        assert one.theirs.endswith("…")


# -- What is not said -------------------------------------------------------------------------------------------------


def test_no_secret_and_no_password_is_kept_or_logged(
    make: Make, logged: Logged, capsys: pytest.CaptureFixture[str]
) -> None:
    said = {"password": "pw-of-bob", "echo": TOKEN, SECOND: [f"{SECOND}!", {"x": TOKEN.replace("/", "%2F")}], "n": 1}
    trouble = say(502, json.dumps({"echo": [TOKEN, SECOND]}))
    with make(ok(json.dumps(said)), trouble) as (world, _):
        assert world.ask({"password": "pw-of-eve", "n": 2}, (("password", "pw-asked"), ("n", TOKEN))) == {"differed": 1}
        assert world.ask() == {"differed": 1, "failed": 1}
        assert "HTTP 502" in world.detail()
        assert len(world.kept()) == 1
        kept = json.dumps([msgspec.to_builtins(one) for one in world.kept()]) + world.detail()
        with world.ledger.read() as tx:
            dump = "".join(map(str, tx.exec_driver_sql("SELECT * FROM shadow_differences").all()))
            dump += "".join(map(str, tx.exec_driver_sql("SELECT * FROM audit").all()))
        said_aloud = "".join([logged.text, *capsys.readouterr()])
        assert "shadow_failed" in said_aloud
        assert "[secret]" in kept
        for secret in (TOKEN, TOKEN.replace("/", "%2F"), SECOND, "pw-of-bob", "pw-of-eve", "pw-asked"):
            for text in (kept, dump, said_aloud):
                assert secret not in text


# -- What goes wrong --------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("reply", "why"),
    [
        (say(500, "{}"), "HTTP 500"),
        (say(503, "{}"), "HTTP 503"),
        (say(429, "{}"), "HTTP 429"),
        (say(302, "", Location="https://elsewhere.example/"), "which is not followed"),
        (page(), "is no JSON"),
        (ok("NaN"), "is no JSON"),
        (ok("[" * 5000 + "]" * 5000), "is no JSON"),
        (ok('{"code": 7}'), "code 7"),
        (cut_off(), "was not answered"),
        (endless(), "longer than"),
    ],
)
def test_an_answer_that_is_none_is_a_failure_that_says_why_and_is_not_asked_again(
    make: Make, reply: Reply, why: str
) -> None:
    with make(reply) as (world, stub):
        assert world.ask() == {"failed": 1}
        assert len(stub.heard) == 1
        assert why in world.detail()
        assert world.kept() == []


def test_a_deep_answer_is_a_failure_or_a_difference_and_the_next_call_is_asked(make: Make) -> None:
    with make(ok("[" * 900 + "]" * 900), ok("1")) as (world, _):
        world.ask()
        world.at += DAY_MS
        assert world.ask()["agreed"] == 1


def test_a_vendor_that_is_down_is_left_alone_for_longer_and_longer(make: Make) -> None:
    with make(say(500, "{}")) as (world, stub):
        for wait_s in (60, 120, 240):
            asked = len(stub.heard)
            world.ask()
            assert len(stub.heard) == asked + 1
            world.at += wait_s * 1000 - 1
            world.ask()
            assert len(stub.heard) == asked + 1, "it is still left alone"
            world.at += 1
        assert world.counts() == {"failed": 3, "dropped": 3}


def test_refused_secrets_are_not_shown_again_before_a_day_or_before_they_were_changed(make: Make) -> None:
    with make(ok('{"code": 7}'), ok('{"code": 7}'), ok("1")) as (world, _):
        world.ask()
        world.at += DAY_MS - 1
        world.ask()
        assert world.counts() == {"failed": 1, "dropped": 1}
        world.at += 1
        assert world.ask() == {"failed": 2, "dropped": 1}
        with world.ledger.begin() as tx:
            connected.change_provider(tx, "thor", settings={"grain": "hour"}, now=world.at)
        assert world.ask() == {"failed": 2, "dropped": 1, "agreed": 1}


def test_a_fault_of_ours_is_told_by_its_kind_alone(make: Make, monkeypatch: pytest.MonkeyPatch) -> None:
    def burst(path: str, secrets: Any) -> Shown:
        raise KeyError(TOKEN)

    with make(ok()) as (world, _):
        monkeypatch.setattr(world.shadowing, "declared", {"scripted": msgspec.structs.replace(SHADOW, show=burst)})
        assert world.ask() == {"failed": 1}
        assert world.detail().startswith("it failed inside (KeyError)")


# -- Bounds -----------------------------------------------------------------------------------------------------------


def test_the_queue_is_bounded_in_all_of_one_account_and_in_bytes(make: Make) -> None:
    with make(ok("1")) as (world, stub):
        for _ in range(MOST_OF_ACCOUNT + 3):
            world.offer()
        assert world.counts() == {"waiting": MOST_OF_ACCOUNT, "dropped": 3}
        assert world.shadowing.turn()
        world.offer()
        assert world.counts()["waiting"] == MOST_OF_ACCOUNT, "there was room again"
        for number in range(MOST_WAITING):
            world.offer(account=f"other {number}")
        assert world.counts()["waiting"] == MOST_WAITING
        world.offer(account="the last")
        assert world.counts()["waiting"] == MOST_WAITING
        assert len(stub.heard) == 1


def test_an_answer_of_ours_that_is_too_large_to_be_compared_is_dropped(make: Make) -> None:
    with make(ok("1")) as (world, _):
        world.offer(b"1" * (MOST_BYTES + 1))
        assert world.counts() == {"dropped": 1}


# -- The thread -------------------------------------------------------------------------------------------------------


def test_the_thread_asks_what_is_offered_and_keeps_what_came_when_it_ends(make: Make) -> None:
    with make(ok("2")) as (world, stub):
        world.shadowing.begin()
        for _ in range(3):
            world.offer()
            assert stub.asked.wait(20)
        until = time.monotonic() + 30
        while world.counts().get("differed") != 3:
            assert time.monotonic() < until, world.counts()
            time.sleep(0.005)
        world.shadowing.close()
        with world.ledger.read() as tx:
            assert len(shadows.list_differences(tx, "acme").items) == 3


def test_a_server_that_stops_waits_for_no_vendor_and_offers_go_on_meanwhile(make: Make) -> None:
    with make(silent()) as (world, stub):
        world.shadowing.begin()
        world.offer()
        assert stub.asked.wait(20)
        for _ in range(MOST_OF_ACCOUNT):
            world.offer()
        assert world.counts() == {"waiting": MOST_OF_ACCOUNT}, "nobody who offers waits for a vendor that is silent"
        world.shadowing.close()
        assert len(stub.heard) == 1
        assert world.kept() == []


def test_a_ledger_that_is_away_loses_a_call_and_not_what_came_of_others(
    make: Make, monkeypatch: pytest.MonkeyPatch
) -> None:
    def away(*given: Any) -> Any:
        raise Unavailable("The ledger does not answer.")

    with make(ok("2")) as (world, _):
        world.ask()
        with monkeypatch.context() as patch:
            patch.setattr(world.ledger, "begin", away)
            with pytest.raises(Unavailable):
                world.shadowing.keep()
            patch.setattr(world.ledger, "read", away)
            world.offer()
            with pytest.raises(Unavailable):
                world.shadowing.turn()
            world.shadowing.switches_changed()
        assert len(world.kept()) == 1
        assert world.counts() == {"differed": 1, "dropped": 1}


def test_what_is_too_old_is_forgotten_though_nothing_is_asked_any_more(make: Make) -> None:
    with make(ok("2")) as (world, _):
        world.ask()
        assert len(world.kept()) == 1
        world.at += 31 * DAY_MS
        world.shadowing.forget()
        assert world.kept() == []
