"""`python -m tests.ingest.dying_server N serve ...`: `flowtally serve ...` that is killed in its worst moment.

That is when the journal has the record of a block, here of the N-th that it writes, and the keys have not heard of it.
A kill at random seldom meets it.
"""

from __future__ import annotations

import os
import signal
import sys
from itertools import count

from flowtally.cli.app import main
from flowtally.usage.journal import Journal
from flowtally.usage.records import Record


def die_with_block(number: int) -> None:
    commit, written = Journal.commit, count(1)

    def dying(journal: Journal, record: Record) -> None:
        commit(journal, record)
        if next(written) == number:
            os.kill(os.getpid(), signal.SIGKILL)

    Journal.commit = dying  # type: ignore[method-assign, assignment]


if __name__ == "__main__":
    die_with_block(int(sys.argv[1]))
    sys.exit(main(sys.argv[2:]))
