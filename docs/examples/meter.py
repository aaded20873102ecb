"""Meter what a program with threads does."""

from flowtally.client import Client, Meter
from flowtally.protocol import PlainEvent, Receipt


def refused(event: PlainEvent, receipt: Receipt) -> None:
    print(f"{event.account} will not be charged for {event.bytes_down} bytes: {receipt.code}, {receipt.detail}")


def main(url: str, token: str) -> None:
    with Client(url, token) as client, Meter(client, "gateway-1", on_receipt=refused) as meter:
        meter.record(account="acme", user="ann", product="residential", bytes_up=1_200, bytes_down=50_000, status=200)
        meter.record(account="amce", user="bob", product="residential", bytes_down=700)

        if meter.flush(timeout_s=10):  # not needed: the end of the `with` does it
            print(meter.counts.stored, "stored,", meter.counts.refused, "refused")
