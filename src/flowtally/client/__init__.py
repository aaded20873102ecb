"""Asking a flowtally server, and handing it usage. Used by `agents/`, `cli/` and anybody's programs."""

from flowtally.client.asynchronous import AsyncClient
from flowtally.client.call import Page
from flowtally.client.calls import UsageQuestion
from flowtally.client.errors import ApiError, Unreachable
from flowtally.client.sync import Client

__all__ = ["ApiError", "AsyncClient", "Client", "Page", "Unreachable", "UsageQuestion"]
