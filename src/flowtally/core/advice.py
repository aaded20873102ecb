"""What people are told about a code: what happened, the usual cause, what to do. Pure.

Owns the shape, and how it is read from the docstring of a class: the first paragraph, `Cause:` and `Do:`. Leaves the
texts to the module that has the code, and showing them to `api/reference` and `scripts/docs.py`.
"""

from __future__ import annotations

import inspect
import re

import msgspec


class Advice(msgspec.Struct, frozen=True):
    """Three short texts, in which `words` of programs stand in backquotes."""

    meaning: str
    cause: str = ""
    do: str = ""


def advice_of(kind: type) -> Advice:
    """What the class itself says, not one that it inherits from; a part that is missing is empty."""
    text = inspect.cleandoc(vars(kind).get("__doc__") or "")
    meaning, *others = (" ".join(one.split()) for one in re.split(r"\n\s*\n", text))
    said = {name: rest.strip() for name, _, rest in (one.partition(":") for one in others)}
    return Advice(meaning, said.get("Cause", ""), said.get("Do", ""))
