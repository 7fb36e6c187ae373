from __future__ import annotations

import asyncio
import socketserver
import threading
from typing import TYPE_CHECKING

import pytest

import pulsekit
import pulsekit.sync
from pulsekit._config import local_sandbox
from pulsekit._config.local_sandbox import find_sandbox
from pulsekit._config.settings import load_settings
from pulsekit.cli.connection import locate
from pulsekit.sandbox import Sandbox

if TYPE_CHECKING:
    from collections.abc import Iterator

    from pulsekit.testing import PulseSandbox


def test_a_sandbox_on_this_machine_is_found(pulse_sandbox: PulseSandbox) -> None:
    port = int(pulse_sandbox.url().rpartition(":")[2].rstrip("/"))
    broker = find_sandbox(port=port)
    assert broker is not None
    assert (broker.host, broker.port, broker.user) == ("127.0.0.1", port, "me")


async def test_commands_log_in_as_the_default_user_of_the_sandbox(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    async with Sandbox(default_user="ci") as sandbox:
        found = await asyncio.to_thread(find_sandbox, port=sandbox.port)
        monkeypatch.setattr(local_sandbox, "find_sandbox", lambda: found)
        broker = locate(load_settings(), None, insecure=False)
        assert broker.user == "ci"
        async with pulsekit.Pulse(broker) as pulse:
            await pulse.create_exchange("exchange/ci/v1/jobs")
            sandbox.declare_exchange("exchange/bob/v1/jobs")
            with pytest.raises(pulsekit.AccessRefused, match="refused for user 'ci'"):
                await pulse.publisher("exchange/bob/v1/jobs").publish({}, "k")


async def test_the_library_uses_a_running_sandbox_as_commands_do(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    async with Sandbox() as sandbox:
        found = await asyncio.to_thread(find_sandbox, port=sandbox.port)
        monkeypatch.setattr(local_sandbox, "find_sandbox", lambda: found)
        for value in (None, ""):  # a variable that is empty is not set
            if value is not None:
                monkeypatch.setenv("PULSE_URL", value)
            async with pulsekit.connect() as pulse:
                await pulse.check()
            with pulsekit.sync.connect() as waiting:
                await asyncio.to_thread(waiting.check)
    assert caplog.messages.count("no broker is configured: using the sandbox on this machine, as 'me'") == 4


def test_without_a_sandbox_nothing_is_found() -> None:
    assert find_sandbox(port=1) is None


START = b"\x01\x00\x00\x00\x00\x00\x10\x00\x0a\x00\x0a\x00\x09"
NO_SANDBOX = [
    b"HTTP/1.1 400 Bad Request\r\n\r\n",
    b"x" * 100_000,
    b"",
    b"\x01\x00\x00\xff\xff\xff\xff\x00\x0a\x00\x0a" + b"x" * 100_000,
    START,
    START + b"\xff" * 50,
    START + b"\x00\x00\x00\x06\x01xS\x00\x00\x00\xce",
]


@pytest.fixture(params=NO_SANDBOX)
def somebody_else(request: pytest.FixtureRequest) -> Iterator[int]:
    """Something that is not a sandbox."""

    class Answer(socketserver.BaseRequestHandler):
        def handle(self) -> None:
            self.request.recv(8)
            self.request.sendall(request.param)

    with socketserver.TCPServer(("127.0.0.1", 0), Answer) as server:
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
        thread.start()
        yield server.server_address[1]
        server.shutdown()
        thread.join()


def test_a_server_that_is_not_a_sandbox_is_ignored(somebody_else: int) -> None:
    assert find_sandbox(port=somebody_else) is None


@pytest.mark.rabbitmq
def test_a_real_rabbitmq_is_not_mistaken_for_a_sandbox(rabbitmq: object) -> None:
    assert find_sandbox(port=rabbitmq.port) is None  # type: ignore[attr-defined] # a broker of tests
