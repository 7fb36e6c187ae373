"""Hostile input for the sandbox: samples of everything a client may send, and streams of frames chosen by bytes."""

from __future__ import annotations

import struct
from functools import cache
from typing import Any

from pamqp import body, frame, header
from pamqp.commands import Basic, Channel, Confirm, Connection, Exchange, Queue, Tx

from support.raw_client import content
from support.sandbox_in_memory import Client, World

__all__ = ["OUTPUT_LIMIT", "samples", "speak"]

OUTPUT_LIMIT = 1 << 22  # bytes a session may hold back for a client that does not read
_LONGEST = 200  # frames of one input
_CLOSE, _INTERNAL = b"\x00\x0a\x00\x32", b"\x02\x1d"  # connection.close, and its code 541


@cache
def samples() -> tuple[bytes, ...]:
    """Encode one sample of each valid frame of a client."""
    queue: dict[str, Any] = {"queue": "q"}
    arguments = {"x-message-ttl": 5, "x-max-length": 3, "x-dead-letter-exchange": "", "nested": {"a": [1, {"b": 2}]}}
    values = [
        Connection.StartOk({"capabilities": {}}, "PLAIN", "\0guest\0guest", "en_US"),
        Connection.TuneOk(2047, 131072, 0),
        Connection.Open("/"),
        Connection.Close(200, "bye", 0, 0),
        Connection.CloseOk(),
        Connection.UpdateSecret("s", "r"),
        Channel.Open(),
        Channel.Close(200, "bye", 0, 0),
        Channel.CloseOk(),
        Channel.Flow(active=True),
        Exchange.Declare(exchange="x", exchange_type="topic", arguments=arguments),
        Exchange.Declare(exchange="h", exchange_type="headers"),
        Exchange.Bind(source="x", destination="h", routing_key="#"),
        Exchange.Unbind(source="x", destination="h", routing_key="#"),
        Exchange.Delete(exchange="x"),
        Queue.Declare(**queue),
        Queue.Declare(queue="limited", auto_delete=True, arguments=arguments),
        Queue.Bind(**queue, exchange="x", routing_key="a.#.*", arguments={"x-match": "any", "k": 1}),
        Queue.Unbind(**queue, exchange="x", routing_key="a.#.*"),
        Queue.Purge(**queue),
        Queue.Delete(**queue),
        Basic.Qos(prefetch_count=2),
        Basic.Qos(prefetch_count=2, global_=True),
        Basic.Consume(**queue, consumer_tag="t", arguments={"x-priority": 3}),
        Basic.Consume(queue="amq.rabbitmq.reply-to", consumer_tag="r", no_ack=True),
        Basic.Cancel(consumer_tag="t"),
        Basic.Get(**queue),
        Basic.Ack(1, multiple=True),
        Basic.Nack(2, requeue=True),
        Basic.Reject(1, requeue=False),
        Basic.Recover(requeue=True),
        Basic.Publish(exchange="", routing_key="q", mandatory=True),
        Confirm.Select(),
        Tx.Select(),
        Tx.Commit(),
        Tx.Rollback(),
        header.ContentHeader(0, 2, Basic.Properties(headers={"CC": ["a"], "BCC": ["b"]}, expiration="1", priority=3)),
        body.ContentBody(b"hi"),
    ]
    encoded = [frame.marshal(value, 0 if "Connection." in value.name else 1) for value in values]
    encoded += [
        b"".join(frame.marshal(value, 1) for value in content(exchange, "q", mandatory=True)) for exchange in ("", "x")
    ]
    encoded += [b"\x08\x00\x00\x00\x00\x00\x00\xce", b"AMQP\x00\x00\x09\x01"]
    return tuple(encoded)


def speak(data: bytes) -> int:
    """Send frames chosen by bytes, and return their number.

    Each frame is a valid sample, one with a changed byte, one with another payload of the right length, or noise. After
    all of them the session must be open, or closed by AMQP, and not because of a bug.
    """
    world = World()
    choices = _Choices(data)
    if choices.below(2):
        client = world.connect()
        client.call(Queue.Declare(queue="q"))
    else:
        client = Client(world)
        client.session.receive(b"AMQP\x00\x00\x09\x01")
    count = 0
    while choices.left and count < _LONGEST:
        piece = bytearray(samples()[choices.below(len(samples()))])
        match choices.below(4):
            case 1:
                piece[choices.below(len(piece))] = choices.below(256)
            case 2:
                piece[7:-1] = choices.bytes(64)
                piece[3:7] = (len(piece) - 8).to_bytes(4, "big")
            case 3:
                piece = bytearray(choices.bytes(32))
        client.session.receive(bytes(piece))
        count += 1
    world.advance(20)
    _check(client.session.data_to_send())
    if not client.session.finished:
        client.session.lost()
    assert not world.broker.sessions
    return count


def _check(output: bytes) -> None:
    assert len(output) < OUTPUT_LIMIT
    while output:
        kind, _, size = struct.unpack_from(">BHI", output)
        assert output[7 + size] == 0xCE, "a frame without an end"
        # By hand: a key that is no text comes back as it came, which pamqp does not read.
        if kind == 1 and output[7:11] == _CLOSE:
            assert output[11:13] != _INTERNAL, "an internal error"
        output = output[8 + size :]


class _Choices:
    """Decisions read from bytes, from the front; the first choice when no byte is left."""

    def __init__(self, data: bytes) -> None:
        self._data = data
        self._at = 0

    @property
    def left(self) -> bool:
        return self._at < len(self._data)

    def below(self, limit: int) -> int:
        return int.from_bytes(self.bytes(1 if limit <= 256 else 2)) % limit

    def bytes(self, count: int) -> bytes:
        self._at += count
        return self._data[self._at - count : self._at]
