"""PlainProxy, a vendor that does not exist: traffic of a day in GB, behind a key in the header."""

from .dialect import PLAINPROXY

__all__ = ["PLAINPROXY"]
