"""What PulseGuardian's site tells without login: the bindings of a queue.

AMQP cannot list them, and users have no management API ("Accounts and permissions (PulseGuardian)" of the facts).
"""

from __future__ import annotations

import ipaddress
import json
import time
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any
from urllib.parse import quote, urlsplit

from pulsekit.bindings.names import check_queue
from pulsekit.errors import ConfigurationError, InsecureConnection, NetworkError, NotFound, Unreachable

if TYPE_CHECKING:
    import http.client
    from collections.abc import Iterable, Mapping

    from pulsekit.bindings.registration import Binding

__all__ = ["Bound", "Comparison", "compare", "fetch_bindings"]

TIMEOUT = 10.0  # seconds for the whole answer
MAX_BYTES = 8 * 1024 * 1024  # of an answer: tens of thousands of bindings
_CHUNK = 64 * 1024


@dataclass(frozen=True, slots=True)
class Bound:
    """Hold one binding as the broker has it.

    Attributes:
        exchange: the exchange it takes messages from.
        pattern: its routing-key pattern.
        arguments: its arguments, which unbinding has to repeat.
    """

    exchange: str
    pattern: str
    arguments: Mapping[str, Any] = field(default_factory=dict, hash=False)

    def __str__(self) -> str:
        return f"{self.exchange}:{self.pattern}"


@dataclass(frozen=True, slots=True)
class Comparison:
    """Tell the bindings a queue has from those it should have.

    Attributes:
        stale: those that are there and not wanted.
        missing: those that are wanted and not there.
        kept: those that are there and wanted.
    """

    stale: tuple[Bound, ...]
    missing: tuple[Binding, ...]
    kept: tuple[Bound, ...]


def compare(bound: Iterable[Bound], wanted: Iterable[Binding]) -> Comparison:
    """Compare what is bound with what is wanted, as a broker does: exchange and pattern, letter by letter."""
    bound, wanted = tuple(bound), tuple(dict.fromkeys(wanted))
    there = {(one.exchange, one.pattern) for one in bound}
    asked = {(one.exchange, one.pattern) for one in wanted}
    return Comparison(
        stale=tuple(one for one in bound if (one.exchange, one.pattern) not in asked),
        missing=tuple(one for one in wanted if (one.exchange, one.pattern) not in there),
        kept=tuple(one for one in bound if (one.exchange, one.pattern) in asked),
    )


def fetch_bindings(site: str, queue: str, *, timeout: float = TIMEOUT) -> tuple[Bound, ...]:
    """Ask PulseGuardian's site for the bindings of a queue. It blocks, for at most about twice the timeout.

    PulseGuardian knows a queue some seconds after it was made; of one it does not know it says that it has no bindings.

    Args:
        site: such as `https://pulseguardian.mozilla.org`; clear text to this machine alone.
        queue: `queue/<user>/<name>`.
        timeout: seconds.

    Raises:
        InvalidName: Pulse cannot have a queue of this name.
        ConfigurationError: the address cannot be read, or has a password.
        InsecureConnection: it is clear text to another machine.
        NotFound: the site has no such page.
        NetworkError: it could not be reached, or answers something else.
    """
    address = f"{_checked(site)}/queue/{quote(check_queue(queue))}/bindings"
    try:
        answer = json.loads(_read(address, timeout))
        listed = answer["bindings"]
        found = [_bound(entry) for entry in listed]
    except (ValueError, LookupError, TypeError, RecursionError) as error:
        raise NetworkError(f"what {address} answers is no list of bindings: is it PulseGuardian?") from error
    return tuple(one for one in found if one.exchange)  # the default exchange has every queue, and cannot be unbound


def _checked(site: str) -> str:
    """Return the address without a slash at its end, if a question may go there."""
    try:
        parts = urlsplit(site)
        host, _ = parts.hostname, parts.port
    except ValueError:
        host = None
    if not host or parts.scheme not in {"http", "https"} or parts.query or parts.fragment or not site.isprintable():
        raise ConfigurationError("the address of PulseGuardian is written https://HOST/")
    if parts.username is not None or parts.password is not None:
        raise ConfigurationError("the address of PulseGuardian has a login, and the site wants none: https://HOST/")
    if parts.scheme == "http" and not _is_here(host):
        raise InsecureConnection(f"what {site} answers could be anybody's: use https://")
    return site.rstrip("/")


def _is_here(host: str) -> bool:
    if host == "localhost":
        return True
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False


def _read(address: str, timeout: float) -> bytes:
    """Read a page whole, within its time and size, from where it is and nowhere else."""
    import http.client
    import urllib.error
    import urllib.request

    class Stay(urllib.request.HTTPRedirectHandler):
        """Go nowhere else: that could be clear text, or another machine of the network."""

        def redirect_request(self, *_: Any) -> None:
            return None

    handlers: list[urllib.request.BaseHandler] = [Stay()]
    if _is_here(urlsplit(address).hostname or ""):
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
    """Read a binding as RabbitMQ's management API writes it, which PulseGuardian passes on."""
    exchange, pattern = entry["source"], entry["routing_key"]
    arguments = entry.get("arguments") or {}
    if not isinstance(exchange, str) or not isinstance(pattern, str) or not isinstance(arguments, dict):
        raise TypeError
    return Bound(exchange, pattern, arguments)
