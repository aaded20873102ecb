"""The format strings of Squid, nginx and Apache as an operator declares them, made ready: `Format`s.

A string may be given as the server's configuration has it, with the directive's own name and its quotes, or bare.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from typing import Final

import msgspec

from flowtally.agents.formats import apache, clock, nginx, squid
from flowtally.agents.formats.compiled import Compiled, Field, Piece
from flowtally.agents.formats.declared import Declared, Format
from flowtally.core.errors import ConfigError

_UPLOADS: Final = {
    "squid": "%>st is what Squid received from the client",
    "nginx": "$request_length is what nginx received from the client",
    "apache": "%I of mod_logio is what Apache received from the client",
    "e2guardian": "e2guardian logs what it sent, and of that bodies only",
}
OPTIONS: Final = {
    "squid": "squid-logformat", "nginx": "nginx-log-format", "apache": "apache-log-format",
    "e2guardian": "squid-logformat",
}  # fmt: skip
_NAMED: Final = {"time": "a time", "bytes_down": "bytes sent to the client", "user": "a user's name"}
_FORGED: Final = (
    "escape=none writes names raw: after a newline in one a client can write lines of other users (log with "
    "escape=default or json)"
)


def of_squid(declared: Declared) -> Format:
    return made(declared, "squid", squid_pieces(declared.squid_logformat, declared), "--squid-logformat")


def of_nginx(declared: Declared) -> Format:
    string, escape = nginx_string(declared.nginx_log_format)
    read = made(declared, "nginx", nginx.pieces(string, escape), "--nginx-log-format")
    return msgspec.structs.replace(read, notes=(*read.notes, _FORGED)) if escape == "none" else read


def of_apache(declared: Declared) -> Format:
    return made(declared, "apache", apache_pieces(declared.apache_log_format, declared), "--apache-log-format")


def squid_pieces(string: str, declared: Declared) -> list[Piece]:
    string = re.sub(r"^\s*logformat\s+\S+\s+", "", string)
    return squid.pieces(string, clock.strftime_field(declared.zone))


def apache_pieces(string: str, declared: Declared) -> list[Piece]:
    return apache.pieces(apache_string(string), clock.strftime_field(declared.zone))


def nginx_pieces(string: str) -> list[Piece]:
    return nginx.pieces(*nginx_string(string))


def made(
    declared: Declared,
    server: str,
    pieces: Sequence[Piece],
    what: str,
    *,
    hint: Callable[[bytes], str] | None = None,
) -> Format:
    """The pieces as a format. `what` names it in messages."""
    compiled = Compiled(pieces, what, needs_time=not declared.envelope, hint=hint)
    _check_unknown(pieces, compiled, what)
    return Format(declared, compiled.read_line, compiled.means, _notes(compiled, server), doubts=_doubts(compiled))


def _check_unknown(pieces: Sequence[Piece], compiled: Compiled, what: str) -> None:
    """A value that nobody here knows the looks of must end where nothing but its end can be."""
    unknown = {piece.name for piece in pieces if isinstance(piece, Field) and nginx.is_unknown(piece.name)}
    for names in compiled.doubtful:
        if found := [name for name in names if name in unknown]:
            raise ConfigError(
                f"{what}: {found[0]} is not known here and may hold what stands behind it: put it in double quotes"
            )


def _notes(compiled: Compiled, server: str) -> tuple[str, ...]:
    notes = []
    if "bytes_up" not in compiled.means:
        notes.append(f"the format does not tell uploads, so bytes up are 0 ({_UPLOADS[server]})")
    notes += [f"the format does not tell {said}" for means, said in _NAMED.items() if means not in compiled.means]
    return tuple(notes)


def _doubts(compiled: Compiled) -> tuple[str, ...]:
    return tuple(
        f"a line in which {' or '.join(names)} holds what stands between them is ambiguous, and not read: log them in "
        "double quotes"
        for names in compiled.doubtful
    )


def apache_string(string: str) -> str:
    r"""The string as Apache has it: out of `LogFormat "..." name`, and `\"` is a quote."""
    if directive := re.fullmatch(r'\s*LogFormat\s+"((?:[^"\\]|\\.)*)"(?:\s+\S+)?\s*', string, re.DOTALL):
        return apache_unquoted(directive[1])
    if quoted := re.fullmatch(r'\s*"((?:[^"\\]|\\.)*)"\s*', string, re.DOTALL):
        return apache_unquoted(quoted[1])
    return apache_unquoted(string) if '\\"' in string else string


def apache_unquoted(string: str) -> str:
    r"""What Apache's configuration reads between quotes: `\"` is a quote and `\\` a backslash."""
    return re.sub(r'\\(["\\])', r"\1", string)


_NGINX_TOKEN: Final = re.compile(r"""\s*('(?:[^'\\]|\\.)*'|"(?:[^"\\]|\\.)*"|[^\s;'"][^\s;]*)\s*""", re.DOTALL)
_NGINX_ESCAPES: Final = {"t": "\t", "r": "\r", "n": "\n"}


def nginx_string(string: str) -> tuple[str, str]:
    """The string, put together of its pieces, and how it escapes: out of `log_format name escape=json '...' '...';`, or
    of the pieces alone, or as it is."""
    rest, escape = string.strip(), "default"
    directive = re.match(r"log_format\s+\S+\s+", rest)
    rest = rest[directive.end() :] if directive else rest
    if said := re.match(r"escape=(\w+)\s+", rest):
        rest, escape = rest[said.end() :], said[1]
    if rest[:1] not in ("'", '"') and not directive:
        return (rest if said else string), escape
    tokens = nginx_tokens(rest)
    if tokens is None or (rest[:1] == '"' and not directive and not said):
        if rest[:1] == '"' and tokens is not None:
            raise ConfigError(
                f"{string!r}: are the outer quotes nginx.conf's or the log's? Give it as nginx.conf has it, "
                "log_format NAME '...', or in single quotes"
            )
        return string, escape
    return "".join(nginx_unquoted(token) for token in tokens), escape


def nginx_tokens(text: str) -> list[str] | None:
    """The arguments of a directive, with their quotes; None where it is no such text."""
    tokens, place = [], 0
    text = text.rstrip().removesuffix(";")
    while place < len(text):
        match = _NGINX_TOKEN.match(text, place)
        if match is None or match.end() == place:
            return None
        tokens.append(match[1])
        place = match.end()
    return tokens


def nginx_unquoted(token: str) -> str:
    if token[:1] in ("'", '"'):
        token = token[1:-1]
    return re.sub(r"""\\(["'\\trn])""", lambda one: _NGINX_ESCAPES.get(one[1], one[1]), token)
