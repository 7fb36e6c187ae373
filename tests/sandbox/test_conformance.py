from __future__ import annotations

import asyncio
import contextlib
import re
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from pamqp import commands
from support.raw_client import Login, RawClient, connect, render, shake_hands

from sandbox.questions import QUESTIONS, TIDY, Question
from sandbox.versions import changed, mechanisms, protocol

if TYPE_CHECKING:
    from sandbox.conftest import Address

_ANSWERS = Path(__file__).parents[2].parent / "shared" / "corpus" / "rabbitmq-3.10.8-answers.txt"
_ANSWERS_WITHIN = 20.0  # seconds, on a machine with much other work
_CLOSES = (commands.Connection.Close, commands.Channel.Close)


def _read_table() -> dict[str, str]:
    """Read the stored answers with their texts; none without the corpus beside the checkout."""
    rows: dict[str, str] = {}
    if not _ANSWERS.exists():
        return rows
    for line in _ANSWERS.read_text().splitlines()[4:]:
        name, answer = line[:45].strip(), line[45:].strip()
        rows[name] = answer
    return rows


_TABLE = _read_table()


async def _say(wire: RawClient, frames: list) -> None:
    """Send frames, and wait for the answer of each that has one."""
    for frame in frames:
        await wire.call(frame)
    if frames and not isinstance(frames[-1], commands.base.Frame):  # a publish: its confirm
        await wire.until(commands.Basic.Ack)


async def _listen(wire: RawClient, count: int, patience: float) -> str:
    """Return the frames that arrive, up to the first close or the expected number."""
    received = []
    with contextlib.suppress(TimeoutError):
        while len(received) < count:
            value = await wire.next(patience)
            received.append(value)
            if value is None or isinstance(value, _CLOSES):
                break
    return " | ".join(map(render, received)) or "(silence)"


async def _ask(question: Question, address: Address) -> str:
    """Return the answer of the broker; `patience` is how long a test waits for an absent answer."""
    host, port, patience, _ = address
    expected = question.answer.split(" | ")
    if expected != ["(silence)"]:
        patience = _ANSWERS_WITHIN
    async with contextlib.AsyncExitStack() as stack:
        other = await stack.enter_async_context(connect(host, port, Login()))
        await _say(other, question.elsewhere)
        if not question.opened:
            wire = await stack.enter_async_context(connect(host, port))
            try:
                async with asyncio.timeout(patience):
                    answer = render(await shake_hands(wire, question.login))
            except TimeoutError:
                answer = "(silence)"
        else:
            wire = await stack.enter_async_context(connect(host, port, question.login))
            await _say(wire, question.before)
            wire.send(*question.ask)
            await _say(other, question.afterwards)
            if expected[0] == "(silence)" and len(expected) > 1:
                answer = "(silence) | " + await _listen(wire, len(expected) - 1, patience)
            else:
                answer = await _listen(wire, len(expected), patience)
    async with connect(host, port, Login()) as tidy:
        await _say(tidy, TIDY)
    return answer


def _without_texts(answer: str) -> str:
    """Reduce an answer to frame, code, class and method."""
    return re.sub(r" \{.*?\}", "", re.sub(r"""(Close \d+) (['"]).*\2 \(""", r"\1 (", answer))


@pytest.mark.parametrize("question", QUESTIONS, ids=lambda question: question.name)
async def test_a_broker_answers_as_rabbitmq_does(question: Question, address: Address) -> None:
    answer = await _ask(question, address)
    assert _without_texts(answer) == changed(address.version, question.name, question.answer)
    if question.name in _TABLE:
        expected = changed(address.version, question.name, _TABLE[question.name])
        assert _same_names(answer) == _same_names(expected)


@pytest.mark.usefixtures("corpus")
def test_every_answer_of_the_table_has_its_question() -> None:
    assert len(QUESTIONS) == 104
    assert {question.name for question in QUESTIONS} == set(_TABLE)


@pytest.mark.parametrize("header", [b"AMQP\x00\x01\x00\x00", b"AMQP\x01\x01\x00\x0a", b"GET / HTTP/1.1\r\n\r\n"])
async def test_another_protocol_is_answered_with_the_supported_one(header: bytes, address: Address) -> None:
    async with connect(address.host, address.port) as wire:
        wire.raw(header)
        assert await wire.reader.readexactly(8) == protocol(address.version)


async def test_the_header_of_amqp_0_9_opens_a_connection_too(address: Address) -> None:
    async with connect(address.host, address.port) as wire:
        wire.raw(b"AMQP\x01\x01\x00\x09")
        start = await wire.until(commands.Connection.Start)
    assert (start.version_major, start.version_minor) == (0, 9)


async def test_a_broker_offers_the_login_mechanisms_of_rabbitmq(address: Address) -> None:
    async with connect(address.host, address.port) as wire:
        wire.raw(b"AMQP\x00\x00\x09\x01")
        start = await wire.until(commands.Connection.Start)
    assert set(start.mechanisms.split()) == mechanisms(address.version)


def _same_names(answer: str) -> str:
    return re.sub(r"amq\.gen-[\w-]+", "amq.gen-…", answer)
