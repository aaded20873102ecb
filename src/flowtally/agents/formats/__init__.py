"""How logs are written: a declared format becomes an exact reader. A new one is a file here and a line in `FORMATS`."""

from __future__ import annotations

from collections.abc import Callable, Collection
from typing import Final

import msgspec

from flowtally.agents.formats import (
    cloudevents,
    envoy,
    haproxy,
    jsonlogs,
    members,
    names,
    strings,
    threeproxy,
    traefik,
    w3c,
)
from flowtally.agents.formats.declared import Declared, Format
from flowtally.agents.formats.envelopes import ENVELOPES, either, enveloped
from flowtally.agents.formats.times import Times
from flowtally.agents.reading import Line
from flowtally.core.errors import ConfigError

Maker = Callable[[Declared], Format]


def _plain(read_line: Callable[[bytes], Line]) -> Maker:
    """A format that is one function: nothing else is declared with it."""
    return lambda declared: Format(declared, read_line)


FORMATS: Final[dict[str, Maker]] = {
    **names.MAKERS,
    "cloudevents": _plain(cloudevents.read_line),
    "caddy": jsonlogs.caddy,
    "traefik": traefik.traefik,
    "nginx-json": jsonlogs.nginx,
    "envoy-json": jsonlogs.envoy,
    "envoy": envoy.named,
    "haproxy": haproxy.http,
    "haproxy-tcp": haproxy.tcp,
    "iis": w3c.iis,
    "w3c": w3c.w3c,
    "3proxy": threeproxy.named,
}
# What `--format` takes, beside an envelope before a name: `syslog:squid`, `cri:caddy`.
KNOWN: Final = (*FORMATS, "docker")
# What else a log may be declared by: a field of `Declared`, and the format its text makes.
STRINGS: Final[dict[str, Maker]] = {
    "haproxy_log_format": haproxy.by_string,
    "envoy_format": envoy.by_string,
    "threeproxy_logformat": threeproxy.by_string,
    "json_fields": members.json_fields,
    "squid_logformat": strings.of_squid,
    "nginx_log_format": strings.of_nginx,
    "apache_log_format": strings.of_apache,
}
BESIDE: Final = ("envelope", "time_format", "zone")  # go with any format, and are none


def format_of(declared: Declared) -> Format:
    """The format made ready, for one log. ConfigError where it is unknown, of no use, or two are declared."""
    declared, alone = _unfolded(declared)
    said = [name for name, text in msgspec.structs.asdict(declared).items() if text and name not in BESIDE]
    if len(said) > 1:
        both = ", ".join(_options(said))
        raise ConfigError(f"say exactly one of {both}: each declares how the lines are written")
    if not said:
        raise ConfigError(f"say how the lines are written: exactly one of {', '.join(_options())} (or --format-from)")
    times_of(declared)  # refuses a time format or a zone of no use, whatever the format makes of them
    if said == ["format"] and declared.format not in FORMATS:
        raise ConfigError(f"--format {declared.format!r}: known are {', '.join(KNOWN)}")
    made = (FORMATS[declared.format] if said == ["format"] else STRINGS[said[0]])(declared)
    if alone:
        made = either(made, FORMATS["nginx-main"](declared))
    return enveloped(made, declared.envelope) if declared.envelope else made


def _unfolded(declared: Declared) -> tuple[Declared, bool]:
    """`docker:squid` is Squid's log in Docker's envelope; `docker` alone is the combined log or nginx's `main`."""
    envelope, colon, name = declared.format.partition(":")
    alone = declared.format == "docker"
    if envelope not in ENVELOPES or not (colon or alone):
        return declared, False
    if declared.envelope:
        raise ConfigError(f"--format {declared.format} says an envelope, and so does --envelope {declared.envelope}")
    return msgspec.structs.replace(declared, format="combined" if alone else name, envelope=envelope), alone


def times_of(declared: Declared) -> Times:
    """Reads the times of this log, for a format that names no other spelling, and for `--pattern`."""
    return Times(declared.time_format, declared.zone)


def _options(names: Collection[str] = ("format", *STRINGS)) -> list[str]:
    return ["--" + field.encode_name for field in msgspec.structs.fields(Declared) if field.name in names]


__all__ = ["BESIDE", "ENVELOPES", "FORMATS", "KNOWN", "STRINGS", "Declared", "Format", "format_of", "times_of"]
