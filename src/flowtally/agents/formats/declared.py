"""What an operator says about how a log is written, and what is made of it: values only."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping

import msgspec

from flowtally.agents.reading import Line, Unreadable


class Declared(msgspec.Struct, frozen=True, omit_defaults=True, forbid_unknown_fields=True, rename="kebab"):
    """`format` is a known name; each `..._format` is the server's own format string. One of these, not two.

    `json_fields`: `time=ts,bytes_down=size,user=request.user`, JSON lines by the names of their members. `envelope`:
    what each line is wrapped in (`syslog`, `docker` ...). `time_format` is a strptime format or a known name, `zone`
    the zone of times that say none.
    """

    format: str = ""
    squid_logformat: str = ""
    nginx_log_format: str = ""
    apache_log_format: str = ""
    haproxy_log_format: str = ""
    envoy_format: str = ""
    threeproxy_logformat: str = msgspec.field(default="", name="3proxy-logformat")
    json_fields: str = ""
    envelope: str = ""
    time_format: str = ""
    zone: str = ""


def gaps(means: Mapping[str, str]) -> tuple[str, ...]:
    """What a format of these meanings cannot tell, as notes."""
    told = {"bytes_up": "bytes from the client", "bytes_down": "bytes to the client", "user": "a user's name"}
    return tuple(f"the format does not tell {what}" for one, what in told.items() if one not in means)


class Wrapped(msgspec.Struct, frozen=True, gc=False):
    """The text that an envelope holds, and the instant the envelope says; where it says none, why."""

    text: bytes
    time_at: int | None = None
    fault: str = ""


class Envelope(msgspec.Struct, frozen=True):
    """`unwrap` gives None where there is nothing (a blank line, a piece of a line whose rest is to come); `read` reads
    what it held by the format within."""

    unwrap: Callable[[bytes], Wrapped | Unreadable | None]
    read: Callable[[Wrapped], Line]


class Format(msgspec.Struct, frozen=True):
    """A declared format made ready. A reader may remember what lines before said (`#Fields:`), so one for each log.

    `means` are the meanings it names, each with the field it is read from (`bytes_down` -> `%<st`), for people to look
    at; `notes` what it cannot know, `doubts` which lines it may be unable to read. `remember`, where there is one, is
    called each time reading begins, with all lines before that place, in order: it forgets what it knew and takes from
    them what it needs. `envelope` is there where one is declared; `read_line` sees to it. `takes_times`: its times are
    read as `--time-format` says.
    """

    declared: Declared
    read_line: Callable[[bytes], Line]
    means: dict[str, str] = {}
    notes: tuple[str, ...] = ()
    remember: Callable[[Iterable[bytes]], None] | None = None
    envelope: Envelope | None = None
    takes_times: bool = False
    doubts: tuple[str, ...] = ()
