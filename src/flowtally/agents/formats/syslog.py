"""A syslog header before each line, as RFC 5424 has it and as daemons write RFC 3164 to files: `Mar 10 09:00:00 lb
haproxy[7]: ...`, with or without priority and host, with a time of ISO 8601 or of RFC 3164. Pure.

RFC 3164 writes neither year nor zone, so its time is no instant, whatever is declared (decision 0082).
"""

from __future__ import annotations

import re
from typing import Final

from flowtally.agents.formats.declared import Wrapped
from flowtally.agents.formats.times import BadTime, Times
from flowtally.agents.reading import Unreadable

NO_YEAR: Final = "RFC 3164 writes no year: log a time within the line, or have the daemon write RFC 5424's"
_TIMES: Final = Times("iso8601")
_ISO: Final = rb"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(?:[.,]\d+)?(?:Z|[+-]\d\d:?\d\d)?"
_OLD: Final = rb"[A-Z][a-z]{2} [ \d]\d (?:\d{4} )?\d\d:\d\d:\d\d(?:\.\d+)?(?: [A-Z]{3,4})?"
# `squid[86]:`, `(squid-1):`, `nginx:`, and Squid's line of an rsyslog template, `squid 86 [local0.info]`
_TAG: Final = rb"[^\s:\[\]]{1,64}(?:\[[^\]\s]{0,32}\])?:|[^\s:\[\]]{1,64} \d+ \[\w+\.\w+\]"
_RFC3164: Final = re.compile(
    rb"(?:<\d{1,3}>)?(?P<time>"
    + _ISO
    + rb"|"
    + _OLD
    + rb"):? (?:(?P<host>\S{0,254}[^\s:]) )??(?:"
    + _TAG
    + rb") ?(?P<text>.*)",
    re.DOTALL,
)
_RFC5424: Final = re.compile(
    rb"(?:<\d{1,3}>)?1 (?P<time>-|" + _ISO + rb') \S+ \S+ \S+ \S+ (?:-|(?:\[(?:[^\]"\\]|\\.|"(?:[^"\\]|\\.)*")*\])+)'
    rb"(?: (?:\xef\xbb\xbf)?(?P<text>.*))?",
    re.DOTALL,
)


def unwrap(line: bytes) -> Wrapped | Unreadable | None:
    """What one syslog line holds."""
    match = _RFC5424.fullmatch(line) or _RFC3164.fullmatch(line)
    if match is None:
        return Unreadable("not_this_format", "not a line of syslog") if line.strip() else None
    time = match["time"].decode("ascii")
    if time[0].isalpha():
        return Wrapped(match["text"] or b"", fault=NO_YEAR)
    try:
        return Wrapped(match["text"] or b"", time_at=_TIMES.at(time))
    except BadTime as error:
        return Wrapped(match["text"] or b"", fault="syslog's time: " + str(error))
