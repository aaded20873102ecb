"""Logs as files have them: any text, in any encoding, packed in any number of members."""

from __future__ import annotations

import bz2
import gzip
import lzma
from collections.abc import Callable, Sequence
from functools import partial
from itertools import pairwise

import zstandard
from hypothesis import strategies as st

PACKERS: dict[str, Callable[[bytes], bytes]] = {
    "gzip": gzip.compress,
    "xz": partial(lzma.compress, preset=0),
    "bzip2": bz2.compress,
    "zstd": zstandard.ZstdCompressor().compress,
}
ENCODINGS = ("utf-8", "utf-8-sig", "utf-16-le", "utf-16-be")


def encoded(text: str, encoding: str) -> bytes:
    """With the byte order mark that UTF-16 must have here."""
    mark = b"" if encoding.startswith("utf-8") else "\ufeff".encode(encoding)
    return mark + text.encode(encoding)


def packed(data: bytes, packing: str, cuts: Sequence[int] = ()) -> bytes:
    """`data` cut at these places, each part a member of its own."""
    if not packing:
        return data
    places = [0, *sorted(min(cut, len(data)) for cut in cuts), len(data)]
    return b"".join(PACKERS[packing](data[start:end]) for start, end in pairwise(places))


packings = st.sampled_from(["", *PACKERS])
encodings = st.sampled_from(ENCODINGS)
cuts = st.lists(st.integers(0, 400), max_size=3)
# What may stand in a line: no NUL, which is told apart, nothing that ends a line, no mark at its beginning.
line_texts = st.text(st.characters(blacklist_characters="\0\r\n\ufeff", blacklist_categories=["Cs", "Cc"]), max_size=30)
