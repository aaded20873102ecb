"""A Squid of a test's own, whatever Squid the machine runs, or ran until it crashed.

Squid keeps shared memory (`/dev/shm/NAME-cf__*`) by the name of its service, which is `squid` unless -n says another.
Two of one name use the same memory, and one that was killed leaves it: to the next that runs as another user, it is
closed. So each here has a name that nobody else has.
"""

from __future__ import annotations

import secrets
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

MEMORY = Path("/dev/shm")


@contextmanager
def service(config: Path) -> Iterator[list[str]]:
    """The arguments of a Squid with this configuration, which says where its pid is; also of a `squid -k` to it. What
    it leaves in memory is gone afterwards, also where it was killed."""
    name = f"flowtally{secrets.token_hex(8)}"  # letters and digits only
    try:
        yield ["-n", name, "-f", str(config)]
    finally:
        for left in MEMORY.glob(f"{name}-*"):
            left.unlink(missing_ok=True)


@pytest.fixture
def crashed() -> Iterator[None]:
    """As if a Squid of this machine's, which another user had started, had been killed. One that runs has these files
    and keeps them."""
    left = [MEMORY / f"squid-cf__{kind}.shm" for kind in ("metadata", "queues", "readers")]
    made = [file for file in left if not file.exists()]
    for file in made:
        file.touch(mode=0o600)
    yield
    for file in made:
        file.unlink(missing_ok=True)
