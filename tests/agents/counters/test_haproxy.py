"""HAProxy's own words for what it counts."""

from __future__ import annotations

from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from flowtally.agents.counters.haproxy import HAProxy, entries, lines, newest, started, unescaped, workers
from flowtally.agents.counters.settings import Counters
from flowtally.agents.counters.stood import Stood, Unasked

# `show table users` of HAProxy 2.6.12 (Debian 12), and as 3.0 writes it, with `shard`.
TABLE = (
    b"# table: users, type: string, size:102400, used:2\n"
    rb"0x5601d41d55f8: key=al\ ice\=x use=0 exp=3599969 http_req_cnt=1 bytes_in_cnt=117 bytes_out_cnt=83" + b"\n"
    rb"0x7f4f50042828: key=b\xC3\xB3b use=0 exp=3599976 shard=0 http_req_cnt=1 bytes_in_cnt=109 bytes_out_cnt=83"
    b"\n\n"
)
STAT = (
    b"# pxname,svname,qcur,qmax,scur,smax,slim,stot,bin,bout,req_tot,mode,\n"
    b"web,FRONTEND,,,0,1,9979,3,308,249,4,http,\n"
    b"raw,FRONTEND,,,0,1,9979,7,10,20,,tcp,\n"
    b"app,BACKEND,0,0,0,1,998,3,308,249,3,http,\n\n"
)
INFO = b"Name: HAProxy\nVersion: 2.6.12\nPid: 19899\nUptime_sec: 1\nStart_time_sec: 1795972452\nTainted: 0\n"
PROCESSES = (
    b"#<PID>          <type>          <reloads>       <uptime>        <version>      \n"
    b"19898           master          2 [failed: 0]   0d00h00m00s     2.6.12-1+deb12u4\n"
    b"# workers\n"
    b"19920           worker          0               0d00h00m00s     2.6.12-1+deb12u4\n"
    b"# old workers\n"
    b"19899           worker          1               0d00h10m00s     2.6.12-1+deb12u4\n"
    b"# programs\n\n"
)


def test_a_key_of_a_stick_table_is_a_user() -> None:
    found = entries(TABLE, "users", "E")
    assert [(one.name, one.bytes_up, one.bytes_down, one.requests) for one in found] == [
        ("al ice=x", 117, 83, 1),
        ("bób", 109, 83, 1),
    ]


def test_a_line_of_show_stat_is_a_counter() -> None:
    found = lines(STAT, "E")
    assert [(one.counter, one.bytes_up, one.bytes_down, one.requests) for one in found] == [
        ("line/web/FRONTEND", 308, 249, 4),
        ("line/raw/FRONTEND", 10, 20, 7),
        ("line/app/BACKEND", 308, 249, 3),
    ]


def written(key: bytes) -> bytes:
    """HAProxy's `dump_text`."""
    letters = {b"\t": b"t", b"\n": b"n", b"\r": b"r", b"\x1b": b"e", b"\\": b"\\", b" ": b" ", b"=": b"="}
    out = b""
    for char in (key[at : at + 1] for at in range(len(key))):
        if char in letters:
            out += b"\\" + letters[char]
        else:
            out += char if 32 < char[0] < 127 else b"\\x%02X" % char[0]
    return out


@given(st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\0"), max_size=20))
def test_any_name_is_the_same_after_the_table_was_shown(name: str) -> None:
    shown = written(name.encode())
    assert unescaped(shown) == name
    table = b"# table: users, type: string, size:9, used:1\n0x1: key=%b use=0 exp=1 bytes_in_cnt=1 bytes_out_cnt=2\n\n"
    assert [one.name for one in entries(table % shown, "users", "")] == [name]


@given(st.binary(max_size=80))
def test_anything_else_is_told_and_counts_nothing(noise: bytes) -> None:
    with pytest.raises(Unasked):
        entries(noise, "users", "")
    with pytest.raises(Unasked):
        lines(noise, "")
    for text in (TABLE + noise, TABLE[:60] + noise, STAT[:90] + noise):
        try:
            found = entries(text, "users", "") if text.startswith(b"# table") else lines(text, "")
        except Unasked:
            continue
        assert all(isinstance(one, Stood) for one in found)


def test_a_table_that_counts_no_bytes_is_told() -> None:
    with pytest.raises(Unasked, match="must store bytes_in_cnt"):
        entries(TABLE.replace(b"bytes_in_cnt", b"conn_cnt"), "users", "")


def test_the_process_is_named_by_its_start() -> None:
    assert started(INFO) == 1_795_972_452
    with pytest.raises(Unasked, match="Start_time_sec"):
        started(b"Pid: 1\n")
    assert workers(PROCESSES) == [19920, 19899]
    with pytest.raises(Unasked, match="master"):
        workers(b"Unknown command\n")


@given(st.lists(st.tuples(st.integers(1, 99_999), st.integers(0, 100)), max_size=12))
def test_only_workers_that_are_told_apart_are_read_and_always_the_newest(starts: list[tuple[int, int]]) -> None:
    kept = newest(starts)
    began = [at for _, at in kept]
    assert all(later - earlier > 5 for earlier, later in pairwise(began))
    assert len(kept) <= 5
    if starts:
        assert began[-1] == max(at for _, at in starts)


def poll(answers: dict[str, bytes], **settings: object) -> list[Stood]:
    counters = Counters(name="x", kind="haproxy", address="/run/h.sock", **settings)  # type: ignore[arg-type]
    return HAProxy(counters, lambda address, command, timeout_s: answers[command])()


def test_one_answer_says_who_counted_and_what() -> None:
    (alice, bob) = poll({"show info;show table users": INFO + b"\n" + TABLE}, table="users")
    assert alice.epoch == bob.epoch == "2026-11-29T17:14:12Z"
    assert poll({"show info;show stat -1 1 -1": INFO + b"\n" + STAT})[0].epoch == "2026-11-29T17:14:12Z"


def test_a_table_that_peers_keep_does_not_begin_with_the_process() -> None:
    found = poll({"show info;show table users": INFO + b"\n" + TABLE}, table="users", peers=True)
    assert {one.epoch for one in found} == {""}


def test_old_workers_are_read_over_the_masters_socket() -> None:
    new = INFO.replace(b"1795972452", b"1795973052")
    found = poll(
        {
            "show proc": PROCESSES,
            "@!19899 show info": INFO,
            "@!19920 show info": new,
            "@!19899 show table users": TABLE,
            "@!19920 show table users": TABLE.replace(b"=117", b"=7"),
        },
        table="users",
        master=True,
    )
    assert [(one.name, one.epoch, one.bytes_up) for one in found if one.name == "al ice=x"] == [
        ("al ice=x", "2026-11-29T17:14:12Z", 117),
        ("al ice=x", "2026-11-29T17:24:12Z", 7),
    ]
