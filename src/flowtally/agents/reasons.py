"""Why a line of a log gives no event: the reasons by which an import and the agent count, and what people are told."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final, Literal

from flowtally.core.advice import Advice

Reason = Literal["too_long", "cut", "not_this_format", "ambiguous", "bad_time", "bad_size", "no_match", "no_account"]

REASONS: Final[Mapping[Reason, Advice]] = {
    "too_long": Advice(
        "The line is longer than is read, or the pieces of one line of a container are together.",
        "A request with a very long address, or a file that is no log.",
        "Nothing for a few lines. If it is every line, look whether it is the right file.",
    ),
    "cut": Advice(
        "The end of the line was lost: NUL bytes follow.",
        "The machine lost its power while the line was written.",
        "Nothing: the rest of the line is not there. What it would have counted can be added with an adjustment.",
    ),
    "not_this_format": Advice(
        "The line is not of the log format that was named. `detail` says what is different.",
        "The log has another format than `--format` or the agent's entry says, or other messages stand "
        "between the lines.",
        "Look at the line that is shown. `flowtally import FILE --dry-run` says how the lines are read; the format "
        "can be declared with `--format-from` or a pattern.",
    ),
    "ambiguous": Advice(
        "The line can be read in more than one way, so it is not guessed.",
        "A field that may hold anything, such as a browser's name, stands beside another one without quotes.",
        "Put such fields into quotes in the program's own log format, or write them as JSON.",
    ),
    "bad_time": Advice(
        "The time in the line cannot be read.",
        "Another form of time than the format has, or a local time in an hour that the clock skips.",
        "Set the time of the log to one with an offset, or name the form or the zone of the time.",
    ),
    "bad_size": Advice(
        "A number of bytes or requests, or a status, in the line is no quantity.",
        "The log has its fields in another order than is declared, or a program wrote a negative number.",
        "Compare the line with the format that is declared.",
    ),
    "no_match": Advice(
        "The pattern that was given does not match the line, or the text that names the user.",
        "A pattern that was made for most lines and not for all, or other lines in the same file.",
        "Change the pattern so that it matches the line that is shown. Lines that must not count can stay as they are.",
    ),
    "no_account": Advice(
        "Nothing says whose use the line is.",
        "Requests without a user name, such as those that were refused before anybody logged in.",
        "Nothing if these lines must not count. Otherwise name the account with `--account`, or where it stands in the "
        "user's name.",
    ),
}
