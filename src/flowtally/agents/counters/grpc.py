"""One unary gRPC call over clear HTTP/2, and the few protobuf types its messages here are made of.

gRPC over HTTP/2 is a POST whose body and answer are a flag, four bytes of length and a message
(https://github.com/grpc/grpc/blob/master/doc/PROTOCOL-HTTP2.md), protobuf is tags, varints and texts
(https://protobuf.dev/programming-guides/encoding/). httpx speaks HTTP/2 with `h2`, so no gRPC library is needed. It
does not show trailers, where the status of an answer with a message stands; an answer without one says it in its head,
and only a whole message is taken for an answer.
"""

from __future__ import annotations

import time
from collections.abc import Iterator
from typing import Final
from urllib.parse import unquote

import httpx

from flowtally.agents.counters.asking import MAX_ANSWER_BYTES
from flowtally.agents.counters.stood import Unasked
from flowtally.core.texts import printable

HEADERS: Final = {"Content-Type": "application/grpc", "TE": "trailers", "Accept-Encoding": "identity"}
UNIMPLEMENTED: Final = "12"
MAX_S: Final = 60.0
FIXED: Final = {1: 8, 5: 4}  # bytes of the kinds of fields that have one size

Value = int | bytes
Field = tuple[int, Value]


class NoSuchMethod(Unasked):
    """The server has no service or method of this name."""


def channel(timeout_s: float, transport: httpx.BaseTransport | None = None) -> httpx.Client:
    """To ask over; no proxy of the shell's settings is in between."""
    return httpx.Client(http1=False, http2=True, trust_env=False, timeout=timeout_s, transport=transport)


def unary(http: httpx.Client, address: str, method: str, message: bytes) -> bytes:
    """The message that answers this one. `method`: package.Service/Method. Unasked."""
    end = time.monotonic() + (http.timeout.read or MAX_S)
    body = b"\0" + len(message).to_bytes(4, "big") + message
    try:
        with http.stream("POST", f"http://{address}/{method}", content=body, headers=HEADERS) as response:
            _check(response, address, method)
            answer = _bounded(response, address, end)
    except httpx.HTTPError as error:
        raise Unasked(f"{address}: {printable(f'{type(error).__name__} {error}'.strip(), 200)}") from None
    if len(answer) < 5 or answer[0] != 0 or len(answer) - 5 != int.from_bytes(answer[1:5], "big"):
        raise Unasked(f"{address}: {method} answered no whole message")
    return answer[5:]


def _check(response: httpx.Response, address: str, method: str) -> None:
    status = response.headers.get("grpc-status", "0")
    if status == UNIMPLEMENTED:
        raise NoSuchMethod(f"{address}: there is no {method}")
    if response.status_code != 200 or status != "0":
        said = printable(unquote(response.headers.get("grpc-message", "")), 200)
        raise Unasked(f"{address}: {method} answered {response.status_code}, gRPC status {status} {said}".rstrip())


def _bounded(response: httpx.Response, address: str, end: float) -> bytes:
    pieces, size = [], 0
    for piece in response.iter_bytes():
        pieces.append(piece)
        size += len(piece)
        if size > MAX_ANSWER_BYTES:
            raise Unasked(f"{address} answers more than {MAX_ANSWER_BYTES} bytes")
        if time.monotonic() > end:  # a time-out of httpx is of each piece
            raise Unasked(f"{address} did not answer in time")
    return b"".join(pieces)


def text_field(number: int, text: str) -> bytes:
    """A text as a field of a message."""
    raw = text.encode()
    return bytes([number << 3 | 2]) + _varint(len(raw)) + raw


def fields(message: bytes) -> Iterator[Field]:
    """The fields of a message in their order: numbers as they stand, texts and messages as bytes. ValueError."""
    at = 0
    while at < len(message):
        tag, at = _read_varint(message, at)
        kind = tag & 7
        if kind == 0:
            value, at = _read_varint(message, at)
            yield tag >> 3, value
            continue
        if kind == 2:
            size, at = _read_varint(message, at)
        elif kind in FIXED:
            size = FIXED[kind]
        else:
            raise ValueError(f"a field of kind {kind}")
        if at + size > len(message):
            raise ValueError(f"a field of {size} bytes at {at} of {len(message)}")
        yield tag >> 3, message[at : at + size]
        at += size


def _varint(number: int) -> bytes:
    out = bytearray()
    while number > 127:
        out.append(number & 127 | 128)
        number >>= 7
    out.append(number)
    return bytes(out)


def _read_varint(message: bytes, at: int) -> tuple[int, int]:
    number = shift = 0
    while at < len(message) and shift < 70:
        byte = message[at]
        number |= (byte & 127) << shift
        at, shift = at + 1, shift + 7
        if byte < 128:
            return number & (2**64 - 1), at
    raise ValueError(f"a number that does not end at {at}")
