"""The calls of the instrumentations of a connection. Their exceptions do not affect the connection or a message."""

from __future__ import annotations

import asyncio
import logging
import sys
from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING, Any

from pulsekit._amqp.callbacks import check_callback
from pulsekit._amqp.types import encode_short_string
from pulsekit.instrumentation.protocol import (
    DeliveryDetails,
    Endpoint,
    GapDetails,
    Instrumentation,
    SettlementDetails,
    StateDetails,
)

if TYPE_CHECKING:
    from contextlib import AbstractContextManager
    from types import TracebackType

    from pulsekit._amqp.broker import Broker
    from pulsekit._amqp.types import Settlement
    from pulsekit.instrumentation.protocol import OutcomeDetails, PublishDetails
    from pulsekit.messages import Gap, Message

__all__ = ["Hooks"]

log = logging.getLogger("pulsekit")

_MAX_HEADER = 8192  # bytes of a header that an instrumentation adds
# Errors of a method, which are logged. No method is awaited, so a CancelledError is not a cancellation of the task.
_ERRORS = (Exception, asyncio.CancelledError)
_METHODS = ("on_publish", "on_outcome", "on_deliver", "on_settle", "on_state", "on_gap", "handling")


class Hooks:
    """The instrumentations of one connection.

    Attributes:
        broker: the broker of the connection.
    """

    def __init__(self, instrumentations: Sequence[Instrumentation], broker: Broker) -> None:
        self.broker: Endpoint = Endpoint(broker.host, broker.port, broker.user, broker.virtual_host)
        self._failed: set[Callable[[Any], Any]] = set()
        # The functions to call, by method. Methods that a subclass does not override are not called.
        self._calls: dict[str, list[Callable[[Any], Any]]] = {
            name: [_method(one, name) for one in instrumentations if _overrides(one, name)] for name in _METHODS
        }

    @classmethod
    def of(cls, given: Instrumentation | Sequence[Instrumentation], broker: Broker) -> Hooks | None:
        """Return the hooks of one or several instrumentations, or None for an empty sequence.

        Raises:
            TypeError: Raised when an instrumentation lacks a method, or a method is an `async def`.
        """
        several = given if isinstance(given, Sequence) else [given]
        return cls(several, broker) if several else None

    def publish(self, details: PublishDetails) -> dict[str, str]:
        """Call `on_publish` of each instrumentation, and return all headers."""
        headers: dict[str, str] = {}
        for call in self._calls["on_publish"]:
            try:
                headers |= _checked(call(details))
            except _ERRORS:
                self.report(call)
        return headers

    def outcome(self, details: OutcomeDetails) -> None:
        """Call `on_outcome` of each instrumentation."""
        self._call_all("on_outcome", details)

    def deliver(self, message: Message, queue: str, *, private: bool) -> None:
        """Call `on_deliver` of each instrumentation."""
        if self._calls["on_deliver"]:
            self._call_all("on_deliver", DeliveryDetails(self.broker, queue, private, message))

    def settle(self, message: Message, settlement: Settlement, queue: str, *, private: bool, stale: bool) -> None:
        """Call `on_settle` of each instrumentation."""
        if self._calls["on_settle"]:
            delivery = DeliveryDetails(self.broker, queue, private, message)
            self._call_all("on_settle", SettlementDetails(delivery, settlement, stale))

    def state(self, connection: str, state: str) -> None:
        """Call `on_state` of each instrumentation."""
        self._call_all("on_state", StateDetails(self.broker, connection, state))

    def gap(self, gap: Gap, queue: str, *, private: bool) -> None:
        """Call `on_gap` of each instrumentation."""
        self._call_all("on_gap", GapDetails(self.broker, queue, private, gap))

    def handling(self, message: Message, queue: str, *, private: bool) -> AbstractContextManager[None]:
        """Return one context that enters `handling` of each instrumentation."""
        return _Contexts(self, self._calls["handling"], DeliveryDetails(self.broker, queue, private, message))

    def report(self, method: Callable[[Any], Any]) -> None:
        """Log the current exception, if it is the first one of this method."""
        if method not in self._failed:
            self._failed.add(method)
            log.warning(
                "an instrumentation failed; further failures of %s are not logged", method, exc_info=sys.exc_info()
            )

    def _call_all(self, name: str, details: object) -> None:
        for call in self._calls[name]:
            self._call(call, details)

    def _call(self, call: Callable[[Any], Any], details: object) -> Any:
        try:
            return call(details)
        except _ERRORS:
            self.report(call)
            return None


class _Contexts:
    """The contexts of all instrumentations around one call of a handler. They cannot suppress its exceptions."""

    def __init__(self, hooks: Hooks, calls: list[Callable[[Any], Any]], details: DeliveryDetails) -> None:
        self._hooks = hooks
        self._calls = calls
        self._details = details
        self._entered: list[tuple[Callable[[Any], Any], AbstractContextManager[object]]] = []

    def __enter__(self) -> None:
        for call in self._calls:
            try:
                context = call(self._details)
                if context is not None:
                    context.__enter__()
                    self._entered.append((call, context))
            except _ERRORS:
                self._hooks.report(call)

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        for call, context in reversed(self._entered):
            try:
                context.__exit__(kind, error, trace)
            except BaseException as raised:
                if raised is not error:
                    if not isinstance(raised, Exception):
                        raise
                    self._hooks.report(call)


def _checked(headers: Mapping[str, str] | None) -> dict[str, str]:
    """Return headers if AMQP can encode them.

    Raises:
        ValueError: Raised when a name or a value is too long, or is not a text.
    """
    for name, value in (headers or {}).items():
        encode_short_string("name of a header", name)
        if len(value.encode()) > _MAX_HEADER:
            raise ValueError(f"the header {name} has more than {_MAX_HEADER} bytes")
    return dict(headers or {})


def _method(instrumentation: object, name: str) -> Callable[[Any], Any]:
    method: Callable[[Any], Any] | None = getattr(instrumentation, name, None)
    if method is None:
        kind = type(instrumentation).__name__
        raise TypeError(f"{kind} has no method {name}: make it a subclass of pulsekit.instrumentation.Instrumentation")
    check_callback(name, method)
    return method


def _overrides(instrumentation: object, name: str) -> bool:
    return getattr(_method(instrumentation, name), "__func__", None) is not getattr(Instrumentation, name)
