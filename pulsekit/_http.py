"""Read pages of web sites by HTTP, with a deadline and a maximum size for the answer, and without redirects.

    site = check_site("https://pulseguardian.mozilla.org/", "PulseGuardian")
    answer = fetch(f"{site}/queue/x/bindings", timeout=10.0, max_bytes=1024 * 1024)

urllib limits only the time of each read from a socket, so a site that sends single bytes, or a slow name server, can
delay an answer indefinitely. So a request runs in a thread. At the deadline, the caller continues at once, and the
connection is shut down, which ends the thread.
"""

from __future__ import annotations

import socket
import time
from contextlib import suppress
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

from pulsekit._amqp.broker import is_loopback
from pulsekit.errors import ConfigurationError, InsecureConnection, NetworkError, NotFound, Unreachable

if TYPE_CHECKING:
    from collections.abc import Callable

__all__ = ["Answer", "check_site", "fetch"]

_CHUNK = 64 * 1024  # bytes of one read


@dataclass(frozen=True, slots=True)
class Answer:
    """The answer of a site.

    Attributes:
        address: the URL.
        status: the status code.
        reason: the reason phrase.
        body: the content.
        location: the URL to which the site redirects, or empty.
    """

    address: str
    status: int
    reason: str
    body: bytes
    location: str = ""

    def check(self) -> bytes:
        """Return the body of an answer with status 200.

        Raises:
            NotFound: Raised for status 404.
            Unreachable: Raised for every other status.
        """
        if self.status == 200:
            return self.body
        moved = f", and points to {self.location}" if self.location else ""
        kind = NotFound if self.status == 404 else Unreachable
        raise kind(f"{self.address} answers {self.status} {self.reason}{moved}")


def check_site(url: str, name: str) -> str:
    """Return the URL of a site without a trailing slash, if requests may be sent to it.

    Args:
        url: `https://HOST[/PATH]`; http:// is allowed only for this machine.
        name: the name of the site, for messages.

    Raises:
        ConfigurationError: Raised when the URL is malformed, or has a login.
        InsecureConnection: Raised for an http:// URL of another machine.
    """
    try:
        parts = urlsplit(url)
        host, _ = parts.hostname, parts.port
    except ValueError:
        host = None
    if not host or parts.scheme not in {"http", "https"} or parts.query or parts.fragment or not url.isprintable():
        raise ConfigurationError(f"the address of {name} is written https://HOST/")
    if parts.username is not None or parts.password is not None:
        raise ConfigurationError(f"the address of {name} has a login, but the site needs none: write https://HOST/")
    if parts.scheme == "http" and not is_loopback(host):
        raise InsecureConnection(
            f"{url} is not encrypted, and any machine on the way can change the answers: use https://"
        )
    return url.rstrip("/")


def fetch(address: str, *, timeout: float, max_bytes: int) -> Answer:
    """Return the answer of a site, with any status. Block until it is complete, at most until the timeout.

    Args:
        address: a URL that begins with one that `check_site` returned.
        timeout: seconds for the complete answer.
        max_bytes: the maximum size of the body.

    Raises:
        Unreachable: Raised when the site cannot be reached, or its answer is not complete in time.
        NetworkError: Raised when the body is larger than `max_bytes`.
    """
    import threading

    sockets: list[socket.socket] = []
    results: list[Answer | Exception] = []
    end = time.monotonic() + timeout

    def opened(connection: socket.socket) -> None:
        sockets.append(connection)
        if time.monotonic() > end:
            raise TimeoutError

    def run() -> None:
        try:
            results.append(_request(address, end, max_bytes, opened))
        except Exception as error:  # noqa: BLE001 - raised again below
            results.append(error)

    late = Unreachable(f"{address} did not answer within {timeout:.3g} s")
    thread = threading.Thread(target=run, name="pulsekit HTTP", daemon=True)
    thread.start()
    try:
        thread.join(max(0.0, timeout))
    finally:
        if thread.is_alive():
            for one in sockets:
                with suppress(OSError):
                    one.shutdown(socket.SHUT_RDWR)
    if not results or time.monotonic() > end:
        raise late
    if isinstance(result := results[0], Exception):
        raise late if isinstance(result, TimeoutError) else result
    return result


def _request(address: str, end: float, max_bytes: int, opened: Callable[[socket.socket], object]) -> Answer:
    import http.client
    import urllib.error
    import urllib.request

    class Plain(http.client.HTTPConnection):
        def connect(self) -> None:
            super().connect()
            opened(self.sock)

    class Encrypted(http.client.HTTPSConnection):
        def connect(self) -> None:
            super().connect()
            opened(self.sock)

    class Http(urllib.request.HTTPHandler):
        def http_open(self, request: urllib.request.Request) -> Any:
            return self.do_open(Plain, request)

    class Https(urllib.request.HTTPSHandler):
        def https_open(self, request: urllib.request.Request) -> Any:
            return self.do_open(Encrypted, request)

    class Stay(urllib.request.HTTPRedirectHandler):
        """A handler that does not follow redirects, which could lead to clear text or to another machine."""

        def redirect_request(self, *_: Any) -> None:
            return None

    handlers: list[urllib.request.BaseHandler] = [Http(), Https(), Stay()]
    if is_loopback(urlsplit(address).hostname or ""):
        handlers.append(urllib.request.ProxyHandler({}))
    opener = urllib.request.build_opener(*handlers)
    request = urllib.request.Request(address, headers={"Accept": "application/json", "User-Agent": "pulsekit"})  # noqa: S310 - checked to be http or https
    try:
        try:
            response = opener.open(request, timeout=max(0.001, end - time.monotonic()))
        except urllib.error.HTTPError as error:
            response = error  # an error status is also an answer
        with response:
            body = _body(response, address, end, max_bytes)
            return Answer(address, response.status, response.reason, body, response.headers.get("Location", ""))
    except TimeoutError:
        raise
    except (OSError, ValueError, http.client.HTTPException) as error:  # URLError is an OSError
        reason = getattr(error, "reason", error)
        if isinstance(reason, TimeoutError):
            raise reason from None
        raise Unreachable(f"cannot read {address}: {reason}") from error


def _body(response: Any, address: str, end: float, max_bytes: int) -> bytes:
    parts: list[bytes] = []
    size, expected = 0, response.length  # None if the site did not send a Content-Length
    while part := response.read1(_CHUNK):
        parts.append(part)
        size += len(part)
        if size > max_bytes:
            raise NetworkError(f"the answer of {address} has more than {max_bytes:,} bytes")
        if time.monotonic() > end:
            raise TimeoutError
    if expected is not None and size < expected:  # read1 does not report it
        raise Unreachable(f"cannot read {address}: the connection was closed after {size:,} of {expected:,} bytes")
    return b"".join(parts)
