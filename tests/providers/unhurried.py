"""`flowtally` that makes no pause between two calls of a vendor: pages about providers would be run for minutes, most
of them waits. Started as a module."""

from __future__ import annotations

import sys
from typing import Any, cast

from msgspec.structs import replace

from flowtally.cli.app import main
from flowtally.providers.puller import Pace
from flowtally.vendors import PULLERS

if __name__ == "__main__":
    for vendor, puller in PULLERS.items():
        cast("dict[str, Any]", PULLERS)[vendor] = replace(puller, pace=Pace(0.0))
    sys.exit(main())
