"""A broker that does not answer about a queue after a reconnect."""

from __future__ import annotations

import asyncio
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any, Literal

import pytest
from support.proxy import Proxy

import pulsekit
from pulsekit import Queue
from pulsekit._amqp import methods
from pulsekit._amqp.link import Link

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    import aiormq
    from support.rabbitmq.broker import PulseUser


class Silence:
    """What happens between the connection and the answer about the queue."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.asking, self.answered = asyncio.Event(), asyncio.Event()
        self._monkeypatch = monkeypatch
        answers = Link.answers

        async def observed(link: Link) -> bool:
            self.asking.set()
            found = await answers(link)
            self.answered.set()
            return found

        monkeypatch.setattr(Link, "answers", observed)
        monkeypatch.setattr("pulsekit._amqp.queue_declaration._SILENCE", 0.01)

    def declare(self, declare: Callable[[Awaitable[Any]], Awaitable[Any]]) -> None:
        """Replace the declaration of a queue by a function that gets it, and returns its result."""

        def replaced(channel: aiormq.Channel, name: str, **options: Any) -> Awaitable[Any]:
            return declare(methods.declare_queue(channel, name, **options))

        changed = SimpleNamespace(**{**vars(methods), "declare_queue": replaced})
        self._monkeypatch.setattr("pulsekit._amqp.queue_declaration.methods", changed)


@pytest.fixture
def silence(monkeypatch: pytest.MonkeyPatch) -> Silence:
    return Silence(monkeypatch)


@pytest.mark.parametrize(("kind", "lossy"), [("classic", True), ("quorum", False)])
async def test_a_queue_without_an_answer_may_have_lost_messages_unless_it_is_replicated(
    user: PulseUser, exchange: str, silence: Silence, kind: Literal["classic", "quorum"], lossy: bool
) -> None:
    """RabbitMQ 4 does not answer about a classic queue while its node is down; the table of faults has that case."""
    gaps = asyncio.Queue[pulsekit.Gap]()

    async def answer_late(declaring: Awaitable[Any]) -> Any:
        await silence.answered.wait()
        return await declaring

    silence.declare(answer_late)
    queue = Queue(f"queue/{user.name}/q", type=kind)
    async with (
        Proxy(user.url) as proxy,
        pulsekit.connect(proxy.url) as shaky,
        shaky.subscribe(exchange, queue=queue, on_gap=gaps.put_nowait) as messages,
    ):
        assert (await gaps.get()).created
        silence.declare(lambda declaring: declaring)
        proxy.cut()
        assert not (await gaps.get()).lossy
        silence.answered.clear()
        silence.declare(answer_late)
        proxy.cut()
        assert (await gaps.get()).lossy == lossy
        await shaky.publisher(exchange).publish({"n": 1}, "k")
        assert (await anext(messages)).payload == {"n": 1}


async def test_a_connection_without_any_answer_says_nothing_about_the_queue(
    user: PulseUser, exchange: str, silence: Silence
) -> None:
    gaps = asyncio.Queue[pulsekit.Gap]()
    async with (
        Proxy(user.url) as proxy,
        pulsekit.connect(proxy.url) as shaky,
        shaky.subscribe(exchange, queue=f"queue/{user.name}/q", on_gap=gaps.put_nowait),
    ):
        assert (await gaps.get()).created

        async def hold_answers(declaring: Awaitable[Any]) -> Any:
            proxy.hold_answers()
            answer = asyncio.ensure_future(declaring)
            await silence.asking.wait()
            proxy.release_answers()
            return await answer

        silence.declare(hold_answers)
        proxy.cut()
        assert not (await gaps.get()).lossy
        assert silence.asking.is_set()
