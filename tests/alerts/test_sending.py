"""One attempt: bounded in time and size, to the address that was judged, and followed nowhere."""

from __future__ import annotations

import socket
import ssl
import threading
from ipaddress import ip_network
from pathlib import Path

import pytest
from tests.providers.stub import (
    Reply,
    Stub,
    cut_off,
    drip,
    endless,
    garbage,
    ok,
    reset,
    say,
    silent,
)
from tests.providers.test_connecting import Names
from tests.test_tls import certified

from flowtally.alerts.sending import MAX_ANSWER, SHOWN, Answer, MessageSender
from flowtally.providers.connecting import ServerStops

HERE = (ip_network("127.0.0.0/8"), ip_network("::1/128"))
HEADERS = {"webhook-id": "msg_1"}
BODY = b'{"a": 1}'


def send(reply: Reply, *, sender: MessageSender | None = None, host: str = "127.0.0.1") -> tuple[Answer, Stub]:
    with Stub(reply) as stub:
        return (sender or MessageSender(HERE)).send(f"http://{host}:{stub.port}/x?y=1", HEADERS, BODY, whole=True), stub


def dribble(sock: socket.socket, stub: Stub) -> bool:
    for letter in b"HTTP/1.1 200 OK\r\nX-Long: " + b"x" * 10_000:
        if stub.ended.wait(0.02):
            break
        sock.sendall(bytes([letter]))
    return False


@pytest.mark.parametrize("status", [200, 201, 204, 299])
def test_it_is_taken_by_what_begins_with_a_two(status: int) -> None:
    answer, stub = send(say(status, "thanks" if status != 204 else ""))
    assert (answer.attempt.good, answer.attempt.status, answer.attempt.detail) == (True, status, "")
    [heard] = stub.heard
    assert (heard.method, heard.target, heard.body) == ("POST", "/x?y=1", BODY)
    assert heard.headers["host"] == f"127.0.0.1:{stub.port}"
    assert (heard.headers["webhook-id"], heard.headers["content-type"]) == ("msg_1", "application/json")


@pytest.mark.parametrize("status", [301, 302, 307, 308])
def test_nobody_is_sent_elsewhere(status: int) -> None:
    with Stub(ok()) as secret:
        answer, stub = send(say(status, Location=f"http://127.0.0.1:{secret.port}/latest/meta-data"))
        assert (answer.attempt.good, answer.attempt.detail) == (False, f"HTTP {status}")
        assert (len(stub.heard), secret.connections) == (1, 0)


@pytest.mark.parametrize(
    ("status", "header", "hold_s"),
    [
        (429, "7", 7),
        (503, "60", 60),
        (503, "999999999", 86_400),
        (503, "Thu, 01 Jan 1970 00:00:00 GMT", 0),
        (503, "soon", None),
        (503, "-5", None),
        (500, "7", None),
        (429, None, None),
    ],
)
def test_a_server_may_ask_to_be_left_alone(status: int, header: str | None, hold_s: float | None) -> None:
    more = {} if header is None else {"Retry_After": header}
    answer, _ = send(say(status, "no", **more))
    assert (answer.attempt.good, answer.attempt.hold_s) == (False, hold_s)


@pytest.mark.parametrize("reply", [reset(), garbage(), garbage(b"")])
def test_what_is_no_answer_is_none(reply: Reply) -> None:
    answer, _ = send(reply)
    assert (answer.attempt.good, answer.attempt.status) == (False, None)
    assert answer.attempt.detail.startswith("no answer: ")


@pytest.mark.parametrize("reply", [endless(), endless(chunked=False)])
def test_of_an_answer_without_an_end_the_beginning_is_read(reply: Reply) -> None:
    answer, _ = send(reply)
    assert answer.attempt.good
    assert len(answer.body) == SHOWN <= MAX_ANSWER


def test_an_answer_that_breaks_off_was_an_answer() -> None:
    assert send(cut_off())[0].attempt.good


@pytest.mark.parametrize("reply", [silent(), drip(), dribble])
def test_who_takes_all_the_time_there_is_gets_no_more(reply: Reply) -> None:
    """A byte a minute, before or after the head: one deadline is for all of it."""
    answer, _ = send(reply, sender=MessageSender(HERE, deadline_s=0.2))
    assert answer.attempt.good == (answer.attempt.status == 200)
    assert answer.attempt.status == 200 or answer.attempt.detail == "no answer: ReadTimeout"


def test_a_server_that_stops_waits_for_nobody() -> None:
    stop = threading.Event()
    with Stub(silent()) as stub:

        def stop_when_asked() -> None:
            stub.asked.wait(30)
            stop.set()

        threading.Thread(target=stop_when_asked).start()
        with pytest.raises(ServerStops):
            MessageSender(HERE, stop=stop).send(stub.url, HEADERS, BODY, whole=True)


# -- Where it goes ----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "host",
    [
        "127.0.0.1",
        "127.1",
        "0x7f000001",
        "2130706433",
        "[::ffff:127.0.0.1]",
        "[::1]",
        "localhost",
        "0.0.0.0",
    ],
)
def test_an_account_reaches_nothing_of_this_machine_however_it_is_written(host: str) -> None:
    """Also where the operator opened it to itself."""
    with Stub(ok()) as stub:
        answer = MessageSender(HERE).send(f"https://{host}:{stub.port}/", HEADERS, BODY, whole=False)
        assert not answer.attempt.good
        assert stub.connections == 0
    assert "public" in answer.attempt.detail or answer.attempt.detail == "no answer: ConnectError"


@pytest.mark.parametrize(
    "found",
    [
        ["10.0.0.1"],
        ["169.254.169.254"],
        ["8.8.8.8", "10.0.0.1"],  # records of both kinds
        ["2606:4700::1111", "::1"],
        ["64:ff9b::7f00:1"],
        ["64:ff9b:1::7f00:1"],
        ["fe80::1%eth0"],
        [],
    ],
)
def test_a_name_of_which_one_address_is_closed_is_not_connected_to(found: list[str]) -> None:
    """A connection to the first of two would need the network: there is none in the tests, and none is tried."""
    answer = MessageSender(HERE, look_up=Names(found)).send("https://a.example/", HEADERS, BODY, whole=False)
    assert (answer.attempt.status, answer.attempt.good) == (None, False)
    assert answer.attempt.detail.startswith("a.example has ")
    assert "10.0.0.1" not in answer.attempt.detail


def test_a_name_is_looked_up_once_for_an_attempt_and_again_for_the_next() -> None:
    names = Names(["127.0.0.1"], ["10.0.0.1"])
    with Stub(ok()) as stub:
        sender = MessageSender(HERE, look_up=names)
        url = f"http://hooks.example:{stub.port}/"
        assert sender.send(url, HEADERS, BODY, whole=True).attempt.good
        assert names.asked == ["hooks.example"]
        assert stub.heard[0].headers["host"] == f"hooks.example:{stub.port}"
        assert "not public" in sender.send(url, HEADERS, BODY, whole=True).attempt.detail
        assert (len(stub.heard), names.asked) == (1, ["hooks.example"] * 2)


def test_without_tls_only_what_was_opened_is_reached() -> None:
    sender = MessageSender(HERE, look_up=Names(["8.8.8.8"]))
    answer = sender.send("http://a.example/", HEADERS, BODY, whole=True)
    assert "FLOWTALLY_WEBHOOK_NETWORKS" in answer.attempt.detail


def test_no_proxy_of_the_environment_is_asked(monkeypatch: pytest.MonkeyPatch) -> None:
    with Stub(ok()) as proxy:
        for name in ("http_proxy", "HTTPS_PROXY", "ALL_PROXY"):
            monkeypatch.setenv(name, proxy.url)
        assert send(ok())[0].attempt.good
        assert proxy.connections == 0


def test_a_certificate_that_nobody_vouches_for_is_refused_and_one_of_ours_is_for_its_name(tmp_path: Path) -> None:
    cert, key = certified(tmp_path)
    tls = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    tls.load_cert_chain(cert, key)
    trusting = ssl.create_default_context(cafile=cert)
    with Stub(ok(), tls=tls) as stub:
        url = f"https://localhost:{stub.port}/"
        here = Names(["127.0.0.1"])
        refused = MessageSender(HERE, look_up=here).send(url, HEADERS, BODY, whole=True)
        assert "certificate is not to be trusted" in refused.attempt.detail
        assert MessageSender(HERE, look_up=here, context=trusting).send(url, HEADERS, BODY, whole=True).attempt.good
        elsewhere = MessageSender(HERE, look_up=here, context=trusting)
        other = elsewhere.send(f"https://other.example:{stub.port}/", HEADERS, BODY, whole=True)
        assert "certificate is not to be trusted" in other.attempt.detail
    assert len(stub.heard) == 1
