"""How long to wait after a failure, and what it is called in the log. Pure."""

from __future__ import annotations

from typing import Final

from flowtally.agents.overlap import AlreadyCounted
from flowtally.agents.position import CannotResume
from flowtally.agents.sending import NothingStored
from flowtally.client import ApiError

SLOW_S: Final = 60.0  # where somebody must do something first


def patience(error: Exception) -> tuple[float, str]:
    """Seconds to wait at least, and the event to tell; empty: nothing."""
    if isinstance(error, NothingStored):
        return SLOW_S / 4, "nothing_stored"
    if isinstance(error, CannotResume):
        return SLOW_S, "cannot_resume"
    if isinstance(error, AlreadyCounted):
        return SLOW_S, "already_counted"
    if not isinstance(error, ApiError):
        return SLOW_S, f"failed: {type(error).__name__}"
    if error.code == "sequence_gap":  # restored to an earlier state, or another sender: ask
        return 0, ""
    return error.retry_after_s or (SLOW_S / 4 if 400 <= error.status < 500 else 0), error.code


def is_foreseen(error: Exception) -> bool:
    return isinstance(error, (ApiError, NothingStored, CannotResume, AlreadyCounted))
