"""HAProxy's logs, of lines that HAProxy 2.6 wrote: its own format strings, as they stand in haproxy.cfg or without."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from flowtally.agents.formats import Declared, format_of
from flowtally.agents.formats.hapconfig import format_text, formats_in
from flowtally.agents.formats.haproxy import HTTP, TCP
from flowtally.agents.reading import Line, LineReading, Unreadable
from flowtally.core.errors import ConfigError

HTTP_LINE = (
    b"127.0.0.1:48066 [29/Nov/2026:17:38:24.399] a a/<NOSRV> 0/-1/-1/-1/0 200 76 - - LR-- 1/1/0/0/0 0/0 "
    b'"GET /x HTTP/1.1"'
)
TCP_LINE = b"127.0.0.1:54244 [29/Nov/2026:17:38:24.476] e bt/s 1/0/0 69 -- 1/1/0/0/0 0/0"
CLF = (
    r'"%{+Q}o %{-Q}ci - - [%trg] %r %ST %B \"\" \"\" %cp %ms %ft %b %s %TR %Tw %Tc %Tr %Ta %tsc %ac %fc %bc %sc %rc '
    r'%sq %bq %CC %CS %hrl %hsl"'
)
CLF_LINES = [
    b'127.0.0.1 - - [29/Nov/2026:17:38:24 +0000] "<BADREQ>" 400 0 "" "" 32930 409 "b" "b" "<NOSRV>" -1 -1 -1 -1 0 PR-- '
    b'1 1 0 0 0 0 0 "" "" ',
    b'127.0.0.1 - - [29/Nov/2026:17:38:24 +0000] "GET / HTTP/1.1" 200 76 "" "" 32936 419 "b" "b" "<NOSRV>" 0 -1 -1 -1 '
    b'0 LR-- 1 1 0 0 0 0 0 "" "" "127.0.0.1:19402" "" ',
]
OWN = "%{+Q}o %{-Q}ci %Ts.%ms %U %B %ST %[var(txn.user)] %tsc %HU %r %HM %hr %hs %ID %f %ft %b/%s %si %bi %sslv %CC"
OWN_LINE = (
    b'127.0.0.1 1795973904.440 82 76 200 "jo "x"" LR-- "/" "GET / HTTP/1.1" "GET" "" "c" "c" "c"/"<NOSRV>" "" "" "" ""'
)
AT = 1_795_973_904_000  # 2026-11-29T17:38:24Z


def read(text: str, line: bytes, zone: str = "UTC") -> Line:
    return format_of(Declared(haproxy_log_format=text, zone=zone)).read_line(line)


@pytest.mark.parametrize("header", [b"", b"Nov 29 17:38:24 lb haproxy[7]: ", b"<134>Nov 29 17:38:24 haproxy[7]: "])
def test_the_default_logs_are_read_with_and_without_the_header_of_syslog(header: bytes) -> None:
    http = format_of(Declared(format="haproxy", zone="UTC"))
    right = LineReading(time_at=AT + 399, bytes_down=76, status=200, client="127.0.0.1", url="/x")
    assert http.read_line(header + HTTP_LINE) == right
    tcp = format_of(Declared(format="haproxy-tcp", zone="UTC"))
    assert tcp.read_line(header + TCP_LINE) == LineReading(time_at=AT + 476, bytes_down=69, client="127.0.0.1")


def test_what_a_default_log_cannot_know_is_said() -> None:
    notes = " ".join(format_of(Declared(format="haproxy")).notes)
    for said in ("not tell bytes from the client", "not tell a user's name", "%tr is local time without its zone"):
        assert said in notes


def test_captured_headers_and_bad_requests_are_read_over() -> None:
    for captured in (b"{a b|c} {d} ", b"{a#7cb|} ", b""):
        line = HTTP_LINE.replace(b'"GET', captured + b'"GET')
        assert isinstance(read(HTTP, line), LineReading)
    bad = read(HTTP, HTTP_LINE.replace(b"GET /x HTTP/1.1", b"<BADREQ>").replace(b" 200 ", b" 400 "))
    assert isinstance(bad, LineReading)
    assert (bad.status, bad.url) == (400, "")


def test_bytes_of_a_transfer_that_goes_on_are_not_its_bytes() -> None:
    why = read(TCP, TCP_LINE.replace(b" 69 ", b" +69 "))
    assert isinstance(why, Unreadable)
    assert why.reason == "bad_size"


def test_the_clf_of_haproxy_is_read_by_its_string() -> None:
    found = [read(CLF, line) for line in CLF_LINES]
    assert [(one.time_at, one.bytes_down, one.status, one.url) for one in found if isinstance(one, LineReading)] == [
        (AT, 0, 400, ""), (AT, 76, 200, "/"),
    ]  # fmt: skip


def test_a_format_of_ones_own_counts_both_directions_and_its_user() -> None:
    assert read(OWN, OWN_LINE) == LineReading(
        time_at=AT + 440, bytes_up=82, bytes_down=76, status=200, user='jo "x"', client="127.0.0.1", url="/"
    )


def test_flags_for_hexadecimal_and_escapes_are_undone() -> None:
    assert read("%{+X}Ts %{+X}ci %B", b"6A9D7A10 C0000201 3", "") == LineReading(
        time_at=0x6A9D7A10 * 1000, bytes_down=3, client="192.0.2.1"
    )
    line = rb'1795973904 "a\"b\\c\]" 3'
    assert read("%Ts %{+Q,+E}[var(txn.user)] %B", line) == LineReading(time_at=AT, bytes_down=3, user='a"b\\c]')


@pytest.mark.parametrize("item", ["%(user)[req.hdr(x)]", "%(user:str)[req.hdr(x)]", "%(user){+Q,+E}[req.hdr(x)]"])
def test_an_item_may_be_called_what_it_means(item: str) -> None:
    """As HAProxy 3.0 allows."""
    line = b'1795973904 "a b" 3' if "Q" in item else b"1795973904 a b 3"
    assert read(f"%Ts {item} %(down)B", line) == LineReading(time_at=AT, bytes_down=3, user="a b")


@given(name=st.text('ab"\\] 9{}', max_size=12), header=st.sampled_from(["", "Nov 29 17:38:24 lb haproxy[7]: "]))
@settings(deadline=None)
def test_no_name_that_is_escaped_can_pretend_to_be_the_rest_of_a_line(name: str, header: str) -> None:
    """As the recipe for HAProxy logs it, behind syslog or not."""
    text = "%Ts.%ms %Tt %ci:%cp %ft %rt %ts %ST %U %B %{+Q,+E}[var(txn.user)] %{+Q}r"
    written = "".join("\\" + char if char in '"\\]' else char for char in name)
    line = f'1795973904.440 0 192.0.2.1:4 c 1 -- 200 82 76 "{written}" "GET /{name.encode().hex()} HTTP/1.1"'
    declared = Declared(haproxy_log_format=text, envelope="syslog" if header else "")
    assert format_of(declared).read_line((header + line).encode()) == LineReading(
        time_at=AT + 440, bytes_up=82, bytes_down=76, status=200, user=name, client="192.0.2.1",
        url=f"/{name.encode().hex()}",
    )  # fmt: skip


@pytest.mark.parametrize(
    ("text", "line"),
    [
        ("%T %t %B", b"29/Nov/2026:17:38:24 +0000 29/Nov/2026:17:38:24.476 1"),
        ("%Tl %ms %B", b"29/Nov/2026:18:38:24 +0100 476 1"),
        ("%trl %ms %B", b"29/Nov/2026:18:38:24 +0100 476 1"),
    ],
)
def test_a_time_with_its_zone_is_preferred_to_a_local_one(text: str, line: bytes) -> None:
    """`%ms` is of the accepted connection: it belongs to `%Tl`, and not to `%trl`, the request's."""
    found = read(text, line, zone="")
    assert isinstance(found, LineReading)
    assert found.time_at == (AT + 476 if "Tl" in text else AT)


@settings(deadline=None)
@given(
    user=st.text(st.characters(codec="utf-8", exclude_categories=["Cc", "Cs"]), max_size=30),
    up=st.integers(0, 2**53 - 1),
    quoted=st.booleans(),
)
def test_an_escaped_name_is_read_as_it_was(user: str, up: int, *, quoted: bool) -> None:
    written = "".join("\\" + char if char in '"\\]' else char for char in user) or ("" if quoted else "-")
    text = "%Ts %{+E,+Q}[var(txn.user)] %U" if quoted else "%Ts %{+E}[var(txn.user)] %U"
    found = read(text, f"1795973904 {f'{chr(34)}{written}{chr(34)}' if quoted else written} {up}".encode())
    assert isinstance(found, LineReading), found
    assert (found.user, found.bytes_up) == ("" if user == "-" else user, up)


@pytest.mark.parametrize("text", [HTTP, f'"{HTTP}"', f"'{HTTP}'", HTTP.replace(" ", "\\ "), f"log-format {HTTP}"])
def test_a_format_may_be_spelled_as_in_the_configuration(text: str) -> None:
    assert format_text(text) == HTTP


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("%ci %B", "names no instant"),
        ("%Ts %nonsense", "no variable that is known"),
        ("%Ts %[var(txn.user) %B", "does not end"),
        ("%{+json}o %Ts", "--json-fields"),
        ("%Ts %hrl %B", "where %hrl ends"),
        ("%Ts%B", "nothing stands between"),
        ('"%Ts $USER"', r"it has a variable \(\$\.\.\.\)"),
    ],
)
def test_a_format_of_no_use_is_refused(text: str, says: str) -> None:
    with pytest.raises(ConfigError, match=says):
        read(text, b"")


def test_the_formats_of_a_configuration_are_found() -> None:
    text = r"""
global
    log stdout format raw local0   # log-format "no"
defaults
    option httplog
frontend web
    log-format "%ci \"%r\" # %Ts %B"
frontend plain
    log-format %ci\ %Ts\ %B # what a day
backend t
    option tcplog
"""
    found = formats_in(text)
    assert found["defaults"] == Declared(format="haproxy")
    assert found["backend t"] == Declared(format="haproxy-tcp")
    assert format_text(found["frontend web"].haproxy_log_format) == '%ci "%r" # %Ts %B'
    assert format_text(found["frontend plain"].haproxy_log_format) == "%ci %Ts %B"
