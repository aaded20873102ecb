"""What was done, by whom: records of the audit trail."""

from __future__ import annotations

from typing import Any, Literal

import msgspec

from flowtally.core.edges import Instant

ChangedBy = Literal["server", "installation", "account", "another_account"]


class AuditAnswer(msgspec.Struct, frozen=True):
    """One record of the audit trail. `before` and `after` are without secrets, and without names, labels and addresses
    of users.

    number: The number of the record: one more than that of the record before it.
    at: When it was done.
    action: What was done; a stable word.
    account: The account it is about; null: none.
    subject: The id of what it was done to.
    before: The thing as it was; null where it was not there.
    after: The thing as it is, or what was asked for.
    by: Who did it: the server itself, a credential of the installation, of the account it is about, or of another one.
    credential: The id of the credential that did it.
    address: The IP address it came from.
    request_id: The id of the request.
    door: The route that was asked, or the work of the server.
    digest: SHA-256 (hexadecimal) over this record and the one before it.
    """

    number: int
    at: Instant
    action: str
    account: str | None
    subject: str
    before: dict[str, Any] | None
    after: dict[str, Any] | None
    by: ChangedBy
    credential: str | None
    address: str | None
    request_id: str | None
    door: str | None
    digest: str | None
