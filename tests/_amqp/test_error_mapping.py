from __future__ import annotations

import inspect
import ssl

import aio_pika.exceptions
import aiormq.exceptions
import pytest

from pulsekit._amqp.broker import parse_url
from pulsekit._amqp.error_mapping import _PLACES, map_connect_error, map_error
from pulsekit.errors import (
    AccessRefused,
    BrokerRefused,
    InvalidMessage,
    LoginRefused,
    NetworkError,
    NotFound,
    PulsekitError,
    Unreachable,
    VirtualHostRefused,
)

FOREIGN_CLASSES = sorted(
    {
        value
        for module in (aiormq.exceptions, aio_pika.exceptions)
        for _, value in inspect.getmembers(module, inspect.isclass)
        if issubclass(value, Exception) and value.__module__.startswith(("aiormq", "aio_pika"))
    },
    key=lambda value: value.__name__,
)


@pytest.mark.parametrize("foreign", FOREIGN_CLASSES)
def test_every_exception_of_the_libraries_is_mapped(foreign: type[Exception]) -> None:
    if foreign is aiormq.exceptions.AMQPError:
        return  # the base class; only its subclasses are raised
    assert any(issubclass(foreign, theirs) for theirs, _, _ in _PLACES)


def test_an_unknown_error_becomes_a_pulsekit_error() -> None:
    assert isinstance(map_error(aiormq.exceptions.AMQPError("new"), "try"), PulsekitError)


@pytest.mark.parametrize(
    ("error", "ours", "code"),
    [
        (aiormq.exceptions.ChannelAccessRefused("ACCESS_REFUSED - access to exchange"), AccessRefused, 403),
        (aiormq.exceptions.ChannelNotFoundEntity("NOT_FOUND - no exchange 'x'"), NotFound, 404),
    ],
)
def test_the_brokers_words_and_code_are_kept(error: Exception, ours: type[BrokerRefused], code: int) -> None:
    translated = map_error(error, "bind exchange/x/y")
    assert isinstance(translated, ours)
    assert translated.code == code
    assert "bind exchange/x/y" in str(translated)
    assert str(error.args[0]) in str(translated)


@pytest.mark.parametrize(
    ("words", "exists"),
    [
        ("inequivalent arg 'durable' for queue 'q' in vhost '/': received 'true' but current is 'false'", True),
        ("message size 16777217 is larger than configured max size 16777216", False),
        ("unknown exchange type 'nope'", False),  # RabbitMQ 4.0; 3.x closes the connection with 503
        ("delivery acknowledgement on channel 1 timed out", False),
    ],
)
def test_only_different_properties_are_reported_as_such(words: str, exists: bool) -> None:
    error = aiormq.exceptions.ChannelPreconditionFailed(f"PRECONDITION_FAILED - {words}")
    assert ("exists with other properties" in str(map_error(error, "do it"))) is exists


def test_a_queue_whose_node_is_down_is_not_reported_as_deleted() -> None:
    words = "NOT_FOUND - home node 'rabbit@a' of durable queue 'queue/me/q' in vhost '/' is down or inaccessible"
    translated = map_error(aiormq.exceptions.ChannelNotFoundEntity(words), "declare the queue queue/me/q")
    assert isinstance(translated, NetworkError)
    assert words in str(translated)


def _caused(error: Exception, cause: BaseException) -> Exception:
    error.__cause__ = cause
    return error


@pytest.mark.parametrize(
    ("error", "ours", "words"),
    [
        (TimeoutError(), NetworkError, "did not answer within 10 s"),
        (aiormq.exceptions.ProbableAuthenticationError("ACCESS_REFUSED"), LoginRefused, "'me'"),
        (aiormq.exceptions.AuthenticationError("EXTERNAL \n", ["PLAIN"]), LoginRefused, "it offers EXTERNAL \\n"),
        (
            aiormq.exceptions.InvalidFrameError("Expected one of ['Connection.OpenOk'], got Close"),
            VirtualHostRefused,
            "'nope'",
        ),
        (
            _caused(aiormq.exceptions.AMQPConnectionError(111, "x"), ConnectionRefusedError(111, "x")),
            Unreachable,
            "refused",
        ),
        (
            _caused(aiormq.exceptions.AMQPConnectionError(1, "x"), ssl.SSLError(1, "WRONG_VERSION_NUMBER")),
            Unreachable,
            "TLS",
        ),
        (
            _caused(
                aiormq.exceptions.AMQPConnectionError(1, "x"), ssl.SSLError(1, "[SSL: TLSV1_ALERT_UNKNOWN_CA] no (x)")
            ),
            Unreachable,
            "unknown ca): if it requires a client certificate",
        ),
        (
            _caused(aiormq.exceptions.AMQPConnectionError("x"), ConnectionResetError(104, "reset")),
            Unreachable,
            "if it requires a client certificate",
        ),
        (aiormq.exceptions.InvalidFrameError("other"), Unreachable, "AMQP 0-9-1"),
    ],
)
def test_each_cause_of_a_failed_connect_has_its_own_message(error: Exception, ours: type, words: str) -> None:
    translated = map_connect_error(error, parse_url("amqps://me:hunter2@h/nope"), 10)
    assert isinstance(translated, ours)
    assert words in str(translated)
    assert "hunter2" not in str(translated)


def test_values_that_amqp_cannot_encode_are_the_callers_error() -> None:
    import pamqp.exceptions

    assert isinstance(map_error(pamqp.exceptions.PAMQPException("x"), "publish"), InvalidMessage)


def test_exceptions_that_cause_each_other_are_mapped() -> None:
    first, second = ConnectionResetError("first\nline"), aiormq.exceptions.AMQPConnectionError("second")
    first.__cause__, second.__cause__ = second, first
    translated = map_connect_error(second, parse_url("amqp://me:hunter2@h/"), 10)
    assert isinstance(translated, Unreachable)
    assert "\n" not in str(first)
