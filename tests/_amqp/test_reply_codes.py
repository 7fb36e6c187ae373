"""What a close of the broker means, for texts that RabbitMQ 3.10 and 4.0 sent."""

from __future__ import annotations

import pamqp.frame
import pytest
from pamqp import commands

from pulsekit._amqp.reply_codes import Close, Concern
from pulsekit.errors import (
    AccessRefused,
    BrokerRefused,
    ConnectionLost,
    NotFound,
    PreconditionFailed,
    Unreachable,
    VirtualHostRefused,
)

NONE, DECLARE_EXCHANGE, DECLARE_QUEUE = (0, 0), (40, 10), (50, 10)
CONSUME, PUBLISH, ACK, REJECT, NACK = (60, 20), (60, 40), (60, 80), (60, 90), (60, 120)
TIMED_OUT = (
    "PRECONDITION_FAILED - delivery acknowledgement on channel 1 timed out. Timeout value used: 1800000 ms. "
    "This timeout value can be configured, see consumers doc guide to learn more"
)
SIZE = "PRECONDITION_FAILED - message size 16777217 is larger than configured max size 16777216"
DIFFERENT = "PRECONDITION_FAILED - inequivalent arg 'durable' for queue 'q' in vhost '/': received 'true'"
TOPIC = "ACCESS_REFUSED - access to topic 'a.b' in exchange 'x' in vhost '/' refused for user 'u'"
NODE_DOWN = "NOT_FOUND - home node 'rabbit@a' of durable queue 'q' in vhost '/' is down or inaccessible"
STOPPED = "NOT_FOUND - queue 'q' in vhost '/' process is stopped by supervisor"  # while its node stops
CRASHED = "NOT_FOUND - queue 'q' in vhost '/' has crashed and failed to restart"


@pytest.mark.parametrize(
    ("code", "text", "method", "concern", "final", "error"),
    [
        (406, SIZE, PUBLISH, Concern.MESSAGE, True, PreconditionFailed),
        (406, "PRECONDITION_FAILED - invalid expiration '1h'", PUBLISH, Concern.MESSAGE, True, PreconditionFailed),
        (311, "CONTENT_TOO_LARGE", PUBLISH, Concern.MESSAGE, True, BrokerRefused),
        (403, TOPIC, PUBLISH, Concern.MESSAGE, True, AccessRefused),
        (403, "ACCESS_REFUSED - access to exchange 'x'", PUBLISH, Concern.CHANNEL, True, AccessRefused),
        (404, "NOT_FOUND - no exchange 'x' in vhost '/'", PUBLISH, Concern.CHANNEL, True, NotFound),
        (541, "INTERNAL_ERROR", PUBLISH, Concern.CHANNEL, False, ConnectionLost),
        (406, TIMED_OUT, NONE, Concern.CHANNEL, False, ConnectionLost),
        (406, "PRECONDITION_FAILED - unknown delivery tag 7", ACK, Concern.CHANNEL, False, ConnectionLost),
        (406, "PRECONDITION_FAILED - unknown delivery tag 7", NACK, Concern.CHANNEL, False, ConnectionLost),
        (406, "PRECONDITION_FAILED - unknown delivery tag 7", REJECT, Concern.CHANNEL, False, ConnectionLost),
        (406, DIFFERENT, DECLARE_QUEUE, Concern.CHANNEL, True, PreconditionFailed),
        (404, NODE_DOWN, DECLARE_QUEUE, Concern.CHANNEL, False, Unreachable),
        (404, STOPPED, CONSUME, Concern.CHANNEL, False, Unreachable),
        (404, CRASHED, DECLARE_QUEUE, Concern.CHANNEL, False, Unreachable),
        (403, "ACCESS_REFUSED - queue 'q' in exclusive use", CONSUME, Concern.CHANNEL, True, AccessRefused),
        (320, "CONNECTION_FORCED - node is stopping", NONE, Concern.CHANNEL, False, ConnectionLost),
    ],
)
def test_a_close_concerns_its_cause_and_is_final_if_a_retry_fails(
    code: int, text: str, method: tuple[int, int], concern: Concern, final: bool, error: type[Exception]
) -> None:
    close = Close(code, text, method)
    assert (close.concern, close.final) == (concern, final)
    found = close.error("do it")
    assert type(found) is error
    assert text in str(found)


@pytest.mark.parametrize("code", [320, 403, 501, 503, 504, 506, 530, 540, 541])
def test_a_closed_connection_is_not_final_once_it_was_open(code: int) -> None:
    close = Close(code, "words", PUBLISH, of_connection=True)
    assert (close.concern, close.final) == (Concern.CONNECTION, False)
    assert isinstance(close.error("publish"), ConnectionLost)


@pytest.mark.parametrize(
    ("text", "final"),
    [
        ("NOT_ALLOWED - vhost nope not found", True),
        ("NOT_ALLOWED - access to vhost 'x' refused for user 'u'", True),
        ("NOT_ALLOWED - vhost unlimited not found", True),
        ("NOT_ALLOWED - access to vhost '/' refused for user 'rate-limiter'", True),
        ("NOT_ALLOWED - connection refused for user 'u': user connection limit (5) is reached", False),
        ("NOT_ALLOWED - access to vhost '/' refused for user 'u': connection limit (5) is reached", False),
    ],
)
def test_a_refused_virtual_host_is_final_and_a_limit_is_not(text: str, final: bool) -> None:
    close = Close(530, text, (10, 40), of_connection=True)
    assert close.final is final
    assert isinstance(close.error("connect"), VirtualHostRefused if final else ConnectionLost)


def test_only_a_refused_declaration_of_an_exchange_advises_to_delete_it() -> None:
    queue = str(Close(406, DIFFERENT, DECLARE_QUEUE).error("declare"))
    assert "the queue exists with other properties" in queue
    assert "delete" not in queue
    exchange = str(Close(406, DIFFERENT.replace("queue", "exchange"), DECLARE_EXCHANGE).error("declare"))
    assert "or delete it and all its bindings" in exchange
    for text, method in ((TIMED_OUT, NONE), (SIZE, PUBLISH), ("unknown exchange type 'nope'", DECLARE_EXCHANGE)):
        assert "delete" not in str(Close(406, text, method).error("do it"))


def test_the_seconds_of_an_acknowledgement_that_timed_out_are_read() -> None:
    assert Close(406, TIMED_OUT).ack_timeout == 1800
    assert Close(406, "delivery acknowledgement on channel 7 timed out").ack_timeout == 0
    assert Close(406, SIZE, PUBLISH).ack_timeout is None


@pytest.mark.parametrize("method", [commands.Channel.Close, commands.Connection.Close])
def test_a_close_is_read_as_pamqp_writes_it(method: type) -> None:
    payload = pamqp.frame.marshal(method(406, "words é", 60, 40), 1)[7:-1]
    assert Close.read(payload) == Close(406, "words é", PUBLISH)
    for size in range(4, len(payload)):
        with pytest.raises(LookupError):
            Close.read(payload[:size])
