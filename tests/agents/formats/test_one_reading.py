"""The core of compiled formats against a slow obvious model: all ways to cut a line into its fields.

A line is read if it has one reading, and as that; it is `ambiguous` if it has more that differ in fields that count,
and not of the format if it has none. Formats are made at random: kinds of fields as the servers write them, and texts
between them that the fields may hold, too.
"""

from __future__ import annotations

import re
import time
from collections.abc import Callable, Sequence

import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from flowtally.agents.formats import Declared, format_of
from flowtally.agents.formats.compiled import Compiled, Field, Means, Piece
from flowtally.agents.formats.escapes import APACHE, RAW, SQUID_BRACKETS, SQUID_QUOTES, SQUID_SHELL, SQUID_URL, Escape
from flowtally.agents.formats.fields import addresses, first_address, ident, padded, text
from flowtally.agents.reading import LineReading, Unreadable
from flowtally.core.errors import ConfigError

MEANS: tuple[Means, ...] = ("user", "client", "url", "account", "product", "id")
ALPHABET = b' "\\[]a1-,%'


def of(escape: Escape, *, empty: bool = True, also: bytes = b"") -> Callable[[str], Field]:
    return lambda name: text(name, escape, empty=empty, also=also)


KINDS: list[Callable[[str], Field]] = [
    of(APACHE),
    of(APACHE, empty=False, also=b'""'),
    of(RAW, empty=False),
    of(SQUID_BRACKETS),
    of(SQUID_QUOTES),
    of(SQUID_URL, empty=False),
    of(SQUID_SHELL, empty=False, also=rb'"(?:[^"\\\r\n]|\\["\\rn])*"'),
    lambda name: ident(name, APACHE),
    lambda name: addresses(name, first_address(APACHE)),
    lambda name: Field(name=name),
    lambda name: Field(name=name, wide=rb"."),
    lambda name: Field(name=name, pattern=rb"-|\d+"),
    lambda name: Field(name=name, pattern=rb"\d{2}"),
    lambda name: padded(Field(name=name, pattern=rb"-|\d+"), left=False),
    lambda name: padded(Field(name=name, pattern=rb"\d+"), left=True),
]
BETWEEN = [b" ", b' "', b'" ', b'" "', b" [", b"] ", b"-", b"/", b" - ", b"  ", b", ", b""]
EDGES = [b"", b'"', b"[", b" ", b"a"]


@st.composite
def formats(draw: st.DrawFn) -> list[Piece]:
    """Up to five fields of any kind, some of which count."""
    count = draw(st.integers(1, 5))
    means = draw(st.permutations(MEANS))
    pieces: list[Piece] = [draw(st.sampled_from(EDGES))]
    for place in range(count):
        field = draw(st.sampled_from(KINDS))(f"%{place}")
        counts = draw(st.booleans())
        pieces.append(
            Field(
                name=field.name,
                pattern=field.pattern,
                wide=field.wide,
                full=field.full,
                means=means[place] if counts else "",
                convert=lambda raw: raw.decode("latin-1"),
            )
        )
        pieces.append(draw(st.sampled_from(BETWEEN if place < count - 1 else EDGES)))
    return pieces


@st.composite
def lines_of(draw: st.DrawFn, pieces: Sequence[Piece]) -> bytes:
    """A line that the format can write, mostly; else any."""
    written = b""
    for piece in pieces:
        if isinstance(piece, bytes):
            written += piece
        else:
            written += draw(st.from_regex(re.compile(piece.language), fullmatch=True) | anything)
    return written


anything = st.lists(st.sampled_from([bytes([byte]) for byte in ALPHABET]), max_size=6).map(b"".join)


def readings(pieces: Sequence[Piece], line: bytes) -> set[tuple[tuple[int, int], ...]]:
    """The model: every way to cut the line, as the places of the fields that count."""
    ways: dict[int, set[tuple[tuple[int, int], ...]]] = {0: {()}}
    for piece in pieces:
        after: dict[int, set[tuple[tuple[int, int], ...]]] = {}
        for start, before in ways.items():
            if isinstance(piece, bytes):
                if line.startswith(piece, start):
                    after.setdefault(start + len(piece), set()).update(before)
                continue
            language = re.compile(piece.language, re.DOTALL)
            for end in range(start, len(line) + 1):
                if language.fullmatch(line[start:end]):
                    known = after.setdefault(end, set())
                    known.update({(*one, (start, end)) for one in before} if piece.means else before)
        ways = after
    return ways.get(len(line), set())


@settings(max_examples=600, deadline=None)
@given(st.data())
def test_a_line_is_read_where_it_has_one_reading_and_as_that(data: st.DataObject) -> None:
    pieces = data.draw(formats())
    try:
        compiled = Compiled(pieces, "this format", needs_time=False)
    except ConfigError:
        assume(False)
        raise
    for _ in range(4):
        line = data.draw(st.one_of(lines_of(pieces), lines_of(pieces), anything))
        if not line.strip() or len(line) > 60 or b"\n" in line:
            continue
        check(pieces, compiled, line)


def test_a_line_that_cannot_end_as_the_format_does_is_none_of_it_however_it_may_begin() -> None:
    """Its first fields may be cut in two ways, its last ones in none."""
    raw, address, quoted = KINDS[2]("%0"), KINDS[8]("%1"), KINDS[0]
    client = Field(name="%1", pattern=address.pattern, wide=address.wide, full=address.full, means="client")
    pieces: list[Piece] = [b"", raw, b"/", client, b" ", quoted("%2"), b' "', KINDS[8]("%3"), b" ", quoted("%4"), b""]
    compiled = Compiled(pieces, "this format", needs_time=False)
    for line in (b'\x00\x00//\x00  " ', b'a/b/c d "e f', b'a/b/c d "e ', b"a/b/c d"):
        check(pieces, compiled, line)


def check(pieces: Sequence[Piece], compiled: Compiled, line: bytes) -> None:
    found = readings(pieces, line)
    read = compiled.read_line(line)
    if len(found) == 1:
        fields = [piece for piece in pieces if isinstance(piece, Field) and piece.means]
        values = {
            field.means: line[start:end].decode("latin-1")
            for field, (start, end) in zip(fields, found.pop(), strict=True)
        }
        assert isinstance(read, LineReading), (line, read)
        assert {means: getattr(read, means) for means in values} == values
    else:
        assert isinstance(read, Unreadable), (line, found)
        assert read.reason == ("ambiguous" if found else "not_this_format"), (line, found)


@pytest.mark.parametrize(
    "declared",
    [
        Declared(format="vhost_combined"),
        Declared(format="squid"),  # whose unreadable lines are looked at under the other names
        Declared(nginx_log_format="$host:$upstream_addr/$upstream_status:$upstream_addr $msec $bytes_sent"),
        Declared(apache_log_format="%A/%L/%{x}P/%A %t %b"),
        Declared(apache_log_format="%A:%L %{x}P:%A %t %b"),
    ],
)
def test_no_line_however_odd_takes_for_ever(declared: Declared) -> None:
    read_line = format_of(declared).read_line
    for odd in (b":", b"/", b":/", b"a:", b" :", b": / "):
        line = odd * (60_000 // len(odd)) + b" x"
        begins = time.monotonic()
        assert isinstance(read_line(line), Unreadable)
        assert time.monotonic() - begins < 30
