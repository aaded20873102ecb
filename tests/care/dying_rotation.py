"""`python -m tests.care.dying_rotation DATA STEP`: a rotation of the key that is killed at its STEP-th moment.

A moment is a step that makes something durable, or a secret that is sealed anew.
"""

from __future__ import annotations

import os
import signal
import sys
from collections.abc import Callable
from itertools import count
from typing import Any

from flowtally.care.rotate import rotate_key
from flowtally.config import load_config
from flowtally.ledger import sealed, vault


def main(data: str, step: int) -> None:
    moments = count(1)

    def dying(work: Callable[..., Any]) -> Callable[..., Any]:
        def one(*arguments: Any, **more: Any) -> Any:
            if next(moments) == step:
                os.kill(os.getpid(), signal.SIGKILL)
            return work(*arguments, **more)

        return one

    for name in ("fsync", "replace", "unlink"):
        setattr(os, name, dying(getattr(os, name)))
    sealed.PAGE = 2  # type: ignore[misc]
    vault.Vault.renew = dying(vault.Vault.renew)  # type: ignore[method-assign]
    rotate_key(load_config({}, data=data, usage_url="memory://"))
    print("done")


if __name__ == "__main__":
    main(sys.argv[1], int(sys.argv[2]))
