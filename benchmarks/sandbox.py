"""Measure the sandbox: messages of 500 bytes with confirms and acks, over raw sockets in separate processes.

Usage: python benchmarks/sandbox.py [--count N] [--url amqp://guest:guest@host:port/]

The publisher keeps a window of unconfirmed messages, and the consumer acks with `multiple`. Both parse as little as
possible, so that the broker is the bottleneck. With --url, another broker is measured.
"""

from __future__ import annotations

import argparse
import asyncio
import resource
import socket
import struct
import subprocess
import sys
import time
from urllib.parse import unquote, urlsplit

from pamqp import body, commands, frame, header

QUEUE = "bench-sandbox"
BODY = b"x" * 500
WINDOW = 2048
BATCH = 64
PREFETCH = 1024
ACK_SIZE = 21  # bytes of a Basic.Ack with its frame


class RawConnection:
    """A blocking socket that reads complete frames."""

    def __init__(self, url: str) -> None:
        parts = urlsplit(url)
        self.socket = socket.create_connection((parts.hostname, parts.port or 5672))
        self.socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self.rest = b""
        self.socket.sendall(b"AMQP\x00\x00\x09\x01")
        self.wait(commands.Connection.Start)
        login = f"\0{unquote(parts.username or 'guest')}\0{unquote(parts.password or 'guest')}"
        self.send(commands.Connection.StartOk({"capabilities": {}}, "PLAIN", login, "en_US"), 0)
        self.wait(commands.Connection.Tune)
        self.send(commands.Connection.TuneOk(2047, 131072, 0), 0)
        self.send(commands.Connection.Open("/"), 0)
        self.wait(commands.Connection.OpenOk)
        self.call(commands.Channel.Open(), commands.Channel.OpenOk)

    def send(self, value: object, channel: int = 1) -> None:
        self.socket.sendall(frame.marshal(value, channel))

    def call(self, value: object, answer: type) -> object:
        self.send(value)
        return self.wait(answer)

    def wait(self, kind: type) -> object:
        value = frame.unmarshal(self.frames(1)[0])[2]
        assert isinstance(value, kind), value
        return value

    def frames(self, count: int) -> list[bytes]:
        """Return a number of frames."""
        found: list[bytes] = []
        while len(found) < count:
            size = struct.unpack_from(">I", self.rest, 3)[0] + 8 if len(self.rest) >= 8 else 8
            if len(self.rest) >= size:
                found.append(self.rest[:size])
                self.rest = self.rest[size:]
            else:
                self.rest += self.socket.recv(1 << 18)
        return found

    def count(self, size: int) -> int:
        """Read once, and return the number of completed pieces of a size."""
        data = self.rest if len(self.rest) >= size else self.rest + self.socket.recv(1 << 18)
        pieces, rest = divmod(len(data), size)
        self.rest = data[len(data) - rest :]
        return pieces

    def last(self, size: int) -> bytes:
        """Read until a piece of a size is complete, and return the last complete piece."""
        data = self.rest + self.socket.recv(1 << 18)
        while len(data) < size:
            data += self.socket.recv(1 << 18)
        whole = len(data) - len(data) % size
        self.rest = data[whole:]
        return data[whole - size : whole]


def publish(url: str, count: int) -> None:
    connection = RawConnection(url)
    connection.call(commands.Confirm.Select(), commands.Confirm.SelectOk)
    values = [
        commands.Basic.Publish(exchange="", routing_key=QUEUE),
        header.ContentHeader(0, len(BODY), commands.Basic.Properties(delivery_mode=1)),
        body.ContentBody(BODY),
    ]
    message = b"".join(frame.marshal(value, 1) for value in values)
    sent = confirmed = 0
    began = time.perf_counter()
    while confirmed < count:
        while sent < count and sent - confirmed + BATCH <= WINDOW:
            more = min(BATCH, count - sent)
            connection.socket.sendall(message * more)
            sent += more
        confirmed = struct.unpack_from(">Q", connection.last(ACK_SIZE), 11)[0]  # the broker confirms in order
    print(f"{count / (time.perf_counter() - began):.0f}")


def consume(url: str, count: int) -> None:
    connection = RawConnection(url)
    connection.call(commands.Basic.Qos(prefetch_count=PREFETCH), commands.Basic.QosOk)
    connection.call(commands.Basic.Consume(queue=QUEUE), commands.Basic.ConsumeOk)
    first = connection.frames(3)
    size = sum(map(len, first))  # all deliveries have the size of the first
    connection.rest = b"".join(first) + connection.rest
    got = acked = 0
    began = time.perf_counter()
    while got < count:
        got += connection.count(size)
        if got - acked >= BATCH or got == count:
            connection.socket.sendall(frame.marshal(commands.Basic.Ack(got, multiple=True), 1))
            acked = got
    print(f"{count / (time.perf_counter() - began):.0f}")


async def measure(url: str, count: int) -> None:
    setup = await asyncio.to_thread(RawConnection, url)
    await asyncio.to_thread(setup.call, commands.Queue.Declare(queue=QUEUE), commands.Queue.DeclareOk)
    script = [sys.executable, __file__, "--url", url, "--count", str(count), "--role"]
    cpu, began = time.process_time(), time.perf_counter()
    workers = [
        await asyncio.create_subprocess_exec(*script, role, stdout=subprocess.PIPE) for role in ("publish", "consume")
    ]
    rates = [(await worker.communicate())[0].decode().strip() for worker in workers]
    elapsed, cpu = time.perf_counter() - began, time.process_time() - cpu
    each = f"{cpu / count * 1e6:.1f} µs of our CPU each"
    print(f"published {rates[0]}/s, consumed {rates[1]}/s; {each}, {elapsed:.1f} s")
    await asyncio.to_thread(setup.call, commands.Queue.Delete(queue=QUEUE), commands.Queue.DeleteOk)


async def main(count: int, url: str | None) -> None:
    if url is not None:
        await measure(url, count)
        return
    from pulsekit.sandbox import Sandbox

    began = time.perf_counter()
    async with Sandbox() as sandbox:
        print(f"up in {(time.perf_counter() - began) * 1000:.1f} ms")
        for _ in range(3):
            await measure(sandbox.url(), count)
    print(f"{resource.getrusage(resource.RUSAGE_SELF).ru_maxrss // 1024} MB at most")


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--count", type=int, default=100_000)
    parser.add_argument("--url")
    parser.add_argument("--role", choices=["publish", "consume"], help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.role:
        {"publish": publish, "consume": consume}[options.role](options.url, options.count)
    else:
        asyncio.run(main(options.count, options.url))
