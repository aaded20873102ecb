"""What every format promises: it never raises, never takes long, and never reads what cannot be stored."""

import time

import pytest
from hypothesis import given
from hypothesis import strategies as st

from flowtally.agents.formats import FORMATS, Declared, format_of
from flowtally.agents.reader import MAX_LINE_BYTES
from flowtally.agents.reading import END_OF_TIME_AT, Reading
from flowtally.events import MAX_QUANTITY

GOOD = {
    "squid": b"1795173252.544 37 10.0.0.1 TCP_MISS/200 2384 GET http://n.test/a acme-bob HIER_DIRECT/10.0.0.2 a/b 254",
    "combined": b'10.0.0.1 - bob [10/Oct/2000:13:55:36 -0700] "GET /a HTTP/1.0" 200 2326 "-" "curl" 311 2701',
    "cloudevents": b'{"source":"gw","account":"acme","time":"2026-11-20T11:00:00Z","bytes_up":5,"status":200}',
}
PIECES = st.sampled_from([b" ", b'"', b"\\", b"[", b"-", b"/", b"9" * 20, b"\xff", b"\x00", b"{", b"%", b"T", b"e9"])


@pytest.mark.parametrize("name", FORMATS)
@given(data=st.data())
def test_no_line_makes_a_format_raise_or_read_what_cannot_be_kept(name: str, data: st.DataObject) -> None:
    good = GOOD[name]
    start, end = sorted(data.draw(st.tuples(st.integers(0, len(good)), st.integers(0, len(good)))))
    line = data.draw(st.one_of(st.binary(), st.lists(PIECES).map(b"".join)))
    read = format_of(Declared(format=name)).read_line(good[:start] + line + good[end:])
    if isinstance(read, Reading):
        assert all(0 <= number <= MAX_QUANTITY for number in (read.bytes_up, read.bytes_down, read.requests))
        assert read.time_at is None or 0 <= read.time_at < END_OF_TIME_AT
        assert 0 <= read.status <= 65_535


@pytest.mark.parametrize("name", FORMATS)
@pytest.mark.parametrize(
    "filler", [b" ", b" a", b'"', b"\\", b'" 200 1 ', b"[", b"9", b"1 ", b"a/b ", b" A/", b"{", b'\\"']
)
def test_no_line_takes_long(name: str, filler: bytes) -> None:
    good = GOOD[name]
    read_line = format_of(Declared(format=name)).read_line
    started = time.process_time()
    for cut in range(0, len(good), 8):
        read_line((good[:cut] + filler * (MAX_LINE_BYTES // len(filler)))[:MAX_LINE_BYTES])
    assert time.process_time() - started < 2
