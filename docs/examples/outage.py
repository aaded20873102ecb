"""What a meter does when the server cannot be reached, and what is left to the program."""

from pathlib import Path

from flowtally.client import BufferFull, Client, Limits, Meter, Undelivered


def with_a_spool(url: str, token: str, spool: Path) -> None:
    """What has no receipt when the program ends is in the spool, and sent when the next meter takes that file."""
    with Client(url, token) as client, Meter(client, "gateway-1", spool=spool, close_s=1) as meter:
        meter.record(account="acme", bytes_down=50_000)


def with_a_small_buffer(url: str, token: str) -> None:
    """Without a spool it is the program's to decide; the server's last answer is the `__cause__` of both errors."""
    client = Client(url, token)
    meter = Meter(client, "gateway-1", full_wait_s=0, close_s=1, limits=Limits(max_events=2))
    try:
        for _ in range(3):
            meter.record(account="acme", bytes_down=50_000)
    except BufferFull as full:
        print("refuse the next customer:", full)
    try:
        meter.close()
    except Undelivered as rest:
        print("keep these", [event.id for event in rest.events], "and send them again with client.send_events")


def main(url: str, token: str) -> None:
    spool = Path("gateway-1.ndjson")
    with_a_spool("http://127.0.0.1:9", token, spool)  # nobody answers there
    print(len(spool.read_bytes().splitlines()), "event in the spool")
    with_a_spool(url, token, spool)
    print(len(spool.read_bytes().splitlines()), "events in the spool")
    with_a_small_buffer("http://127.0.0.1:9", token)
