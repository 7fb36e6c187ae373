"""`pulsekit consume` is killed or stopped in the middle of a handler, or its node, its queue or its messages fail.

The handler writes each handled message to a file, so the account is exact, even if a process is killed.
"""

from __future__ import annotations

import asyncio
import json
import signal
import subprocess
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

import pytest
from support.command import start

import pulsekit
from faults.account import Account, Finding
from faults.stage import Fault, Stage, publish

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from support.children import Child
    from support.rabbitmq.broker import PulseUser, RabbitMQ
    from support.rabbitmq.cluster import Cluster
    from support.rabbitmq.node import PrivateNode

    from faults.account import Totals

pytestmark = [pytest.mark.usefixtures("nothing_left"), pytest.mark.faults, pytest.mark.timeout(300)]

KINDS = pytest.mark.parametrize("kind", ["classic", "quorum"])

COUNT, MIDDLE, AT_ONCE = 1_000, 500, 4
LISTENER = """
import json
import sys
from pathlib import Path

from pulsekit import OnFailure, Policy, Queue, Worker

MIDDLE = Path("middle").read_text()
HANDLED = Path("handled")

def handle(message):
    name = message.properties.message_id
    if name == MIDDLE:
        print("middle", flush=True)
        sys.stdin.readline()
    mode = message.properties.delivery_mode
    line = [name, message.routing_key, message.body.decode(), mode, message.redelivered, message.epoch]
    with HANDLED.open("a") as file:
        print(json.dumps(line), file=file)

def refuse(message):
    if message.properties.message_id.endswith("7"):
        raise ValueError("poison")
    handle(message)

queue = Queue("@queue@", existing=True)
policy = Policy(failure=OnFailure.REQUEUE, delay=0.01, limit=1)
handles = Worker(handle, queue=queue, concurrency=4)
refuses = Worker(refuse, queue=queue, policy=policy, concurrency=4)
"""


class Handlers:
    """A queue of one kind with a thousand messages, and processes that handle them."""

    def __init__(
        self, broker: RabbitMQ, folder: Path, kind: str, user: PulseUser | None = None, **arguments: str
    ) -> None:
        self.stage = Stage(broker, user=user, arguments={"x-queue-type": kind, **arguments})
        self.account = Account(routed=True)
        self.url = self.stage.user.url
        self._folder = folder
        (folder / "listener.py").write_text(LISTENER.replace("@queue@", self.stage.queue))

    async def fill(self) -> None:
        async with pulsekit.connect(self.stage.user.url) as pulse:
            await publish(pulse.publisher(self.stage.exchange), self.account, COUNT)

    @contextmanager
    def running(self, *options: str, worker: str = "handles", middle: int = -1) -> Iterator[Child]:
        """Run a process until it consumes the queue, or until it stops in a message until a line on its stdin."""
        (self._folder / "middle").write_text(f"run-{middle}")
        with start(
            "consume", f"listener.py:{worker}", *options,
            folder=self._folder, url=self.url, stdin=subprocess.PIPE,
        ) as process:  # fmt: skip
            assert process.stderr is not None
            assert any("consumes" in line for line in process.stderr)  # then it drains at a signal
            if middle >= 0:
                assert process.stdout is not None
                assert process.stdout.readline() == "middle\n", process.communicate()
            yield process

    def finish(self) -> None:
        """Handle the remaining messages of the queue, in another process."""
        with self.running("--drain") as process:
            assert process.wait(timeout=100) == 0

    def lines(self) -> list[list[Any]]:
        return [json.loads(line) for line in (self._folder / "handled").read_text().splitlines()]

    def close(self, dead: int = 0) -> Totals:
        """Record the handled messages and the dead letters. Check that no message is still in the queue."""
        for name, key, body, mode, redelivered, epoch in self.lines():
            self.account.find(Finding(name, key, body.encode(), mode, redelivered, epoch))
        found = len({line[0] for line in self.lines()})
        self.stage.drain(self.account)
        totals = self.account.close()
        assert totals.confirmed == COUNT
        assert totals.distinct == found + dead, "messages were left in the queue"
        return totals


@KINDS
async def test_handlers_are_killed(rabbitmq: RabbitMQ, tmp_path: Path, kind: str, figures: Callable[..., None]) -> None:
    handlers = Handlers(rabbitmq, tmp_path, kind)
    await handlers.fill()
    with handlers.running(middle=MIDDLE) as process:
        process.kill()
    handlers.finish()
    totals = handlers.close()
    assert totals.distinct == COUNT
    assert totals.duplicates < AT_ONCE  # the message in the middle had not been handled
    figures(totals)


@KINDS
async def test_handlers_are_stopped(
    rabbitmq: RabbitMQ, tmp_path: Path, kind: str, figures: Callable[..., None]
) -> None:
    handlers = Handlers(rabbitmq, tmp_path, kind)
    await handlers.fill()
    with handlers.running(middle=MIDDLE) as process:
        process.send_signal(signal.SIGTERM)
        assert process.stderr is not None
        assert any("SIGTERM: finishing" in line for line in process.stderr)
        process.communicate("\n", timeout=100)
    assert process.returncode == 0
    assert f"run-{MIDDLE}" in {line[0] for line in handlers.lines()}
    handlers.finish()
    totals = handlers.close()
    assert (totals.distinct, totals.duplicates) == (COUNT, 0)
    figures(totals)


async def kill(node: PrivateNode, handlers: Handlers) -> tuple[Totals, float, int]:
    """Kill a node in the middle of a message.

    Returns:
        The account, the seconds until all messages were handled, and how many were handled before.
    """
    fault = Fault(node.kill, then=node.start)
    await handlers.fill()
    with handlers.running(middle=MIDDLE) as process:
        fault()
        before = len(handlers.lines())
        process.stdin.write("\n")  # the handler returns while the broker is away
        process.stdin.flush()
        await fault.over()
        while len({line[0] for line in handlers.lines()}) < COUNT:
            assert process.poll() is None, process.communicate()
            await asyncio.sleep(0.05)  # between two looks: nothing announces a line in a file
        took = asyncio.get_running_loop().time() - fault.since
        process.send_signal(signal.SIGTERM)
        _, errors = process.communicate(timeout=100)
    assert process.returncode == 0, errors
    handlers.finish()
    totals = handlers.close()
    assert totals.distinct == COUNT
    return totals, took, before


async def test_the_node_of_handlers_is_killed(node: PrivateNode, tmp_path: Path, figures: Callable[..., None]) -> None:
    totals, took, before = await kill(node, Handlers(node, tmp_path, "classic"))
    # A classic queue writes acknowledgements to the disk later, and a node that is killed forgets them.
    assert totals.duplicates <= before + AT_ONCE
    figures(totals, took)


async def test_the_leader_of_a_quorum_queue_of_handlers_is_killed(
    cluster: Cluster, tmp_path: Path, figures: Callable[..., None]
) -> None:
    # In a cluster: the only member of a new quorum queue can lose its log, with all messages, when its node is killed.
    handlers = Handlers(cluster.nodes[0], tmp_path, "quorum")
    leader = cluster.leader_of(handlers.stage.queue)
    others = [node for node in cluster.nodes if node is not leader]
    handlers.url = cluster.url(handlers.stage.user, leader, *others)
    totals, took, _ = await kill(leader, handlers)
    assert totals.duplicates <= AT_ONCE
    figures(totals, took)


@KINDS
async def test_the_queue_of_handlers_is_deleted(
    rabbitmq: RabbitMQ, tmp_path: Path, kind: str, figures: Callable[..., None]
) -> None:
    handlers = Handlers(rabbitmq, tmp_path, kind)
    await handlers.fill()
    with handlers.running(middle=MIDDLE) as process, handlers.stage.channel() as channel:
        deleted = channel.queue_delete(handlers.stage.queue).method.message_count
        _, errors = process.communicate("\n", timeout=100)
    assert process.returncode == 5
    assert f"the queue {handlers.stage.queue} was deleted" in errors
    handled = len(handlers.lines())
    handlers.account.lose(COUNT - handled)
    if kind == "classic":  # the number that a quorum queue answers is not exact
        assert deleted <= COUNT - handled <= deleted + AT_ONCE
    handlers.stage = Stage(rabbitmq, user=handlers.stage.user)
    totals = handlers.close()
    assert totals.duplicates == 0
    figures(totals)


@KINDS
async def test_handlers_get_messages_that_always_fail(
    rabbitmq: RabbitMQ, tmp_path: Path, kind: str, figures: Callable[..., None]
) -> None:
    dead = Stage(rabbitmq, name="dead")
    handlers = Handlers(rabbitmq, tmp_path, kind, dead.user, **{"x-dead-letter-exchange": dead.exchange})
    await handlers.fill()
    with handlers.running("--drain", worker="refuses") as process:
        _, errors = process.communicate(timeout=100)
    assert process.returncode == 0, errors
    assert len(handlers.lines()) == COUNT * 9 // 10
    dead.drain(handlers.account)
    totals = handlers.close(dead=COUNT // 10)
    assert (totals.distinct, totals.duplicates) == (COUNT, 0)
    figures(totals)
