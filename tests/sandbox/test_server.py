"""The listening socket of the sandbox."""

from __future__ import annotations

import asyncio
import socket
from contextlib import suppress

import pytest

from pulsekit.sandbox.model.broker import Broker
from pulsekit.sandbox.server import Server


# If the server closes after the second iteration, asyncio drops the socket without closing it.
@pytest.mark.parametrize("iterations", [0, 1, 3, 4, 5])
async def test_stopping_also_closes_a_connection_that_was_just_accepted(iterations: int) -> None:
    server = Server(Broker(clock=asyncio.get_running_loop().time))
    port = await server.start("127.0.0.1", 0)
    with socket.create_connection(("127.0.0.1", port), timeout=30) as client:
        for _ in range(iterations):  # of the loop, in which the connection is accepted step by step
            await asyncio.sleep(0)
        async with asyncio.timeout(30):
            await server.stop()

        def read_to_the_end() -> None:
            while client.recv(4096):
                pass

        with suppress(ConnectionResetError):
            await asyncio.to_thread(read_to_the_end)
