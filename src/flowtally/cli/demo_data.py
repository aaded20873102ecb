"""What the demo does and shows: three customers of a proxy seller, their grants, and one real log.

Owns names and amounts, chosen for the packaged log (how it was recorded: `flowtally/demo/README.md`) so that one
customer has plenty left, one is nearly used up and one is over. Asks the server like any program, through the client.
"""

from __future__ import annotations

from collections.abc import Callable
from importlib.resources import as_file, files
from typing import Final

import msgspec

from flowtally.agents.formats import Declared
from flowtally.agents.mapping import Mapping
from flowtally.agents.reader import LogFile
from flowtally.agents.report import ImportReport
from flowtally.agents.ship import Importer, ImportProgress
from flowtally.client import ApiError, Client, UsageQuestion
from flowtally.core.units import parse_amount
from flowtally.core.unshown import repr_without
from flowtally.protocol import AccountRequest, BalanceAnswer, GrantRequest, UsageAnswer

LOG: Final = "access.log.gz"
SQUID: Final = Declared(format="squid-io")
# Squid wrote the proxy user as ACCOUNT-USER; 407 is its challenge to a client that has not said who it is.
MAPPING: Final = Mapping(user_from="user:(?P<account>[^-]+)-(?P<user>.+)", product="residential", skip_status=(407,))
BEGINS: Final = "2026-11-01"  # before the first line of the log
ENDS: Final = "2026-12-01"  # after its last one
STARTS_AT: Final = f"{BEGINS}T00:00:00Z"

ACCOUNTS: Final = (
    AccountRequest(id="acme", name="Acme Price Watch", timezone="Europe/Berlin", carry_from=STARTS_AT),
    AccountRequest(id="globex", name="Globex Research", timezone="Asia/Kolkata", carry_from=STARTS_AT),
    AccountRequest(id="initech", name="Initech", timezone="America/New_York", carry_from=STARTS_AT),
)
GRANTS: Final = {
    "acme": (("order", "order-1001", "450MB", 100), ("sign", "check-in reward", "50MB", 10)),
    "globex": (("order", "order-1002", "280MB", 100),),
    "initech": (("cdk", "voucher WELCOME", "100MB", 100),),
}


class Told(msgspec.Struct, frozen=True):
    """What happened, in the API's own words: the document of `flowtally demo --json`."""

    url: str
    data: str
    admin_token: str
    imported: ImportReport
    before: list[BalanceAnswer]
    after: list[BalanceAnswer]
    usage: list[UsageAnswer]

    def __repr__(self) -> str:
        return repr_without(self, "admin_token")


def seed(client: Client) -> None:
    """Accounts and their grants. On a data directory that has them already nothing changes."""
    for request in ACCOUNTS:
        try:
            account = client.create_account(request)
        except ApiError as error:
            if error.status != 409:
                raise
            continue
        for source, reference, amount, priority in GRANTS[account.id]:
            client.give_grant(
                account.id,
                GrantRequest(
                    amount=parse_amount(amount),
                    source=source,
                    reference=reference,
                    priority=priority,
                    starts_at=STARTS_AT,
                ),
            )


def balances(client: Client) -> list[BalanceAnswer]:
    return [client.balance(str(account.id)) for account in ACCOUNTS]


def import_demo_log(client: Client, progress: Callable[[ImportProgress], None]) -> ImportReport:
    """The packaged log, whole; running it again stores nothing twice."""
    with as_file(files("flowtally") / "demo" / LOG) as path, LogFile.open(path) as log:
        return Importer(client, log, SQUID, MAPPING, progress=progress).run()


def usage_of_all(client: Client) -> list[UsageAnswer]:
    """What each account used, by user, over the month of the log; and the first one once more, by the quarter hour."""
    by_user = UsageQuestion(start=BEGINS, end=ENDS, bucket="total", by=["user"])
    by_time = UsageQuestion(start=BEGINS, end=ENDS, bucket="15m", fill="none")
    of_each = [client.usage(str(account.id), **by_user) for account in ACCOUNTS]
    return [*of_each, client.usage(str(ACCOUNTS[0].id), **by_time)]
