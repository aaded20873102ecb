"""What was done, by whom: records of the audit trail."""

from __future__ import annotations

from typing import Any, Literal

import msgspec

By = Literal["server", "installation", "account", "another_account"]


class AuditAnswer(msgspec.Struct, frozen=True):
    """`action` is stable and names what was done to `subject`, an id; `account` is whom it is about, if anybody.
    `before` and `after`: the thing as it was and as it is, or what was asked for; without secrets, and without names,
    labels and addresses of users. `by`: the server itself, a credential of the installation, of the account it is
    about, or of another one. `door`: the route, or the work of the server. `digest` (hex SHA-256) covers this record
    and the one before it."""

    number: int
    at: str
    action: str
    account: str | None
    subject: str
    before: dict[str, Any] | None
    after: dict[str, Any] | None
    by: By
    credential: str | None
    address: str | None
    request_id: str | None
    door: str | None
    digest: str | None
