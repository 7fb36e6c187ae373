"""Everything a team needs to get its jobs onto Treeherder over Mozilla Pulse.

The names below are resolved when first used (PEP 562): importing asyncio and aio-pika alone takes longer than
predicting a route.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from pulsekit.bindings import Binding, BindingDiff, Registration, Rule, read_registrations
    from pulsekit.connection import State
    from pulsekit.consumer import Consumer
    from pulsekit.depth import Depth, Limits
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
        MessageRefused,
        MessageReturned,
        NetworkError,
        NotFound,
        NotOpen,
        OutcomeUnknown,
        PreconditionFailed,
        Problem,
        PublishError,
        PublishTimeout,
        PulsekitError,
        ResourceLocked,
        SchemaError,
        SubscriptionLost,
        Unreachable,
        VirtualHostRefused,
    )
    from pulsekit.messages import Gap, Message, Outcome, Properties, Receipt
    from pulsekit.policies import Fate, Policy
    from pulsekit.publisher import Draft, Publisher
    from pulsekit.pulse import Pulse, connect
    from pulsekit.recordings import Recorder, read_recording
    from pulsekit.records import Record
    from pulsekit.replays import Replay
    from pulsekit.routing import BindingTable
    from pulsekit.schemas import Schema, load_schema
    from pulsekit.topics import Explanation, explain, topic_matches

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
    "Depth",
    "DocumentError",
    "Draft",
    "Explanation",
    "Fate",
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
    "explain",
    "load_schema",
    "read_recording",
    "read_registrations",
    "topic_matches",
]

_HOMES = {
    "bindings": ("Binding", "BindingDiff", "Registration", "Rule", "read_registrations"),
    "connection": ("State",),
    "consumer": ("Consumer",),
    "depth": ("Depth", "Limits"),
    "messages": ("Gap", "Message", "Outcome", "Properties", "Receipt"),
    "policies": ("Fate", "Policy"),
    "publisher": ("Draft", "Publisher"),
    "pulse": ("Pulse", "connect"),
    "recordings": ("Recorder", "read_recording"),
    "records": ("Record",),
    "replays": ("Replay",),
    "routing": ("BindingTable",),
    "schemas": ("Schema", "load_schema"),
    "topics": ("Explanation", "explain", "topic_matches"),
}
_MODULES = {name: module for module, names in _HOMES.items() for name in names}


def __getattr__(name: str) -> object:
    if name not in __all__:
        raise AttributeError(f"module 'pulsekit' has no attribute {name!r}")
    from importlib import import_module

    value: object = getattr(import_module(f"pulsekit.{_MODULES.get(name, 'errors')}"), name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return sorted([*__all__, "__version__"])
