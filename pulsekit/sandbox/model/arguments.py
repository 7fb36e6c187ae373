"""Arguments of declarations: check and compare them, with RabbitMQ's error texts."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

from pulsekit.sandbox.codec.tables import TYPE_NAMES, Table
from pulsekit.sandbox.refusals import Refusal, inequivalent, invalid_argument

if TYPE_CHECKING:
    from collections.abc import Callable, Container, Iterable

    from pulsekit.sandbox.releases import Release

__all__ = [
    "EXCHANGE_ARGUMENTS", "LONGEST", "QueueOptions", "check_equivalent", "consumer_priority", "exchange_name",
    "queue_arguments", "yes_no",
]  # fmt: skip

LONGEST: Final = 315_360_000_000
"""The maximum of a time to live in milliseconds: ten years, as in RabbitMQ."""


@dataclass(frozen=True, slots=True)
class QueueOptions:
    """The `x-` arguments of a queue. None means no limit."""

    message_ttl: int | None = None
    expires: int | None = None
    max_length: int | None = None
    max_bytes: int | None = None
    overflow: str = "drop-head"
    dead_letter_exchange: str | None = None
    dead_letter_key: str | None = None
    max_priority: int = 0
    single_active_consumer: bool = False
    queue_type: str = "classic"
    delivery_limit: int | None = None

    @classmethod
    def read(cls, arguments: Table, resource: str, release: Release) -> QueueOptions:
        """Check the arguments of a queue in RabbitMQ's order. Unknown arguments are ignored.

        The type of queue decides which arguments are checked. Arguments of other types are refused last.

        Raises:
            Refusal: Raised with 406 if a value is invalid, or the type of queue does not support an argument.
        """
        values: dict[str, Any] = {}
        if "x-queue-type" in arguments:
            _check(arguments, "x-queue-type", _queue_type, resource)
        kind = arguments.get("x-queue-type", "classic")
        supported = queue_arguments(kind, release)
        for name in supported:
            option, check = _QUEUE_ARGUMENTS[name]
            if name in arguments:
                _check(arguments, name, check, resource)
                if option:
                    values[option] = arguments[name]
        _refuse_unsupported(arguments, _TYPE_OF_ARGUMENT.keys() - supported, resource, kind)
        if kind == "quorum":
            values["delivery_limit"] = _delivery_limit(arguments, release)
            if values.get("overflow") == "reject-publish-dlx":
                values["overflow"] = "drop-head"  # accepted, but without the effect of a classic queue
        return cls(**values)


def queue_arguments(kind: str, release: Release) -> tuple[str, ...]:
    """Return the arguments that a type of queue supports, in the order in which RabbitMQ checks them."""
    only = dict(_TYPE_OF_ARGUMENT)
    if release.classic_leader_locator:
        del only["x-queue-leader-locator"]
    return tuple(name for name in _QUEUE_ARGUMENTS if only.get(name, kind) == kind)


def exchange_name(arguments: Table, argument: str, resource: str) -> str | None:
    """Return the name of the exchange in an argument, or None.

    Raises:
        Refusal: Raised with 406 if the argument is not a string.
    """
    value = arguments.get(argument)
    if value is None and argument not in arguments:
        return None
    if not isinstance(value, str):
        kind = TYPE_NAMES[arguments.letters[argument]]
        raise Refusal(406, f"invalid type '{kind}' for arg '{argument}' in {resource}")
    return value


def _delivery_limit(arguments: Table, release: Release) -> int | None:
    """Return how often a quorum queue requeues a message. RabbitMQ accepts any value. A text means no limit."""
    if "x-delivery-limit" not in arguments:
        return release.delivery_limit
    value = arguments["x-delivery-limit"]
    if not isinstance(value, int) or isinstance(value, bool):
        return None
    return None if value < 0 and release.negative_is_unlimited else value


def check_equivalent(
    current: Table, received: Table, names: Iterable[str], resource: str, *, default_type: str | None = None
) -> None:
    """Compare the named arguments. Integers of different types can be equal.

    Args:
        current: the arguments of the existing exchange or queue.
        received: the arguments of the declaration.
        names: the arguments to compare.
        resource: `queue '…' in vhost '…'`, for the text.
        default_type: the `x-queue-type` of a declaration that has none. With None, the text says that it is missing.

    Raises:
        Refusal: Raised with 406 for the first argument that differs.
    """
    for name in names:
        if name == "x-queue-type":
            _check_same_type(current, received, resource, default_type)
        elif name in current and name in received:
            if current[name] != received[name] or isinstance(current[name], bool) != isinstance(received[name], bool):
                raise inequivalent(name, resource, f"'{_plain(received[name])}'", f"'{_plain(current[name])}'")
        elif name in current or name in received:
            raise inequivalent(name, resource, _describe(received, name), _describe(current, name))


def _check_same_type(current: Table, received: Table, resource: str, default_type: str | None) -> None:
    ours, theirs = current.get("x-queue-type"), received.get("x-queue-type")
    if (ours or "classic") == (theirs or "classic"):
        return
    ours, theirs = ours or default_type, theirs or default_type
    if ours and theirs:
        raise inequivalent("x-queue-type", resource, f"'{theirs}'", f"'{ours}'")
    raise inequivalent(
        "x-queue-type", resource, _describe(received, "x-queue-type"), _describe(current, "x-queue-type")
    )


def consumer_priority(arguments: Table, resource: str, kind: str, release: Release) -> int:
    """Check the arguments of a consumer of a queue of this type, and return its `x-priority`.

    Raises:
        Refusal: Raised with 406 if a value is invalid, or the type of queue does not support an argument.
    """
    if "x-priority" in arguments:
        _check(arguments, "x-priority", _any_integer, resource)
    unsupported = set(release.stream_consumer_arguments)
    if release.cancel_on_failover:
        if kind == "classic" and "x-cancel-on-ha-failover" in arguments:
            _check(arguments, "x-cancel-on-ha-failover", _boolean, resource)
        elif kind != "classic":
            unsupported.add("x-cancel-on-ha-failover")
    _refuse_unsupported(arguments, unsupported, resource, kind)
    priority: int = arguments.get("x-priority", 0)
    return priority


def yes_no(value: bool) -> str:  # noqa: FBT001 - a formatter of booleans
    """Return a boolean as it appears in RabbitMQ's error texts."""
    return "'true'" if value else "'false'"


def _describe(arguments: Table, name: str) -> str:
    if name not in arguments:
        return "none"
    return f"the value '{_plain(arguments[name])}' of type '{TYPE_NAMES[arguments.letters[name]]}'"


def _plain(value: object) -> str:
    return str(value).lower() if isinstance(value, bool) else str(value)


def _check(arguments: Table, name: str, check: Callable[[Any, str, Table], str], resource: str) -> None:
    fault = check(arguments[name], TYPE_NAMES[arguments.letters[name]], arguments)
    if fault:
        raise invalid_argument(name, resource, fault)


def _refuse_unsupported(arguments: Table, unsupported: Container[str], resource: str, kind: str) -> None:
    for name in arguments:
        if name in unsupported:
            raise Refusal(406, f"invalid arg '{name}' for {resource} of queue type rabbit_{kind}_queue")


def _any_integer(value: object, kind: str, _: Table) -> str:
    return "" if isinstance(value, int) and kind not in {"bool", "timestamp"} else f'"expected integer, got {kind}"'


def _integer(value: Any, kind: str, arguments: Table) -> str:
    return _any_integer(value, kind, arguments) or (f"{{value_negative,{value}}}" if value < 0 else "")


def _time(value: Any, kind: str, arguments: Table) -> str:
    return _integer(value, kind, arguments) or (f"{{value_too_large,{value}}}" if value > LONGEST else "")


def _positive(value: object, kind: str, arguments: Table) -> str:
    return _time(value, kind, arguments) or ("{value_zero,0}" if value == 0 else "")


def _group_size(value: object, kind: str, arguments: Table) -> str:
    return _integer(value, kind, arguments) or ("{value_zero,0}" if value == 0 else "")


def _version(value: Any, kind: str, arguments: Table) -> str:
    return _integer(value, kind, arguments) or ("" if value in {1, 2} else f"\"unsupported queue version '{value}'\"")


def _priority(value: Any, kind: str, arguments: Table) -> str:
    return _integer(value, kind, arguments) or (f"{{max_value_exceeded,{value}}}" if value > 255 else "")


def _text(value: object, kind: str, _: Table) -> str:
    return "" if isinstance(value, str) else f"{{unacceptable_type,{kind}}}"


def _dead_letter_key(value: object, kind: str, arguments: Table) -> str:
    missing = "" if "x-dead-letter-exchange" in arguments else "routing_key_but_no_dlx_defined"
    return _text(value, kind, arguments) or missing


def _one_of(*known: str, otherwise: str) -> Callable[[Any, str, Table], str]:
    """Return the check of an argument that must be one of these texts. In `otherwise`, `{}` is the wrong text."""

    def check(value: object, kind: str, arguments: Table) -> str:
        return _text(value, kind, arguments) or ("" if value in known else otherwise.format(value))

    return check


def _boolean(value: object, kind: str, _: Table) -> str:
    return "" if isinstance(value, bool) else f"{{unacceptable_type,{kind}}}"


def _queue_type(value: object, kind: str, arguments: Table) -> str:
    if value == "stream":
        return '"the sandbox has no streams"'
    return _one_of("classic", "quorum", otherwise="\"unsupported queue type '{}'\"")(value, kind, arguments)


_QUEUE_ARGUMENTS: Final[dict[str, tuple[str, Callable[[Any, str, Table], str]]]] = {
    "x-expires": ("expires", _positive),
    "x-message-ttl": ("message_ttl", _time),
    "x-dead-letter-exchange": ("dead_letter_exchange", _text),
    "x-dead-letter-routing-key": ("dead_letter_key", _dead_letter_key),
    "x-dead-letter-strategy": ("", _one_of("at-most-once", "at-least-once", otherwise="invalid_dlx_strategy")),
    "x-max-length": ("max_length", _integer),
    "x-max-length-bytes": ("max_bytes", _integer),
    "x-max-in-memory-length": ("", _integer),
    "x-max-in-memory-bytes": ("", _integer),
    "x-max-priority": ("max_priority", _priority),
    "x-overflow": (
        "overflow",
        _one_of("drop-head", "reject-publish", "reject-publish-dlx", otherwise="invalid_overflow"),
    ),
    "x-queue-mode": ("", _one_of("default", "lazy", otherwise="\"unsupported queue mode '{}'\"")),
    "x-queue-version": ("", _version),
    "x-single-active-consumer": ("single_active_consumer", _boolean),
    "x-queue-type": ("queue_type", _queue_type),
    "x-quorum-initial-group-size": ("", _group_size),
    "x-delivery-limit": ("", lambda *_: ""),
    "x-queue-leader-locator": (
        "",
        _one_of("client-local", "balanced", "random", "least-leaders", otherwise="invalid_queue_locator_arg"),
    ),
    "x-queue-master-locator": ("", lambda *_: ""),
}
"""The arguments of classic and quorum queues, in the order in which RabbitMQ checks and compares them."""

_TYPE_OF_ARGUMENT: Final = {
    "x-max-priority": "classic",
    "x-queue-mode": "classic",
    "x-queue-version": "classic",
    "x-queue-master-locator": "classic",
    "x-dead-letter-strategy": "quorum",
    "x-max-in-memory-length": "quorum",
    "x-max-in-memory-bytes": "quorum",
    "x-quorum-initial-group-size": "quorum",
    "x-delivery-limit": "quorum",
    "x-queue-leader-locator": "quorum",
    "x-max-age": "stream",
    "x-stream-max-segment-size-bytes": "stream",
    "x-initial-cluster-size": "stream",
}
"""The arguments that only one type of queue supports."""

EXCHANGE_ARGUMENTS: Final = ("alternate-exchange",)
