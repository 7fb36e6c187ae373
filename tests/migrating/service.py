"""The service that the programs of docs/migrating/ call for each message: it fails or waits when a test says so."""

from __future__ import annotations

import json
import threading
from collections import Counter
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Self

__all__ = ["Service"]

_PATIENCE = 30.0  # seconds for a condition of a test


class Service(ThreadingHTTPServer):
    """Count requests about numbered messages.

    A request has one number, or a list of them.

    Attributes:
        requested: how often each message was in a request.
        handled: the messages whose request was answered with 200, in this order.
        fails: how many requests about a message are answered with an error.
        delays: the first message whose request is not answered until its client is killed.
        delayed: the messages of these requests.
    """

    daemon_threads = True
    request_queue_size = 100

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), _Request)
        self.requested = Counter[int]()
        self.handled: list[int] = []
        self.fails = Counter[int]()
        self.delays = float("inf")
        self.delayed: set[int] = set()
        self._changed = threading.Condition()

    def __enter__(self) -> Self:
        threading.Thread(target=self.serve_forever, kwargs={"poll_interval": 0.01}).start()
        return self

    def __exit__(self, *_: object) -> None:
        self.release()
        self.shutdown()
        self.server_close()

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.server_port}"

    def answer(self, numbers: list[int]) -> int:
        """Return the status for a request, or 0 if its client was killed meanwhile."""
        with self._changed:
            self.requested.update(numbers)
            self._changed.notify_all()
            if max(numbers) >= self.delays:
                self.delayed.update(numbers)
                self._changed.wait_for(lambda: max(numbers) < self.delays)
                return 0
            if any(self.fails[number] for number in numbers):
                self.fails.subtract(numbers)
                return 500
            self.handled += numbers
            return 200

    def release(self) -> None:
        """Answer all requests from now on."""
        with self._changed:
            self.delays = float("inf")
            self._changed.notify_all()

    def wait(self, condition: Callable[[Service], bool]) -> None:
        """Wait until the requests so far fulfil a condition."""
        with self._changed:
            assert self._changed.wait_for(lambda: condition(self), _PATIENCE), (self.delayed, len(self.handled))


class _Request(BaseHTTPRequestHandler):
    server: Service

    def do_POST(self) -> None:
        value: Any = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        status = self.server.answer([int(number) for number in (value if isinstance(value, list) else [value])])
        if status:
            self.send_response(status)
            self.send_header("Content-Length", "0")
            self.end_headers()

    def log_message(self, *_: object) -> None:
        """Write nothing to stderr."""
