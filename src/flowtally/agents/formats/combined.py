"""Apache's and nginx's access logs, pure: `common`, `combined`, `combinedio` and either behind a virtual host's name.

`%h %l %u [time] "request" status size "referer" "agent" [bytes-in bytes-out]`. Sizes are bytes down, `-` is 0; only
`combinedio` (mod_logio's `%I %O`) knows bytes up. Whatever else follows the size is ignored. Quotes inside the request
are escaped (`\\"` by Apache, `\\x22` by nginx) or, from older programs, not; both are read. A request line that is
nonsense still was a request and counts.
"""

from __future__ import annotations

import re

from flowtally.agents.reading import Line, Reading, Unreadable, clf_at, quantity, text_of

_HEAD = (
    rb"(?:[^\s\[\":]+:\d+ )?"  # `%v:%p` of vhost_combined; two colons would be an IPv6 client
    rb"(?P<client>\S+) \S+ (?P<user>[^\[]*?|\S+) "
    rb"\[(?P<day>\d\d)/(?P<month>\w{3})/(?P<year>\d{4})"
    rb":(?P<hours>\d\d):(?P<minutes>\d\d):(?P<seconds>\d\d) (?P<zone>[+-]\d{4})\] "
)
_TAIL = rb" (?P<status>\d{3}|-) (?P<size>-|\d+)(?P<rest>(?: .*)?)"
_ESCAPED = re.compile(_HEAD + rb'"(?P<request>(?:[^"\\]|\\.)*)"' + _TAIL, re.DOTALL)
_UNESCAPED = re.compile(_HEAD + rb'"(?P<request>.*?)(?<!\\)"' + _TAIL, re.DOTALL)
_BYTES_IN_OUT = re.compile(rb' "(?:[^"\\]|\\.)*" "(?:[^"\\]|\\.)*" (\d+) (\d+)')
_ESCAPE = re.compile(rb'\\(?:x([0-9A-Fa-f]{2})|(["\\]))')


def read_line(line: bytes) -> Line:
    """One line of the log; never raises."""
    line = line.strip()
    if not line:
        return None
    match = _ESCAPED.fullmatch(line) or _UNESCAPED.fullmatch(line)
    if match is None:
        return Unreadable("not_this_format", "not a line of the common or combined log")
    time_at = _time_at(match)
    if time_at is None:
        return Unreadable("bad_time", f"no such time: {text_of(line[match.start('day') : match.end('zone')])}")
    both = _BYTES_IN_OUT.fullmatch(match["rest"])
    up, down = (quantity(both[1]), quantity(both[2])) if both else (0, quantity(match["size"]))
    if up is None or down is None:
        return Unreadable("bad_size", f"no quantity: {text_of(match['size'][:40])}")
    return Reading(
        time_at=time_at,
        bytes_up=up,
        bytes_down=down,
        status=quantity(match["status"]) or 0,
        client=text_of(match["client"]),
        user=_name(match["user"]),
        url=_url(match["request"]),
    )


def _time_at(match: re.Match[bytes]) -> int | None:
    day, month, year, zone = (match[name].decode("ascii", "replace") for name in ("day", "month", "year", "zone"))
    return clf_at(day, month, year, (int(match["hours"]), int(match["minutes"]), int(match["seconds"])), zone)


def _name(raw: bytes) -> str:
    raw = raw.strip()
    return "" if raw in (b"-", b'""', b"") else text_of(_ESCAPE.sub(_unescape, raw))


def _unescape(match: re.Match[bytes]) -> bytes:
    return bytes([int(match[1], 16)]) if match[1] else match[2]


def _url(request: bytes) -> str:
    parts = request.split(b" ")
    return text_of(parts[1]) if len(parts) > 1 else ""
