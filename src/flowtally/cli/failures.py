"""What went wrong, as one line a person can act on, and the exit code that says so to a script. Pure.

The line carries the stable code of `errors` or of `codes` and what to do; never a trace, never a secret.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Any, Final

import msgspec
import typer

from flowtally.agents.accounts import NoSuchAccount
from flowtally.agents.overlap import AlreadyCounted
from flowtally.agents.position import CannotResume
from flowtally.agents.reader import LogChanged, LogDamaged, NotALog
from flowtally.agents.sending import NothingStored
from flowtally.cli.codes import code_of
from flowtally.cli.grouped import BELOW_ZERO
from flowtally.cli.installed import ServerNotInstalled, how_to_install
from flowtally.cli.once import AlreadyThere
from flowtally.client import ApiError
from flowtally.core.errors import BackupBroken, ConfigError, CopyDiffers, Damage, FlowtallyError, WriterBusy
from flowtally.core.texts import printable, text_fault

FAILED: Final = 1
USAGE: Final = 2
PARTLY: Final = 3
UNREACHABLE: Final = 4
MAX_MESSAGE_CHARS: Final = 2000
MAX_CODE_CHARS: Final = 64

# What to do about a code, where it is not plain from the message.
HINTS: Final = {
    "unreachable": "Is it running (`flowtally serve`), and is FLOWTALLY_URL right?",
    "unauthenticated": "Set FLOWTALLY_TOKEN to the token of a credential of this server.",
    "token_not_whole": "Copy the token again, all of it; `flowtally key create` makes another.",
    "credential_expired": "Use another token: an admin makes one with `flowtally key create`.",
    "address_not_allowed": "An admin can change where it may come from: `flowtally key change KEY --from ADDRESS`.",
    "already_rotated": "Rotate the key that replaced it, or ask with its token.",
    "forbidden": "Use a credential that has the right: an admin makes one with `flowtally key create`.",
    "source_not_yours": "Use a key of its owner (see `flowtally source list`), or name another source.",
    "unknown_account": "See `flowtally account list`, or make it: `flowtally account create`.",
    "not_covered": "Ask for less, or give the account more first: `flowtally grant give`.",
    "insufficient_funds": "Put money into the wallet first: `flowtally wallet deposit`.",
    "unknown_user": "See `flowtally user list ACCOUNT`.",
    "unknown_zone": "Use an IANA name such as Europe/Berlin.",
    "source_kind_mismatch": "Choose another --source.",
    "sequence_gap": "Ask the server where to go on and run the same command again.",
    "queue_full": "Nothing is lost; run the same command again in a moment.",
    "storage_full": "Make room on the server's disk; writing resumes by itself.",
    "cursor_gone": "Begin again from an instant: --since yesterday, or when you last asked.",
    "idempotency_mismatch": "Repeat the very same command, or choose another --once: a key stands for one request.",
    "holds_full": "See `flowtally held list`; then run the same command again.",
    "settling": "Run the same command again in a moment.",
}
# What to do about what is not there (`not_found`), by the words of the server.
MISSING: Final = {
    "Nothing is served at": "FLOWTALLY_URL is the server's address alone, without /v1: is it right?",
    "no pool ": "See `flowtally pool list`.",
    "no plan ": "See `flowtally plan list`.",
    "no grant ": "See `flowtally grant list ACCOUNT`.",
    "no allocation ": "See `flowtally user balance ACCOUNT USER`.",
    "no voucher of this id": "See `flowtally voucher list ACCOUNT`.",
    "no voucher with this code": "Type the code again, exactly as it was given.",
    "no period ": "See `flowtally period list ACCOUNT`.",
    "no credential ": "See `flowtally key list`.",
    "no sender ": "See `flowtally sender list`.",
}
CERTIFICATE_HINT: Final = "Name the PEM file of who vouches for it in SSL_CERT_FILE, or use the name it is for."
AT_THE_DOOR: Final = {
    "CERTIFICATE_VERIFY_FAILED": CERTIFICATE_HINT,
    "WRONG_VERSION_NUMBER": "It speaks no TLS there: try http:// in FLOWTALLY_URL.",
    "Server disconnected": "If it serves HTTPS, say https:// in FLOWTALLY_URL.",
}
NOT_OURS: Final = "This is no answer of flowtally: is FLOWTALLY_URL right, and does a proxy in between answer for it?"
BUSY_HINT: Final = "Stop that process first, or name another place."
SECOND_TIME: Final = "Say --again to do it a second time; --once KEY makes a command safe to repeat."
LOG_HINTS: Final = {
    "NoSuchAccount": "Nothing was sent. Then run the same command again.",
    "LogChanged": "If it is another log now, choose another --source.",
    "LogShort": "If it is another log now, choose another --source.",
    "LogDamaged": "Run the same command again when the file is whole: it goes on where it is.",
    "NothingStored": "Make the account, or say --account, and run the same command again.",
}

# What is meant by an amount below zero, by command.
INSTEAD: Final = {
    "flowtally grant give": "To take back what is left of a grant: `flowtally grant void`.",
    "flowtally user allocate": "To take back what is unspent: `flowtally user return`.",
    "flowtally voucher create": "To take a voucher back: `flowtally voucher revoke`.",
    "flowtally wallet deposit": "To take money out: `flowtally wallet adjust`.",
}
_EXTRA: Final = re.compile(r"Got unexpected extra argument(?:s|\(s\))? \(([kKMGTPE]i?B?|B)\)")


class Failure(msgspec.Struct, frozen=True):
    line: str
    exit_code: int


def explain(error: Exception, given: Sequence[str] = ()) -> Failure | None:
    """The failure as shown, or None for an error nobody foresaw: a bug, which may show its trace. `given`: the
    arguments of the command."""
    match error:
        case ApiError():
            code = UNREACHABLE if error.code == "unreachable" else FAILED
            hint = _hint_of(error)
            hint = NOT_OURS if error.code.startswith("http_") else hint
            return Failure(_line(error.detail, error.code, hint), code)
        case ConfigError():
            return Failure(_line(str(error), "config_error", ""), USAGE)
        case (
            NoSuchAccount()
            | AlreadyCounted()
            | CannotResume()
            | LogChanged()
            | LogDamaged()
            | NotALog()
            | NothingStored()
        ):
            return Failure(_line(str(error), code_of(type(error)), LOG_HINTS.get(type(error).__name__, "")), FAILED)
        case AlreadyThere():
            return Failure(_line(str(error), code_of(type(error)), SECOND_TIME), FAILED)
        case ServerNotInstalled():
            return Failure(_line(str(error), code_of(type(error)), f"To install: {how_to_install()}"), FAILED)
        case BackupBroken() | CopyDiffers():
            return Failure(_line(f"Nothing is restored: {error}", code_of(type(error)), ""), FAILED)
        case WriterBusy():
            return Failure(_line(str(error), code_of(type(error)), BUSY_HINT), FAILED)
        case Damage():
            return Failure(_line(f"The start is refused: {error}", code_of(type(error)), ""), FAILED)
        case FlowtallyError():
            return Failure(_line(error.detail, error.code, HINTS.get(error.code, "")), FAILED)
        case typer.TyperException():
            return Failure(_usage_line(error, given), error.exit_code)
        case typer.Abort():
            return Failure("stopped", FAILED)
        case UnicodeEncodeError():  # an argument in another encoding than the terminal's
            return Failure(_line(f"{error.object[:100]!r} {text_fault(error.object)}", "usage", ""), USAGE)
        case OSError():
            name = f"{error.filename}: " if error.filename else ""
            return Failure(_line(f"{name}{error.strerror or error}", "system", ""), FAILED)
    return None


def _hint_of(error: ApiError) -> str:
    told = AT_THE_DOOR | (MISSING if error.code == "not_found" else {})
    return next((said for part, said in told.items() if part in error.detail), HINTS.get(error.code, ""))


def _usage_line(error: typer.TyperException, given: Sequence[str]) -> str:
    """What is wrong with the arguments, and which help says what is right."""
    told: Any = error  # its context and option are known to the library's own classes alone
    context, option = getattr(told, "ctx", None), getattr(told, "option_name", None)
    command = context.command_path if context is not None else "flowtally"
    if isinstance(option, str) and BELOW_ZERO.match(option):
        amount = next((one for one in given if one.startswith(option)), option)
        return _line(f"{amount}: an amount here cannot be negative", "usage", INSTEAD.get(command, ""))
    message = error.format_message().replace("Value error, ", "")
    return _line(message, "usage", _apart(message, given) or f"See `{command} --help`.")


def _apart(message: str, given: Sequence[str]) -> str:
    """What to do where the shell saw two words in what was meant as one: `5 GB`."""
    found = _EXTRA.match(message)
    before = given[given.index(found[1]) - 1] if found and found[1] in given[1:] else ""
    return f"Write the amount as one word: {before}{found[1]}." if found and before.replace(".", "").isdigit() else ""


def _line(message: str, code: str, hint: str) -> str:
    """`error: what (code). What to do` on one line, whatever a server sent."""
    what = printable(" ".join(message.split()).rstrip("."), MAX_MESSAGE_CHARS)
    return f"error: {what} ({printable(code, MAX_CODE_CHARS)})." + (f" {hint}" if hint else "")
