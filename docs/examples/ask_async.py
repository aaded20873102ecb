"""Ask for many accounts at once, on an event loop."""

import asyncio

from flowtally.client import AsyncClient


async def report(url: str, token: str) -> None:
    async with AsyncClient(url, token) as client:
        accounts = [account.id async for account in client.accounts()]
        balances = await asyncio.gather(*[client.balance(account) for account in accounts])
        for balance in balances:
            print(balance.account, balance.pools["traffic"].spent)


def main(url: str, token: str) -> None:
    asyncio.run(report(url, token))
