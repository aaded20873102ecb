"""One person is one name whatever wrote the line: names written by each server's own escaping are read back the same.

The writers here follow the servers' documentation and, where it is not exact, their sources; `test_real_servers` holds
some of them against the real programs.
"""

from __future__ import annotations

from collections.abc import Callable

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from flowtally.agents.formats import Declared, format_of
from flowtally.agents.reading import LineReading, Unreadable

# Not NUL and no newline: a C string ends at the one and a line at the other. `-` is how each of them writes nobody.
NAMES = st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\0\n"), min_size=1).filter(
    lambda name: name != "-"
)
ODD = [
    "corp\\bob b",
    "corp\\eve",
    "josé",
    'a "b"',
    "%41",
    "a%20b",
    "\\x41",
    "[x]",
    "- -",
    "a - b",
    "\x7f\x1b\t",
    "\\",
    '"',
]

_APACHE = {8: "b", 10: "n", 13: "r", 9: "t", 11: "v", 34: '"', 92: "\\"}


def apache(name: str) -> str:
    """`ap_escape_logitem`."""
    return "".join(
        "\\" + _APACHE[byte] if byte in _APACHE else chr(byte) if 32 <= byte < 127 else f"\\x{byte:02x}"
        for byte in name.encode()
    )


def nginx(name: str) -> str:
    """`escape=default`: `"`, `\\` and what is below 32 or above 126."""
    return "".join(
        f"\\x{byte:02X}" if byte in (34, 92) or byte < 32 or byte > 126 else chr(byte) for byte in name.encode()
    )


def nginx_json(name: str) -> str:
    letters = {"\n": "\\n", "\r": "\\r", "\t": "\\t", "\b": "\\b", "\f": "\\f", '"': '\\"', "\\": "\\\\"}
    return "".join(letters.get(one, f"\\u{ord(one):04X}" if one < " " else one) for one in name)


def squid_brackets(name: str) -> str:
    """`QuoteMimeBlob`, of names in Squid's own formats and of `%[un`."""
    letters = {13: "\\r", 10: "\\n", 92: "\\\\"}
    return "".join(
        letters.get(byte) or (f"%{byte:02x}" if byte < 32 or byte > 126 or chr(byte) in "%[]" else chr(byte))
        for byte in name.encode()
    )


def squid_quotes(name: str) -> str:
    letters = {'"': '\\"', "\\": "\\\\", "\r": "\\r", "\n": "\\n", "\t": "\\t"}
    return "".join(letters.get(one, one) for one in name)


def squid_url(name: str) -> str:
    """`rfc1738_escape`."""
    unsafe = "<>\"#%{}|\\^~[]`' "
    return "".join(
        f"%{byte:02X}" if byte < 32 or byte > 126 or chr(byte) in unsafe else chr(byte) for byte in name.encode()
    )


def squid_shell(name: str) -> str:
    letters = {'"': '\\"', "\\": "\\\\", "\r": "\\r", "\n": "\\n"}
    quoted = "".join(letters.get(one, one) for one in name)
    return f'"{quoted}"' if " " in name else quoted


TAIL = '[10/Mar/2026:09:00:00 +0000] "GET http://n.test/ HTTP/1.1" 200 7'
AGENT = ' "-" "a b"'
# The name where servers write it, and how the log is declared. Each name comes back, whatever is in it.
WRITTEN: dict[str, tuple[Declared, Callable[[str], str], str]] = {
    "common": (Declared(format="common"), apache, "10.0.0.1 - {} " + TAIL),
    "combined": (Declared(format="combined"), apache, "10.0.0.1 - {} " + TAIL + AGENT),
    "combinedio": (Declared(format="combinedio"), apache, "10.0.0.1 - {} " + TAIL + AGENT + " 1 2"),
    "nginx combined": (Declared(format="combined"), nginx, "10.0.0.1 - {} " + TAIL + AGENT),
    "nginx-main": (Declared(format="nginx-main"), nginx, "10.0.0.1 - {} " + TAIL + AGENT + ' "-"'),
    "apache ident": (Declared(apache_log_format='%h %l %u %t "%r" %>s %b'), apache, "10.0.0.1 - {} " + TAIL),
    "nginx": (Declared(nginx_log_format="$msec $remote_user"), nginx, "1773133200.123 {}"),
    "nginx json": (
        Declared(nginx_log_format='escape=json {"t":$msec,"u":"$remote_user","b":$bytes_sent}'),
        nginx_json,
        '{{"t":1773133200.123,"u":"{}","b":7}}',
    ),
    "nginx none": (Declared(nginx_log_format="escape=none $msec $remote_user"), lambda name: name, "1773133200.123 {}"),
    "squid-common": (Declared(format="squid-common"), squid_brackets, "10.0.0.1 - {} " + TAIL + " TCP_HIT:HIER_NONE"),
    "squid-combined": (
        Declared(format="squid-combined"),
        squid_brackets,
        "10.0.0.1 - {} " + TAIL + AGENT + " TCP_HIT:HIER_NONE",
    ),
    "squid quotes": (Declared(squid_logformat='%ts.%03tu "%un" %ru'), squid_quotes, '1773133200.123 "{}" http://n/ b'),
    "squid brackets": (Declared(squid_logformat="%ts.%03tu [%un] %ru"), squid_brackets, "1773133200.123 [{}] n/ b"),
    "squid url": (Declared(squid_logformat="%ts.%03tu %#un %ru"), squid_url, "1773133200.123 {} http://n/ b"),
    "squid shell": (Declared(squid_logformat="%ts.%03tu %/un %<st"), squid_shell, "1773133200.123 {} 7"),
    "squid raw": (Declared(squid_logformat="%ts.%03tu %<st %un"), lambda name: name, "1773133200.123 7 {}"),
}  # fmt: skip


@pytest.mark.parametrize("server", WRITTEN)
@given(name=NAMES)
def test_a_name_is_read_back_as_it_was(server: str, name: str) -> None:
    check(server, name)


@pytest.mark.parametrize("server", WRITTEN)
@pytest.mark.parametrize("name", ODD)
def test_an_odd_name_is_read_back_as_it_was(server: str, name: str) -> None:
    check(server, name)


def check(server: str, name: str) -> None:
    declared, write, line = WRITTEN[server]
    read = format_of(declared).read_line(line.format(write(name)).encode())
    assert isinstance(read, LineReading), read
    assert read.user == name


@given(name=NAMES)
@example(name="bob b")
def test_where_squid_writes_a_name_beside_a_url_it_is_read_or_ambiguous(name: str) -> None:
    line = f"1773133200.123 37 10.0.0.1 TCP_MISS/200 7 GET http://n.test/ {squid_brackets(name)} HIER_NONE/- a/b"
    read = format_of(Declared(format="squid")).read_line(line.encode())
    if " " in name[:-1]:  # the URL may end there, and what follows be the name
        assert isinstance(read, Unreadable)
        assert read.reason == "ambiguous"
    else:
        assert isinstance(read, LineReading), read
        assert read.user == name


@pytest.mark.parametrize("server", WRITTEN)
def test_nobody_has_no_name(server: str) -> None:
    declared, _, line = WRITTEN[server]
    nobody = "" if "json" in server or "none" in server else "-"
    read = format_of(declared).read_line(line.format(nobody).encode())
    assert isinstance(read, LineReading), read
    assert read.user == ""


def test_where_nginx_escapes_nothing_it_is_said_that_lines_can_be_forged() -> None:
    """A name with a newline: with `escape=none` nobody can tell what follows from a line that nginx wrote."""
    for escape in ("default", "json", "none"):
        made = format_of(Declared(nginx_log_format=f'escape={escape} $msec "$remote_user" $bytes_sent'))
        assert any("newline" in note for note in made.notes) == (escape == "none")
