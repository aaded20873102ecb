"""What an operator says about how a log is written, and what is made of it: values only."""

from __future__ import annotations

from collections.abc import Callable

import msgspec

from flowtally.agents.reading import Line


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
    json_fields: str = ""
    envelope: str = ""
    time_format: str = ""
    zone: str = ""


class Format(msgspec.Struct, frozen=True):
    """A declared format made ready; the reader may remember directives of the log (`#Fields:`), so one for each log.

    `means` are the meanings it names, each with the field it is read from (`bytes_down` -> `%<st`), for people to look
    at; `notes` what it cannot know. `remember`, where there is one, wants the lines before the place where reading
    begins.
    """

    declared: Declared
    read_line: Callable[[bytes], Line]
    means: dict[str, str] = {}
    notes: tuple[str, ...] = ()
    remember: Callable[[bytes], None] | None = None
