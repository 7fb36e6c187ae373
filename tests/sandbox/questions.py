"""The cases of the conformance test: requests, most of them wrong, and the answers of RabbitMQ 3.10.8.

Each request is sent on a separate connection. `answer` has no texts: clients act upon frame, code, class and method.
The texts are compared if the table of RabbitMQ's own answers is available. `versions` has the answers that RabbitMQ 4.0
has changed.
"""

from __future__ import annotations

import struct
from dataclasses import dataclass, field
from typing import Any

from pamqp import body, header
from pamqp.commands import Basic, Channel, Confirm, Exchange, Queue, Tx
from support.raw_client import CAPABILITIES, Login, content

GUEST = Login()
PULSE = Login(user="pulse", password="pulse")
FOREIGN = "exchange/bob/x"
TREEHERDER = "exchange/treeherder/v1/jobs"


@dataclass(frozen=True)
class Question:
    """A request to a broker, and its answer.

    Attributes:
        name: the name in the table of answers.
        answer: the frames of the answer, with the code and method of a close, without texts.
        ask: the frames that are sent last, whose answers are compared.
        before: the methods that are sent first, each after the answer to the previous one.
        elsewhere: the methods that `guest` sends before these on another connection, which stays open.
        afterwards: the methods that `guest` sends on another connection after `ask`.
        login: the parameters of the handshake.
        opened: False if the handshake itself is the request.
    """

    name: str
    answer: str
    ask: list[Any] = field(default_factory=list)
    before: list[Any] = field(default_factory=list)
    elsewhere: list[Any] = field(default_factory=list)
    afterwards: list[Any] = field(default_factory=list)
    login: Login = GUEST
    opened: bool = True


def _queue(name: str = "pq", **options: Any) -> Queue.Declare:
    return Queue.Declare(queue=name, **options)


def _limit(**arguments: Any) -> list[Any]:
    return [_queue("pq3", arguments={"x-" + name.replace("_", "-"): value for name, value in arguments.items()})]


def _exchange(name: str = "px", kind: str = "topic", **options: Any) -> Exchange.Declare:
    return Exchange.Declare(exchange=name, exchange_type=kind, **options)


def _frame(kind: int, payload: bytes, end: bytes = b"\xce", channel: int = 1) -> bytes:
    return struct.pack(">BHI", kind, channel, len(payload)) + payload + end


_NO_CAPABILITY = {**CAPABILITIES, "authentication_failure_close": False}
_QOS = b"\x00\x3c\x00\x0a"

HANDSHAKE = [
    Question("login wrong", "Connection.Close 403 (0,0)", login=Login(password="wrong"), opened=False),
    Question(
        "login wrong, no cap", "(silence)", login=Login(password="wrong", capabilities=_NO_CAPABILITY), opened=False
    ),
    Question("unknown mechanism", "(silence)", login=Login(mechanism="NOPE"), opened=False),
    Question("AMQPLAIN", "Connection.OpenOk", login=Login(mechanism="AMQPLAIN"), opened=False),
    Question("vhost missing", "Connection.Close 530 (10,40)", login=Login(vhost="nope"), opened=False),
    Question("tune frame_max 1000000", "(silence)", login=Login(frame_max=1_000_000), opened=False),
    Question("tune frame_max 100", "(silence)", login=Login(frame_max=100), opened=False),
]

QUEUES = [
    Question("queue.declare passive missing", "Channel.Close 404 (50,10)", [_queue("nope", passive=True)]),
    Question("queue inequivalent durable", "Channel.Close 406 (50,10)", [_queue(durable=True)], [_queue()]),
    Question("queue inequivalent auto_delete", "Channel.Close 406 (50,10)", [_queue(auto_delete=True)], [_queue()]),
    Question("queue inequivalent exclusive", "Channel.Close 405 (50,10)", [_queue(exclusive=True)], [_queue()]),
    Question(
        "queue inequivalent arg ttl", "Channel.Close 406 (50,10)", [_queue(arguments={"x-message-ttl": 5})], [_queue()]
    ),
    Question("queue unknown x-arg ignored", "Queue.DeclareOk", [_queue("pq2", arguments={"x-nope": 1})]),
    Question("queue bad ttl type", "Channel.Close 406 (50,10)", _limit(message_ttl="5")),
    Question("queue bad ttl neg", "Channel.Close 406 (50,10)", _limit(message_ttl=-5)),
    Question("queue x-expires 0", "Channel.Close 406 (50,10)", _limit(expires=0)),
    Question("queue bad overflow", "Channel.Close 406 (50,10)", _limit(overflow="nope")),
    Question("queue bad dlx type", "Channel.Close 406 (50,10)", _limit(dead_letter_exchange=5)),
    Question("queue dlrk without dlx", "Channel.Close 406 (50,10)", _limit(dead_letter_routing_key="k")),
    Question("queue bad type", "Channel.Close 406 (50,10)", _limit(queue_type="nope")),
    Question("queue max-priority 300", "Channel.Close 406 (50,10)", _limit(max_priority=300)),
    Question("queue amq.foo", "Channel.Close 403 (50,10)", [_queue("amq.foo")]),
    Question("queue server-named", "Queue.DeclareOk", [_queue("", exclusive=True)]),
    Question("queue.declare '' passive, none last", "Channel.Close 404 (50,10)", [_queue("", passive=True)]),
    Question(
        "exclusive queue, other conn (passive)",
        "Channel.Close 405 (50,10)",
        [_queue("ex", passive=True)],
        elsewhere=[_queue("ex", exclusive=True)],
    ),
    Question(
        "exclusive queue, other conn (get)",
        "Channel.Close 405 (60,70)",
        [Basic.Get(queue="ex")],
        elsewhere=[_queue("ex", exclusive=True)],
    ),
    Question("queue delete missing", "Queue.DeleteOk", [Queue.Delete(queue="nope")]),
    Question(
        "queue bind missing exchange",
        "Channel.Close 404 (50,20)",
        [Queue.Bind(queue="pq", exchange="nope")],
        [_queue()],
    ),
    Question("queue bind missing queue", "Channel.Close 404 (50,20)", [Queue.Bind(queue="nope", exchange="amq.topic")]),
    Question(
        "queue bind default exchange", "Channel.Close 403 (50,20)", [Queue.Bind(queue="pq", exchange="")], [_queue()]
    ),
    Question(
        "queue unbind missing binding",
        "Queue.UnbindOk",
        [Queue.Unbind(queue="pq", exchange="amq.topic", routing_key="k")],
        [_queue()],
    ),
    Question("queue unbind missing queue", "Queue.UnbindOk", [Queue.Unbind(queue="nope", exchange="amq.topic")]),
    Question(
        "queue unbind missing exchange", "Queue.UnbindOk", [Queue.Unbind(queue="pq", exchange="nope")], [_queue()]
    ),
    Question("purge missing", "Channel.Close 404 (50,30)", [Queue.Purge(queue="nope")]),
    Question("get missing", "Channel.Close 404 (60,70)", [Basic.Get(queue="nope")]),
    Question("consume missing", "Channel.Close 404 (60,20)", [Basic.Consume(queue="nope")]),
    Question(
        "queue delete if_empty not empty",
        "Channel.Close 406 (50,40)",
        [Queue.Delete(queue="pq", if_empty=True)],
        [_queue(), Confirm.Select(), *content("", "pq")],
    ),
    Question(
        "queue delete if_unused in use",
        "Channel.Close 406 (50,40)",
        [Queue.Delete(queue="pq", if_unused=True)],
        [_queue(), Basic.Consume(queue="pq", consumer_tag="t")],
    ),
    Question(
        "queue.delete with own consumer (order)",
        "Queue.DeleteOk | Basic.Cancel",
        [Queue.Delete(queue="pq")],
        [_queue(), Basic.Consume(queue="pq", consumer_tag="t")],
    ),
    Question(
        "queue deleted elsewhere -> basic.cancel",
        "Basic.Cancel",
        [],
        [_queue(), Basic.Consume(queue="pq", consumer_tag="t")],
        afterwards=[Queue.Delete(queue="pq")],
    ),
]

EXCHANGES = [
    Question("exchange.declare passive missing", "Channel.Close 404 (40,10)", [_exchange("nope", passive=True)]),
    Question("exchange bad type", "Connection.Close 503 (40,10)", [_exchange("px", "nope")]),
    Question("exchange amq.foo", "Channel.Close 403 (40,10)", [_exchange("amq.foo")]),
    Question("exchange inequivalent type", "Channel.Close 406 (40,10)", [_exchange(kind="direct")], [_exchange()]),
    Question("exchange inequivalent durable", "Channel.Close 406 (40,10)", [_exchange(durable=True)], [_exchange()]),
    Question("exchange inequivalent internal", "Channel.Close 406 (40,10)", [_exchange(internal=True)], [_exchange()]),
    Question("exchange declare default", "Channel.Close 403 (40,10)", [_exchange("", "direct")]),
    Question("exchange delete amq.topic", "Channel.Close 403 (40,20)", [Exchange.Delete(exchange="amq.topic")]),
    Question("exchange delete default", "Channel.Close 403 (40,20)", [Exchange.Delete(exchange="")]),
    Question(
        "exchange delete if_unused in use",
        "Channel.Close 406 (40,20)",
        [Exchange.Delete(exchange="px", if_unused=True)],
        [_exchange(), _queue(), Queue.Bind(queue="pq", exchange="px")],
    ),
    Question("exchange delete missing", "Exchange.DeleteOk", [Exchange.Delete(exchange="nope")]),
]

CONSUMING = [
    Question(
        "consumer tag reuse",
        "Connection.Close 530 (60,20)",
        [Basic.Consume(queue="pq", consumer_tag="t")],
        [_queue(), Basic.Consume(queue="pq", consumer_tag="t")],
    ),
    Question(
        "exclusive consumer in use",
        "Channel.Close 403 (60,20)",
        [Basic.Consume(queue="pq", consumer_tag="u", exclusive=True)],
        [_queue(), Basic.Consume(queue="pq", consumer_tag="t")],
    ),
    Question("cancel unknown tag", "Basic.CancelOk", [Basic.Cancel(consumer_tag="zz")]),
    Question(
        "consume no_local ignored",
        "Basic.ConsumeOk",
        [Basic.Consume(queue="pq", consumer_tag="t", no_local=True)],
        [_queue()],
    ),
    Question("ack unknown tag", "Channel.Close 406 (60,80)", [Basic.Ack(99)]),
    Question("ack 0 multiple, none", "(silence)", [Basic.Ack(0, multiple=True)]),
    Question("ack 5 multiple, none", "Channel.Close 406 (60,80)", [Basic.Ack(5, multiple=True)]),
    Question("nack unknown", "Channel.Close 406 (60,120)", [Basic.Nack(99)]),
    Question("reject unknown", "Channel.Close 406 (60,90)", [Basic.Reject(99)]),
    Question("qos prefetch_size", "Connection.Close 540 (60,10)", [Basic.Qos(prefetch_size=10)]),
    Question("recover requeue=false", "Connection.Close 540 (60,110)", [Basic.Recover(requeue=False)]),
    Question("recover requeue", "Basic.RecoverOk", [Basic.Recover(requeue=True)]),
]

PUBLISHING = [
    Question("publish missing exchange", "Channel.Close 404 (60,40)", content("nope", "k")),
    Question("publish immediate", "Connection.Close 540 (60,40)", content("", "k", immediate=True)),
    Question(
        "publish mandatory unroutable",
        "Basic.Return | Header size=2 | Body b'hi'",
        content("", "nowhere", mandatory=True),
    ),
    Question(
        "confirm + mandatory unroutable (order)",
        "Basic.Return | Header size=2 | Body b'hi' | Basic.Ack",
        content("", "nowhere", mandatory=True),
        [Confirm.Select()],
    ),
    Question("confirm + missing exchange", "Channel.Close 404 (60,40)", content("nope", "k"), [Confirm.Select()]),
    Question(
        "publish internal exchange",
        "Channel.Close 403 (60,40)",
        content("pint", "k"),
        [_exchange("pint", internal=True)],
    ),
    Question("bad expiration property", "Channel.Close 406 (60,40)", content("", "pq", expiration="abc"), [_queue()]),
    Question("user_id mismatch", "Channel.Close 406 (60,40)", content("", "pq", user_id="bob"), [_queue()]),
    Question("tx then confirm", "Channel.Close 406 (85,10)", [Confirm.Select()], [Tx.Select()]),
    Question("tx.commit without select", "Channel.Close 406 (90,20)", [Tx.Commit()]),
    Question("confirm then tx", "Channel.Close 406 (90,10)", [Tx.Select()], [Confirm.Select()]),
]

FRAMES = [
    Question("channel.open twice", "Connection.Close 504 (20,10)", [Channel.Open()]),
    Question(
        "method on unopened channel",
        "Connection.Close 504 (50,10)",
        [_frame(1, b"\x00\x32\x00\x0a\x00\x00\x02pq\x00\x00\x00\x00\x00", channel=7)],
    ),
    Question("channel.flow false", "Connection.Close 540 (20,20)", [Channel.Flow(active=False)]),
    Question("channel.flow true", "Channel.FlowOk", [Channel.Flow(active=True)]),
    Question("header without publish", "Connection.Close 505 (0,0)", [header.ContentHeader(0, 2)]),
    Question("body without header", "Connection.Close 505 (0,0)", [body.ContentBody(b"hi")]),
    Question(
        "method while body expected",
        "Connection.Close 505 (60,40)",
        [*content("", "k")[:2], Basic.Qos(prefetch_count=1)],
    ),
    Question("body longer than header says", "(silence)", [*content("", "k")[:2], body.ContentBody(b"too long")]),
    Question("bad frame end", "Connection.Close 501 (0,0)", [_frame(1, _QOS, b"\x00")]),
    Question("bad frame type", "Connection.Close 501 (0,0)", [_frame(5, _QOS)]),
    Question("unknown method", "Connection.Close 501 (60,200)", [_frame(1, b"\x00\x3c\x00\xc8")]),
    Question(
        "frame larger than frame_max",
        "Connection.Close 501 (0,0)",
        [b"\x01\x00\x01" + (200_000).to_bytes(4, "big") + b"x" * 200_001],
    ),
    Question(
        "methods after channel error ignored, reopen",
        "(silence) | Channel.OpenOk",
        [Basic.Qos(prefetch_count=1), Channel.CloseOk(), Channel.Open()],
        [_queue("nope", passive=True)],
    ),
]

PERMISSIONS = [
    Question("pulse: declare foreign queue", "Channel.Close 403 (50,10)", [_queue("queue/bob/x")], login=PULSE),
    Question("pulse: declare own queue", "Queue.DeclareOk", [_queue("queue/pulse/x")], login=PULSE),
    Question(
        "pulse: passive declare foreign exchange",
        "Exchange.DeclareOk",
        [_exchange("px", passive=True)],
        elsewhere=[_exchange()],
        login=PULSE,
    ),
    Question("pulse: declare foreign exchange", "Channel.Close 403 (40,10)", [_exchange(FOREIGN)], login=PULSE),
    Question(
        "pulse: declare EXISTING foreign exchange",
        "Channel.Close 403 (40,10)",
        [_exchange()],
        elsewhere=[_exchange()],
        login=PULSE,
    ),
    Question("(guest) declare exchange/treeherder", "Exchange.DeclareOk", [_exchange(TREEHERDER)]),
    Question(
        "pulse: bind own queue to exchange/treeherder",
        "Queue.BindOk",
        [Queue.Bind(queue="queue/pulse/x", exchange=TREEHERDER, routing_key="#")],
        [_queue("queue/pulse/x")],
        elsewhere=[_exchange(TREEHERDER)],
        login=PULSE,
    ),
    Question(
        "pulse: bind own queue to amq.topic",
        "Channel.Close 403 (50,20)",
        [Queue.Bind(queue="queue/pulse/x", exchange="amq.topic", routing_key="#")],
        [_queue("queue/pulse/x")],
        login=PULSE,
    ),
    Question(
        "pulse: publish foreign exchange",
        "Channel.Close 403 (60,40)",
        content(TREEHERDER, "k"),
        elsewhere=[_exchange(TREEHERDER)],
        login=PULSE,
    ),
    Question("pulse: publish default exchange", "Channel.Close 403 (60,40)", content("", "k"), login=PULSE),
    *(
        Question(f"pulse: {what}", f"Channel.Close 403 {ids}", [ask], elsewhere=[_queue()], login=PULSE)
        for what, ids, ask in (
            ("consume foreign queue", "(60,20)", Basic.Consume(queue="pq")),
            ("get foreign queue", "(60,70)", Basic.Get(queue="pq")),
            ("delete foreign", "(50,40)", Queue.Delete(queue="pq")),
            ("purge foreign", "(50,30)", Queue.Purge(queue="pq")),
        )
    ),
    Question("pulse: server-named queue", "Channel.Close 403 (50,10)", [_queue("", exclusive=True)], login=PULSE),
    Question("pulse: passive declare foreign queue", "Channel.Close 404 (50,10)", [_queue(passive=True)], login=PULSE),
    Question(
        "pulse: DLX to foreign exchange",
        "Channel.Close 403 (50,10)",
        [_queue("queue/pulse/x", arguments={"x-dead-letter-exchange": FOREIGN})],
        login=PULSE,
    ),
]

QUESTIONS = [*HANDSHAKE, *QUEUES, *EXCHANGES, *CONSUMING, *PUBLISHING, *FRAMES, *PERMISSIONS]
TIDY = [
    *(Queue.Delete(queue=name) for name in ("pq", "pq2", "pq3", "queue/pulse/x", "queue/bob/x")),
    *(Exchange.Delete(exchange=name) for name in ("px", "pint", FOREIGN, TREEHERDER)),
]
