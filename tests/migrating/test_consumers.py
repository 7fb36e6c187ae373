"""The consumers of docs/migrating/: how many of 300 messages each one loses and repeats, before and with pulsekit.

A program gets 200 messages. Message 6 fails once. The program is killed in the middle of message 100, or of the batch
with it. 50 messages follow while it does not run, and 50 after its next start.
"""

from __future__ import annotations

import signal
import sqlite3
import time
from contextlib import closing
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import pytest

import pulsekit.sync
from migrating.pages import figures
from migrating.programs import Place
from migrating.service import Service
from pulsekit import NotFound, Queue
from pulsekit.queues import delete_queue, queue_depth

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from support.children import Child
    from support.loopback import SandboxBroker
    from support.rabbitmq.broker import PulseUser, RabbitMQ

ALL = frozenset(range(300))
FIRST, AWAY, LAST = range(200), range(200, 250), range(250, 300)
TASKS = "exchange/taskcluster-queue/v1/task-"
KEY = "primary.fN1SbArXTPSVFNUvaOlinQ.0.g.w.p.t.gecko-level-3.GxWzPqkaTO2Jc3P0mRzcMA._"
STATES = ("pending", "running", "completed", "failed", "exception")
FAILS, MIDDLE, POISON, UNSUPPORTED = 6, 100, 13, 21


def push(number: int) -> tuple[str, str, Any]:
    return "exchange/hgpushes/v2", "mozilla-central", {
        "payload": {"type": "changegroup.1", "data": {"heads": [str(number)]}}
    }  # fmt: skip


def task(number: int, state: str = "failed") -> tuple[str, str, Any]:
    return TASKS + state, KEY, {"status": {"taskId": str(number), "state": state}}


def git_push(number: int) -> tuple[str, str, Any]:
    kind = "tag" if number == UNSUPPORTED else "push"
    return "exchange/landoprod/pushes", "gitpushes", {"payload": {"type": kind, "push_id": number}}


def any_of_three(number: int) -> tuple[str, str, Any]:
    return (
        ("exchange/github-webhooks/v1", "web-platform-tests/wpt/push", {"payload": {"after": str(number)}}),
        push(number),
        (f"{TASKS}group-resolved", "primary.GxWzPqkaTO2Jc3P0mRzcMA.gecko-level-3", {"taskGroupId": str(number)}),
    )[number % 3]


@dataclass(frozen=True, slots=True)
class Case:
    """A program in one of its forms, and the expected outcome of the 300 messages.

    Attributes:
        handled: the messages that are handled, once or twice.
        message: make the exchange, key and payload of a message.
        queues: the names of its queues.
        middle: how many requests are in progress when the program is killed.
        poison: the messages whose requests always fail.
        attempts: how many of these requests there are at least.
        dead: the messages that are then in the dead-letter queue.
        ends: whether the program stops when its queue is empty.
        stops: whether the program stops when a request fails, and is started again.
        acknowledged: whether the program acknowledges all messages before it is killed.
    """

    handled: frozenset[int]
    message: Any
    queues: tuple[str, ...]
    middle: int = 1
    poison: frozenset[int] = frozenset()
    attempts: int = 3
    dead: frozenset[int] = frozenset()
    ends: bool = False
    stops: bool = False
    acknowledged: bool = False


BAD = frozenset([POISON])
CASES = {
    "pushes_before": Case((ALL - {FAILS}) - {*range(MIDDLE, 250)}, push, ("pushes",)),
    "pushes_after": Case(ALL, push, ("pushes-2",)),
    "failures_before": Case(ALL - {FAILS, *range(MIDDLE, 200)}, task, ("failures",), middle=4, acknowledged=True),
    "failures_after": Case(ALL, task, ("failures",), middle=4),
    "mirror_before": Case(ALL - {POISON, UNSUPPORTED}, git_push, ("mirror",), poison=BAD, attempts=100),
    "mirror_after": Case(
        ALL - {POISON, UNSUPPORTED}, git_push, ("mirror-2",), poison=BAD, dead=frozenset([POISON, UNSUPPORTED])
    ),
    "sync_before": Case(ALL - {FAILS}, any_of_three, ("github", "hgmo", "groups"), stops=True),
    "sync_after": Case(ALL, any_of_three, ("github", "hgmo", "groups"), middle=3),
    "tasks_before": Case(
        frozenset(range(POISON)), lambda number: task(number, STATES[number // 60]), ("tasks",), middle=0, poison=BAD
    ),
    "tasks_after": Case(
        ALL - BAD, lambda number: task(number, STATES[number // 60]), ("tasks-2",), poison=BAD, dead=BAD
    ),
    "etl_before": Case(ALL - {*FIRST}, lambda number: task(number, "completed"), ("runs",), middle=200, ends=True),
    "etl_after": Case(ALL, lambda number: task(number, "completed"), ("runs",), middle=50, ends=True),
    "builds_before": Case((ALL - {FAILS}) - {*range(MIDDLE, 250)}, push, ("builds",)),
    "builds_after": Case(ALL, push, ("builds-2",)),
    "reviews_before": Case(ALL - {FAILS, *range(MIDDLE, 200)}, task, ("reviews",), acknowledged=True),
    "reviews_after": Case(ALL, task, ("reviews",)),
}


@pytest.fixture
def admin(broker: RabbitMQ | SandboxBroker) -> Iterator[pulsekit.sync.Pulse]:
    with pulsekit.sync.connect(broker.admin_url) as pulse:
        yield pulse


def publish(pulse: pulsekit.sync.Pulse, case: Case, numbers: range) -> None:
    by_exchange: dict[str, list[tuple[Any, str]]] = {}
    for number in numbers:
        exchange, key, payload = case.message(number)
        by_exchange.setdefault(exchange, []).append((payload, key))
    for exchange, messages in by_exchange.items():
        for receipt in pulse.publisher(exchange).publish_many(messages):
            receipt.check()


def wait_for_consumers(pulse: pulsekit.sync.Pulse, queues: list[str], process: Child | None = None) -> None:
    """Wait until each queue has a consumer; without a process, until none has."""
    for name in queues:
        while True:
            try:
                consumers = pulse.run(queue_depth, name).consumers
            except NotFound:
                consumers = 0
            if bool(consumers) == (process is not None):
                break
            assert process is None or process.poll() is None, "the program has ended"
            time.sleep(0.01)  # between two questions: nothing announces a consumer


def start(place: Place, name: str, pulse: pulsekit.sync.Pulse, queues: list[str]) -> Child:
    process = place.start(name)
    wait_for_consumers(pulse, queues, process)
    return process


def run(name: str, admin: pulsekit.sync.Pulse, place: Place, service: Service) -> None:
    """Run a program, kill it in the middle, and run it again until it handles no more messages."""
    case = CASES[name]
    queues = [f"queue/{place.user.name}/{queue}" for queue in case.queues]
    service.fails[FAILS] = not case.ends
    service.fails.update(dict.fromkeys(case.poison, 10**9))
    service.delays = MIDDLE
    with pulsekit.sync.connect(place.user.url) as pulse:
        if case.ends:
            with place.start(name) as process:  # creates the queue
                assert process.wait(30) == 0
            publish(admin, case, FIRST)
            process = place.start(name)
        else:
            process = start(place, name, pulse, queues)
            publish(admin, case, FIRST)
        if case.stops:
            process.wait(30)
            process = start(place, name, pulse, queues)
        with process:
            if case.acknowledged:
                assert f"accepted {FIRST[-1]}\n" in process.stdout  # reads up to this line
            if case.middle:
                service.wait(lambda service: len(service.delayed) == case.middle)
            else:
                service.wait(lambda service: service.requested[POISON] == 1)
            process.kill()
        service.release()
        wait_for_consumers(pulse, queues)
        publish(admin, case, AWAY)
        if case.ends:
            publish(admin, case, LAST)
            process = place.start(name)
        else:
            process = start(place, name, pulse, queues)
            publish(admin, case, LAST)
        with process:
            service.wait(lambda service: case.handled <= {*service.handled})
            service.wait(lambda service: all(service.requested[number] >= case.attempts for number in case.poison))
            if case.dead:
                while pulse.run(queue_depth, f"queue/{place.user.name}/dead").ready < len(case.dead):
                    time.sleep(0.01)  # between two questions: nothing announces a dead letter
            if not case.ends:
                process.send_signal(signal.SIGTERM)
            assert process.wait(30) in {0, -signal.SIGTERM}
        for queue in queues:
            left = pulse.run(delete_queue, queue, if_unused=False)
            assert not left or name.endswith("before")  # SIGTERM kills a program with kombu before an acknowledgement


def check(name: str, admin: pulsekit.sync.Pulse, user: PulseUser, tmp_path: Path) -> None:
    """Compare the messages that a program lost and repeated with the table of its page."""
    case = CASES[name]
    exchanges = {case.message(number)[0] for number in ALL}
    for exchange in exchanges:
        admin.create_exchange(exchange)
    dead = f"queue/{user.name}/dead"
    with closing(sqlite3.connect(tmp_path / "tasks.sqlite")) as database:
        database.execute("PRAGMA journal_mode = WAL")  # one fsync for each commit of the program, not three
    with Service() as service, pulsekit.sync.connect(user.url) as pulse:
        place = Place(tmp_path, user, service.url)
        if case.dead:
            with place.start("dead_letters") as process:
                assert process.wait(30) == 0
        run(name, admin, place, service)
        assert {*service.handled} == case.handled
        if case.dead:
            with pulse.subscribe(queue=Queue(dead, existing=True)) as messages:
                found = [next(messages).payload for _ in case.dead]
            assert sorted(map(str, found)) == sorted(str(case.message(number)[2]) for number in case.dead)
        if name.startswith("mirror"):
            in_order = list(dict.fromkeys(service.handled))
            assert (in_order == sorted(in_order)) == (name == "mirror_after")
    for exchange in exchanges:
        admin.delete_exchange(exchange, if_unused=False)
    repeated = [number for number, times in service.requested.items() if times > 1]
    repeated = [number for number in repeated if number not in {FAILS, *case.poison}]
    lost = len(ALL - case.handled - case.dead)
    assert (lost, len(repeated)) == figures(name)


def cases(form: str, *quick: str) -> pytest.MarkDecorator:
    """Run the programs of a form on the sandbox, and on RabbitMQ with --slow, or always if they are `quick`."""
    runs = []
    for name in CASES:
        if name.endswith(form):
            marks = [pytest.mark.rabbitmq] if name in quick else [pytest.mark.rabbitmq, pytest.mark.slow]
            runs += [("sandbox", name), pytest.param("rabbitmq", name, marks=marks)]
    return pytest.mark.parametrize(("broker", "name"), runs, indirect=["broker"])


@cases("before")
def test_a_consumer_without_pulsekit_loses_what_the_page_says(
    admin: pulsekit.sync.Pulse, user: PulseUser, tmp_path: Path, name: str
) -> None:
    check(name, admin, user, tmp_path)


@cases("after", "mirror_after", "sync_after", "tasks_after")
def test_with_pulsekit_a_consumer_repeats_only_what_was_in_progress(
    admin: pulsekit.sync.Pulse, user: PulseUser, tmp_path: Path, name: str
) -> None:
    check(name, admin, user, tmp_path)
