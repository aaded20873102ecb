"""Text: what a name, a label, a reference or any other text that is kept may hold, at every door alike; how text from
outside is shown; names in a list with commas. Pure.

Owns the rule (decision 0057), `printable` and the two ways of such a list. Leaves lengths to who declares a field
(`events`, `ledger.texts`). The rule is a fixed set of code points, so that no version of Python or of Unicode changes
what an id may be.
"""

from __future__ import annotations

import re
from typing import Final

# Controls (C0, DEL, C1) break lines, logs and CSV and drive terminals, and NUL cannot be kept by PostgreSQL; the
# separators U+2028 and U+2029 break lines; embeddings, overrides and isolates of bidirectional text make what stands
# beside them read backwards; half a surrogate pair is no text at all.
_FORBIDDEN: Final = re.compile("[\x00-\x1f\x7f-\x9f\u2028-\u202e\u2066-\u2069\ud800-\udfff]")
_NO_NAME: Final = re.compile("[\x00-\x1f\x7f-\x9f\ud800-\udfff]")
_JOINERS: Final = "\u200c\u200d"  # Persian needs them, and the emoji made of several
_LISTED: Final = re.compile(r"\\[,\\]|,|[^,\\]+|\\", re.DOTALL)
ELLIPSIS: Final = "…"
MAX_SHOWN_CHARS: Final = 100  # of a value that an error tells


def is_text(text: str) -> bool:
    """Whether this may be kept."""
    return text.isprintable() or _FORBIDDEN.search(text) is None


def text_fault(text: str) -> str | None:
    """Why this cannot be kept, to follow the name of its field; None where it can."""
    found = None if text.isprintable() else _FORBIDDEN.search(text)
    return None if found is None else f"holds U+{ord(found[0]):04X} at {found.start()}: {_kind(found[0])} is no text"


def may_be_known(name: str) -> bool:
    """Whether a name like this can be in the ledger, by the rule of this or an earlier version. What cannot be there
    need not be looked up, and PostgreSQL fails over a NUL even in a question."""
    return name.isprintable() or _NO_NAME.search(name) is None


def printable(text: str, limit: int | None = None, *, mark: str = "") -> str:
    r"""`text` on one line, with nothing that a terminal obeys or hides: every other character is written out as in
    Python (`\x1b`, `\u202e`), or is a `mark`. At most `limit` characters; the last is then an ellipsis."""
    cut = text if limit is None else text[: limit + 1]  # no work on what is not shown
    shown = cut if cut.isprintable() else "".join(char if _is_shown(char) else mark or _written(char) for char in cut)
    if limit is None or len(shown) <= limit:
        return shown
    return shown[: limit - 1] + ELLIPSIS


def split_names(text: str) -> list[str]:
    r"""The names of a list with commas between them. `\,` is a comma in a name, `\\` a backslash; any other backslash
    stands for itself."""
    names = [""]
    for piece in _LISTED.findall(text):
        if piece == ",":
            names.append("")
        else:
            names[-1] += piece[1:] if piece in ("\\,", "\\\\") else piece
    return names


def as_listed(name: str) -> str:
    """The name as it is written in such a list."""
    return name.replace("\\", "\\\\").replace(",", "\\,")


def _is_shown(char: str) -> bool:
    return char.isprintable() or char in _JOINERS


def _written(char: str) -> str:
    return char.encode("unicode_escape").decode()


def _kind(char: str) -> str:
    if "\ud800" <= char <= "\udfff":
        return "half a surrogate pair"
    if char < "\xa0":
        return "a control character"
    return "a line separator" if char in "\u2028\u2029" else "a control of the direction of text"
