"""Values of which a log or a traceback shows what they are, and not the secret that is in them. Pure."""

from __future__ import annotations

import msgspec


def repr_without(one: msgspec.Struct, *secret: str) -> str:
    """As it is written otherwise, with `'...'` in the place of what these fields hold.

    class Signed(msgspec.Struct):
        def __repr__(self) -> str:
            return repr_without(self, "token")
    """
    fields = ((name, getattr(one, name)) for name in one.__struct_fields__)
    written = (f"{name}={'...' if name in secret and value else value!r}" for name, value in fields)
    return f"{type(one).__name__}({', '.join(written)})"
