"""What goes out of one request: in pieces, each when the one before was taken, and given up where nobody reads.

The HTTP server keeps a few pieces and waits with the next until the socket takes them: so a large answer is handed over
piece by piece, whether it is made that way or not, and stays in work until it is read. What is small goes at once.
"""

from __future__ import annotations

import asyncio
from typing import Final

from litestar.types import HTTPResponseBodyEvent, Send

from flowtally.core.errors import ClientGone

PIECE_BYTES: Final = 128 * 1024


class BodySender:
    """Stands where `send` stood, for bodies."""

    def __init__(self, send: Send, patience_s: int) -> None:
        self._send = send
        self._patience_s = patience_s
        self._in_pieces = False
        self.stalled = False  # nothing was read for so long: whoever sends has been told ClientGone

    async def body(self, message: HTTPResponseBodyEvent) -> None:
        body, more = message["body"], message.get("more_body", False)
        self._in_pieces = self._in_pieces or more or len(body) > PIECE_BYTES
        if not self._in_pieces:
            await self._send(message)
            return
        for start in range(0, max(len(body), 1), PIECE_BYTES):
            piece = body[start : start + PIECE_BYTES]
            going_on = more or start + PIECE_BYTES < len(body)
            await self._in_time({"type": "http.response.body", "body": piece, "more_body": going_on})

    async def _in_time(self, message: HTTPResponseBodyEvent) -> None:
        try:
            async with asyncio.timeout(self._patience_s):
                await self._send(message)
        except TimeoutError:
            self.stalled = True
            raise ClientGone(f"Nothing of the answer was read for {self._patience_s} s.") from None
