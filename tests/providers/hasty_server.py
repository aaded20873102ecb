"""`python -m tests.providers.hasty_server serve ...`: `flowtally serve ...` that asks vendors without pauses.

All else is as it is. A vendor's own pace is seconds between two calls; what is played here are minutes of it.
"""

from __future__ import annotations

import sys
from typing import Final

import msgspec

from flowtally import server
from flowtally.cli.app import main
from flowtally.providers.puller import Pace
from flowtally.vendors import PULLERS

HASTE: Final = Pace(0.01, (0.05, 0.1))

if __name__ == "__main__":
    hasty = {name: msgspec.structs.replace(one, pace=HASTE) for name, one in PULLERS.items()}
    setattr(server, "PULLERS", hasty)  # noqa: B010 - it is no name that others should take from there
    sys.exit(main())
