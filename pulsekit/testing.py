"""A Pulse for tests: the sandbox in a thread, with methods to inspect it and to inject faults.

    with PulseSandbox() as sandbox:
        my_publisher(sandbox.url("me"))
        (message,) = sandbox.wait("published", "returned")

`feed` passes messages to a handler without a broker, and returns the outcome of each message.

The sandbox runs in a separate thread, so it serves blocking code (kombu, pika, subprocesses) as well as asyncio. This
module does not need pytest. `pulsekit.pytest_plugin` provides the sandbox as fixtures.
"""

from __future__ import annotations

import asyncio
import json
import threading
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Literal

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping
    from typing import Self

    from pulsekit.consume.feeding import Handled, feed, feed_async
    from pulsekit.sandbox import Event, GuardianLimits, Sandbox
    from pulsekit.sandbox.events import Kind

__all__ = ["Handled", "PulseSandbox", "SandboxEvent", "feed", "feed_async"]

_HISTORY = 100_000  # events; tests with more events use Sandbox
_START = 10.0  # seconds; starting, stopping and each call take milliseconds


def __getattr__(name: str) -> object:
    if name not in __all__:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    from pulsekit.consume import feeding  # imported late, because pytest imports this module at each start

    return getattr(feeding, name)


@dataclass(frozen=True, slots=True)
class SandboxEvent:
    """One event in the sandbox.

    Attributes:
        kind: the kind of the event, such as `published`, `acked`, `queue-declared`, `guardian-warned`.
        user: the user who caused the event. Empty if the sandbox caused it.
        exchange: the name of the exchange, if the event concerns one.
        queue: the name of the queue, if the event concerns one.
        routing_key: the routing key of the message or the binding.
        body: the body of the message, if the event concerns one.
        detail: details as text, such as the reason why a message was dead-lettered.
    """

    kind: str
    user: str = ""
    exchange: str = ""
    queue: str = ""
    routing_key: str = ""
    body: bytes = field(default=b"", repr=False)
    detail: str = ""

    @property
    def payload(self) -> Any:
        """The decoded JSON body."""
        return json.loads(self.body)


class PulseSandbox:
    """A sandbox in a thread, in which a test inspects events and injects faults.

    A test awaits `published`, `acked` and `until`, so that the code under test runs meanwhile. A test without an event
    loop calls `wait`. All other methods are thread-safe.

    Args:
        guardian: the limits of the guardian. The default is the limits of PulseGuardian.
        users: passwords by user name. Only these users and `guest` may log in. By default, every user may.
        rabbitmq: the major version of RabbitMQ whose answers clients get: 3 for 3.10.8, 4 for 4.0.5.
    """

    def __init__(
        self,
        *,
        guardian: GuardianLimits | None = None,
        users: Mapping[str, str] | None = None,
        rabbitmq: Literal[3, 4] = 3,
    ) -> None:
        self._options: dict[str, Any] = {"history": _HISTORY, "users": users, "rabbitmq": rabbitmq}
        if guardian is not None:
            self._options["guardian"] = guardian
        self._loop: asyncio.AbstractEventLoop | None = None
        self._sandbox: Sandbox | None = None
        self._failure: BaseException | None = None
        self._up = threading.Event()
        self._thread = threading.Thread(target=self._run, name="pulse sandbox", daemon=True)

    def __enter__(self) -> Self:
        self._thread.start()
        self._up.wait(_START)
        if self._failure is not None:
            raise self._failure
        return self

    def __exit__(self, *_: object) -> None:
        if self._loop is not None and self._thread.is_alive():
            self._loop.call_soon_threadsafe(self._stop.set)
        self._thread.join(_START)

    def url(self, user: str = "me", vhost: str = "/") -> str:
        """Return a URL with the login of a user. `guest` has all permissions, other users have PulseGuardian's."""
        return self._open.url(user, vhost=vhost)

    def publish(
        self, exchange: str, routing_key: str, payload: Any, *, headers: Mapping[str, Any] | None = None
    ) -> int:
        """Publish a message, and return the number of queues to which it was routed. Create the exchange if needed.

        Args:
            exchange: `exchange/<user>/<name>`.
            routing_key: the routing key.
            payload: a JSON value, or the bytes of a body.
            headers: the headers.
        """
        from pulsekit._documents.payloads import encode_payload

        body = payload if isinstance(payload, bytes) else encode_payload(payload)
        return int(self._do(lambda sandbox: _inject(sandbox, exchange, routing_key, body, headers)))

    async def published(self, count: int = 1, timeout: float = 5.0) -> list[SandboxEvent]:
        """Wait until clients have published `count` messages since the start, and return all of them.

        Messages that no queue received are counted. Messages from `publish` are not counted.

        Raises:
            TimeoutError: Raised when there were fewer messages before the timeout.
        """
        return await self.until("published", "returned", count=count, timeout=timeout)

    async def acked(self, count: int = 1, timeout: float = 5.0) -> list[SandboxEvent]:
        """Wait until `count` deliveries were acknowledged, and return all of them."""
        return await self.until("acked", count=count, timeout=timeout)

    async def nacked(self, count: int = 1, timeout: float = 5.0) -> list[SandboxEvent]:
        """Wait until `count` deliveries were requeued or rejected, and return all of them."""
        return await self.until("nacked", count=count, timeout=timeout)

    async def dead_lettered(self, count: int = 1, timeout: float = 5.0) -> list[SandboxEvent]:
        """Wait until `count` messages were dead-lettered, and return all of them. `detail` is the reason."""
        return await self.until("dead-lettered", count=count, timeout=timeout)

    async def until(self, *kinds: Kind, count: int = 1, timeout: float = 5.0) -> list[SandboxEvent]:
        """Wait for `count` events of these kinds since the start, and return all of them.

        Raises:
            TimeoutError: Raised when there were fewer events before the timeout. The message has their number.
        """
        return await asyncio.to_thread(self.wait, *kinds, count=count, timeout=timeout)

    def wait(self, *kinds: Kind, count: int = 1, timeout: float = 5.0) -> list[SandboxEvent]:
        """Do the same as `until`, in a test without an event loop.

        Raises:
            TimeoutError: Raised when there were fewer events before the timeout. The message has their number.
        """
        found = self._await(lambda sandbox: sandbox.wait(*kinds, count=count, timeout=timeout), timeout)
        return [_seen(event) for event in found]

    def seen(self, *kinds: Kind) -> list[SandboxEvent]:
        """Return the events of these kinds, or all events, with the oldest first."""
        found = self._do(lambda sandbox: sandbox.seen(*kinds) if kinds else sandbox.events)
        return [_seen(event) for event in found]

    def depth(self, queue: str) -> int | None:
        """Return the number of ready and unacknowledged messages, or None if the queue does not exist."""
        found = self._do(lambda sandbox: sandbox.queue_depth(queue))
        return None if found is None else sum(found)

    def cut(self, user: str | None = None) -> int:
        """Abort the connections of one user, or all connections, and return their number."""
        return int(self._do(lambda sandbox: sandbox.cut(user)))

    def delete_queue(self, queue: str) -> bool:
        """Delete a queue and cancel its consumers, as PulseGuardian does if a queue exceeds its limit."""
        return bool(self._do(lambda sandbox: sandbox.delete_queue(queue)))

    def block(self) -> None:
        """Block publishers, as a broker with a memory alarm does (connection.blocked)."""
        self._do(lambda sandbox: sandbox.block())

    def unblock(self) -> None:
        """Unblock publishers."""
        self._do(lambda sandbox: sandbox.unblock())

    def refuse(self, refusing: bool = True) -> None:  # noqa: FBT001, FBT002 - a switch
        """Answer each publish with a negative confirm if `refusing` is True, else with a confirm."""
        self._do(lambda sandbox: setattr(sandbox, "refusing", refusing))

    def delay(self, seconds: float) -> None:
        """Delay all frames that the sandbox sends."""
        self._do(lambda sandbox: setattr(sandbox, "latency", seconds))

    @property
    def _open(self) -> Sandbox:
        if self._sandbox is None:
            from pulsekit.errors import NotOpen

            raise NotOpen("the sandbox is not running: use it inside its `with` block")
        return self._sandbox

    def _do(self, action: Callable[[Sandbox], Any]) -> Any:
        async def run(sandbox: Sandbox) -> Any:
            return action(sandbox)

        return self._await(run, _START)

    def _await(self, action: Callable[[Sandbox], Any], timeout: float) -> Any:
        sandbox = self._open
        assert self._loop is not None
        return asyncio.run_coroutine_threadsafe(action(sandbox), self._loop).result(timeout + _START)

    def _run(self) -> None:
        try:
            asyncio.run(self._serve())
        except BaseException as error:  # noqa: BLE001 - raised again by __enter__
            self._failure = error
            self._up.set()

    async def _serve(self) -> None:
        from pulsekit.sandbox import Sandbox

        self._stop = asyncio.Event()
        self._loop = asyncio.get_running_loop()
        async with Sandbox(**self._options) as self._sandbox:
            self._up.set()
            await self._stop.wait()
        self._sandbox = None


def _seen(event: Event) -> SandboxEvent:
    message = event.message
    return SandboxEvent(
        kind=event.kind,
        user=event.user,
        exchange=message.exchange if message else event.exchange,
        queue=event.queue,
        routing_key=message.routing_key if message else event.routing_key,
        body=message.body if message else b"",
        detail=event.detail,
    )


def _inject(sandbox: Sandbox, exchange: str, routing_key: str, body: bytes, headers: Mapping[str, Any] | None) -> int:
    from pamqp.commands import Basic

    sandbox.declare_exchange(exchange)
    properties = Basic.Properties(content_type="application/json", headers=dict(headers) if headers else None)
    return sandbox.inject(exchange, routing_key, body, properties=properties)
