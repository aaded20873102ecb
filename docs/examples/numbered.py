"""Send what can be read again, here a file of lines, as a numbered source: the server remembers where it was."""

from pathlib import Path

from flowtally.client import Client, NumberedSource, Use


def send_new_lines(client: Client, path: Path) -> int:
    source = NumberedSource(client, f"traffic-{path.stem}")
    offset = int(source.position or 0)
    with path.open("rb") as file:
        file.seek(offset)
        while lines := [line for line in file.readlines(100_000) if line.endswith(b"\n")]:  # the rest is being written
            offset += sum(map(len, lines))
            source.send([use(line.decode()) for line in lines], position=str(offset))
    return source.mark


def use(line: str) -> Use:
    time, account, size = line.split()
    return Use(account=account, time=time, bytes_down=int(size))


def main(url: str, token: str) -> None:
    path = Path("traffic.log")
    with Client(url, token) as client:
        path.write_text("2026-03-01T10:00:00Z acme 1000\n2026-03-01T10:00:01Z acme 2000\n")
        print(send_new_lines(client, path), "lines counted")
        with path.open("a") as file:
            file.write("2026-03-01T10:00:02Z acme 4000\n")
        print(send_new_lines(client, path), "lines counted")
        print(client.usage("acme", start="2026-03-01", end="2026-03-02").total.bytes, "bytes")
