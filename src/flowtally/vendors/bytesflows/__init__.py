"""BytesFlows: traffic and grants in bytes, one envelope, a Bearer token."""

from flowtally.vendors.bytesflows.dialect import BYTESFLOWS

__all__ = ["BYTESFLOWS"]
