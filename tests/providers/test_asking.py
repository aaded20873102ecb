"""Calls of a vendor: bounded in time, size and number, nowhere but where they should go, and silent about secrets."""

from __future__ import annotations

import gzip
import threading
from collections.abc import Iterator
from typing import Any
from urllib.parse import quote_plus

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.providers import stub as stubs
from tests.providers.stub import Reply, Stub, ok, say
from tests.providers.waits import ONCE, PACE, SHORT, Waits, client_of

from flowtally.core.reported import BalancesSaid, FigureSaid, UseSaid
from flowtally.providers.asking import MAX_PATIENCE_S, MAX_SHOWN, Bounds, VendorClient, check_base_url
from flowtally.providers.connecting import ServerStops
from flowtally.providers.hiding import SECRET
from flowtally.providers.puller import (
    MAX_SAMPLE,
    ChangedShape,
    Denied,
    Failed,
    Limited,
    Puller,
    Sight,
    ToPull,
    VendorAnswer,
)

KEY = "key+with/odd=chars&more"
TO_PULL = ToPull({}, {}, 0, 0)


# -- What is sent and what comes back ----------------------------------------------------------------------------------


def test_a_call_is_sent_as_it_is_asked_for_and_its_answer_is_whole() -> None:
    with Stub(ok('{"a": 1.50}', X_More="yes")) as stub, client_of(f"{stub.url}/api/") as ask:
        answer = ask("GET", "/v1/usage/", query=[("from", "1 März"), ("a", "b&c"), ("a", "")], headers={"X-Key": "k"})
    [heard] = stub.heard
    assert (heard.method, heard.target) == ("GET", "/api/v1/usage/?from=1+M%C3%A4rz&a=b%26c&a=")
    assert (heard.headers["x-key"], heard.headers["host"]) == ("k", f"127.0.0.1:{stub.port}")
    assert (answer.status, answer.body, answer.headers["x-more"]) == (200, b'{"a": 1.50}', "yes")


def test_a_form_is_a_body() -> None:
    with Stub(ok()) as stub, client_of(stub.url) as ask:
        ask("POST", "/x", form={"a": "1&2", "ü": "3"})
    [heard] = stub.heard
    assert heard.body == b"a=1%262&%C3%BC=3"
    assert heard.headers["content-type"] == "application/x-www-form-urlencoded"


def test_nothing_is_kept_of_an_answer_for_the_next_call() -> None:
    with Stub(ok(Set_Cookie="session=1")) as stub, client_of(stub.url) as ask:
        ask("GET", "/x")
        ask("GET", "/x")
    assert stub.connections == 1, "one connection for all calls"
    assert all("cookie" not in one.headers for one in stub.heard)


def test_proxies_of_the_environment_are_not_asked(monkeypatch: pytest.MonkeyPatch) -> None:
    with Stub(ok("elsewhere")) as proxy, Stub(ok("here")) as stub:
        for name in ("http_proxy", "HTTP_PROXY", "ALL_PROXY"):
            monkeypatch.setenv(name, proxy.url)
        with client_of(stub.url) as ask:
            assert ask("GET", "/x").text == "here"


@pytest.mark.parametrize("status", [200, 204, 400, 401, 403, 404, 418])
def test_what_is_no_failure_of_the_vendor_is_the_pullers_to_read(status: int) -> None:
    with Stub(say(status)) as stub, client_of(stub.url, PACE) as ask:
        assert ask("GET", "/x").status == status
    assert len(stub.heard) == 1


def test_what_is_compressed_is_expanded() -> None:
    body = b'{"a": 1}' * 100
    with Stub(stubs.zipped(gzip.compress(body))) as stub, client_of(stub.url) as ask:
        assert ask("GET", "/x").body == body


# -- When --------------------------------------------------------------------------------------------------------------


def test_calls_keep_the_pace_between_their_beginnings() -> None:
    waits = Waits()
    with Stub(ok()) as stub, client_of(stub.url, PACE, waits) as ask:
        ask("GET", "/1")
        waits.now += 0.25
        ask("GET", "/2")
        waits.now += 5
        ask("GET", "/3")
    assert waits.waited == [0.75]


FAILURES: list[Reply] = [
    say(500), say(503), stubs.page(502), stubs.cut_off(), stubs.reset(), stubs.reset(stubs.head(200)), stubs.garbage(),
    stubs.zipped(gzip.compress(b"{}" * 99)[:-9]), stubs.zipped(b"this is none"), say(429),
]  # fmt: skip


@pytest.mark.parametrize("failure", FAILURES)
def test_a_failure_is_tried_again_with_growing_pauses(failure: Reply) -> None:
    waits = Waits()
    with Stub(failure, failure, ok("at last")) as stub, client_of(stub.url, PACE, waits) as ask:
        assert ask("GET", "/x").text == "at last"
    assert waits.waited == [3, 6]


@pytest.mark.parametrize("failure", FAILURES)
def test_a_failure_to_the_end_is_told(failure: Reply) -> None:
    waits = Waits()
    with (
        Stub(failure) as stub, client_of(stub.url, PACE, waits) as ask,
        pytest.raises((Failed, Limited), match=rf"^GET http://127.0.0.1:{stub.port}/api/x(:| was not answered)"),
    ):  # fmt: skip
        ask("GET", "/api/x", query=[("token", KEY)])
    assert waits.waited == [3, 6, 12]
    assert len(stub.heard) == ask.calls == 4


def test_who_cannot_be_reached_is_tried_again_whatever_is_asked() -> None:
    with Stub(ok()) as stub:
        url = stub.url
    waits = Waits()
    with client_of(url, PACE, waits) as ask, pytest.raises(Failed, match="was not answered: ConnectError"):
        ask("POST", "/x", form={"a": "b"})
    assert waits.waited == [3, 6, 12]


@pytest.mark.parametrize("failure", FAILURES)
def test_what_may_not_be_done_twice_is_not_sent_again(failure: Reply) -> None:
    with Stub(failure, ok()) as stub, client_of(stub.url, PACE) as ask:
        with pytest.raises((Failed, Limited)):
            ask("POST", "/x", form={"a": "b"})
        assert len(stub.heard) == 1
    with Stub(failure, ok("done")) as stub, client_of(stub.url, PACE) as ask:
        assert ask("POST", "/x", form={"a": "b"}, safe=True).text == "done"


@pytest.mark.parametrize(
    ("headers", "waited"),
    [
        ({"Retry_After": "20"}, 20),
        ({"Retry_After": "1"}, 3),
        ({"Retry_After": "soon"}, 3),
        ({"Retry_After": "-5"}, 3),
        ({"Date": "Tue, 01 Dec 2020 10:00:00 GMT", "Retry_After": "Tue, 01 Dec 2020 10:00:42 GMT"}, 42),
        ({"Retry_After": "Tue, 01 Dec 2020 10:00:42 GMT"}, 3),
    ],
)
def test_a_vendor_that_says_when_is_waited_for(headers: dict[str, str], waited: float) -> None:
    """By its own clock, where it tells it: that of another machine may be years off."""
    waits = Waits()
    with Stub(say(429, **headers), ok()) as stub, client_of(stub.url, PACE, waits) as ask:
        ask("GET", "/x")
    assert waits.waited == [waited]


def test_a_vendor_that_wants_more_patience_than_a_pull_has_is_left_for_a_later_one() -> None:
    waits = Waits()
    late = say(429, "slow down", Retry_After=str(MAX_PATIENCE_S + 1))
    with Stub(late) as stub, client_of(stub.url, PACE, waits) as ask, pytest.raises(Limited, match="slow down") as told:
        ask("GET", "/x")
    assert (told.value.after_s, waits.waited, len(stub.heard)) == (MAX_PATIENCE_S + 1, [], 1)


def test_pauses_are_jittered_upwards() -> None:
    waits = Waits()
    with Stub(say(500), ok()) as stub, client_of(stub.url, PACE, waits, chance=lambda: 1.0) as ask:
        ask("GET", "/x")
    assert waits.waited == [3.75]


def later(answer: VendorAnswer) -> float | None:
    return 7.0 if b"later" in answer.body else None


def test_an_answer_that_means_later_is_asked_again_and_returned_if_it_stays_so() -> None:
    waits = Waits()
    with Stub(ok("later"), ok("now")) as stub, client_of(stub.url, PACE, waits) as ask:
        assert ask("GET", "/x", again=later).text == "now"
    assert waits.waited == [7]
    with Stub(ok("later")) as stub, client_of(stub.url, PACE) as ask:
        assert ask("GET", "/x", again=later).text == "later"
        assert len(stub.heard) == 4


def test_a_vendor_that_says_when_is_waited_for_also_where_its_status_means_something_else() -> None:
    waits = Waits()
    with Stub(say(400, "later", Retry_After="30"), ok()) as stub, client_of(stub.url, PACE, waits) as ask:
        ask("GET", "/x", again=later)
    assert waits.waited == [30]


def test_who_reads_an_answer_first_may_end_the_tries() -> None:
    def spent(answer: VendorAnswer) -> float | None:
        raise Limited("until next month", 10**6)

    with Stub(say(429)) as stub, client_of(stub.url, PACE) as ask, pytest.raises(Limited, match="until next month"):
        ask("GET", "/x", again=spent)
    assert len(stub.heard) == 1


@pytest.mark.parametrize("stops_at", [1, 2, 3])
def test_a_server_that_stops_ends_the_pauses(stops_at: int) -> None:
    waits = Waits(stops_at)
    with Stub(say(500)) as stub, client_of(stub.url, PACE, waits) as ask, pytest.raises(ServerStops):
        ask("GET", "/x")
    assert len(stub.heard) == stops_at


@pytest.mark.parametrize("reply", [stubs.silent(), stubs.drip()])
def test_a_server_that_stops_does_not_wait_for_an_answer(reply: Reply) -> None:
    """With time-outs of hours: nothing but the stop ends this."""
    stop = threading.Event()
    hours = Bounds(9999, 9999, 9999)
    with Stub(reply) as stub, VendorClient(stub.url, ONCE, plain=True, private=True, stop=stop, bounds=hours) as ask:

        def stop_when_asked() -> None:
            stub.asked.wait(30)
            stop.set()

        threading.Thread(target=stop_when_asked).start()
        with pytest.raises(ServerStops):
            ask("GET", "/x")
        with pytest.raises(ServerStops):
            ask("GET", "/x")
    assert len(stub.heard) == 1


# -- How much ----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("reply", "bounds"), [
    (stubs.silent(), Bounds(read_s=0.05)),
    (stubs.silent(), Bounds(total_s=0.05)),
    (stubs.drip(), Bounds(total_s=0.2)),
])  # fmt: skip
def test_an_answer_that_takes_too_long_is_none(reply: Reply, bounds: Bounds) -> None:
    """The last of them has something at each read: only the whole is bounded."""
    with (
        Stub(reply) as stub, client_of(stub.url, bounds=bounds) as ask, pytest.raises(Failed, match="ReadTimeout")
    ):  # fmt: skip
        ask("GET", "/x")


@pytest.mark.parametrize("reply", [
    stubs.endless(True), stubs.endless(False), stubs.bomb(SHORT.answer_bytes + 1), ok(b"x" * (SHORT.answer_bytes + 1)),
])  # fmt: skip
def test_an_answer_without_end_is_left(reply: Reply) -> None:
    with Stub(reply) as stub, client_of(stub.url, PACE) as ask:
        with pytest.raises(ChangedShape, match="the answer is longer than 200000 bytes"):
            ask("GET", "/x")
        assert len(stub.heard) == 1


def test_the_longest_answer_is_taken_also_where_it_was_compressed() -> None:
    longest = b"x" * SHORT.answer_bytes
    with Stub(ok(longest), stubs.zipped(gzip.compress(longest))) as stub, client_of(stub.url) as ask:
        assert ask("GET", "/x").body == ask("GET", "/x").body == longest


@pytest.mark.parametrize("encoding", ["br", "deflate", "gzip, gzip"])
def test_a_compression_that_was_not_asked_for_is_a_changed_shape(encoding: str) -> None:
    with Stub(ok("..", Content_Encoding=encoding)) as stub, client_of(stub.url) as ask:
        with pytest.raises(ChangedShape, match=encoding):
            ask("GET", "/x")
        assert stub.heard[0].headers["accept-encoding"] == "gzip"


# -- Where to ----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("location", "told"),
    [
        ("/login?token=abc", "to {url}/login, which is not followed"),
        ("https://user:pass@other.example/x/?key=abc#frag", "to https://other.example/x/, which is not followed"),
        ("//other.example", "to http://other.example, which is not followed"),
        ("http://a:b:c", "to somewhere, which is not followed"),
        ("", ", which is no answer"),
    ],
)
@pytest.mark.parametrize("status", [301, 302, 303, 307, 308, 300, 304])
def test_a_redirect_is_not_followed_and_told_without_what_may_be_secret(status: int, location: str, told: str) -> None:
    headers = {"Location": location} if location else {}
    with Stub(say(status, **headers)) as stub, client_of(stub.url, PACE) as ask:
        with pytest.raises(ChangedShape) as found:
            ask("GET", "/x")
        assert str(found.value) == f"GET {stub.url}/x: HTTP {status}" + (
            told if told.startswith(",") else " " + told.format(url=stub.url)
        )
        assert len(stub.heard) == 1


@pytest.mark.parametrize("url", [
    "http://vendor.example", "ftp://vendor.example", "vendor.example", "", "https://", "https://u:secret@vendor.example",
    "https://vendor.example?secret=1", "https://vendor.example#secret", "https://[::1", "https://vendor.example:x",
])  # fmt: skip
def test_an_address_that_is_none_is_refused_before_anything_is_sent(url: str) -> None:
    with pytest.raises(ValueError, match="the address") as found:
        VendorClient(url, ONCE)
    assert "secret" not in str(found.value)


def test_clear_text_is_only_spoken_where_it_is_allowed() -> None:
    assert str(check_base_url("http://10.0.0.1:8080/api/", plain=True)) == "http://10.0.0.1:8080/api"
    assert str(check_base_url("https://vendor.example/")) == "https://vendor.example"


# -- Secrets -----------------------------------------------------------------------------------------------------------


def puller(check: Any = None, pull: Any = None) -> Puller:
    return Puller("v", "V", "https://v.example", (), (), ONCE, 0, 0, None, "bytes", check, pull)


SPELLED = [KEY, quote_plus(KEY), "key+with\\/odd=chars&more", "key+with/odd=chars&amp;more"]


@pytest.mark.parametrize("spelled", SPELLED)
@pytest.mark.parametrize("status", [500, 429])
def test_a_vendor_that_repeats_a_secret_does_not_bring_it_into_an_error(spelled: str, status: int) -> None:
    with Stub(say(status, f"who is {spelled}?")) as stub, client_of(stub.url, secrets=[KEY]) as ask:
        with pytest.raises((Failed, Limited)) as found:
            ask("GET", f"/{quote_plus(KEY)}/x", query=[("key", KEY)])
        assert str(found.value).count(SECRET) == 2
        assert "odd" not in str(found.value)


def test_a_redirect_that_repeats_a_secret_does_not_show_it() -> None:
    with Stub(say(302, Location=f"/{quote_plus(KEY)}")) as stub, client_of(stub.url, secrets=[KEY]) as ask:
        with pytest.raises(ChangedShape) as found:
            ask("GET", "/x")
        assert "odd" not in str(found.value)


@pytest.mark.parametrize("kind", [ChangedShape, Denied, Failed, Limited])
@pytest.mark.parametrize("spelled", SPELLED)
def test_what_a_puller_raises_shows_no_secret(kind: type[Exception], spelled: str) -> None:
    def check(ask: object, to_pull: ToPull) -> Sight:
        raise kind(f"code 401: {spelled} is not known")

    def pull(ask: object, to_pull: ToPull) -> Iterator[Any]:
        yield BalancesSaid(())
        raise kind(f"code 401: {spelled} is not known")

    with client_of("http://127.0.0.1", secrets=[KEY]) as ask:
        with pytest.raises(kind) as found:
            ask.check(puller(check), TO_PULL)
        assert str(found.value) == f"code 401: {SECRET} is not known"
        pulled = ask.pull(puller(None, pull), TO_PULL)
        assert next(pulled) == BalancesSaid(())
        with pytest.raises(kind) as found:
            next(pulled)
        assert str(found.value) == f"code 401: {SECRET} is not known"


def test_the_text_of_an_answer_shows_no_secret_and_its_figures_are_what_they_are() -> None:
    with Stub(ok('{"id": "12345", "used": 123456}')) as stub, client_of(stub.url, secrets=["12345"]) as ask:
        answer = ask("GET", "/x")
    assert answer.text == f'{{"id": "{SECRET}", "used": {SECRET}6}}'
    assert answer.json() == {"id": "12345", "used": 123456}


@given(st.integers(0, MAX_SAMPLE + 50), st.text(st.characters(codec="ascii", exclude_categories=["C"]), min_size=8))
def test_a_sample_that_ends_within_a_secret_shows_no_half_of_it(before: int, secret: str) -> None:
    def check(ask: object, to_pull: ToPull) -> Sight:
        raise ChangedShape("what is this", "\u00e4" * before + secret + "\u00e4" * 500)

    with client_of("http://127.0.0.1", secrets=[secret]) as ask, pytest.raises(ChangedShape) as found:
        ask.check(puller(check), TO_PULL)
    rest = found.value.sample.replace(SECRET, "").strip("\u00e4\u2026")
    assert len(rest) < max(4, len(SECRET))


USERS = '{"list": [{"username": "u1", "password": "HUNTER2pass"}]}'


@pytest.mark.parametrize("reply", [say(500, USERS), say(429, USERS), ok(USERS[:-1] + " " * 300_000 + "}"),
                                   stubs.zipped(gzip.compress(USERS.encode() + b" " * 300_000))])  # fmt: skip
def test_passwords_in_an_answer_are_not_shown_whatever_is_wrong_with_it(reply: Reply) -> None:
    with Stub(reply) as stub, client_of(stub.url) as ask, pytest.raises((Failed, Limited, ChangedShape)) as found:
        ask("GET", "/x")
    shown = str(found.value) + getattr(found.value, "sample", "")
    assert "u1" in shown
    assert "HUNTER2" not in shown


def test_an_answer_that_is_too_long_and_full_of_secrets_shows_no_half_of_one() -> None:
    secret = "s" + "0123456789" * 10
    with Stub(ok((secret + " ") * 3_000)) as stub, client_of(stub.url, secrets=[secret]) as ask:
        with pytest.raises(ChangedShape) as found:
            ask.check(puller(lambda ask, to_pull: ask("GET", "/x")), TO_PULL)
        assert "0123" not in found.value.sample


def test_doubts_show_no_secret() -> None:
    said = UseSaid("bytes", "pull", "UTC", 0, 1, 1, (), doubts=(f"grant {KEY}: shrank",))
    with client_of("http://127.0.0.1", secrets=[KEY]) as ask:
        [heard] = ask.pull(puller(None, lambda ask, to_pull: iter([said])), TO_PULL)
    assert isinstance(heard, UseSaid)
    assert heard.doubts == (f"grant {SECRET}: shrank",)


def test_a_statement_that_means_nothing_is_a_changed_shape_with_the_answer_it_was_made_of() -> None:
    def pull(ask: Any, to_pull: ToPull) -> Iterator[Any]:
        ask("GET", "/x")
        figure = FigureSaid("day 1970-01-01T00:00:00Z residential bob", 0, "bob", "residential", 1)
        yield UseSaid("bytes", "day", "UTC", 0, 86_400_000, 1, (figure, figure))

    said = f'{{"rows": [1, 1], "password": "HUNTER2pass", "of": "{KEY}"}}'
    with Stub(ok(said)) as stub, client_of(stub.url, secrets=[KEY]) as ask, pytest.raises(ChangedShape) as found:
        list(ask.pull(puller(None, pull), TO_PULL))
    assert str(found.value) == "the figure 'day 1970-01-01T00:00:00Z residential bob' is said twice"
    assert found.value.sample == f'{{"rows": [1, 1], "password": "{SECRET}", "of": "{SECRET}"}}'


def test_what_is_seen_shows_no_secret() -> None:
    def check(ask: object, to_pull: ToPull) -> Sight:
        return Sight((f"seen with {KEY}",), (f"not seen with {quote_plus(KEY)}",))

    with client_of("http://127.0.0.1", secrets=[KEY]) as ask:
        assert ask.check(puller(check), TO_PULL) == Sight((f"seen with {SECRET}",), (f"not seen with {SECRET}",))


def test_what_a_vendor_sends_drives_no_terminal_and_can_be_kept() -> None:
    said = "\x1b[2J\x00\u202e" + "long" * 1000

    def check(ask: object, to_pull: ToPull) -> Sight:
        raise ChangedShape(said, said)

    with client_of("http://127.0.0.1") as ask, pytest.raises(ChangedShape) as found:
        ask.check(puller(check), TO_PULL)
    for shown, most in ((str(found.value), MAX_SHOWN), (found.value.sample, MAX_SAMPLE)):
        assert shown.startswith("\\x1b[2J\\x00\\u202elonglong")
        assert len(shown) == most


@pytest.mark.parametrize("secret", ["a\nb", "ü", " key", "a\r\nX-More: 1", "a\x00", "a\t"])
def test_a_secret_that_no_header_can_hold_is_denied_and_not_shown(secret: str) -> None:
    with Stub(ok()) as stub, client_of(stub.url, PACE) as ask, pytest.raises(Denied, match="sent as X-Key") as found:
        ask("GET", "/x", headers={"X-Key": secret})
    assert stub.heard == []
    assert secret not in str(found.value)


# -- All calls together ------------------------------------------------------------------------------------------------


def test_all_calls_together_take_so_long_and_no_longer() -> None:
    """Pauses and the pace are part of it, and none is begun that would not end in time."""
    waits = Waits()
    bounds = Bounds(whole_s=10)
    with Stub(ok(), say(502)) as stub, client_of(stub.url, PACE, waits, bounds=bounds) as ask:
        assert ask("GET", "/x").status == 200
        with pytest.raises(Failed, match=r"^it takes longer than 10 s, and is asked no further$"):
            ask("GET", "/x")
    assert waits.waited == [1.0, 3.0]  # the pace, the first pause; the second, of 6 s, would end too late
    assert waits.now < 1010


def test_a_call_that_is_under_way_ends_when_the_time_of_all_is_over() -> None:
    with (
        Stub(stubs.silent()) as stub,
        VendorClient(stub.url, ONCE, plain=True, private=True, bounds=Bounds(whole_s=0.3)) as ask,
        pytest.raises(Failed, match="was not answered: ReadTimeout"),
    ):
        ask("GET", "/x")
