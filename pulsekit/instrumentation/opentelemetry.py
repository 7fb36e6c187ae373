"""Spans of OpenTelemetry for messages that are published and handled. This needs the package opentelemetry-api.

The span of a published message ends with its outcome. The headers of the message contain the context of the span:
`traceparent`, `tracestate` and `baggage`, or the headers of another propagator. The span of a handler is a child of
this span.

Names and attributes are those of the conventions for messaging and RabbitMQ:
https://opentelemetry.io/docs/specs/semconv/messaging/messaging-spans/ and
https://opentelemetry.io/docs/specs/semconv/messaging/rabbitmq/. They are in development, and may change.
"""

from __future__ import annotations

from contextlib import contextmanager
from typing import TYPE_CHECKING
from weakref import WeakKeyDictionary

from pulsekit._amqp.outcome import Outcome
from pulsekit.errors import ConfigurationError, InvalidMessage
from pulsekit.instrumentation.protocol import Instrumentation

try:
    from opentelemetry import context, propagate, trace
except ModuleNotFoundError as missing:
    raise ConfigurationError(
        "pulsekit.instrumentation.OpenTelemetry needs the package opentelemetry-api: install opentelemetry-sdk"
    ) from missing

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping
    from typing import Any

    from opentelemetry.propagators.textmap import TextMapPropagator
    from opentelemetry.trace import Link, Span, TracerProvider

    from pulsekit.instrumentation.protocol import DeliveryDetails, Endpoint, OutcomeDetails, PublishDetails

__all__ = ["OpenTelemetry"]


class OpenTelemetry(Instrumentation):
    """A span for each published message, and for each call of a handler. During the call, its span is the current one.

    In a loop over messages, `with messages.handling(message)` creates the span of a handler.

    Args:
        tracer_provider: creates the spans. The default is the global provider.
        propagator: writes the context of a span to headers, and reads it. The default is the global propagator.
    """

    def __init__(
        self, tracer_provider: TracerProvider | None = None, propagator: TextMapPropagator | None = None
    ) -> None:
        self._tracer = trace.get_tracer("pulsekit", tracer_provider=tracer_provider)
        self._propagator = propagator or propagate.get_global_textmap()
        # A message that was encoded in advance and never sent has no outcome. Its span is dropped with the message.
        self._spans: WeakKeyDictionary[PublishDetails, Span] = WeakKeyDictionary()

    def on_publish(self, details: PublishDetails) -> Mapping[str, str]:
        """Begin a span. Return its context as headers, unless the message has the context of another span."""
        exchange, key, others = details.exchange, details.routing_key, self._links(details.headers)
        span = self._tracer.start_span(
            f"publish {exchange}",
            kind=trace.SpanKind.PRODUCER,
            attributes={
                **_attributes(details.broker, "publish", "send", key),
                "messaging.destination.name": _joined(exchange, key),
                "messaging.destination.template": exchange,
            },
            links=others,
        )
        self._spans[details] = span
        headers: dict[str, str] = {}
        if not others:
            self._propagator.inject(headers, trace.set_span_in_context(span))
        return headers

    def on_outcome(self, details: OutcomeDetails) -> None:
        """End the span of a message."""
        span = self._spans.pop(details.publish, None)
        if span is None:
            return
        span.set_attributes({"messaging.message.id": details.message_id, "messaging.message.body.size": details.size})
        if details.outcome is not Outcome.CONFIRMED:
            span.set_attribute("error.type", details.outcome or "not sent")
            span.set_status(trace.StatusCode.ERROR, details.detail)
        span.end()

    @contextmanager
    def handling(self, details: DeliveryDetails) -> Iterator[None]:
        """Create a span as a child of the span of the published message, and make it the current span."""
        message, queue = details.message, "" if details.private else details.queue
        try:
            headers, message_id = message.headers, message.properties.message_id
        except InvalidMessage:  # the content header is malformed
            headers, message_id = {}, None
        parent = self._propagator.extract(_texts(headers))
        span = self._tracer.start_span(
            f"process {_joined(message.exchange, queue)}",
            parent,
            kind=trace.SpanKind.CONSUMER,
            attributes={
                **_attributes(details.broker, "process", "process", message.routing_key),
                "messaging.destination.name": _joined(message.exchange, message.routing_key, details.queue),
                "messaging.destination.template": _joined(message.exchange, queue),
                "messaging.destination.temporary": details.private,
                "messaging.rabbitmq.message.delivery_tag": message.delivery_tag,
                "messaging.message.body.size": len(message.body),
                **({"messaging.message.id": message_id} if message_id else {}),
            },
            links=self._links(headers),
        )
        token = context.attach(parent)
        try:
            with trace.use_span(span, end_on_exit=True):
                try:
                    yield
                except BaseException as error:
                    span.set_attribute("error.type", type(error).__qualname__)
                    raise
        finally:
            context.detach(token)

    def _links(self, headers: Mapping[str, Any]) -> list[Link]:
        """Return a link to the span whose context is in headers."""
        found = trace.get_current_span(self._propagator.extract(_texts(headers), context.Context()))
        return [trace.Link(found.get_span_context())] if found.get_span_context().is_valid else []


def _attributes(broker: Endpoint, name: str, kind: str, key: str) -> dict[str, str | int]:
    """Return the attributes that both kinds of spans have."""
    return {
        "messaging.system": "rabbitmq",
        "messaging.operation.name": name,
        "messaging.operation.type": kind,
        "messaging.rabbitmq.destination.routing_key": key,
        "server.address": broker.host,
        "server.port": broker.port,
    }


def _joined(*parts: str) -> str:
    return ":".join(part for part in parts if part)


def _texts(headers: Mapping[str, Any]) -> dict[str, str]:
    return {name: value for name, value in headers.items() if isinstance(value, str)}
