"""`python -m tests.ingest.dying_server N serve ...`: `flowtally serve ...` that is killed in its worst moment.

That is when the engine has the rows of a block, here of the N-th that it writes, and the keys have not heard of them. A
kill at random seldom meets it.
"""

from __future__ import annotations

import os
import signal
import sys
from itertools import count

from flowtally.cli.app import main
from flowtally.usage.clickhouse import ClickHouseStore
from flowtally.usage.values import Block


def die_with_block(number: int) -> None:
    append, written = ClickHouseStore.append, count(1)

    def dying(store: ClickHouseStore, block: Block) -> None:
        append(store, block)
        if next(written) == number:
            os.kill(os.getpid(), signal.SIGKILL)

    ClickHouseStore.append = dying  # type: ignore[method-assign, assignment]


if __name__ == "__main__":
    die_with_block(int(sys.argv[1]))
    sys.exit(main(sys.argv[2:]))
