from __future__ import annotations

import socketserver
import threading
from typing import TYPE_CHECKING

import pytest

from pulsekit._config.discovery import find_sandbox

if TYPE_CHECKING:
    from collections.abc import Iterator

    from pulsekit.testing import PulseSandbox


def test_a_sandbox_on_this_machine_is_found(pulse_sandbox: PulseSandbox) -> None:
    port = int(pulse_sandbox.url().rpartition(":")[2].rstrip("/"))
    broker = find_sandbox("you", port=port)
    assert broker is not None
    assert (broker.host, broker.port, broker.user) == ("127.0.0.1", port, "you")


def test_where_nothing_listens_nothing_is_found() -> None:
    assert find_sandbox("you", port=1) is None


@pytest.fixture(params=[b"HTTP/1.1 400 Bad Request\r\n\r\n", b"x" * 100_000, b""])
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


def test_what_is_not_a_sandbox_is_left_alone(somebody_else: int) -> None:
    assert find_sandbox("you", port=somebody_else) is None


@pytest.mark.rabbitmq
def test_a_real_rabbitmq_is_not_taken_for_a_sandbox(rabbitmq: object) -> None:
    assert find_sandbox("guest", port=rabbitmq.port) is None  # type: ignore[attr-defined] # a broker of tests
