"""What each line of a log is wrapped in, taken off before the format reads it. Declared, never found by shape.

The time within counts; the envelope's where the format within names none. `docker` alone is what a web server in a
container writes: the combined log, or nginx's own `main`, which has one quoted value more that counts nothing.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from typing import Final

import msgspec

from flowtally.agents.formats.containers import Cri, Docker, journald
from flowtally.agents.formats.declared import Envelope, Format, Wrapped
from flowtally.agents.formats.syslog import NO_YEAR, Syslog
from flowtally.agents.reading import Line, LineReading, Unreadable
from flowtally.core.errors import ConfigError

Unwrap = Callable[[bytes], Wrapped | Unreadable | None]
Remember = Callable[[Iterable[bytes]], None]
ENVELOPES: Final = ("syslog", "docker", "cri", "journald")


def enveloped(inner: Format, name: str) -> Format:
    """`inner` for lines in this envelope. ConfigError for one that is not known."""
    unwrap, remember = _unwrapping(name, inner.declared.zone)

    def read(held: Wrapped) -> Line:
        return _dated(inner.read_line(held.text), held)

    def read_line(line: bytes) -> Line:
        held = unwrap(line)
        return read(held) if isinstance(held, Wrapped) else held

    return msgspec.structs.replace(
        inner,
        read_line=read_line,
        notes=(*inner.notes, *_undated(inner, name)),
        means=inner.means if "time" in inner.means or not inner.means else {"time": name, **inner.means},
        remember=_remembering(inner, unwrap, remember),
        envelope=Envelope(unwrap, read),
    )


def either(first: Format, second: Format) -> Format:
    """Lines of either format; for those that no line of one is a line of the other."""

    def read_line(line: bytes) -> Line:
        read = first.read_line(line)
        if isinstance(read, Unreadable) and read.reason == "not_this_format":
            other = second.read_line(line)
            return read if isinstance(other, Unreadable) and other.reason == "not_this_format" else other
        return read

    return msgspec.structs.replace(first, read_line=read_line)


def _undated(inner: Format, name: str) -> tuple[str, ...]:
    return (NO_YEAR,) if name == "syslog" and inner.means and "time" not in inner.means else ()


def _unwrapping(name: str, zone: str) -> tuple[Unwrap, Remember | None]:
    if name == "syslog":
        return Syslog(zone).unwrap, None
    if name == "journald":
        return journald, None
    if name in ("docker", "cri"):
        container = Docker() if name == "docker" else Cri()
        return container.unwrap, container.remember
    raise ConfigError(f"--envelope {name!r}: known are {', '.join(ENVELOPES)}")


def _remembering(inner: Format, unwrap: Unwrap, remember: Remember | None) -> Remember | None:
    """Both may remember: the envelope its last piece, the format within what its lines said."""
    within = inner.remember
    if within is None:
        return remember

    def both(lines: Iterable[bytes]) -> None:
        if remember:
            remember(())
        within(_held(unwrap, lines))

    return both


def _held(unwrap: Unwrap, lines: Iterable[bytes]) -> Iterator[bytes]:
    for line in lines:
        if isinstance(held := unwrap(line), Wrapped):
            yield held.text


def _dated(read: Line, held: Wrapped) -> Line:
    if not isinstance(read, LineReading) or read.time_at is not None or read.id:
        return read
    if held.time_at is None:
        return Unreadable("bad_time", held.fault or "neither the line nor its envelope says an instant")
    return msgspec.structs.replace(read, time_at=held.time_at)
