"""A place with all resources that commands use: files, an exchange, a queue."""

from __future__ import annotations

import asyncio
import json
from dataclasses import asdict, dataclass
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING

import pytest
from support.command import pulsekit
from support.samples import JOBS

import pulsekit as library
from pulsekit.messages import Message
from pulsekit.queues.operations import delete_queue

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from support.command import Done
    from support.loopback import SandboxBroker

NOON = datetime(2026, 11, 23, 12, tzinfo=UTC)
UNREACHABLE = "amqp://me:p@127.0.0.1:1/"
WAITING = 100  # messages in the queue
LISTENER = """
import pulsekit

def on_message(message): ...

def rejects(message):
    raise pulsekit.Reject

worker = pulsekit.Worker(on_message, "{exchange}")
"""


@dataclass(frozen=True, slots=True)
class Place:
    """The place where a command runs.

    Attributes:
        folder: has job.yml, broken.yml, jobs.ndjson (2,000 jobs), registration.yml, many.yml (registrations for 2,000
            bindings), useless.yml, recording.ndjson, damaged.ndjson and listener.py, with handlers for `consume`.
        url: the URL of the user, with a password that must not be shown.
        password: this password.
        exchange: an exchange of the user with a bound queue.
        lonely: an exchange of the user without a binding.
        queue: a queue with ready messages.
        unreachable: a URL without a broker.
    """

    folder: Path
    url: str
    password: str
    exchange: str
    lonely: str
    queue: str
    unreachable: str = UNREACHABLE

    def words(self, line: str) -> list[str]:
        """Return the words of a command, with the names of this place filled in."""
        names = {**asdict(self), "url": self.url}
        return [word.format(**names) for word in line.split()]

    def run(self, line: str, given: str = "", url: str | None = None) -> Done:
        """Run a command at pipes until it ends."""
        return pulsekit(*self.words(line), folder=self.folder, url=url or self.url, given=given)


@pytest.fixture(scope="package")
def place(sandbox: SandboxBroker, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Place]:
    user = sandbox.user()
    place = Place(
        folder=tmp_path_factory.mktemp("contract"),
        url=user.url,
        password=user.password,
        exchange=f"exchange/{user.name}/v1/jobs",
        lonely=f"exchange/{user.name}/v1/lonely",
        queue=f"queue/{user.name}/jobs",
    )
    _write_files(place)
    asyncio.run(_fill(place))
    yield place
    asyncio.run(_clear(place))


def _write_files(place: Place) -> None:
    job = JOBS[0]
    hooked = {"exchange": "exchange/hgpushes/v2", "routingKeyPattern": "#"}
    texts = {
        "job.yml": json.dumps(job),
        "broken.yml": json.dumps(job | {"state": "done"}),
        "jobs.ndjson": f"{json.dumps(job)}\n" * 2000,
        "mixed.ndjson": f"{json.dumps(job)}\n{json.dumps(job | {'state': 'done'})}\n",
        "registration.yml": f"exchange: {place.exchange}\ndestinations: [treeherder]\nprojects: [autoland._]\n",
        "useless.yml": f"exchange: {place.exchange}\ndestinations: [treeherder]\nprojects: ['moz-*._']\n",
        "many.yml": f"exchange: {place.exchange}\nprojects: [{', '.join(f'p{number}' for number in range(2000))}]\n",
        "hook.json": json.dumps({"task": {}, "triggerSchema": {}, "bindings": [hooked]}),
        "hooked.json": json.dumps({"exchange": "exchange/hgpushes/v2", "routing_key": "try", "payload": {}}),
        "keys.txt": "treeherder.autoland._\n" * 2000,
        "listener.py": LISTENER.format(exchange=place.exchange),
    }
    for name, text in texts.items():
        (place.folder / name).write_text(text)
    with library.Recorder(place.folder / "recording.ndjson") as recorder:
        recorder.write(
            Message(
                exchange=place.exchange,
                routing_key=f"k.{number}",
                body=b'{"n": 1}',
                received=NOON + timedelta(milliseconds=number),
            )
            for number in range(2000)
        )
    whole = (place.folder / "recording.ndjson").read_bytes()
    (place.folder / "damaged.ndjson").write_bytes(whole[: len(whole) // 2])


async def _fill(place: Place) -> None:
    async with library.connect(place.url) as pulse:
        await pulse.create_exchange(place.lonely)
        await pulse.create_exchange(place.exchange)
        async with pulse.subscribe(f"{place.exchange}:waiting", queue=place.queue):
            pass
        publisher = pulse.publisher(place.exchange)
        await publisher.open()
        async for _ in publisher.publish_many(({"n": number}, "waiting") for number in range(WAITING)):
            pass


async def _clear(place: Place) -> None:
    async with library.connect(place.url) as pulse:
        await delete_queue(pulse, place.queue, if_unused=False)
        for name in (place.exchange, place.lonely):
            await pulse.delete_exchange(name, if_unused=False)
