from __future__ import annotations

import pytest
from pamqp.commands import Basic, Queue
from support.sandbox_in_memory import World

from pulsekit.sandbox.guardian import Guardian, GuardianLimits


@pytest.fixture
def world() -> World:
    world = World()
    Guardian(world.broker, GuardianLimits(warn=2, delete=4, interval=5)).start()
    return world


def fill(client, count, queue="queue/me/q"):
    for _ in range(count):
        client.publish("", queue)


def test_a_queue_over_the_first_limit_is_reported_once(world) -> None:
    client = world.connect()
    client.call(Queue.Declare(queue="queue/me/q"))
    fill(client, 3)
    world.advance(20)
    assert world.kinds().count("guardian-warned") == 1


def test_a_queue_that_was_emptied_is_reported_again(world) -> None:
    client = world.connect()
    client.call(Queue.Declare(queue="queue/me/q"))
    for _ in range(2):
        fill(client, 3)
        world.advance(6)
        client.call(Queue.Purge(queue="queue/me/q"))
        world.advance(6)
    assert world.kinds().count("guardian-warned") == 2


def test_unacknowledged_messages_count(world) -> None:
    client = world.connect()
    client.call(Queue.Declare(queue="queue/me/q"), Basic.Consume(queue="queue/me/q"))
    fill(client, 3)
    world.advance(6)
    assert "guardian-warned" in world.kinds()


def test_a_queue_over_the_second_limit_is_deleted_with_its_consumers(world) -> None:
    client = world.connect()
    client.call(Queue.Declare(queue="queue/me/q"), Basic.Consume(queue="queue/me/q"))
    fill(client, 5)
    client.read()
    world.advance(6)
    assert client.names() == ["Basic.Cancel"]
    assert "guardian-deleted" in world.kinds()
    client.publish("", "queue/me/q", mandatory=True)
    assert client.names() == ["Basic.Return 312"]


def test_queues_at_the_limits_are_kept(world) -> None:
    client = world.connect()
    for name in ("queue/me/warn", "queue/me/delete"):
        client.call(Queue.Declare(queue=name))
    fill(client, 2, "queue/me/warn")
    world.advance(6)
    assert "guardian-warned" not in world.kinds()
    fill(client, 4, "queue/me/delete")
    world.advance(6)
    assert "guardian-deleted" not in world.kinds()


def test_queues_without_an_owner_are_kept(world) -> None:
    client = world.connect()
    client.call(Queue.Declare(queue="q"))
    fill(client, 9, "q")
    world.advance(6)
    assert not {"guardian-warned", "guardian-deleted"} & set(world.kinds())
