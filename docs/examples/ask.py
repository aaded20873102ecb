"""Ask a server: make an account, give it traffic, see what is left."""

from flowtally.client import ApiError, Client
from flowtally.protocol import AccountRequest, GrantRequest


def main(url: str, token: str) -> None:
    with Client(url, token) as client:
        client.create_account(AccountRequest(id="acme", timezone="Europe/Berlin"))
        client.give_grant("acme", GrantRequest(amount=5_000_000_000, source="order", reference="4711"))

        for account in client.accounts():
            left = client.balance(account.id).pools["traffic"].left
            print(f"{account.id} has {left:,} bytes left")

        try:
            client.balance("amce")
        except ApiError as error:
            print(f"{error.status} {error.code}: {error.detail}")
