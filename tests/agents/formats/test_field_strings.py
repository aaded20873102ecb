"""Logs from the field, of Squid, nginx and Apache: right by the server's own format string, else unreadable."""

from __future__ import annotations

from pathlib import Path

import pytest

from flowtally.agents.formats import Declared, format_of
from flowtally.agents.formats.suggest import suggest, undeclared
from flowtally.agents.reading import LineReading, Unreadable

FIELD = Path(__file__).parents[2] / "fixtures/field"
AT = 1_773_133_200_000  # 2026-03-10T09:00:00Z
APACHE = '%h %l %u %t "%r" %>s %b "%{Referer}i" "%{User-Agent}i"'
NGINX = '$remote_addr - $remote_user [$time_local] "$request" $status'
SQUID = "%ts.%03tu %6tr %>a %Ss/%03>Hs %<st %rm %ru %[un %Sh/%<a %mt"
EXTENSIVE = (
    "%ts.%03tu %6tr %>a %>p %Ss/%03>Hs %<st %>st %<sh %>sh %<sS %rm %ru %rv %[un %Sh/%<a %<p %mt %err_code %err_detail "
    '"%{Referer}>h" "%{User-Agent}>h" "%{Host}>h" "%{Via}>h" %dt %>qos'
)
DETAILED = '%ts.%03tu %>a %ui %un [%tl] "%rm %ru HTTP/%rv" %>Hs %<st %rm %ru %>a %mt %<a %<rm %Ss/%Sh %<st'
# The file, how it is declared, and of each line: user, client, up, down, ms after AT.
RIGHT = [
    ("case01-combined-D-T.log", Declared(apache_log_format=APACHE + " %D %T"), [
        ("alice", "192.0.2.10", 0, 5120, 0), ("alice", "192.0.2.10", 0, 734_003_200, 1000),
        ("bob", "192.0.2.11", 0, 0, 2000)]),
    ("case02-vhost-without-port.log", Declared(apache_log_format="%v " + APACHE), [
        ("alice", "192.0.2.10", 0, 1000, 0), ("", "2001:db8::7", 0, 2000, 1000),
        ("alice", "192.0.2.10", 0, 500, 2000)]),
    ("case03-xff-list.log", Declared(apache_log_format=APACHE.replace("%h", "%{X-Forwarded-For}i")), [
        ("alice", "198.51.100.7", 0, 1000, 0), ("alice", "198.51.100.7", 0, 500, 1000),
        ("", "198.51.100.8", 0, 700, 2000)]),
    ("case05a-common-b-I-O.log", Declared(apache_log_format='%h %l %u %t "%r" %>s %b %I %O'), [
        ("alice", "192.0.2.10", 104_857_824, 512, 0)]),
    ("case05b-O-I-D-before-referer.log",
        Declared(apache_log_format='%h %l %u %t "%r" %>s %O %I %D "%{Referer}i" "%{User-Agent}i"'), [
        ("alice", "192.0.2.10", 2_097_152, 1512, 0)]),
    ("case05c-nginx-request-length.log",
        Declared(nginx_log_format=NGINX + ' $body_bytes_sent $request_length $request_time "$http_x" "$http_y"'), [
        ("alice", "192.0.2.10", 3_145_728, 142, 0)]),
    ("case05e-combinedio.log", Declared(format="combinedio"), [("alice", "192.0.2.10", 5_242_880, 4608, 0)]),
    ("case05f-O-I-swapped.log", Declared(apache_log_format=APACHE + " %I %O"), [
        ("alice", "192.0.2.10", 142, 3_145_728, 0)]),
    ("case12-squid-local-port.log", Declared(squid_logformat=SQUID + " %lp"), [
        ("alice", "192.0.2.10", 0, 48211, 123), ("bob", "192.0.2.11", 0, 1290, 1456)]),
    ("case13-squid-trailing-fraction.log", Declared(squid_logformat=SQUID + " %tS"), [
        ("public-user", "192.0.2.12", 0, 2050, 2556)]),
    ("case13b-squid-log-mime-hdrs.log", Declared(squid_logformat=SQUID + " [%>h] [%<h]"), [
        ("alice", "192.0.2.12", 0, 2014, 2556)]),
    ("case13c-squid-sni-bump-port.log", Declared(squid_logformat=SQUID + " %ssl::>sni %ssl::bump_mode %>lp"), [
        ("alice", "192.0.2.12", 0, 2014, 2556)]),
    ("case15-e2guardian.log", Declared(squid_logformat="%ts.%03tu %6tr %>a %Ss/%>Hs %<st %rm %ru %un %Sh/ %mt"), [
        ("192.0.2.13", "192.0.2.13", 0, 0, 3500), ("carol", "192.0.2.14", 0, 31000, 4600),
        ("carol", "192.0.2.14", 0, 6000, 5800)]),
    ("case15-e2guardian.log", Declared(format="e2guardian"), [
        ("192.0.2.13", "192.0.2.13", 0, 0, 3500), ("carol", "192.0.2.14", 0, 31000, 4600),
        ("carol", "192.0.2.14", 0, 6000, 5800)]),
    ("case16-squid-extensive.log", Declared(squid_logformat=EXTENSIVE), [
        ("alice", "192.0.2.10", 120, 900, 283_722_400), ("alice", "192.0.2.10", 2000, 28000, 283_722_600)]),
    ("case18-squid-detailed.log", Declared(squid_logformat=DETAILED), [
        ("alice", "192.0.2.10", 0, 1290, 123), ("alice", "192.0.2.10", 0, 710, 1456)]),
    ("case37-msec-frac.log",
        Declared(apache_log_format=APACHE.replace("%t", "[%{%d/%b/%Y:%T}t.%{msec_frac}t %{%z}t]")), [
        ("alice", "192.0.2.10", 0, 1000, 242)]),
    ("case43-squid-combined-names.log", Declared(format="squid-combined"), [
        ("", "192.0.2.10", 0, 0, -1000), ("corp\\bob b", "192.0.2.10", 0, 200_321, 0),
        ("corp\\bob b", "192.0.2.10", 0, 200_321, 1000), ("corp\\eve", "192.0.2.10", 0, 1000, 2000),
        ("josé", "192.0.2.10", 0, 200_321, 3000)]),
]  # fmt: skip
STRICT = ("squid", "squid-common", "squid-combined", "common", "combined", "vhost_combined", "nginx-main")
# Each of their lines is of no name but of those that say what its last numbers are.
ODD = [
    "case01-combined-D-T.log", "case02-vhost-without-port.log", "case05a-common-b-I-O.log",
    "case05b-O-I-D-before-referer.log", "case05c-nginx-request-length.log", "case05f-O-I-swapped.log",
    "case06-two-blanks-and-D.log", "case12-squid-local-port.log", "case13-squid-trailing-fraction.log",
    "case13b-squid-log-mime-hdrs.log", "case13c-squid-sni-bump-port.log", "case15-e2guardian.log",
    "case16-squid-extensive.log", "case18-squid-detailed.log", "case37-msec-frac.log",
]  # fmt: skip


def lines(file: str) -> list[bytes]:
    return (FIELD / file).read_bytes().splitlines()


@pytest.mark.parametrize(("file", "declared", "right"), RIGHT, ids=[file for file, _, _ in RIGHT])
def test_a_log_is_right_by_its_own_format(
    file: str, declared: Declared, right: list[tuple[str, str, int, int, int]]
) -> None:
    read_line = format_of(declared).read_line
    found = [read_line(line) for line in lines(file)]
    readings = [one for one in found if isinstance(one, LineReading)]
    assert len(readings) == len(found), found
    shown = [(one.user, one.client, one.bytes_up, one.bytes_down, (one.time_at or 0) - AT) for one in readings]
    assert shown == right


@pytest.mark.parametrize("file", ODD)
@pytest.mark.parametrize("name", STRICT)
def test_under_a_name_that_it_is_not_every_line_is_unreadable(file: str, name: str) -> None:
    read_line = format_of(Declared(format=name)).read_line
    assert all(isinstance(read_line(line), Unreadable) for line in lines(file))


def test_two_forms_in_one_log_need_two_imports() -> None:
    """Two blanks before the status, and a duration before the request: no format has both."""
    one, other = lines("case06-two-blanks-and-D.log")
    for string, mine, strange in (
        (APACHE.replace(" %>s", "  %>s"), one, other),
        (APACHE.replace("%t ", "%t %D ").replace(" %>s", "  %>s"), other, one),
    ):
        read_line = format_of(Declared(apache_log_format=string)).read_line
        assert isinstance(read_line(mine), LineReading)
        assert isinstance(read_line(strange), Unreadable)


def test_names_are_suggested_and_what_they_would_count() -> None:
    assert suggest(lines("case43-squid-combined-names.log")) == ["squid-combined"]
    assert suggest(lines("case04-syslog-prefixed-combined.log")) == ["syslog:combined"]
    assert suggest(lines("case29-iis.log")) == ["iis", "w3c"]
    assert suggest([]) == []
    assert undeclared(lines("case12-squid-local-port.log")) == (
        "these lines read as squid-io. If the last numbers of a line are bytes received (%>st), say --format squid-io "
        f"({SQUID} %>st)"
    )
    assert undeclared(lines("case29-iis.log")) == (
        "these lines read as iis and as w3c. If that is how the server writes them, say which of them it is: "
        "--format iis, or --format w3c"
    )
    assert "--squid-logformat" in undeclared(lines("case13-squid-trailing-fraction.log"))
