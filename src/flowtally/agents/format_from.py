"""`--format-from FILE[#NAME]`: the format of a log, out of the configuration of the server that writes it.

Opens the file and those it includes; what they say is read by `formats.from_config`. Which format a log has follows
from NAME, from the log's own path, or from there being one only; where it does not, the formats are listed.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from glob import glob
from pathlib import Path
from typing import Final

from flowtally.agents.formats.declared import Declared
from flowtally.agents.formats.from_config import SERVERS, Formats
from flowtally.core.errors import ConfigError

MAX_BYTES: Final = 4 * 1024 * 1024
MAX_FILES: Final = 1000


def format_from(said: str, log: str = "") -> Declared:
    """`said` is FILE or FILE#NAME; `log` the path of the log that is to be read. Raises ConfigError."""
    path, name = _split(said)
    server, formats = _formats(path)
    what = f"--format-from {path}"
    if name:
        if name not in formats.named:
            raise ConfigError(f"{what} has no format {name!r}: {_listed(formats)}")
        return formats.named[name]
    names = {one for place, one in formats.logs if log and _is(place, log)}
    if not names:
        names = {*formats.named, *(one for _, one in formats.logs)}
    if missing := sorted(names - formats.named.keys()):
        raise ConfigError(f"{what}: {missing[0]!r} is no format of this {server} configuration: {_listed(formats)}")
    if len({formats.named[one] for one in names}) == 1:
        return formats.named[names.pop()]
    raise ConfigError(f"{what} has more than one format: say which, {path}#NAME: {_listed(formats)}")


def _split(said: str) -> tuple[Path, str]:
    path, hash_, name = said.rpartition("#")
    return (Path(path), name) if hash_ and not Path(said).exists() else (Path(said), "")


def _formats(path: Path) -> tuple[str, Formats]:
    text = _read(path)
    found = {}
    for server, read in SERVERS.items():
        formats = read(text, _including(path))
        if formats is not None and (formats.named or formats.logs):
            found[server] = formats
    if not found:
        raise ConfigError(f"--format-from {path}: no log format of {', '.join(SERVERS)} is in it")
    if len(found) > 1:
        raise ConfigError(f"--format-from {path} reads as a configuration of {' and of '.join(found)}")
    return found.popitem()


def _including(path: Path) -> Callable[[str], list[str]]:
    """Texts of included files, relative ones beside the first."""
    left = MAX_FILES

    def include(pattern: str) -> list[str]:
        nonlocal left
        names = sorted(glob(str(path.parent / pattern)))
        names = [one for name in names for one in (sorted(glob(f"{name}/*")) if Path(name).is_dir() else [name])]
        left -= len(names)
        if left < 0:
            raise ConfigError(f"--format-from {path} includes more than {MAX_FILES} files")
        return [_read(Path(name)) for name in names if not Path(name).is_dir()]

    return include


def _read(path: Path) -> str:
    try:
        with path.open("rb") as file:
            data = file.read(MAX_BYTES + 1)
    except OSError as error:
        raise ConfigError(f"--format-from {path}: {error.strerror or error}") from None
    if len(data) > MAX_BYTES:
        raise ConfigError(f"--format-from {path} is longer than {MAX_BYTES} bytes: no configuration")
    return data.decode("utf-8", "replace")


def _is(place: str, log: str) -> bool:
    """Whether this log, or one that was rotated away from it, is written there. A place may begin with `${...}` or be
    relative to a directory that nobody knows here: then its end is compared."""
    known = re.sub(r"^.*\$\{\w+\}", "", place)
    name = str(Path(log).absolute())
    if Path(place).is_absolute():
        return name == place or name.startswith((place + ".", place + "-"))
    return bool(re.search(rf"(?:^|/){re.escape(known.lstrip('/'))}(?:$|[.-])", name))


def _listed(formats: Formats) -> str:
    places: dict[str, list[str]] = {name: [] for name in formats.named}
    for place, name in formats.logs:
        places.setdefault(name, []).append(place)
    return "; ".join(f"{name} ({', '.join(logs)})" if logs else name for name, logs in places.items())
