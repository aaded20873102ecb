"""The agent's configuration: a TOML file becomes values, all of it checked before anything is followed.

    server = "https://usage.example.com:8120"    # or FLOWTALLY_URL
    token-file = "/etc/flowtally/agent.token"    # or systemd's credential `token`, or FLOWTALLY_TOKEN
    host = "gateway-1"                           # default: the machine's name
    metrics = "127.0.0.1:9100"                   # default: none

    [defaults]                                   # for every entry
    account = "acme"

    [[log]]
    name = "squid"
    path = "/var/log/squid/access.log"
    format = "squid"

Every kind of input is an array of tables of its own (`kinds`). Faults name the entry and the field.
"""

from __future__ import annotations

import os
import re
import socket
import tomllib
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final

import msgspec

from flowtally.agents.follow.addresses import address_of
from flowtally.agents.follow.entry import LogEntry
from flowtally.agents.follow.inputs import Kind
from flowtally.agents.formats import Declared
from flowtally.core.choices import wrong_word
from flowtally.core.errors import ConfigError
from flowtally.core.texts import text_fault
from flowtally.protocol.words import DEFAULT_URL

MAX_CONFIG_BYTES: Final = 1024 * 1024
MAX_ENTRIES: Final = 10_000
_BESIDE: Final = ("envelope", "time-format", "zone")
_HOST: Final = re.compile(r"[A-Za-z0-9._-]{1,64}")


class AgentConfig(msgspec.Struct, frozen=True):
    """`entries`: those of each kind, by the name of its array."""

    server: str
    token_file: str
    host: str
    metrics: tuple[str, int] | None
    entries: dict[str, list[Any]]


class _Top(msgspec.Struct, frozen=True, forbid_unknown_fields=True, rename="kebab"):
    server: str = ""
    token_file: str = ""
    host: str = ""
    metrics: str = ""


def load(path: Path, kinds: Mapping[str, Kind], variables: Mapping[str, str]) -> AgentConfig:
    """Raises ConfigError."""
    return parsed(_read(path), str(path), kinds, variables)


def parsed(text: bytes, name: str, kinds: Mapping[str, Kind], variables: Mapping[str, str]) -> AgentConfig:
    try:
        raw = tomllib.loads(text.decode())
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise ConfigError(f"{name}: not TOML: {error}") from None
    defaults = raw.pop("defaults", {})
    if not isinstance(defaults, dict):
        raise ConfigError(f"{name}: defaults must be a table")
    known = {field.encode_name for kind in kinds.values() for field in msgspec.structs.fields(kind.entry)}
    for field in sorted(defaults.keys() - known):
        raise ConfigError(f"{name}: defaults: unknown field `{field}`")
    arrays = {kind: raw.pop(kind, []) for kind in kinds}
    top = _converted(raw, _Top, name)
    entries = {kind: _entries(kind, arrays[kind], defaults, kinds[kind].entry, name) for kind in kinds}
    if not any(entries.values()):
        raise ConfigError(f"{name}: nothing to do: no {', no '.join(f'[[{kind}]]' for kind in kinds)}")
    _check_names(entries, name)
    for kind, made in entries.items():
        if faults := kinds[kind].check(made):
            raise ConfigError(f"{name}: {'; '.join(faults)}")
    return AgentConfig(
        server=(top.server or variables.get("FLOWTALLY_URL", "").strip() or DEFAULT_URL).rstrip("/"),
        token_file=top.token_file,
        host=_host(top.host, name),
        metrics=_metrics(top.metrics, name),
        entries=entries,
    )


def token_of(config: AgentConfig, variables: Mapping[str, str]) -> str:
    """The token: of `token-file`, of systemd's credential `token`, of FLOWTALLY_TOKEN. ConfigError where there is
    none; it never repeats one."""
    credentials = variables.get("CREDENTIALS_DIRECTORY", "")
    place = config.token_file or (os.path.join(credentials, "token") if credentials else "")
    if place and (config.token_file or os.path.exists(place)):
        try:
            token = Path(place).read_bytes()[:4096].decode("ascii", "replace").strip()
        except OSError as error:
            raise ConfigError(f"token-file {place}: {error.strerror or error}") from None
        if not token:
            raise ConfigError(f"token-file {place} is empty")
        return token
    token = variables.get("FLOWTALLY_TOKEN", "").strip()
    if not token:
        raise ConfigError("no token: set token-file, systemd's credential `token`, or FLOWTALLY_TOKEN")
    return token


def _read(path: Path) -> bytes:
    try:
        with path.open("rb") as file:
            text = file.read(MAX_CONFIG_BYTES + 1)
    except OSError as error:
        raise ConfigError(f"{path}: {error.strerror or error}") from None
    if len(text) > MAX_CONFIG_BYTES:
        raise ConfigError(f"{path}: longer than {MAX_CONFIG_BYTES} bytes")
    return text


def _entries(kind: str, array: Any, defaults: dict[str, Any], entry: type[msgspec.Struct], name: str) -> list[Any]:
    if not isinstance(array, list) or not all(isinstance(one, dict) for one in array):
        raise ConfigError(f"{name}: {kind} must be an array of tables: [[{kind}]]")
    if len(array) > MAX_ENTRIES:
        raise ConfigError(f"{name}: {len(array)} entries of {kind}; at most {MAX_ENTRIES}")
    known = {field.encode_name for field in msgspec.structs.fields(entry)}
    shared = {field: value for field, value in defaults.items() if field in known}
    return [
        _entry(_with(shared, one), entry, f"{name}: {kind} {one.get('name', number)!r}")
        for number, one in enumerate(array, 1)
    ]


def _with(defaults: dict[str, Any], one: dict[str, Any]) -> dict[str, Any]:
    """An entry that says how its lines are written says all of it."""
    formats = {field.encode_name for field in msgspec.structs.fields(Declared)} - set(_BESIDE) | {"format-from"}
    if formats & one.keys():
        defaults = {field: value for field, value in defaults.items() if field not in formats}
    return {**defaults, **one}


def _entry(raw: dict[str, Any], kind: type[Any], where: str) -> Any:
    made = _converted(raw, kind, where)
    try:
        return made.resolved() if isinstance(made, LogEntry) else made
    except ConfigError as error:
        raise ConfigError(f"{where}: {error}") from None


def _converted(raw: dict[str, Any], kind: type[Any], where: str) -> Any:
    try:
        return msgspec.convert(raw, kind)
    except msgspec.ValidationError as error:
        raise ConfigError(f"{where}: {wrong_word(error, kind)}") from None


def _check_names(entries: dict[str, list[Any]], name: str) -> None:
    """A name is a part of the source, so no two inputs may have one."""
    names: set[str] = set()
    for kind, made in entries.items():
        for one in made:
            if one.name in names:
                raise ConfigError(f"{name}: {kind} {one.name!r}: there are two of this name")
            names.add(one.name)


def _metrics(said: str, name: str) -> tuple[str, int] | None:
    try:
        return address_of(said, "metrics") if said else None
    except ConfigError as error:
        raise ConfigError(f"{name}: {error}") from None


def _host(said: str, name: str) -> str:
    host = said or socket.gethostname()
    if not _HOST.fullmatch(host) or text_fault(host):
        raise ConfigError(f"{name}: host {host!r}: 1 to 64 letters, digits, dots, hyphens and underscores")
    return host
