"""Spans of published and handled messages, as the SDK of OpenTelemetry exports them."""

from __future__ import annotations

import asyncio
import subprocess
import sys
from typing import TYPE_CHECKING

import pytest
from opentelemetry import trace
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter

import pulsekit
import pulsekit.sync
from pulsekit import Worker
from pulsekit.consume import Workers
from pulsekit.instrumentation import OpenTelemetry

if TYPE_CHECKING:
    from opentelemetry.sdk.trace import ReadableSpan
    from support.rabbitmq.broker import PulseUser

FOREIGN = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"


class Traces:
    """A tracer provider whose spans stay in memory."""

    def __init__(self) -> None:
        self._exporter = InMemorySpanExporter()
        self.provider = TracerProvider()
        self.provider.add_span_processor(SimpleSpanProcessor(self._exporter))
        self.tracer = self.provider.get_tracer("test")
        self.instrumentation = OpenTelemetry(self.provider)

    def spans(self, name: str) -> list[ReadableSpan]:
        """Return the ended spans whose names begin with a word."""
        return [span for span in self._exporter.get_finished_spans() if span.name.split(" ")[0] == name]


@pytest.fixture
def traces() -> Traces:
    return Traces()


async def test_a_handler_continues_the_trace_of_the_publisher(traces: Traces, exchange: str, user: PulseUser) -> None:
    current = []

    async def handler(message: pulsekit.Message) -> None:
        current.append(trace.get_current_span().get_span_context())
        with traces.tracer.start_as_current_span("work"):
            await messages.drain()
        raise KeyError(message.routing_key)

    async with (
        pulsekit.connect(user.url, instrumentation=traces.instrumentation) as pulse,
        pulse.subscribe(f"{exchange}:#", queue=f"queue/{user.name}/jobs") as messages,
    ):
        with traces.tracer.start_as_current_span("request") as request:
            receipt = await pulse.publisher(exchange).publish({}, "a.b")
        with pytest.raises(KeyError):
            await messages.handle(handler)
    (publish,), (process,), (work,) = traces.spans("publish"), traces.spans("process"), traces.spans("work")
    assert publish.parent == request.get_span_context()
    assert process.parent is not None
    assert publish.context is not None
    assert process.parent.span_id == process.links[0].context.span_id == publish.context.span_id
    assert work.parent == process.context == current[0]
    assert {span.context.trace_id for span in (publish, process, work) if span.context} == {publish.context.trace_id}
    assert (publish.kind, process.kind) == (trace.SpanKind.PRODUCER, trace.SpanKind.CONSUMER)
    assert (publish.name, process.name) == (f"publish {exchange}", f"process {exchange}:queue/{user.name}/jobs")
    assert publish.attributes == {
        "messaging.system": "rabbitmq",
        "messaging.operation.name": "publish",
        "messaging.operation.type": "send",
        "messaging.destination.name": f"{exchange}:a.b",
        "messaging.destination.template": exchange,
        "messaging.rabbitmq.destination.routing_key": "a.b",
        "messaging.message.id": receipt.message_id,
        "messaging.message.body.size": 2,
        "server.address": "127.0.0.1",
        "server.port": publish.attributes and publish.attributes["server.port"],
    }
    assert process.attributes is not None
    assert process.attributes["messaging.destination.name"] == f"{exchange}:a.b:queue/{user.name}/jobs"
    assert process.attributes["messaging.operation.type"] == "process"
    assert process.attributes["messaging.rabbitmq.message.delivery_tag"] == 1
    assert process.attributes["messaging.message.id"] == receipt.message_id
    assert (publish.status.status_code, process.status.status_code) == (trace.StatusCode.UNSET, trace.StatusCode.ERROR)
    assert process.attributes["error.type"] == "KeyError"


async def test_the_context_of_another_producer_is_kept_and_linked(
    traces: Traces, exchange: str, user: PulseUser
) -> None:
    async with (
        pulsekit.connect(user.url, instrumentation=traces.instrumentation) as pulse,
        pulse.subscribe(f"{exchange}:#") as messages,
    ):
        publisher = pulse.publisher(exchange, mandatory=True)
        await publisher.publish({}, "a", headers={"traceparent": FOREIGN})
        message = await anext(messages)
        assert message.headers == {"traceparent": FOREIGN}
        with messages.handling(message):
            await message.ack()
        await messages.unbind(f"{exchange}:#")
        with pytest.raises(pulsekit.MessageReturned):
            await publisher.publish({}, "b")
    foreign, returned = traces.spans("publish")
    (process,) = traces.spans("process")
    assert [format(link.context.span_id, "016x") for link in (*foreign.links, *process.links)] == [FOREIGN[36:52]] * 2
    assert process.parent is not None
    assert format(process.parent.trace_id, "032x") == FOREIGN[3:35]
    assert process.name == f"process {exchange}"  # the name of a private queue is another one each time
    assert returned.status.status_code is trace.StatusCode.ERROR
    assert returned.attributes is not None
    assert returned.attributes["error.type"] == "returned"


def test_threads_of_synchronous_programs_and_workers_have_the_span(
    traces: Traces, user: PulseUser, exchange: str
) -> None:
    current = []

    def handler(message: pulsekit.Message) -> None:
        current.append(trace.get_current_span().get_span_context())

    async def work() -> None:
        async with pulsekit.connect(user.url, instrumentation=traces.instrumentation) as pulse:
            worker = Worker(handler, f"{exchange}:#", queue)
            await Workers([worker], drain=True, signals=()).run(pulse)

    queue = f"queue/{user.name}/jobs"
    with pulsekit.sync.connect(user.url, instrumentation=traces.instrumentation) as pulse:
        with pulse.subscribe(f"{exchange}:#", queue=queue) as messages:
            with traces.tracer.start_as_current_span("request") as request:
                pulse.publisher(exchange).publish({}, "a")
                list(pulse.publisher(exchange).publish_many([({}, "b")]))
            messages.drain()
            messages.handle(handler)
        pulse.publisher(exchange).publish({}, "c")
    asyncio.run(work())
    processes, publishes = traces.spans("process"), traces.spans("publish")
    assert [span.parent for span in publishes[:2]] == [request.get_span_context()] * 2
    assert current == [span.context for span in processes]
    assert [span.parent.span_id for span in processes if span.parent] == [
        span.context.span_id for span in publishes if span.context
    ]


def test_without_the_package_the_error_names_it() -> None:
    program = "import sys; sys.modules['opentelemetry'] = None\nfrom pulsekit.instrumentation import OpenTelemetry"
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=False, timeout=50)
    assert (
        "ConfigurationError: pulsekit.instrumentation.OpenTelemetry needs the package opentelemetry-api" in done.stderr
    )
