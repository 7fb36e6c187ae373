"""`pulsekit consume` as a process: the outcome of every message when it is killed or stopped, or its queue is deleted.

The handler of these tests prints `begin N`, waits for a line on its stdin, and prints `end N`. So a test decides at
which message a process is killed, and the account of every message is exact.
"""

from __future__ import annotations

import signal
import subprocess
from collections import Counter
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import TYPE_CHECKING
from urllib.request import urlopen

import pytest
from support.command import ordinary_user, start
from support.command import pulsekit as pulsekit_command
from support.queues import depth_after_return

import pulsekit.sync
from pulsekit import Queue
from pulsekit.messages import Message
from pulsekit.queues import delete_queue
from pulsekit.testing import PulseSandbox

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from support.children import Child
    from support.rabbitmq.broker import PulseUser

LISTENER = """
import asyncio
import os
import sys

import pulsekit

def step(message):
    number = message.payload["n"]
    print("begin", number, flush=True)
    sys.stdin.readline()
    print("end", number, flush=True)

def note(message):
    print("begin", message.payload["n"], flush=True)
    print("end", message.payload["n"], flush=True)

def poison(message):
    if message.payload["n"] % 2:
        raise ValueError("an odd number")
    note(message)

async def ignores_everything(message):
    print("begin", message.payload["n"], flush=True)
    while True:
        try:
            await asyncio.Event().wait()
        except asyncio.CancelledError:
            pass

def dies(message):
    if message.payload["n"] == 1:
        os._exit(9)
    note(message)

def stops(message):
    raise pulsekit.Stop(message.payload["n"] + 40)

worker = pulsekit.Worker(step, "exchange/me/x:#")
"""


@dataclass(frozen=True, slots=True)
class Place:
    """An exchange, the queue `work` that is bound to it, and a folder with the handlers.

    Attributes:
        dead: the exchange for rejected messages, to which the queue `dead` is bound.
    """

    pulse: pulsekit.sync.Pulse
    url: str
    folder: Path
    exchange: str
    queue: str
    dead: str

    def consume(self, handler: str, *options: str, kind: str = "classic") -> Child:
        """Start the command, and return when it consumes the queue."""
        process = start(
            "consume", f"listener.py:{handler}", self.exchange, "--queue", "work", "--queue-type", kind, *options,
            folder=self.folder, url=self.url, stdin=subprocess.PIPE, bufsize=1,
        )  # fmt: skip
        assert process.stderr is not None
        for line in process.stderr:
            if " consumes " in line:
                break
        return process

    def fill(self, count: int, *, kind: str = "classic") -> None:
        """Publish numbers to the queue, which exists from then on."""
        work = Queue(self.queue, type="quorum" if kind == "quorum" else "classic")
        with self.pulse.subscribe(self.exchange, queue=work):
            pass
        publisher = self.pulse.publisher(self.exchange)
        for receipt in publisher.publish_many(({"n": number}, "k") for number in range(count)):
            receipt.check()

    def left(self, queue: str = "", at_least: int = 0) -> list[int]:
        """Return the messages that are in a queue, once it has a number of them."""
        name = queue or self.queue
        count = self.pulse.run(depth_after_return, name, at_least).ready
        with self.pulse.subscribe(queue=Queue(name, existing=True)) as messages:
            return [next(messages).payload["n"] for _ in range(count)]


@pytest.fixture
def place(user: PulseUser, tmp_path: Path) -> Iterator[Place]:
    (tmp_path / "listener.py").write_text(LISTENER)
    with pulsekit.sync.connect(user.url) as pulse:
        names = (f"exchange/{user.name}/v1/jobs", f"queue/{user.name}/work", f"exchange/{user.name}/dead")
        place = Place(pulse, user.url, tmp_path, *names)
        pulse.create_exchange(place.exchange)
        yield place


def read(process: Child, *expected: str) -> list[str]:
    """Return the next lines of the handler, as many as expected ones, sorted."""
    assert process.stdout is not None
    return sorted(process.stdout.readline().strip() for _ in expected)


def let_go(process: Child, count: int = 1) -> None:
    assert process.stdin is not None
    process.stdin.write("\n" * count)


def ending(process: Child) -> tuple[list[str], str]:
    """Return what the handler printed until the process ended, and stderr."""
    out, err = process.communicate(timeout=40)
    return out.splitlines(), err


@pytest.mark.parametrize(("kind", "concurrency"), [("classic", 1), ("quorum", 3)])
def test_a_killed_process_loses_nothing_and_repeats_only_what_it_handled(
    place: Place, kind: str, concurrency: int
) -> None:
    place.fill(12, kind=kind)
    begun, ended = Counter[str](), Counter[str]()
    with place.consume("step", "-c", str(concurrency), kind=kind) as process:
        first = read(process, *["begin"] * concurrency)
        assert first == [f"begin {number}" for number in range(concurrency)]
        let_go(process)
        lines = read(process, "end", "begin")
        process.kill()
        rest, _ = ending(process)
    assert not rest
    assert process.returncode == -signal.SIGKILL
    begun.update(line.split()[1] for line in [*first, *lines] if line.startswith("begin"))
    ended.update(line.split()[1] for line in lines if line.startswith("end"))
    handled = begun - ended
    assert len(handled) == concurrency
    with place.consume("note", "--drain", kind=kind) as process:
        lines, err = ending(process)
    assert process.returncode == 0, err
    again = Counter(line.split()[1] for line in lines if line.startswith("end"))
    # The acknowledgement of the message that ended may have been lost with the process.
    assert set(again) | set(ended) == {str(number) for number in range(12)}
    assert set(again.values()) == {1}
    assert set(again) >= set(handled)
    assert place.left() == []


@pytest.mark.parametrize("kind", ["classic", "quorum"])
def test_sigterm_finishes_the_message_and_requeues_the_others(place: Place, kind: str) -> None:
    place.fill(3, kind=kind)
    with place.consume("step", kind=kind) as process:
        assert read(process, "begin") == ["begin 0"]
        process.send_signal(signal.SIGTERM)
        assert process.stderr is not None
        assert "SIGTERM: finishing 1 message within 25 s" in process.stderr.readline()
        let_go(process)
        lines, err = ending(process)
    assert (process.returncode, lines) == (0, ["end 0"])
    assert "1 message handled, 0 failed" in err
    assert sorted(place.left(at_least=2)) == [1, 2]


@pytest.mark.parametrize("handler", ["step", "ignores_everything"])
def test_a_message_that_is_not_finished_in_time_is_requeued(place: Place, handler: str) -> None:
    place.fill(2)
    with place.consume(handler, "--shutdown-timeout", "100ms") as process:
        read(process, "begin")
        process.send_signal(signal.SIGTERM)
        process.wait(timeout=40)  # before `ending` closes stdin, for which the handler waits
        lines, err = ending(process)
    assert (process.returncode, lines) == (1, [])
    assert "Fatal" not in err
    assert f"error: the handler {handler} did not finish <Message" in err
    assert sorted(place.left(at_least=2)) == [0, 1]


def test_the_second_ctrl_c_stops_at_once(place: Place) -> None:
    place.fill(2)
    with place.consume("step") as process:
        read(process, "begin")
        process.send_signal(signal.SIGINT)
        assert process.stderr is not None
        assert "SIGINT: finishing 1 message" in process.stderr.readline()
        process.send_signal(signal.SIGINT)
        process.wait(timeout=40)
        lines, err = ending(process)
    assert (process.returncode, lines, err) == (130, [], "")
    with place.consume("note", "--drain") as process:  # starts once the broker has noticed the end of the first one
        lines, _ = ending(process)
    assert sorted(set(lines)) == ["begin 0", "begin 1", "end 0", "end 1"]


def test_a_deleted_queue_has_another_exit_code_than_a_failed_handler(place: Place) -> None:
    place.fill(2)
    with place.consume("step") as process:
        read(process, "begin")
        place.pulse.run(delete_queue, place.queue, if_unused=False)
        let_go(process)
        lines, err = ending(process)
    assert (process.returncode, lines) == (5, ["end 0"])
    assert f"error: the queue {place.queue} was deleted" in err
    place.fill(2)
    with place.consume("poison") as process:
        lines, err = ending(process)
    assert (process.returncode, lines) == (1, ["begin 0", "end 0"])
    assert 'listener.py", line' in err
    assert "ValueError: an odd number" in err
    assert f"error: the handler poison raised ValueError: an odd number; the message is in {place.queue} again" in err
    assert place.left(at_least=1) == [1]
    with place.consume("stops") as process:
        _, err = ending(process)
    assert process.returncode == 41
    assert "error" not in err


@pytest.mark.parametrize("kind", ["classic", "quorum"])
def test_poison_is_dead_lettered_and_the_others_are_handled(place: Place, kind: str) -> None:
    place.pulse.create_exchange(place.dead)
    letters = place.queue.replace("work", "dead")
    with place.pulse.subscribe(place.dead, queue=letters):
        pass
    options = ("--retries", "1", "--delay", "50ms", "--dead-letter", place.dead, "--drain")
    with place.consume("note", *options, kind=kind) as process:  # creates the queue
        ending(process)
    publisher = place.pulse.publisher(place.exchange)
    for receipt in publisher.publish_many(({"n": number}, "k") for number in range(6)):
        receipt.check()
    with place.consume("poison", *options, kind=kind) as process:
        lines, err = ending(process)
    assert process.returncode == 0, err
    assert sorted(line for line in lines if line.startswith("end")) == ["end 0", "end 2", "end 4"]
    assert "3 messages handled, 6 failed" in err
    assert sorted(place.left(letters, 3)) == [1, 3, 5]
    assert place.left() == []


def test_a_message_that_kills_its_process_does_not_block_a_quorum_queue(place: Place) -> None:
    place.pulse.create_exchange(place.dead)
    letters = place.queue.replace("work", "dead")
    with place.pulse.subscribe(place.dead, queue=letters):
        pass
    options = ("--retries", "1", "--dead-letter", place.dead, "--drain")
    with place.consume("note", *options, kind="quorum") as process:
        ending(process)
    for number in range(3):
        place.pulse.publisher(place.exchange).publish({"n": number}, "k")
    codes, ended = [], Counter[str]()
    while not codes or codes[-1] == 9:
        with place.consume("dies", *options, kind="quorum") as process:
            lines, _ = ending(process)
        codes.append(process.returncode)
        ended.update(line for line in lines if line.startswith("end"))
        assert len(codes) < 6
    assert codes == [9, 9, 0]
    assert ended == {"end 0": 1, "end 2": 1}
    assert place.left(letters, 1) == [1]


def test_processes_share_a_queue(place: Place) -> None:
    place.fill(0)
    with place.consume("step", "-n", "2") as one, place.consume("step", "-n", "2") as two:
        publisher = place.pulse.publisher(place.exchange)
        for number in range(4):
            publisher.publish({"n": number}, "k")
        begun = read(one, "begin") + read(two, "begin")
        assert sorted(begun) == ["begin 0", "begin 1"]
        let_go(one, 2)
        let_go(two, 2)
        lines = [line for process in (one, two) for line in ending(process)[0]]
    assert sorted(begun + lines) == [f"{word} {number}" for word in ("begin", "end") for number in range(4)]
    assert (one.returncode, two.returncode) == (0, 0)


def test_health_is_served_while_a_function_runs(place: Place) -> None:
    place.fill(1)
    with start(
        "consume", "listener.py:step", "--queue", "work", "--existing", "--http", "0", "-n", "1",
        folder=place.folder, url=place.url, stdin=subprocess.PIPE, bufsize=1,
    ) as process:  # fmt: skip
        assert process.stderr is not None
        site = process.stderr.readline().split()[3].removesuffix("/live,")
        read(process, "begin")
        with urlopen(f"{site}/metrics", timeout=10) as answer:
            assert b'pulsekit_handlers_running{worker="step"} 1\n' in answer.read()
        let_go(process)
        ending(process)
    assert process.returncode == 0


def test_sigterm_stops_while_the_broker_is_unreachable(tmp_path: Path) -> None:
    (tmp_path / "listener.py").write_text(LISTENER)
    with PulseSandbox() as sandbox, pulsekit.sync.connect(sandbox.url("me")) as pulse:
        pulse.create_exchange("exchange/me/v1/jobs")
        place = Place(pulse, sandbox.url("me"), tmp_path, "exchange/me/v1/jobs", "queue/me/work", "")
        process = place.consume("step", "--http", "0")
    with process:
        process.send_signal(signal.SIGTERM)
        lines, err = ending(process)
    assert (process.returncode, lines) == (0, []), err


@pytest.fixture
def offline(tmp_path: Path) -> Path:
    """A folder with the handlers and a recording of three messages."""
    (tmp_path / "app").mkdir()
    (tmp_path / "app" / "listener.py").write_text(LISTENER)
    with pulsekit.Recorder(tmp_path / "tasks.ndjson") as recorder:
        recorder.write(
            Message(exchange="exchange/me/x", routing_key="k", body=b'{"n": %d}' % number, received=datetime.now(UTC))
            for number in range(3)
        )
    return tmp_path


def test_recorded_messages_need_no_broker(offline: Path) -> None:
    done = pulsekit_command("consume", "listener:note", "--app-dir", "app", "--from", "tasks.ndjson", folder=offline)
    assert (done.status, done.out) == (0, "".join(f"begin {n}\nend {n}\n" for n in range(3)))
    with start("consume", "app/listener.py:poison", "--from", "tasks.ndjson", folder=offline) as process:
        lines, err = ending(process)
    assert (process.returncode, lines) == (1, ["begin 0", "end 0"])
    assert "error: the handler poison raised ValueError: an odd number\n" in err


@pytest.mark.parametrize(
    ("options", "numbers"),
    [
        (["--field", "schedulerId=gecko-level-3"], [0]),
        (["--field", "schedulerId=gecko-level-3", "--field", "schedulerId=nss"], [0, 1]),
        (["--route", "index.nss"], [1]),
        ([], [0, 1]),
    ],
)
def test_fields_and_routes_select_messages_of_a_known_exchange(
    offline: Path, options: list[str], numbers: list[int]
) -> None:
    with pulsekit.Recorder(offline / "known.ndjson") as recorder:
        recorder.write(
            Message(
                exchange="exchange/taskcluster-queue/v1/task-failed",
                routing_key=f"primary.fN1SbArXTPSVFNUvaOlinQ.0.g.w.p.t.{scheduler}.GxWzPqkaTO2Jc3P0mRzcMA._",
                body=b'{"n": %d}' % number,
                received=datetime.now(UTC),
                headers={"CC": [f"route.index.{scheduler}"]},
            )
            for number, scheduler in enumerate(["gecko-level-3", "nss"])
        )
    words = ("consume", "app/listener.py:note", "task-failed", "--from", "known.ndjson", *options)
    done = pulsekit_command(*words, folder=offline)
    assert (done.status, done.out) == (0, "".join(f"begin {n}\nend {n}\n" for n in numbers)), done.err


@pytest.mark.parametrize(
    ("words", "expected"),
    [
        ("listener:note exchange/me/x --retries 3 --ack before", "with --ack before"),
        ("listener:note exchange/me/x --delay 3s", "add --retries"),
        ("listener:note exchange/me/x --dead-letter exchange/me/dead", "add --queue NAME"),
        ("listener:note exchange/me/x --existing", "add --queue NAME"),
        ("listener:note exchange/me/x --drain", "name a queue to drain"),
        ("listener:note exchange/me/x -c 2 --order strict", "use order 'any'"),
        (
            "listener:note --queue work",
            "no EXCHANGE: add one, as in 'pulsekit consume listener:note exchange/me/v1/jobs'",
        ),
        ("listener:note exchange/me/x --from tasks.ndjson --drain", "remove --drain"),
        ("listener:note exchange/me/x --from tasks.ndjson --login work", "--url and --login"),
        (
            (
                "listener:note https://community-tc.services.mozilla.com/p?bindings[0][exchange]=exchange/me/x"
                " https://firefox-ci-tc.services.mozilla.com/p?bindings[0][exchange]=exchange/me/x"
            ),
            "two virtual hosts, / and communitytc",
        ),
        ("listener:worker exchange/me/x --queue q -c 2", "remove EXCHANGE, --queue, --concurrency"),
        ("listener:notes exchange/me/x", "did you mean note?"),
        ("listener:note task-failed --field nonsense=1", "nonsense"),
    ],
)
def test_contradicting_options_are_reported_with_a_correction(offline: Path, words: str, expected: str) -> None:
    url = "amqp://me:p@127.0.0.1:1/"
    done = pulsekit_command("consume", *words.split(), "--app-dir", "app", folder=offline, url=url)
    assert (done.status, done.out) == (2, "")
    assert expected in done.err.replace("\n", " ")


@pytest.mark.parametrize("target", ["closed.py:on_task", "closed:on_task"])
def test_a_file_that_cannot_be_read_is_an_error_without_the_number_of_the_system(tmp_path: Path, target: str) -> None:
    file = tmp_path / "closed.py"
    file.touch(mode=0)
    done = pulsekit_command(
        *("consume", target, "exchange/me/x", "--queue", "queue/me/q"),
        folder=tmp_path,
        url="amqp://me:p@127.0.0.1:1/",
        prefix=ordinary_user(),
    )
    assert (done.status, done.err) == (2, f"error: {file} cannot be read: Permission denied\n")
