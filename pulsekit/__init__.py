"""Publish jobs to Treeherder over Mozilla Pulse, and consume messages of Pulse.

Publish one job, then consume it. `pulsekit sandbox` runs a broker for this example:

    import asyncio

    import pulsekit

    JOB = {
        "taskId": "5b3bb6a5-6d1f-4d3c-9a3b-0f6f2b0f7c11/0",
        "origin": {"project": "autoland", "revision": "c0ffee0123456789c0ffee0123456789c0ffee01"},
        "buildSystem": "my-ci",
        "display": {"jobSymbol": "t", "groupSymbol": "?", "jobName": "unit tests"},
        "state": "running",
        "jobKind": "test",
        "owner": "me@example.com",
        "version": 1,
    }

    async def main():
        async with pulsekit.connect("amqp://me:me@127.0.0.1:5672/") as pulse:
            exchange = "exchange/me/v1/jobs"
            async with (
                pulse.publisher(exchange, schema="pulse-job") as publisher,
                pulse.subscribe(f"{exchange}:treeherder.#") as consumer,
            ):
                await publisher.publish(JOB, "treeherder.autoland._")
                message = await anext(consumer)
                print(message.routing_key, message.payload["state"])
                await message.ack()

    asyncio.run(main())

Connect:

- `connect`: return a `Pulse` for a URL or the settings.
- `Pulse`: the connections to the broker, which create publishers and consumers.
- `PulsekitError`: the base class of all exceptions that pulsekit raises on purpose.

Publish and consume:

- `Publisher`: validates messages, publishes them to one exchange, and returns a receipt for each.
- `Consumer`: iterates over the messages of a queue, or passes each message to a handler.
- `Queue`: a named queue to declare and consume.
- `Policy`: how messages are settled after their handler failed.
- `Reject`, `Retry`, `Stop`: exceptions by which a handler decides about its message.
- `Worker`: a handler with its queue, for `pulsekit consume`.

Validate and match:

- `Schema`, `load_schema`: a compiled JSON schema that validates payloads.
- `Registration`: the exchange, destinations and projects that Treeherder expands into bindings.
- `diff`: return what changes between two sets of bindings.
- `BindingTable`: returns the values of all patterns that match a routing key.
- `topic_matches`: return whether a topic pattern matches a routing key.

Record and replay:

- `Recorder`: writes messages to a recording.
- `read_recording`: yield the records and gaps of a recording.
- `Replay`: publishes the records of a recording with the original intervals, or faster.

`pulsekit.catalogue` has the exchanges of Taskcluster and others, with the fields of their keys. `pulsekit.treeherder`
has the rules of Treeherder.

Names load on first use (PEP 562), because importing asyncio and aio-pika takes longer than predicting a route.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from pulsekit._lazy import lazy_names

if TYPE_CHECKING:
    from pulsekit import bindings as bindings
    from pulsekit import catalogue as catalogue
    from pulsekit import consumer as consumer
    from pulsekit import diagnosis as diagnosis
    from pulsekit import hooks as hooks
    from pulsekit import instrumentation as instrumentation
    from pulsekit import publisher as publisher
    from pulsekit import queues as queues
    from pulsekit import recordings as recordings
    from pulsekit import records as records
    from pulsekit import schemas as schemas
    from pulsekit import treeherder as treeherder
    from pulsekit._amqp.connection import State
    from pulsekit._amqp.outcome import Outcome
    from pulsekit._amqp.types import Properties
    from pulsekit.bindings.matching import Explanation, explain_match, topic_matches
    from pulsekit.bindings.registration import Binding, BindingDiff, Registration, Rule, diff, read_registrations
    from pulsekit.bindings.table import BindingTable
    from pulsekit.consume.worker import Worker
    from pulsekit.consumer.consumer import Consumer
    from pulsekit.consumer.guardian_limits import Limits, QueueDepth
    from pulsekit.consumer.policy import OnFailure, Policy, Reject, Retry, Stop
    from pulsekit.consumer.queue_options import Queue
    from pulsekit.errors import (
        AccessRefused,
        BrokerRefused,
        ConfigurationError,
        ConnectionLost,
        ConnectTimeout,
        DamagedRecording,
        DocumentError,
        HandlerFailed,
        InsecureConnection,
        InvalidInput,
        InvalidMessage,
        InvalidName,
        InvalidPattern,
        InvalidPayload,
        InvalidRegistration,
        LoginRefused,
        NetworkError,
        NotFound,
        NotOpen,
        PreconditionFailed,
        Problem,
        PulsekitError,
        ResourceLocked,
        SchemaError,
        SubscriptionLost,
        Unreachable,
        VirtualHostRefused,
    )
    from pulsekit.messages import Gap, Message
    from pulsekit.publisher.encoder import Draft
    from pulsekit.publisher.publisher import Publisher
    from pulsekit.publisher.receipts import (
        MessageRefused,
        MessageReturned,
        OutcomeUnknown,
        PublishError,
        PublishTimeout,
        Receipt,
    )
    from pulsekit.pulse import Pulse, connect
    from pulsekit.recordings.reader import read_recording
    from pulsekit.recordings.recorder import Recorder
    from pulsekit.recordings.replay import Replay
    from pulsekit.records.record import Record, message_record
    from pulsekit.schemas.schema import Schema, load_schema

__version__ = "0.1.0"

__all__ = [
    "AccessRefused", "Binding", "BindingDiff", "BindingTable", "BrokerRefused", "ConfigurationError",
    "ConnectTimeout", "ConnectionLost", "Consumer", "DamagedRecording", "DocumentError", "Draft", "Explanation",
    "Gap", "HandlerFailed", "InsecureConnection", "InvalidInput", "InvalidMessage", "InvalidName",
    "InvalidPattern", "InvalidPayload", "InvalidRegistration", "Limits", "LoginRefused", "Message",
    "MessageRefused", "MessageReturned", "NetworkError", "NotFound", "NotOpen", "OnFailure", "Outcome",
    "OutcomeUnknown", "Policy", "PreconditionFailed", "Problem", "Properties", "PublishError", "PublishTimeout",
    "Publisher", "Pulse", "PulsekitError", "Queue", "QueueDepth", "Receipt", "Record", "Recorder",
    "Registration", "Reject", "Replay", "ResourceLocked", "Retry", "Rule", "Schema", "SchemaError", "State",
    "Stop", "SubscriptionLost", "Unreachable", "VirtualHostRefused", "Worker", "connect", "diff", "explain_match",
    "load_schema", "message_record", "read_recording", "read_registrations", "topic_matches",
]  # fmt: skip

__getattr__, __dir__ = lazy_names(
    __name__,
    {
        "_amqp.connection": "State",
        "_amqp.outcome": "Outcome",
        "_amqp.types": "Properties",
        "bindings.matching": "Explanation explain_match topic_matches",
        "bindings.registration": "Binding BindingDiff Registration Rule diff read_registrations",
        "bindings.table": "BindingTable",
        "consume.worker": "Worker",
        "consumer.consumer": "Consumer",
        "consumer.guardian_limits": "Limits QueueDepth",
        "consumer.policy": "OnFailure Policy Reject Retry Stop",
        "consumer.queue_options": "Queue",
        "errors": (
            "AccessRefused BrokerRefused ConfigurationError ConnectTimeout ConnectionLost DamagedRecording "
            "DocumentError HandlerFailed InsecureConnection InvalidInput InvalidMessage InvalidName InvalidPattern "
            "InvalidPayload InvalidRegistration LoginRefused NetworkError NotFound NotOpen PreconditionFailed "
            "Problem PulsekitError ResourceLocked SchemaError SubscriptionLost Unreachable VirtualHostRefused"
        ),
        "messages": "Gap Message",
        "publisher.encoder": "Draft",
        "publisher.publisher": "Publisher",
        "publisher.receipts": "MessageRefused MessageReturned OutcomeUnknown PublishError PublishTimeout Receipt",
        "pulse": "Pulse connect",
        "recordings.reader": "read_recording",
        "recordings.recorder": "Recorder",
        "recordings.replay": "Replay",
        "records.record": "Record message_record",
        "schemas.schema": "Schema load_schema",
    },
    packages=(
        "bindings catalogue consume consumer diagnosis hooks instrumentation publisher queues recordings records "
        "schemas treeherder"
    ),
)
