"""The exit codes of the command line, and the codes in its error lines that no server answers.

Owns what people are told of each. Leaves to `failures` which error ends how.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Final

from flowtally.agents.accounts import NoSuchAccount
from flowtally.agents.overlap import AlreadyCounted
from flowtally.agents.position import CannotResume
from flowtally.agents.reader import LogChanged
from flowtally.agents.sending import NothingStored
from flowtally.agents.unpack import LogDamaged, NotALog
from flowtally.cli.installed import ServerNotInstalled
from flowtally.cli.once import AlreadyThere
from flowtally.core import errors
from flowtally.core.advice import Advice, advice_of

EXIT_CODES: Final[Mapping[int, Advice]] = {
    0: Advice("done"),
    1: Advice(
        "failed or refused; stderr says why",
        "A server refused the request, a start was refused, or `verify` found something.",
        "Read the line on stderr: it ends with a code of this page and what to do.",
    ),
    2: Advice(
        "wrong usage: an unknown option, a value that cannot be read, a setting that cannot be used",
        "A misspelt option, an amount without a unit that is known, or a variable of the environment with a "
        "wrong value.",
        "Correct the command. `--help` after any command says what it takes.",
    ),
    3: Advice(
        "partly done: an import with lines it could not read, or events that were refused or are held",
        "Lines of another format in the log, or users and accounts that do not exist yet.",
        "Read the report. What was counted stays counted, and the same command can be run again.",
    ),
    4: Advice(
        "the server cannot be reached",
        "No server is running, `FLOWTALLY_URL` is wrong, or something between refuses the connection.",
        "Start the server or correct the address, then run the same command again.",
    ),
    130: Advice(
        "stopped by Ctrl-C",
        "Somebody pressed Ctrl-C during an import.",
        "Run the same command again: it goes on where it was.",
    ),
}
OWN: Final[Mapping[str, Advice]] = {
    "unreachable": Advice(
        "There was no answer, also after trying again.",
        "The server does not run, or the address, the port or `https` is wrong.",
        "Start the server (`flowtally serve`), or correct `FLOWTALLY_URL`.",
    ),
    "http_...": Advice(
        "The answer has this HTTP status, and it is not one of flowtally.",
        "A proxy or load balancer between answered for the server, or the address is that of another program.",
        "Look at `FLOWTALLY_URL` and at the log of what stands between.",
    ),
    "usage": Advice(
        "The command was not written as it must be.",
        "An option that does not exist, a value that cannot be read, or an argument too many.",
        "See the help that the line names.",
    ),
    "system": Advice(
        "The operating system refused something. The line names the file.",
        "A file that is not there, or that this user may not read or write.",
        "Correct the path, or the owner and mode of the file.",
    ),
}
OF_LOGS: Final[tuple[type[Exception], ...]] = (
    NoSuchAccount,
    AlreadyCounted,
    CannotResume,
    LogChanged,
    *LogChanged.__subclasses__(),
    LogDamaged,
    NotALog,
    NothingStored,
)
OF_COMMANDS: Final[tuple[type[Exception], ...]] = (AlreadyThere, ServerNotInstalled)


def of_the_installation() -> Iterator[type[Exception]]:
    """What ends a start, a restore or a command on the files themselves."""
    for root in (errors.ConfigError, errors.Damage):
        yield from _below(root)


def _below(kind: type[Exception]) -> Iterator[type[Exception]]:
    yield kind
    for one in kind.__subclasses__():
        if one.__module__ == errors.__name__:
            yield from _below(one)


def code_of(kind: type[Exception]) -> str:
    """The code that the line ends with: the name of the class in small letters."""
    return "".join("_" + char.lower() if char.isupper() else char for char in kind.__name__).lstrip("_")


def told(kinds: Iterator[type[Exception]] | tuple[type[Exception], ...]) -> Mapping[str, Advice]:
    """These by their codes."""
    return {code_of(kind): advice_of(kind) for kind in kinds}
