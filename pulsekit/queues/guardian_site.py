"""The bindings of a queue, from PulseGuardian's public web site.

AMQP has no method that lists bindings, and users of Pulse have no access to RabbitMQ's management API
(https://wiki.mozilla.org/Auto-tools/Projects/Pulse).
"""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any
from urllib.parse import quote

from pulsekit._http import check_site, fetch
from pulsekit.bindings.names import check_queue
from pulsekit.errors import NetworkError

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from pulsekit.bindings.registration import Binding

__all__ = ["Bound", "Comparison", "compare", "fetch_bindings"]

TIMEOUT = 10.0  # seconds for the complete response
MAX_BYTES = 8 * 1024 * 1024  # bytes of a response, enough for tens of thousands of bindings


@dataclass(frozen=True, slots=True)
class Bound:
    """A binding of a queue on the broker.

    Attributes:
        exchange: the exchange.
        pattern: the routing-key pattern.
        arguments: the arguments, which queue.unbind must repeat.
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
    """Compare the bindings of a queue with the wanted bindings, by exchange and pattern, case-sensitively."""
    bound, wanted = tuple(bound), tuple(dict.fromkeys(wanted))
    there = {(one.exchange, one.pattern) for one in bound}
    asked = {(one.exchange, one.pattern) for one in wanted}
    return Comparison(
        stale=tuple(one for one in bound if (one.exchange, one.pattern) not in asked),
        missing=tuple(one for one in wanted if (one.exchange, one.pattern) not in there),
        kept=tuple(one for one in bound if (one.exchange, one.pattern) in asked),
    )


def fetch_bindings(site: str, queue: str, *, timeout: float = TIMEOUT) -> tuple[Bound, ...]:
    """Return the bindings of a queue from PulseGuardian's web site. The function blocks at most until the timeout.

    PulseGuardian lists a queue some seconds after its creation. For an unknown queue, it returns no bindings.

    Args:
        site: the URL, such as `https://pulseguardian.mozilla.org`. http:// is allowed only for this machine.
        queue: `queue/<user>/<name>`.
        timeout: the maximum duration in seconds.

    Raises:
        InvalidName: Raised when the name of a queue cannot exist on Pulse.
        ConfigurationError: Raised when the URL is malformed or includes a login.
        InsecureConnection: Raised for an http:// URL of another machine.
        NotFound: Raised when the site has no such page.
        NetworkError: Raised when the site cannot be reached, or its response is not a list of bindings.
    """
    address = f"{check_site(site, 'PulseGuardian')}/queue/{quote(check_queue(queue))}/bindings"
    try:
        answer = json.loads(fetch(address, timeout=timeout, max_bytes=MAX_BYTES).check())
        listed = answer["bindings"]
        found = [_bound(entry) for entry in listed]
    except (ValueError, LookupError, TypeError, RecursionError) as error:
        raise NetworkError(
            f"the response of {address} is not a list of bindings: check the URL of PulseGuardian"
        ) from error
    # Every queue is bound to the default exchange and cannot be unbound from it.
    return tuple(one for one in found if one.exchange)


def _bound(entry: Any) -> Bound:
    """Read a binding in the format of RabbitMQ's management API, which PulseGuardian returns unchanged."""
    exchange, pattern = entry["source"], entry["routing_key"]
    arguments = entry.get("arguments") or {}
    if not isinstance(exchange, str) or not isinstance(pattern, str) or not isinstance(arguments, dict):
        raise TypeError
    return Bound(exchange, pattern, arguments)
