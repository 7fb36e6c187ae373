from __future__ import annotations

import os
import select
import shlex
import signal
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING

import aio_pika
import pytest
from aiormq.exceptions import ChannelAccessRefused

from support.rabbitmq.node import running

if TYPE_CHECKING:
    from support.rabbitmq.broker import RabbitMQ
    from support.rabbitmq.node import PrivateNode

STARTS_A_NODE = """
from support.rabbitmq.node import PrivateNode

class Telling(PrivateNode):
    def launch(self):
        super().launch()
        print(*self.pids, flush=True)

with Telling():
    pass
"""


async def test_users_may_publish_only_to_their_own_exchanges(rabbitmq: RabbitMQ) -> None:
    owner, other = rabbitmq.user(), rabbitmq.user()
    name = f"exchange/{owner.name}/v1/jobs"
    async with await aio_pika.connect(owner.url, timeout=10) as connection:
        exchange = await (await connection.channel()).declare_exchange(name, "topic", auto_delete=True)
        async with await aio_pika.connect(other.url, timeout=10) as others:
            channel = await others.channel()
            queue = await channel.declare_queue(f"queue/{other.name}/jobs", exclusive=True)
            await queue.bind(name, "#")
            await exchange.publish(aio_pika.Message(b"{}"), "a.b")
            assert (await queue.get(no_ack=True)).routing_key == "a.b"
            with pytest.raises(ChannelAccessRefused):
                await (await channel.get_exchange(name)).publish(aio_pika.Message(b"{}"), "a.b")


@pytest.mark.parametrize("vhost", ["/", "communitytc"])
async def test_users_can_use_every_vhost_of_pulse(rabbitmq: RabbitMQ, vhost: str) -> None:
    user = rabbitmq.user()
    async with await aio_pika.connect(rabbitmq.url(user, vhost), timeout=10) as connection:
        await (await connection.channel()).declare_queue(f"queue/{user.name}/here", exclusive=True)
        assert f"queue/{user.name}/here" in rabbitmq.ctl("list_queues", "-p", vhost, "name")


async def test_a_killed_node_restarts_with_durable_data(rabbitmq_node: PrivateNode) -> None:
    user = rabbitmq_node.user()
    name = f"queue/{user.name}/kept"
    async with await aio_pika.connect(user.url, timeout=10) as connection:
        await (await connection.channel()).declare_queue(name, durable=True)
    rabbitmq_node.kill()
    rabbitmq_node.start()
    async with await aio_pika.connect(user.url, timeout=10) as connection:
        await (await connection.channel()).queue_delete(name, if_unused=True)


def test_an_existing_broker_can_be_used_for_the_tests(
    rabbitmq_node: PrivateNode, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PULSEKIT_TEST_RABBITMQ", rabbitmq_node.admin_url)
    monkeypatch.setenv("PULSEKIT_TEST_RABBITMQCTL", shlex.join(rabbitmq_node.ctl_command))
    with running() as broker:
        user = broker.user()
    assert broker is not rabbitmq_node
    assert broker.admin_url == rabbitmq_node.admin_url
    assert "Success" in rabbitmq_node.ctl("authenticate_user", user.name, user.password)


@pytest.mark.usefixtures("rabbitmq_node")
@pytest.mark.parametrize("end", [signal.SIGINT, signal.SIGTERM, signal.SIGKILL])
def test_a_node_does_not_outlive_the_process_that_started_it(end: signal.Signals, tmp_path: Path) -> None:
    with subprocess.Popen(
        (sys.executable, "-c", STARTS_A_NODE),
        env={**os.environ, "TMPDIR": str(tmp_path), "PYTHONPATH": str(Path(__file__).parents[2])},
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    ) as starter:
        assert starter.stdout
        watched = [os.pidfd_open(int(pid)) for pid in starter.stdout.readline().split()]
        assert len(watched) == 2
        assert len(list(tmp_path.iterdir())) == 1
        starter.send_signal(end)
        starter.stdout.read()  # ends when no process has the other end open
    try:
        assert all(select.select([process], [], [], 10)[0] for process in watched)
    finally:
        for descriptor in watched:
            os.close(descriptor)
    assert list(tmp_path.iterdir()) == []
