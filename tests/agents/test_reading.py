"""Bytes of logs as text."""

import re

from hypothesis import example, given
from hypothesis import strategies as st

from flowtally.agents.reading import text_of

PIECES = st.sampled_from([b"\\", b"x", b"\\x", b"\\xff", b"\\x41", b"ff", b"e9", b"\xff", b"\xe9", b"\xc3", b"\xa9"])
RAW = st.lists(PIECES | st.binary(max_size=3) | st.text(max_size=3).map(str.encode), max_size=8).map(b"".join)
SPELT = re.compile(rb"\\x([89a-f][0-9a-f])")


@given(text=st.text())
@example(text="jos\\xe9")
@example(text="\ufffd\ufdd0\x00")
def test_text_in_utf_8_is_itself(text: str) -> None:
    assert text_of(text.encode()) == text


@given(raw=RAW)
@example(raw=b"\\\xff")
@example(raw=b"\\x\xff")
@example(raw=b"\xed\xb3\xbf")
def test_two_names_become_one_only_where_one_spells_a_byte_of_the_other(raw: bytes) -> None:
    """Where the bytes spell none, the text says which they were: so no others give it, but some that spell one."""
    if not SPELT.search(raw):
        assert SPELT.sub(lambda one: bytes([int(one[1], 16)]), text_of(raw).encode()) == raw
    assert text_of(rb"jos\xe9") == text_of(b"jos\xe9")
