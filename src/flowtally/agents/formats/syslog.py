"""A syslog header before each line, as RFC 5424 has it and as daemons write RFC 3164 to files: `Mar 10 09:00:00 lb
haproxy[7]: ...`, with or without priority and host, with a time of ISO 8601 or of RFC 3164. Pure.

RFC 3164 writes no year, so its time is no instant, whatever is declared (decision 0082). A daemon may write one with a
year (`Mar 10 2026 09:00:00`), or ISO 8601 without a zone: then the declared zone counts.
"""

from __future__ import annotations

import re
from typing import Final

from flowtally.agents.formats.declared import Wrapped
from flowtally.agents.formats.times import BadTime, Times
from flowtally.agents.reading import Unreadable

NO_YEAR: Final = "RFC 3164 writes no year: log a time within the line, or have the daemon write RFC 5424's"
_YEAR: Final = re.compile(r"([A-Z][a-z]{2}) ([ \d]\d) (\d{4}) (\d\d:\d\d:\d\d(?:\.\d+)?)", re.ASCII)
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


class Syslog:
    """Takes lines of syslog out of it; `zone` is of times that say none."""

    def __init__(self, zone: str = "") -> None:
        self._iso = Times("iso8601", zone)
        self._old = Times("%d/%b/%Y:%H:%M:%S", zone), Times("%d/%b/%Y:%H:%M:%S.%f", zone)

    def unwrap(self, line: bytes) -> Wrapped | Unreadable | None:
        """What one line holds."""
        match = _RFC5424.fullmatch(line) or _RFC3164.fullmatch(line)
        if match is None:
            return Unreadable("not_this_format", "not a line of syslog") if line.strip() else None
        text = match["text"] or b""
        try:
            return Wrapped(text, time_at=self._at(match["time"].decode("ascii")))
        except BadTime as error:
            return Wrapped(text, fault=str(error))

    def _at(self, time: str) -> int:
        if not time[0].isalpha():
            return self._iso.at(time)
        dated = _YEAR.fullmatch(time)
        if dated is None:
            raise BadTime(NO_YEAR)
        month, day, year, clock = dated.groups()
        return self._old["." in clock].at(f"{day.replace(' ', '0')}/{month}/{year}:{clock}")
