"""A site on loopback with given answers, such as PulseGuardian's page."""

from __future__ import annotations

import json
import socket
import threading
import time
from contextlib import contextmanager, suppress
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

__all__ = ["Site", "bindings_page", "dripping", "site"]


class Site:
    """The answers of the site, and the requests it got.

    Attributes:
        url: the URL of the site.
        asked: the requested paths, in order.
        pages: a status and a body for some paths.
        status, headers, body: the answer to all other paths.
    """

    def __init__(self, port: int) -> None:
        self.url = f"http://127.0.0.1:{port}"
        self.asked: list[str] = []
        self.pages: dict[str, tuple[int, bytes]] = {}
        self.status = 200
        self.headers: Mapping[str, str] = {}
        self.body = b"{}"


def bindings_page(queue: str, *bindings: tuple[str, str], arguments: Mapping[str, Any] | None = None) -> bytes:
    """Write the page of a queue as PulseGuardian does, with the objects of RabbitMQ's management API."""
    listed = [("", queue), *bindings]  # the management API lists the default exchange too
    return json.dumps(
        {
            "queue_name": queue,
            "bindings": [
                {
                    "source": exchange,
                    "vhost": "/",
                    "destination": queue,
                    "destination_type": "queue",
                    "routing_key": pattern,
                    "arguments": dict(arguments or {}),
                    "properties_key": pattern,
                }
                for exchange, pattern in listed
            ],
        }
    ).encode()


@contextmanager
def site() -> Iterator[Site]:
    """Serve until the block ends."""

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            here.asked.append(self.path)
            status, body = here.pages.get(self.path, (here.status, here.body))
            self.send_response(status)
            for name, value in here.headers.items():
                self.send_header(name, value)
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *_: object) -> None:
            pass

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        here = Site(server.server_address[1])
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
        thread.start()
        try:
            yield here
        finally:
            server.shutdown()
            thread.join()


@contextmanager
def dripping(head: bytes) -> Iterator[str]:
    """Serve an answer that begins with these bytes, followed by one byte every 20 ms until the client disconnects."""
    with socket.create_server(("127.0.0.1", 0)) as server:

        def serve() -> None:
            with suppress(OSError), server.accept()[0] as connection:
                connection.recv(65536)
                connection.sendall(head)
                while True:
                    time.sleep(0.02)  # the pace of a slow site; the reader must stop at its deadline
                    connection.sendall(b"x")

        thread = threading.Thread(target=serve)
        thread.start()
        yield f"http://127.0.0.1:{server.getsockname()[1]}"
        thread.join()  # the client has closed the connection
