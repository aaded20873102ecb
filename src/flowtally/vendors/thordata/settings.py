"""What the Thordata dialect can be set to: every point where their pages leave a choice or contradict each other."""

from __future__ import annotations

from datetime import date
from typing import Annotated, Literal

from msgspec import Meta

from flowtally.core.choices import choice
from flowtally.core.edges import load_zone
from flowtally.core.errors import UnknownZone
from flowtally.vendors import base
from flowtally.vendors.thordata.wire import GB, NO_EXPIRY


class Settings(base.Settings, frozen=True, kw_only=True):
    """`FLOWTALLY_THORDATA_<NAME>`."""

    key: Annotated[
        Literal["checked", "required", "ignored"],
        choice(
            "What is done with the second secret, `key`.",
            {
                "checked": "where it is sent it must be right",
                "required": "every request must send it",
                "ignored": "it is not looked at; for clients that must send one and have none",
            },
        ),
    ] = "checked"
    timezone: Annotated[
        str, Meta(description="The IANA time zone of its days and hours; their pages name none.", max_length=64)
    ] = "UTC"
    expiration: Annotated[
        Literal["first", "last"],
        choice(
            "Which date `traffic-balance` shows while several grants are left.",
            {
                "first": "when the first of them expires",
                "last": "when the last of them expires; `no_expiry` while one never does",
            },
        ),
    ] = "first"
    no_expiry: Annotated[
        str,
        Meta(
            description="The date that `traffic-balance` shows where nothing expires: a far one, because clients read "
            "it as a date. Empty: an empty text.",
            pattern=r"^(\d{4}-\d\d-\d\d)?$",
        ),
    ] = NO_EXPIRY
    list_unit: Annotated[
        Literal["client", "MB", "KB"],
        choice(
            "The unit of `usage_traffic` in `user-list`.",
            {
                "client": "KB for their Python client, which reads it so, MB for all others",
                "MB": "as their page says",
                "KB": "as their Python client reads it",
            },
        ),
    ] = "client"
    lenient_limits: Annotated[
        bool,
        Meta(
            description="Take a `traffic_limit` that is missing, empty or `None` (as a wrapper of their own SDK sends "
            "it) for 0, no limit; false refuses it with 10000."
        ),
    ] = False
    package_first: Annotated[
        bool,
        Meta(description="Refuse `create-user` with 10017 while the account has no grant in force for such users."),
    ] = False
    max_users: Annotated[
        int,
        Meta(
            description="How many proxy users an account may have, of all kinds together; one more is 10019. The limit "
            "of the example on their page. 0: any number. `FLOWTALLY_MAX_USERS` holds beside it.",
            ge=0,
            le=2**53 - 1,
        ),
    ] = 100
    whitelist_array: Annotated[
        bool | None,
        Meta(
            description="Answer `ip-list` with an array of entries (`true`) or with the object their page shows "
            "(`false`), whoever asks. Not set: with the object, and their own Python, JavaScript and Java clients with "
            "the array of addresses that they read."
        ),
    ] = None
    cdk_unit_bytes: Annotated[
        int, Meta(description="Bytes of 1 `flow` of a CDK; their pages name no unit.", ge=1, le=2**40)
    ] = GB
    cdk_days: Annotated[
        int, Meta(description="How long what a CDK gives lasts once it is redeemed.", ge=1, le=36_500)
    ] = 90
    cdk_most: Annotated[int, Meta(description="CDKs made by one request; more is 10003.", ge=1, le=1000)] = 100
    extract_links: Annotated[
        bool, Meta(description="Whether the links that extract endpoints, `/api` and `/unlimited_api`, are served.")
    ] = True
    extract_host: Annotated[
        str,
        Meta(
            description="The only host name they are served at, such as get-ip.example.com. Empty: any.",
            max_length=253,
        ),
    ] = ""
    extract_seconds: Annotated[
        int,
        Meta(
            description="How long a caller without a token waits between two lists; sooner is 111. 0: not at all.",
            ge=0,
            le=3600,
        ),
    ] = 2
    rate_requests: Annotated[
        int,
        Meta(
            description="Requests of one token in any `rate_seconds`; more are answered 10011. 0: any number. 1 in 3 s "
            "is what their service was seen to do.",
            ge=0,
            le=100_000,
        ),
    ] = 0
    rate_seconds: Annotated[int, Meta(description="The window of `rate_requests`.", ge=1, le=86_400)] = 3

    def __post_init__(self) -> None:
        try:
            load_zone(self.timezone)
        except UnknownZone as error:
            raise ValueError(error.detail) from None
        if self.no_expiry:
            date.fromisoformat(self.no_expiry)
