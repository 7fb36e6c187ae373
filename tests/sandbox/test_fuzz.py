"""Hostile input: a session answers in AMQP or closes, and stores only a little of the input."""

from __future__ import annotations

import random
import struct

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from pamqp import commands, frame
from pamqp.commands import Basic, Connection, Queue
from support.hostile_frames import OUTPUT_LIMIT, samples
from support.raw_client import Login, content
from support.sandbox_in_memory import Client, World

_FRAMES_EACH = 20


@st.composite
def _hostile(draw: st.DrawFn) -> bytes:
    """Draw a frame: valid, with bytes changed, with another payload of the right length, or random."""
    sample = draw(st.sampled_from(samples()))
    how = draw(st.sampled_from(["good", "good", "bytes", "payload", "cut", "noise", "method"]))
    if how == "good":
        return sample
    if how == "bytes":
        data = bytearray(sample)
        for _ in range(draw(st.integers(1, 4))):
            data[draw(st.integers(0, len(data) - 1))] = draw(st.integers(0, 255))
        return bytes(data)
    if how == "cut":
        return sample[: draw(st.integers(0, len(sample)))]
    if how == "noise":
        return draw(st.binary(max_size=64))
    payload = bytearray(draw(st.binary(max_size=80)))
    if how == "method":
        method = draw(st.sampled_from(sorted(commands.INDEX_MAPPING)))
        payload[:0] = struct.pack(">I", method)
        return struct.pack(">BHI", 1, draw(st.integers(0, 2)), len(payload)) + payload + b"\xce"
    inner = bytearray(sample[7:-1])
    if inner:
        inner[draw(st.integers(0, len(inner) - 1)) :] = payload
    return sample[:3] + struct.pack(">I", len(inner)) + bytes(inner) + b"\xce"


def _check(world: World, client: Client, caplog: pytest.LogCaptureFixture) -> None:
    """Check that the session is open or closing in AMQP, and that no bug of the sandbox was logged."""
    output = client.session.data_to_send()
    assert len(output) < OUTPUT_LIMIT
    while output:
        size, _, value = frame.unmarshal(output)
        assert not isinstance(value, Connection.Close) or value.reply_code != 541
        output = output[size:]
    assert not caplog.records
    if not client.session.finished:
        client.session.lost()
    assert not world.broker.sessions


@pytest.mark.parametrize("frames", [4_000, pytest.param(20_000, marks=(pytest.mark.slow, pytest.mark.timeout(300)))])
def test_hostile_frames_never_end_in_a_traceback(caplog, frames: int) -> None:
    @given(st.lists(_hostile(), min_size=_FRAMES_EACH, max_size=_FRAMES_EACH), st.booleans())
    @settings(max_examples=frames // _FRAMES_EACH, suppress_health_check=list(HealthCheck))
    def check(pieces: list[bytes], logged_in: bool) -> None:
        world = World()
        client = world.connect() if logged_in else Client(world)
        if not logged_in:
            client.session.receive(b"AMQP\x00\x00\x09\x01")
        else:
            client.call(Queue.Declare(queue="q"))
        for piece in pieces:
            client.session.receive(piece)
        world.advance(20)
        _check(world, client, caplog)

    check()


def test_a_long_stream_of_mutations_leaves_the_broker_usable(caplog) -> None:
    seeded = random.Random(20261123)
    world = World()
    for _ in range(300):
        client = world.connect()
        for _ in range(30):
            data = bytearray(seeded.choice(samples()))
            if seeded.random() < 0.3:
                data[seeded.randrange(7, len(data)) if len(data) > 8 else 0] = seeded.randrange(256)
            client.session.receive(bytes(data))
            if client.session.finished:
                break
        client.session.lost()
    assert not caplog.records
    good = world.connect()
    assert good.call(Queue.Declare(queue="fresh")) == ["Queue.DeclareOk"]
    assert good.call(Basic.Consume(queue="fresh", no_ack=True), *content("", "fresh")) == [
        "Basic.ConsumeOk",
        "Basic.Deliver",
    ]


def _table(payload: bytes) -> bytes:
    return b"\x00\x32\x00\x0a\x00\x00\x01q\x00" + len(payload).to_bytes(4, "big") + payload


@pytest.mark.parametrize(
    "payload",
    [
        pytest.param(
            b"".join(b"\x00F" + (5 * depth).to_bytes(4, "big") for depth in range(20_000, 0, -1))[:100_000], id="nested"
        ),
        pytest.param(b"\x00V" * 60_000, id="many fields"),
        pytest.param(b"\x01aS\xff\xff\xff\xff", id="a string longer than its frame"),
        pytest.param(b"\x01aA\x00\x00\x00\x64" + b"V" * 20, id="an array longer than its frame"),
        pytest.param(b"\x01a?", id="an unknown type"),
        pytest.param(b"\xff", id="a name longer than its frame"),
    ],
)
@pytest.mark.timeout(5)
def test_hostile_tables_are_refused_at_once(payload) -> None:
    client = World().connect()
    data = _table(payload)
    client.send(struct.pack(">BHI", 1, 1, len(data)) + data + b"\xce")
    names = client.names()
    assert names in (["Connection.Close 502"], ["Queue.DeclareOk"])


def test_a_login_as_any_user_gets_an_amqp_answer() -> None:
    client = Client(World())
    client.log_in(Login(user="any/body \N{SNOWMAN}", password="x"))
