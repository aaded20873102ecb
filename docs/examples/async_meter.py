"""Meter what an asyncio program does: here, a proxy that counts what passes through it."""

import asyncio

from flowtally.client import AsyncClient, AsyncMeter


async def pump(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> int:
    size = 0
    while chunk := await reader.read(65536):
        writer.write(chunk)
        await writer.drain()
        size += len(chunk)
    if writer.can_write_eof():
        writer.write_eof()
    return size


async def proxy(url: str, token: str) -> None:
    async with AsyncClient(url, token) as client, AsyncMeter(client, "proxy-1") as meter:

        async def handle(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            from_there, to_there = await asyncio.open_connection(host, port)
            up, down = await asyncio.gather(pump(reader, to_there), pump(from_there, writer))
            meter.record(account="acme", product="residential", bytes_up=up, bytes_down=down)
            to_there.close()
            writer.close()

        host, port = await echo()
        server = await asyncio.start_server(handle, "127.0.0.1", 0)
        await hello(*server.sockets[0].getsockname())
        server.close()


async def echo() -> tuple[str, int]:
    """Something to talk to."""

    async def handle(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await pump(reader, writer)
        writer.close()

    server = await asyncio.start_server(handle, "127.0.0.1", 0)
    host, port = server.sockets[0].getsockname()
    return host, port


async def hello(host: str, port: int) -> None:
    reader, writer = await asyncio.open_connection(host, port)
    writer.write(b"hello")
    writer.write_eof()
    print(await reader.read(), "came back")
    writer.close()
    await asyncio.sleep(0.1)


def main(url: str, token: str) -> None:
    asyncio.run(proxy(url, token))
