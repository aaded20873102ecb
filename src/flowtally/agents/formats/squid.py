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

# time elapsed client action/status size method | url, perhaps with blanks (`uri_whitespace`) | user hierarchy type
_HEAD = re.compile(rb"(\d+)(?:\.(\d+))? -?\d+ (\S+) [A-Za-z_]+/(\d{3}|-) (\S+) \S+")
_HIERARCHY = re.compile(rb"(?:[A-Z][A-Z0-9_]*|-)/\S+")  # how the origin was reached: HIER_DIRECT/10.0.0.1
_COUNT = re.compile(rb"-|-?\d+")
_HEAD_FIELDS = 6
_NOT_OURS = Unreadable("not_this_format", "not a line of Squid's native log")


def read_line(line: bytes) -> Line:
    """One line of the log; never raises."""
    fields = line.split()
    if not fields:
        return None
    # Head and tail are known by their shape and the URL is what remains; one regular expression over all of it would
    # try quadratically many splits of a hostile line.
    head = _HEAD.fullmatch(b" ".join(fields[:_HEAD_FIELDS]))
    tail = fields[_HEAD_FIELDS:]
    up_raw = b"-"
    if len(tail) >= 5 and _COUNT.fullmatch(tail[-1]) and _HIERARCHY.fullmatch(tail[-3]):
        up_raw = tail.pop()
    if head is None or len(tail) < 4 or not _HIERARCHY.fullmatch(tail[-2]):
        return _NOT_OURS
    seconds, fraction, client, status, down_raw = head.groups()
    time_at = epoch_at(seconds, fraction or b"0")
    if time_at is None:
        return Unreadable("bad_time", f"no instant: {text_of(seconds[:40])}")
    up, down = quantity(up_raw), quantity(down_raw)
    if up is None or down is None:
        return Unreadable("bad_size", f"no quantity: {text_of(down_raw[:40])} {text_of(up_raw[:40])}")
    return Reading(
        time_at=time_at,
        bytes_up=up,
        bytes_down=down,
        status=quantity(status) or 0,
        client=text_of(client),
        user=_name(tail[-3]),
        url=text_of(b" ".join(tail[:-3])),
    )


def _name(raw: bytes) -> str:
    return "" if raw == b"-" else text_of(unquote_to_bytes(raw))
