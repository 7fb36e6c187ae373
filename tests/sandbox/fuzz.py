"""Fuzz the sandbox's protocol with atheris: `nox -s fuzz -- FRAMES`, a million by default.

Each input becomes a few frames: some are samples that coverage chose to change, some noise. After each the session must
be alive or closed in AMQP, and nothing may have been logged as a fault of ours.
"""

from __future__ import annotations

import logging
import os
import struct
import sys
import tempfile

import atheris

with atheris.instrument_imports(include=["pulsekit"]):
    from pamqp.commands import Queue

    from sandbox.memory import Client, World
    from sandbox.test_fuzz import _OUTPUT_LIMIT, _samples

FRAMES = int(sys.argv[1]) if len(sys.argv) > 1 else 1_000_000
_CLOSE, _INTERNAL = b"\x00\x0a\x00\x32", b"\x02\x1d"  # connection.close, and its code 541
_LONGEST = 200  # frames of one input

fed = 0


class _Fault(logging.Handler):
    def emit(self, record: logging.LogRecord) -> None:
        raise AssertionError(record.getMessage())


def one_input(data: bytes) -> None:
    global fed  # noqa: PLW0603 - atheris calls a function and keeps nothing
    provider = atheris.FuzzedDataProvider(data)
    world = World()
    if provider.ConsumeBool():
        client = world.connect()
        client.call(Queue.Declare(queue="q"))
    else:
        client = Client(world)
        client.session.receive(b"AMQP\x00\x00\x09\x01")
    for _ in range(_LONGEST):
        if not provider.remaining_bytes():
            break
        piece = bytearray(_samples()[provider.ConsumeIntInRange(0, len(_samples()) - 1)])
        match provider.ConsumeIntInRange(0, 3):
            case 1:
                piece[provider.ConsumeIntInRange(0, len(piece) - 1)] = provider.ConsumeIntInRange(0, 255)
            case 2:
                piece[7:-1] = provider.ConsumeBytes(64)
                piece[3:7] = (len(piece) - 8).to_bytes(4, "big")
            case 3:
                piece = bytearray(provider.ConsumeBytes(32))
        client.session.receive(bytes(piece))
        fed += 1
    world.advance(20)
    output = client.session.take()
    assert len(output) < _OUTPUT_LIMIT
    while output:
        kind, _, size = struct.unpack_from(">BHI", output)
        assert output[7 + size] == 0xCE, "a frame without an end"
        # By hand: a key that is no text comes back as it came, which pamqp does not read.
        if kind == 1 and output[7:11] == _CLOSE:
            assert output[11:13] != _INTERNAL, "an internal error"
        output = output[8 + size :]
    if not client.session.finished:
        client.session.lost()
    assert not world.broker.sessions
    if fed >= FRAMES:
        sys.stdout.write(f"{fed} frames, none of them ended in a traceback\n")
        sys.stdout.flush()
        os._exit(0)  # libFuzzer takes every other end for a crash


if __name__ == "__main__":
    logging.getLogger().addHandler(_Fault())
    atheris.Setup(
        [sys.argv[0], "-max_len=4096", "-len_control=0", f"-artifact_prefix={tempfile.gettempdir()}/"], one_input
    )
    atheris.Fuzz()
