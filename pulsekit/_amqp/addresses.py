"""Resolve the name of a host, and connect to one of its addresses.

Plan: `connect` starts an attempt with the first address, and another one with the next address whenever an attempt
fails or a quarter of a second passes (RFC 8305 §5, "Happy Eyeballs"). The first connection wins. Addresses of IPv6 and
IPv4 alternate (§4). So if packets to an address are lost, as with a broken IPv6, connecting takes 0.25 s longer.
"""

from __future__ import annotations

import asyncio
import socket
from itertools import chain, zip_longest
from typing import TYPE_CHECKING, Any, TypeAlias

from pulsekit._amqp.tasks import run_in_daemon

if TYPE_CHECKING:
    from collections.abc import Sequence

    Address: TypeAlias = tuple[Any, ...]  # as in the list of `socket.getaddrinfo`

__all__ = ["connect", "resolve"]

_DELAY = 0.25  # seconds until the next attempt starts (RFC 8305 §8)


async def resolve(host: str, port: int) -> Sequence[Address]:
    """Resolve a host name. A resolver that does not answer does not delay the end of the program.

    Raises:
        OSError: Raised when the name has no address.
        UnicodeError: Raised when IDNA cannot encode the name.
    """
    return await run_in_daemon(lambda: socket.getaddrinfo(host, port, type=socket.SOCK_STREAM), f"resolve {host}")


async def connect(addresses: Sequence[Address]) -> socket.socket:
    """Connect to the first address that accepts the connection.

    Raises:
        OSError: Raised when no address accepts the connection, with the error of the first attempt.
    """
    waiting = _alternated(addresses)
    attempts: list[asyncio.Task[socket.socket]] = []
    try:
        while True:
            if waiting:
                attempts.append(asyncio.ensure_future(_attempt(waiting.pop(0))))
            running = [attempt for attempt in attempts if not attempt.done()]
            if running:
                await asyncio.wait(running, timeout=_DELAY if waiting else None, return_when=asyncio.FIRST_COMPLETED)
            for attempt in attempts:
                if _has_connected(attempt):
                    attempts.remove(attempt)
                    return attempt.result()
            if not waiting and all(attempt.done() for attempt in attempts):
                break
        raise next((error for one in attempts if (error := one.exception())), OSError("the name has no address"))
    finally:
        for attempt in attempts:
            if _has_connected(attempt):  # another attempt won in the same iteration
                attempt.result().close()
            attempt.cancel()
        if attempts:
            await asyncio.wait(attempts)


def _has_connected(attempt: asyncio.Task[socket.socket]) -> bool:
    return attempt.done() and not attempt.cancelled() and attempt.exception() is None


def _alternated(addresses: Sequence[Address]) -> list[Address]:
    """Return the addresses in an order in which the two families alternate. The first address stays first."""
    first = [one for one in addresses if one[0] == addresses[0][0]]
    others = [one for one in addresses if one[0] != addresses[0][0]]
    return [one for one in chain.from_iterable(zip_longest(first, others)) if one is not None]


async def _attempt(address: Address) -> socket.socket:
    sock = socket.socket(*address[:3])  # OSError on a machine without IPv6, where resolvers still return IPv6 addresses
    try:
        sock.setblocking(False)
        await asyncio.get_running_loop().sock_connect(sock, address[4])
    except BaseException:
        sock.close()
        raise
    return sock
