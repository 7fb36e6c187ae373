"""The bindings of a queue, as PulseGuardian's web site lists them without a login.

AMQP has no method that lists bindings, and users of Pulse have no access to RabbitMQ's management API
(https://wiki.mozilla.org/Auto-tools/Projects/Pulse).
"""

from __future__ import annotations

import json
import time
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any
from urllib.parse import quote, urlsplit

from pulsekit._amqp.broker import is_loopback
from pulsekit.bindings.names import check_queue
from pulsekit.errors import ConfigurationError, InsecureConnection, NetworkError, NotFound, Unreachable

if TYPE_CHECKING:
    import http.client
    from collections.abc import Iterable, Mapping

    from pulsekit.bindings.registration import Binding

__all__ = ["Bound", "Comparison", "compare", "fetch_bindings"]

TIMEOUT = 10.0  # seconds for the complete answer
MAX_BYTES = 8 * 1024 * 1024  # of an answer: tens of thousands of bindings
_CHUNK = 64 * 1024


@dataclass(frozen=True, slots=True)
class Bound:
    """A binding of a queue on the broker.

    Attributes:
        exchange: the exchange.
        pattern: the routing-key pattern.
        arguments: the arguments, which queue.unbind has to repeat.
    """

    exchange: str
    pattern: str
    arguments: Mapping[str, Any] = field(default_factory=dict, hash=False)

    def __str__(self) -> str:
        return f"{self.exchange}:{self.pattern}"


@dataclass(frozen=True, slots=True)
class Comparison:
    """The difference between the bindings of a queue and the wanted bindings.

    Attributes:
        stale: bindings of the queue that are not wanted.
        missing: wanted bindings that the queue does not have.
        kept: wanted bindings that the queue has.
    """

    stale: tuple[Bound, ...]
    missing: tuple[Binding, ...]
    kept: tuple[Bound, ...]


def compare(bound: Iterable[Bound], wanted: Iterable[Binding]) -> Comparison:
    """Compare the bindings of a queue with the wanted ones, by exchange and pattern, case-sensitively."""
    bound, wanted = tuple(bound), tuple(dict.fromkeys(wanted))
    there = {(one.exchange, one.pattern) for one in bound}
    asked = {(one.exchange, one.pattern) for one in wanted}
    return Comparison(
        stale=tuple(one for one in bound if (one.exchange, one.pattern) not in asked),
        missing=tuple(one for one in wanted if (one.exchange, one.pattern) not in there),
        kept=tuple(one for one in bound if (one.exchange, one.pattern) in asked),
    )


def fetch_bindings(site: str, queue: str, *, timeout: float = TIMEOUT) -> tuple[Bound, ...]:
    """Return the bindings of a queue from PulseGuardian's web site. This blocks for at most about twice the timeout.

    PulseGuardian lists a queue some seconds after it was created. For an unknown queue it returns no bindings.

    Args:
        site: the URL, such as `https://pulseguardian.mozilla.org`; http:// only for this machine.
        queue: `queue/<user>/<name>`.
        timeout: seconds.

    Raises:
        InvalidName: Raised when Pulse cannot have a queue of this name.
        ConfigurationError: Raised when the URL is malformed, or has a login.
        InsecureConnection: Raised for an http:// URL of another machine.
        NotFound: Raised when the site has no such page.
        NetworkError: Raised when the site cannot be reached, or its answer is not a list of bindings.
    """
    address = f"{_checked(site)}/queue/{quote(check_queue(queue))}/bindings"
    try:
        answer = json.loads(_read(address, timeout))
        listed = answer["bindings"]
        found = [_bound(entry) for entry in listed]
    except (ValueError, LookupError, TypeError, RecursionError) as error:
        raise NetworkError(f"what {address} answers is no list of bindings: is it PulseGuardian?") from error
    # Every queue is bound to the default exchange, and cannot be unbound from it.
    return tuple(one for one in found if one.exchange)


def _checked(site: str) -> str:
    """Return the URL without a trailing slash, if requests may be sent to it."""
    try:
        parts = urlsplit(site)
        host, _ = parts.hostname, parts.port
    except ValueError:
        host = None
    if not host or parts.scheme not in {"http", "https"} or parts.query or parts.fragment or not site.isprintable():
        raise ConfigurationError("the address of PulseGuardian is written https://HOST/")
    if parts.username is not None or parts.password is not None:
        raise ConfigurationError("the address of PulseGuardian has a login, and the site wants none: https://HOST/")
    if parts.scheme == "http" and not is_loopback(host):
        raise InsecureConnection(f"what {site} answers could be anybody's: use https://")
    return site.rstrip("/")


def _read(address: str, timeout: float) -> bytes:
    """Return a whole page, with limits of time and size and without redirects."""
    import http.client
    import urllib.error
    import urllib.request

    class Stay(urllib.request.HTTPRedirectHandler):
        """Refuse redirects, which could lead to clear text or to another machine of the network."""

        def redirect_request(self, *_: Any) -> None:
            return None

    handlers: list[urllib.request.BaseHandler] = [Stay()]
    if is_loopback(urlsplit(address).hostname or ""):
        handlers.append(urllib.request.ProxyHandler({}))
    opener = urllib.request.build_opener(*handlers)
    end = time.monotonic() + timeout
    request = urllib.request.Request(address, headers={"Accept": "application/json", "User-Agent": "pulsekit"})  # noqa: S310 - checked to be http or https
    try:
        with opener.open(request, timeout=timeout) as response:
            return _body(response, address, end)
    except urllib.error.HTTPError as error:
        with error:
            moved = f", and points to {error.headers.get('Location')}" if 300 <= error.code < 400 else ""
            words = f"{address} answers {error.code} {error.reason}{moved}"
        kind = NotFound if error.code == 404 else Unreachable
        raise kind(words) from error
    except TimeoutError as error:
        raise Unreachable(f"{address} did not answer within {timeout:g} s") from error
    except (OSError, ValueError, http.client.HTTPException) as error:  # URLError is an OSError
        reason = getattr(error, "reason", error)
        raise Unreachable(f"cannot read {address}: {reason}") from error


def _body(response: http.client.HTTPResponse, address: str, end: float) -> bytes:
    parts: list[bytes] = []
    size = 0
    while part := response.read1(_CHUNK):
        parts.append(part)
        size += len(part)
        if size > MAX_BYTES:
            raise NetworkError(f"what {address} answers has over {MAX_BYTES} bytes: is it PulseGuardian?")
        if time.monotonic() > end:
            raise TimeoutError
    return b"".join(parts)


def _bound(entry: Any) -> Bound:
    """Read a binding in the format of RabbitMQ's management API, which PulseGuardian returns unchanged."""
    exchange, pattern = entry["source"], entry["routing_key"]
    arguments = entry.get("arguments") or {}
    if not isinstance(exchange, str) or not isinstance(pattern, str) or not isinstance(arguments, dict):
        raise TypeError
    return Bound(exchange, pattern, arguments)
