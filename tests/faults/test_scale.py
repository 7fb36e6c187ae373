"""Much at once: many and large messages on every path, several processes on one queue, a cluster restarted in turn."""

from __future__ import annotations

import asyncio
import json
import re
import signal
import subprocess
from collections import Counter
from contextlib import suppress
from functools import partial
from pathlib import Path
from threading import Event, Thread
from typing import TYPE_CHECKING, Any, Self

import pytest
from support.command import start

import pulsekit
from faults.account import Account, Finding
from faults.stage import PATIENCE, Fault, Stage, publish, receive
from faults.test_handlers import AT_ONCE, COUNT, KINDS, MIDDLE, Handlers
from pulsekit import Outcome, Receipt
from pulsekit.records.record import read_gap

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from support.children import Child
    from support.rabbitmq.broker import RabbitMQ
    from support.rabbitmq.cluster import Cluster

pytestmark = [pytest.mark.usefixtures("nothing_left"), pytest.mark.faults, pytest.mark.timeout(300)]

LIMIT = 64 * 1024 * 1024  # of bodies in memory: the default of `prefetch_bytes`, and of the window of a publisher
IDLE = 110_000_000  # bytes of a command with few small messages
COPIES = 12  # of the largest message; docs/reliability.md promises it


class Peak:
    """The largest memory of a process, which a thread looks up until the process has ended."""

    def __init__(self, process: Child) -> None:
        self.bytes = 0
        self._ended = Event()
        self._thread = Thread(target=self._look, args=(Path(f"/proc/{process.pid}/status"),))

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._ended.set()
        self._thread.join()

    def _look(self, status: Path) -> None:
        while not self._ended.wait(0.05):
            with suppress(OSError):  # the process has ended
                if found := re.search(r"VmHWM:\s+(\d+) kB", status.read_text()):
                    self.bytes = max(self.bytes, 1024 * int(found[1]))


@pytest.mark.timeout(900)
@pytest.mark.parametrize(("count", "size"), [(100_000, 1_000), (200, 10_000_000)])
async def test_many_and_large_messages_pass_through_every_path(
    rabbitmq: RabbitMQ, tmp_path: Path, figures: Callable[..., None], count: int, size: int
) -> None:
    """Publish, queue and consume in this process, record with `tail`, and replay the recording to another exchange."""
    asyncio.get_running_loop().set_debug(False)  # for half of the time
    stage, account = Stage(rabbitmq), Account(routed=True, padding=size)
    copy = Stage(rabbitmq, user=stage.user, name="copy")
    run = partial(start, folder=tmp_path, url=stage.user.url, stdout=subprocess.DEVNULL)
    recorded = "recorded.ndjson.gz"
    most = IDLE + LIMIT + COPIES * size
    tail = ("tail", stage.exchange, "--queue", "recorded", "--save", recorded, "-n", str(count), "-q")
    with run(*tail) as process, Peak(process) as peak:
        assert process.stderr is not None
        assert any("listening" in line for line in process.stderr)
        async with (
            pulsekit.connect(stage.user.url) as pulse,
            pulse.subscribe(queue=stage.queue) as messages,
            asyncio.TaskGroup() as group,
        ):
            group.create_task(publish(pulse.publisher(stage.exchange), account, count))
            for _ in range(count):
                await (await receive(messages, account)).ack()
        _, errors = await asyncio.to_thread(process.communicate, timeout=PATIENCE)
        assert process.returncode == 0, errors
    assert peak.bytes < most
    received: Counter[bytes] = Counter()
    with run("replay", recorded, "-e", copy.exchange, "--speed", "max") as process, Peak(process) as peak:
        async with pulsekit.connect(stage.user.url) as pulse, pulse.subscribe(queue=copy.queue) as messages:
            for _ in range(count):
                message = await anext(messages)
                number = int((message.properties.message_id or "").removeprefix("run-"))
                assert message.body == account.body(number)
                received[number] += 1
                await message.ack()
        _, errors = await asyncio.to_thread(process.communicate, timeout=PATIENCE)
        assert process.returncode == 0, errors
    assert peak.bytes < most
    assert received == Counter(range(count))
    stage.drain(account)
    figures(account.close())


@pytest.mark.timeout(900)
@pytest.mark.parametrize("text", ["x", "é", "🦊", "x🦊"], ids=["ascii", "latin", "emoji", "mixed"])
def test_commands_need_a_few_copies_of_a_large_message(rabbitmq: RabbitMQ, tmp_path: Path, text: str) -> None:
    size, count = 10_000_000, 12
    stage = Stage(rabbitmq)
    body = f'{{"text": "{text * (size // len(text.encode()))}"}}'
    (tmp_path / "messages.ndjson").write_text(f"{body}\n" * count)

    def used(*args: str) -> int:
        with (
            start(*args, folder=tmp_path, url=stage.user.url, stdout=subprocess.DEVNULL) as process,
            Peak(process) as peak,
        ):
            _, errors = process.communicate(timeout=PATIENCE)
            assert process.returncode == 0, errors
        return peak.bytes

    tail = ("tail", stage.exchange, "--queue", "kept", "--save")
    used(*tail, "none.ndjson", "--for", "1s")  # creates the queue
    publish = ("publish", "messages.ndjson", "-e", stage.exchange, "-k", "bound.a", "--no-schema")
    commands = (
        publish,
        (*tail, "recorded.ndjson.gz", "-n", str(count)),
        ("replay", "recorded.ndjson.gz", "-e", stage.exchange, "--speed", "max"),
        ("tail", stage.exchange, "--queue", "kept", "-n", str(count), "-o", "ndjson"),
        ("queue", "peek", stage.queue, "-o", "ndjson"),
        ("queue", "take", stage.queue, "--save", "taken.ndjson"),
    )
    peaks = {" ".join(command): used(*command) for command in commands}
    assert max(peaks.values()) < IDLE + LIMIT + COPIES * size, peaks


@KINDS
async def test_processes_share_a_queue_and_one_of_them_is_killed(
    rabbitmq: RabbitMQ, tmp_path: Path, figures: Callable[..., None], kind: str
) -> None:
    handlers = Handlers(rabbitmq, tmp_path, kind)
    await handlers.fill()
    with handlers.running(middle=MIDDLE) as process, handlers.running() as second, handlers.running() as third:
        process.kill()
        while len({line[0] for line in handlers.lines()}) < COUNT:
            await asyncio.sleep(0.05)  # between two looks: nothing announces a line in a file
        for other in (second, third):
            other.send_signal(signal.SIGTERM)
            _, errors = other.communicate(timeout=100)
            assert other.returncode == 0, errors
    totals = handlers.close()
    assert totals.distinct == COUNT
    assert totals.duplicates <= AT_ONCE
    figures(totals)


def lines(account: Account, publishing: Event) -> Iterator[str]:
    """Yield records for `publish`, until the cluster was restarted."""
    while publishing.is_set():
        draft = account.draft(account.sent)
        body = draft.payload.decode()
        properties = {"message_id": draft.properties.message_id, "delivery_mode": 2}
        record = {"v": 1, "routing_key": draft.routing_key, "properties": properties, "headers": {}, "body": body}
        yield f"{json.dumps(record | {'payload': json.loads(body)})}\n"


def entries(recording: Path) -> Iterator[dict[str, Any]]:
    """Yield the complete lines of a recording."""
    with recording.open() as file:
        yield from (json.loads(line) for line in file if line.endswith("\n"))


@KINDS
async def test_a_cluster_is_restarted_in_turn_while_commands_run(
    cluster: Cluster, tmp_path: Path, figures: Callable[..., None], kind: str
) -> None:
    user, account, recording = cluster.user(), Account(routed=True), tmp_path / "recorded.ndjson"
    exchange, url, publishing = f"exchange/{user.name}/jobs", cluster.url(user), Event()

    def restart() -> None:
        for node in cluster.nodes:
            node.restart()

    fault = Fault(then=restart)
    async with pulsekit.connect(url) as pulse:
        await pulse.create_exchange(exchange)
    run = partial(start, folder=tmp_path, url=url)
    tail = ("tail", exchange, "--queue", "restarted", "--queue-type", kind, "--save", recording.name, "-q")
    with run(*tail, stdout=subprocess.DEVNULL) as tailing:
        assert tailing.stderr is not None
        assert any("listening" in line for line in tailing.stderr)
        command = ("publish", "--no-schema", "--exchange", exchange, "-o", "ndjson")
        with run(*command, stdin=subprocess.PIPE, stderr=subprocess.DEVNULL) as sending:
            publishing.set()

            def feed() -> None:
                for line in lines(account, publishing):
                    sending.stdin.write(line)
                    sending.stdin.flush()
                    receipt = json.loads(sending.stdout.readline())
                    account.settle(
                        Receipt(
                            receipt["index"],
                            receipt["message_id"],
                            exchange,
                            receipt["routing_key"],
                            Outcome(receipt["outcome"]),
                            receipt["resent"],
                        )
                    )
                sending.stdin.close()

            feeding = asyncio.create_task(asyncio.to_thread(feed))
            fault()
            await fault.over()
            publishing.clear()
            await feeding
            sending.wait(PATIENCE)
        confirmed = account.awaited
        while sum("routing_key" in entry for entry in entries(recording)) < confirmed:
            assert tailing.poll() is None, tailing.communicate()
            await asyncio.sleep(0.05)  # between two looks: nothing announces a line in a file
        tailing.send_signal(signal.SIGTERM)
        _, errors = tailing.communicate(timeout=100)
        assert tailing.returncode == -signal.SIGTERM, errors
    epoch = 1
    for entry in entries(recording):
        if entry.get("type") == "gap":
            epoch = entry["epoch"]
            account.gap(read_gap(entry))
        elif "routing_key" in entry:
            properties, body = entry["properties"], entry["body"].encode()
            mode = properties["delivery_mode"]
            redelivered = entry["redelivered"]
            account.find(Finding(properties["message_id"], entry["routing_key"], body, mode, redelivered, epoch))
    figures(account.close())
