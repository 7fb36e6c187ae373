from __future__ import annotations

import asyncio
import contextlib
import re
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from pamqp import commands

from sandbox.questions import QUESTIONS, TIDY, Question
from sandbox.wire import Login, Wire, connect, render, shake_hands

if TYPE_CHECKING:
    from sandbox.conftest import Address

_ANSWERS = Path(__file__).parents[2].parent / "shared" / "corpus" / "rabbitmq-3.10.8-answers.txt"
_CLOSES = (commands.Connection.Close, commands.Channel.Close)


async def _say(wire: Wire, frames: list) -> None:
    """Send frames, waiting for the answer of each that has one."""
    for frame in frames:
        await wire.call(frame)
    if frames and not isinstance(frames[-1], commands.base.Frame):  # a publish: its confirm
        await wire.until(commands.Basic.Ack)


async def _listen(wire: Wire, count: int, patience: float) -> str:
    """Write down the frames that come, up to the first close or the number that is expected."""
    heard = []
    with contextlib.suppress(TimeoutError):
        while len(heard) < count:
            value = await wire.next(patience)
            heard.append(value)
            if value is None or isinstance(value, _CLOSES):
                break
    return " | ".join(map(render, heard)) or "(silence)"


async def _ask(question: Question, host: str, port: int, patience: float) -> str:
    expected = question.answer.split(" | ")
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
    """Leave frame, code, class and method of an answer."""
    return re.sub(r" \{.*?\}", "", re.sub(r"""(Close \d+) (['"]).*\2 \(""", r"\1 (", answer))


@pytest.mark.parametrize("question", QUESTIONS, ids=lambda question: question.name)
async def test_a_broker_answers_as_rabbitmq_does(question: Question, address: Address) -> None:
    answer = await _ask(question, *address)
    assert _without_texts(answer) == question.answer


@pytest.mark.corpus
async def test_the_words_are_those_of_the_table_of_answers(sandbox) -> None:
    if not _ANSWERS.exists():
        pytest.skip("the table of RabbitMQ's answers is not beside the checkout")
    table = _read_table()
    assert len(QUESTIONS) == len(table) == 104
    differing = {}
    for question in QUESTIONS:
        answer = await _ask(question, sandbox.host, sandbox.port, 0.1)
        if _same_names(answer) != _same_names(table[question.name]):
            differing[question.name] = (answer, table[question.name])
    assert differing == {}


def _read_table() -> dict[str, str]:
    rows = {}
    for line in _ANSWERS.read_text().splitlines()[4:]:
        name, answer = line[:45].strip(), line[45:].strip()
        rows[name] = answer
    return rows


def _same_names(answer: str) -> str:
    return re.sub(r"amq\.gen-[\w-]+", "amq.gen-…", answer)
