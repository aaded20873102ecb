"""A real FreeRADIUS with the configuration of the page hands accounting over: what sessions moved is what is counted.

The packets are radclient's, their times made up: a NAS stamps what happened, and sends it now.
"""

from __future__ import annotations

import csv
import re
import socket
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

import pytest
from tests.freeradius import FREERADIUS, RADCLIENT, FreeRadius, freeradius
from tests.live import Live, live_server
from tests.nginx import free_port

from flowtally.client import Client
from flowtally.protocol import AccountRequest

pytestmark = [
    pytest.mark.system,
    pytest.mark.skipif(
        FREERADIUS is None or RADCLIENT is None or not Path("/usr/lib/freeradius/rlm_rest.so").exists(),
        reason="FreeRADIUS with rlm_rest and radclient is not installed",
    ),
]
PAGE = Path("docs/pollers.md")
BLOCK = re.compile(r"`/etc/freeradius/3\.0/([a-z-]+/[a-z-]+)`.*?```text\n(.*?)```", re.DOTALL)
WORD = 2**32
NOON = 1_790_000_000  # what the NAS' clock says


def files(live: Live, *, buffered: bool, **changes: str) -> dict[str, str]:
    """What the page says, for this server."""
    plain, away = PAGE.read_text().split("### When the server is away")
    found = dict(BLOCK.findall(plain)) | (dict(BLOCK.findall(away)) if buffered else {})
    assert len(found) == (3 if buffered else 2)
    host, port = live.place
    for old, new in {"127.0.0.1:8120": f"{host}:{port}", "TOKEN": live.token, **changes}.items():
        found = {name: text.replace(old, new) for name, text in found.items()}
    return found


@pytest.fixture(scope="module")
def live(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Live]:
    with live_server(tmp_path_factory.mktemp("server") / "data") as server:
        yield server


@pytest.fixture(scope="module")
def client(live: Live) -> Iterator[Client]:
    with Client(live.url, live.token) as asking:
        yield asking


@pytest.fixture(scope="module")
def radius(live: Live, tmp_path_factory: pytest.TempPathFactory) -> Iterator[FreeRadius]:
    with freeradius(tmp_path_factory.mktemp("radius"), files(live, buffered=False), zone="UTC") as running:
        yield running


@pytest.fixture
def account(client: Client, request: pytest.FixtureRequest) -> str:
    name = str(request.node.name).replace("_", "-")[:60]
    return client.create_account(AccountRequest(id=name)).id


class Session:
    """Of a NAS, as it counts and tells it. `told`: the packets, to be sent again."""

    def __init__(self, radius: FreeRadius, account: str, id: str, began: int = NOON, nas: str = "nas-1") -> None:
        self.radius, self.began, self.at = radius, began, began
        self.who = {"User_Name": f"bob@{account}", "Acct_Session_Id": id, "NAS_Identifier": f"{nas}-{account}"}
        self.up = self.down = 0
        self.words = True
        self.last: dict[str, object] = {}

    def tell(self, status: str, up: int = 0, down: int = 0, *, send: bool = True) -> bool:
        self.up, self.down, self.at = self.up + up, self.down + down, self.at + 300 * (status != "Start")
        said: dict[str, object] = {**self.who, "Acct_Status_Type": status, "Event_Timestamp": stamp(self.at)}
        if status != "Start":
            said |= {"Acct_Session_Time": self.at - self.began, "Acct_Input_Octets": self.up % WORD}
            said |= {"Acct_Output_Octets": self.down % WORD}
            if self.words:
                said |= {"Acct_Input_Gigawords": self.up // WORD, "Acct_Output_Gigawords": self.down // WORD}
        self.last = said
        return self.radius.send(**said) if send else False


def stamp(at: int) -> str:
    return time.strftime("%b %d %Y %H:%M:%S UTC", time.gmtime(at))


def rows(client: Client, account: str) -> list[dict[str, str]]:
    return list(csv.DictReader(client.export(account, format="csv").decode().splitlines()))


def counted(client: Client, account: str) -> tuple[int, int]:
    found = rows(client, account)
    assert {row["user"] for row in found} <= {"bob", ""}
    return sum(int(row["bytes_up"]) for row in found), sum(int(row["bytes_down"]) for row in found)


def flags(client: Client, account: str) -> list[str]:
    return [row["reason"] for row in rows(client, account) if row["reason"]]


def test_a_session_counts_once_whatever_is_lost_and_repeated(radius: FreeRadius, client: Client, account: str) -> None:
    session = Session(radius, account, "s1")
    assert session.tell("Start")
    assert session.tell("Interim-Update", 100, WORD - 1)
    early = session.last
    assert radius.send(**session.last), "a packet that comes again is answered again"
    session.tell("Interim-Update", 50, 2 * WORD, send=False)
    lost = session.last
    assert session.tell("Stop", 7, 9)
    for late in (lost, early, session.last):
        assert radius.send(**late)
    assert counted(client, account) == (session.up, session.down) == (157, 3 * WORD + 8)
    assert flags(client, account) == []


def test_usage_is_dated_when_it_was_told_of(radius: FreeRadius, client: Client, account: str) -> None:
    session = Session(radius, account, "s1")
    session.tell("Start")
    session.tell("Interim-Update", 1, 1)
    times = [row["time"].replace(" ", "T")[:19] for row in rows(client, account) if int(row["bytes_up"])]
    assert times == [time.strftime("%Y-%m-%dT%H:%M:%S", time.gmtime(NOON + 300))]


def test_an_id_that_comes_again_after_a_crash_is_another_session(
    radius: FreeRadius, client: Client, account: str
) -> None:
    first = Session(radius, account, "00000001")
    first.tell("Start")
    first.tell("Interim-Update", 1_000, 2_000)
    again = Session(radius, account, "00000001", began=first.at + 60)
    again.tell("Start", send=False)
    again.tell("Interim-Update", 5_000, 9_000)
    again.tell("Stop", 1, 1)
    assert counted(client, account) == (first.up + again.up, first.down + again.down)
    assert flags(client, account) == ["restarted"], "what the first one moved after its last word is missing"


def test_a_nas_of_32_bits_wraps(radius: FreeRadius, client: Client, account: str) -> None:
    session = Session(radius, account, "s1")
    session.words = False
    session.tell("Start")
    for _ in range(4):
        assert session.tell("Interim-Update", 3_000_000_000, 1)
    assert session.tell("Stop")
    assert counted(client, account) == (session.up, session.down) == (12_000_000_000, 4)


def test_a_stop_that_says_nothing_and_a_nas_that_starts_close(radius: FreeRadius, client: Client, account: str) -> None:
    one, two = (Session(radius, account, id) for id in ("s1", "s2"))
    for session in (one, two):
        session.tell("Start")
        session.tell("Interim-Update", 10, 20)
    assert radius.send(**one.who, Acct_Status_Type="Stop", Event_Timestamp=stamp(one.at + 5))
    nas = {"NAS_Identifier": one.who["NAS_Identifier"], "Acct_Session_Id": "0"}
    assert radius.send(**nas, Acct_Status_Type="Accounting-On", Event_Timestamp=stamp(two.at + 60))
    assert counted(client, account) == (20, 40)
    assert sorted(flags(client, account)) == ["final_without_values", "missing_stop"]


def test_what_is_not_stored_is_not_answered(radius: FreeRadius, client: Client, account: str) -> None:
    lost = Session(radius, "nowhere", "s1")
    assert not lost.tell("Interim-Update", 1, 1), "there is no such account"
    nameless = {"Acct_Status_Type": "Interim-Update", "User_Name": f"bob@{account}", "Acct_Input_Octets": 1}
    assert not radius.send(**nameless, NAS_Identifier="nas-1")
    client.create_account(AccountRequest(id="nowhere"))
    assert radius.send(**lost.last)
    assert counted(client, "nowhere") == (1, 1)


def test_dates_of_another_zone_are_read_by_it(live: Live, client: Client, account: str, tmp_path: Path) -> None:
    written = files(live, buffered=False, **{"interval_s=300": "zone=Europe/Berlin"})
    with freeradius(tmp_path, written, zone="Europe/Berlin") as radius:
        session = Session(radius, account, "s1")
        assert session.tell("Start")
        assert session.tell("Stop", 3, 4)
    assert counted(client, account) == (3, 4)
    assert flags(client, account) == []


def test_with_the_files_between_nothing_is_lost_while_the_server_is_away(
    live: Live, client: Client, account: str, tmp_path: Path
) -> None:
    """The NAS is answered at once; what can never be stored keeps nothing else."""
    door = free_port()
    moved = {"{}:{}".format(*live.place): f"127.0.0.1:{door}", "retry_interval = 5": "retry_interval = 1"}
    moved |= {"retry_delay = 5": "retry_delay = 1"}
    with freeradius(tmp_path, files(live, buffered=True, **moved)) as radius:
        session = Session(radius, account, "s1")
        assert session.tell("Start")
        assert session.tell("Interim-Update", 100, 200)
        assert Session(radius, "elsewhere", "s2").tell("Stop", 1, 1)
        assert session.tell("Stop", 1, 2)
        assert rows(client, account) == []
        with relay(door, live.place):
            until(lambda: counted(client, account) == (101, 202))
            until(lambda: "elsewhere" in "".join(file.read_text() for file in tmp_path.glob("flowtally/refused-*")))
    assert flags(client, account) == []


@contextmanager
def relay(port: int, to: tuple[str, int]) -> Iterator[None]:
    """The server, at another port for a while."""

    def carry(source: socket.socket, sink: socket.socket) -> None:
        with source, sink, suppress(OSError):
            while piece := source.recv(65_536):
                sink.sendall(piece)

    def serve() -> None:
        with suppress(OSError):
            while True:
                near, far = door.accept()[0], socket.create_connection(to)
                for one, other in ((near, far), (far, near)):
                    threading.Thread(target=carry, args=(one, other), daemon=True).start()

    with socket.create_server(("127.0.0.1", port)) as door:
        threading.Thread(target=serve, daemon=True).start()
        yield


def until(true: Callable[[], bool]) -> None:
    end = time.monotonic() + 60
    while not true():
        assert time.monotonic() < end
        time.sleep(0.2)
