"""Squid's native access log, pure: `%ts.%03tu %6tr %>a %Ss/%03>Hs %<st %rm %ru %[un %Sh/%<a %mt`, and ours with `%>st`.

The native format knows only the bytes sent to the client; with `%>st` (bytes received from the client, tunnels
included) appended at its end both directions are metered. Either is recognised line by line. The time is when Squid
wrote the line, that is when the request or tunnel ended. Names are percent-encoded (`%[un`) and are decoded here.
A 407 line carries the name a client claimed, not proved; `Mapping.skip_status` leaves such lines out.
See https://wiki.squid-cache.org/Features/LogFormat.
"""

from __future__ import annotations

import re
from urllib.parse import unquote_to_bytes

from flowtally.agents.reading import Line, Reading, Unreadable, epoch_at, quantity, text_of

# The URL is matched lazily and everything right of it by its shape, because `uri_whitespace allow` lets blanks into it.
_NATIVE = re.compile(
    rb"\s*(?P<seconds>\d+)(?:\.(?P<fraction>\d+))?"
    rb"\s+-?\d+"  # elapsed: negative after a step of the clock, and of no interest to a meter
    rb"\s+(?P<client>\S+)"
    rb"\s+[A-Za-z_]+/(?P<status>\d{3}|-)"
    rb"\s+(?P<down>\S+)"
    rb"\s+\S+"  # method
    rb"\s+(?P<url>\S.*?)"
    rb"\s+(?P<user>\S+)"
    rb"\s+(?:[A-Z][A-Z0-9_]*|-)/\S+"  # how the origin was reached
    rb"\s+\S+"  # media type, `-` if unknown
    rb"(?:\s+(?P<up>-|-?\d+))?\s*"
)


def read_line(line: bytes) -> Line:
    """One line of the log; never raises."""
    if not line.strip():
        return None
    match = _NATIVE.fullmatch(line)
    if match is None:
        return Unreadable("not_this_format", "not a line of Squid's native log")
    time_at = epoch_at(match["seconds"], match["fraction"] or b"0")
    if time_at is None:
        return Unreadable("bad_time", f"no instant: {text_of(match['seconds'][:40])}")
    up, down = quantity(match["up"] or b"-"), quantity(match["down"])
    if up is None or down is None:
        return Unreadable(
            "bad_size", f"no quantity: {text_of(match['down'][:40])} {text_of((match['up'] or b'-')[:40])}"
        )
    return Reading(
        time_at=time_at,
        bytes_up=up,
        bytes_down=down,
        status=quantity(match["status"]) or 0,
        client=text_of(match["client"]),
        user=_name(match["user"]),
        url=text_of(match["url"]),
    )


def _name(raw: bytes) -> str:
    return "" if raw == b"-" else text_of(unquote_to_bytes(raw))
