"""Everything a team needs to get its jobs onto Treeherder over Mozilla Pulse.

The names below are resolved when first used (PEP 562): importing asyncio and aio-pika alone takes longer than
predicting a route.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from pulsekit._lazy import lazy_names

if TYPE_CHECKING:
    from pulsekit._amqp.connection import State
    from pulsekit._amqp.types import Outcome, Properties
    from pulsekit.bindings.matching import Explanation, explain_match, topic_matches
    from pulsekit.bindings.registration import Binding, BindingDiff, Registration, Rule, read_registrations
    from pulsekit.bindings.table import BindingTable
    from pulsekit.consumer.consumer import Consumer
    from pulsekit.consumer.depth import Limits, QueueDepth
    from pulsekit.consumer.policy import OnFailure, Policy
    from pulsekit.consumer.queue import Queue
    from pulsekit.errors import (
        AccessRefused,
        BrokerRefused,
        ConfigurationError,
        ConnectionLost,
        ConnectTimeout,
        DamagedRecording,
        DocumentError,
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
    "AccessRefused",
    "Binding",
    "BindingDiff",
    "BindingTable",
    "BrokerRefused",
    "ConfigurationError",
    "ConnectTimeout",
    "ConnectionLost",
    "Consumer",
    "DamagedRecording",
    "DocumentError",
    "Draft",
    "Explanation",
    "Gap",
    "InsecureConnection",
    "InvalidInput",
    "InvalidMessage",
    "InvalidName",
    "InvalidPattern",
    "InvalidPayload",
    "InvalidRegistration",
    "Limits",
    "LoginRefused",
    "Message",
    "MessageRefused",
    "MessageReturned",
    "NetworkError",
    "NotFound",
    "NotOpen",
    "OnFailure",
    "Outcome",
    "OutcomeUnknown",
    "Policy",
    "PreconditionFailed",
    "Problem",
    "Properties",
    "PublishError",
    "PublishTimeout",
    "Publisher",
    "Pulse",
    "PulsekitError",
    "Queue",
    "QueueDepth",
    "Receipt",
    "Record",
    "Recorder",
    "Registration",
    "Replay",
    "ResourceLocked",
    "Rule",
    "Schema",
    "SchemaError",
    "State",
    "SubscriptionLost",
    "Unreachable",
    "VirtualHostRefused",
    "connect",
    "explain_match",
    "load_schema",
    "message_record",
    "read_recording",
    "read_registrations",
    "topic_matches",
]

_ERRORS = (
    "AccessRefused",
    "BrokerRefused",
    "ConfigurationError",
    "ConnectionLost",
    "ConnectTimeout",
    "DamagedRecording",
    "DocumentError",
    "InsecureConnection",
    "InvalidInput",
    "InvalidMessage",
    "InvalidName",
    "InvalidPattern",
    "InvalidPayload",
    "InvalidRegistration",
    "LoginRefused",
    "NetworkError",
    "NotFound",
    "NotOpen",
    "PreconditionFailed",
    "Problem",
    "PulsekitError",
    "ResourceLocked",
    "SchemaError",
    "SubscriptionLost",
    "Unreachable",
    "VirtualHostRefused",
)
__getattr__, __dir__ = lazy_names(
    __name__,
    {
        "pulsekit.bindings.registration": ("Binding", "BindingDiff", "Registration", "Rule", "read_registrations"),
        "pulsekit._amqp.connection": ("State",),
        "pulsekit._amqp.types": ("Outcome", "Properties"),
        "pulsekit.consumer.consumer": ("Consumer",),
        "pulsekit.consumer.depth": ("QueueDepth", "Limits"),
        "pulsekit.errors": _ERRORS,
        "pulsekit.messages": ("Gap", "Message"),
        "pulsekit.consumer.policy": ("OnFailure", "Policy"),
        "pulsekit.consumer.queue": ("Queue",),
        "pulsekit.publisher.encoder": ("Draft",),
        "pulsekit.publisher.publisher": ("Publisher",),
        "pulsekit.publisher.receipts": (
            "MessageRefused",
            "MessageReturned",
            "OutcomeUnknown",
            "PublishError",
            "PublishTimeout",
            "Receipt",
        ),
        "pulsekit.pulse": ("Pulse", "connect"),
        "pulsekit.recordings.reader": ("read_recording",),
        "pulsekit.recordings.recorder": ("Recorder",),
        "pulsekit.records.record": ("Record", "message_record"),
        "pulsekit.recordings.replay": ("Replay",),
        "pulsekit.bindings.table": ("BindingTable",),
        "pulsekit.schemas.schema": ("Schema", "load_schema"),
        "pulsekit.bindings.matching": ("Explanation", "explain_match", "topic_matches"),
    },
)
