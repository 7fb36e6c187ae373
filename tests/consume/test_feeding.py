"""Feeding messages to a handler in a test: the outcome of each, and the thread and event loop of the handler."""

from __future__ import annotations

import asyncio
import re
import threading
from contextlib import asynccontextmanager, contextmanager
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

import pytest

import pulsekit
from pulsekit import Draft, OnFailure, Policy, Reject, Retry, Stop, Worker
from pulsekit.messages import Message
from pulsekit.testing import Handled, feed, feed_async

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable, Iterator
    from pathlib import Path

EXCHANGE = "exchange/taskcluster-queue/v1/task-failed"
_NOON = datetime(2026, 11, 23, 12, tzinfo=UTC)


def words(handled: list[Handled]) -> list[tuple[str, float | None, str]]:
    """Return the outcome, the delay and the type of the error for each message."""
    return [(one.outcome, one.delay, type(one.error).__name__) for one in handled]


DECISIONS: list[tuple[Any, tuple[str, float | None, str]]] = [
    (None, ("acknowledged", None, "NoneType")),
    (Reject("no"), ("rejected", None, "Reject")),
    (Retry(after=60), ("retried", 60, "Retry")),
    (KeyError("k"), ("raised", None, "KeyError")),
    (Stop(7), ("raised", None, "Stop")),
    (SystemExit(3), ("raised", None, "Stop")),
    (StopIteration(), ("raised", None, "RuntimeError")),
    (asyncio.CancelledError(), ("raised", None, "RuntimeError")),
]


async def decide(message: Message) -> None:
    if (error := DECISIONS[message.payload][0]) is not None:
        raise error


def test_a_function_runs_in_the_thread_of_the_test_without_a_loop() -> None:
    def on_message(message: Message) -> None:
        assert threading.current_thread() is threading.main_thread()
        asyncio.run(decide(message))

    handled = feed(on_message, [(number, "a.b") for number in range(len(DECISIONS))])
    assert words(handled) == [expected for _, expected in DECISIONS]
    assert [one.message.payload for one in handled] == list(range(len(DECISIONS)))


@pytest.mark.parametrize(
    ("messages", "right"),
    [
        ([{"result": "fail", "tier": 1}], "pair (payload, routing key)"),
        (["ab"], "pair (payload, routing key)"),
        ([({"result": "fail"},)], "pair (payload, routing key)"),
        ([("a.b", {"result": "fail"})], "the payload comes first"),
        ([Draft({}, "a.b", cc="route.x")], "cc is a list"),
    ],
)
def test_a_message_of_another_form_is_refused(messages: Any, right: str) -> None:
    with pytest.raises(TypeError, match=re.escape(right)):
        feed(decide, messages)


async def test_a_coroutine_runs_in_the_event_loop_of_the_test() -> None:
    loops = set()

    async def on_message(message: Message) -> None:
        loops.add(asyncio.get_running_loop())
        await decide(message)

    messages = [(number, "a.b") for number in (0, 1, 2, 3, 4)]
    assert words(await feed_async(on_message, messages)) == [expected for _, expected in DECISIONS[:5]]
    assert loops == {asyncio.get_running_loop()}
    with pytest.raises(pulsekit.ConfigurationError, match="await feed_async"):
        feed(on_message, messages)


def test_the_policy_of_a_worker_decides_as_on_a_broker() -> None:
    async def on_message(message: Message) -> None:
        if message.payload == "hang":
            await asyncio.Event().wait()  # until the timeout of the policy
        raise LookupError

    retry = Policy(failure=OnFailure.REQUEUE, delay=2, growth=3, limit=2, poison=OnFailure.ACK, timeout=0.01)
    handled = feed(Worker(on_message, policy=retry), [("x", "k"), ("x", "k"), ("x", "k"), (b"{", "k"), ("hang", "k")])
    assert words(handled) == [
        ("retried", 2, "LookupError"),
        ("retried", 6, "LookupError"),
        ("rejected", None, "LookupError"),
        ("acknowledged", None, "DocumentError"),
        ("retried", 2, "HandlerFailed"),
    ]
    keep = Worker(on_message, policy=Policy(failure=OnFailure.KEEP))
    assert words(feed(keep, [("x", "k")])) == [("kept", None, "LookupError")]
    with pytest.raises(pulsekit.ConfigurationError, match="cannot be interrupted"):
        feed(Worker(lambda _: None, policy=retry), [("x", "k")])


def test_a_message_has_the_workers_exchange_and_the_drafts_fields() -> None:
    seen: list[Message] = []
    key = "primary.T1.0.group.worker.provisioner.type.scheduler.G1._"
    draft = Draft({}, key, cc=("route.x",), headers={"h": 1}, properties=pulsekit.Properties(message_id="m"))
    feed(Worker(seen.append, EXCHANGE), [draft])
    feed(seen.append, [draft], exchange="exchange/me/other")
    assert [message.exchange for message in seen] == [EXCHANGE, "exchange/me/other"]
    assert [[str(binding) for binding in message.bindings] for message in seen] == [[f"{EXCHANGE}:#"], []]
    message = seen[0]
    assert (message.key.taskId, message.cc, message.headers["h"]) == ("T1", ("route.x",), 1)
    assert message.properties.message_id == "m"
    assert not message.live


def test_an_invalid_job_is_poison_for_a_worker_with_a_schema() -> None:
    seen: list[Message] = []
    policy = Policy(poison=OnFailure.REJECT)
    handled = feed(Worker(seen.append, policy=policy, schema="pulse-job"), [({}, "treeherder.x._")])
    assert words(handled) == [("rejected", None, "InvalidPayload")]
    assert not seen


def test_a_recording_is_fed_as_far_as_it_matches_the_bindings(tmp_path: Path) -> None:
    path = tmp_path / "recording.ndjson"
    with pulsekit.Recorder(path) as recorder:
        first = Message(exchange=EXCHANGE, routing_key="a", body=b"1", received=_NOON)
        recorder.write([first, Message(exchange=EXCHANGE, routing_key="b", body=b"2", received=_NOON)])
    handled = feed(Worker(lambda _: None, f"{EXCHANGE}:b"), path)
    assert [one.message.payload for one in handled] == [2]
    records = [entry for entry in pulsekit.read_recording(path) if isinstance(entry, pulsekit.Record)]
    assert [one.message.payload for one in feed(lambda _: None, records)] == [1, 2]


def test_a_context_manager_is_entered_and_exited_and_a_class_is_made() -> None:
    steps: list[str] = []

    @contextmanager
    def opened() -> Iterator[Callable[[Message], object]]:
        steps.append("enter")
        yield lambda message: steps.append(message.payload)
        steps.append("exit")

    @asynccontextmanager
    async def opened_in_loop() -> AsyncIterator[Callable[[Message], object]]:
        with opened() as handler:
            yield handler

    class Listener:
        def __init__(self) -> None:
            steps.append("made")

        def __call__(self, message: Message) -> None:
            steps.append(message.payload)

    for handler in (opened, opened_in_loop, Listener):
        feed(handler, [("one", "k"), ("two", "k")])
    assert steps == ["enter", "one", "two", "exit"] * 2 + ["made", "one", "two"]


@pytest.mark.parametrize("fails_in_loop", [False, True])
def test_the_failure_of_a_test_inside_a_handler_fails_the_test(fails_in_loop: bool) -> None:
    def fail(message: Message) -> None:
        pytest.fail(f"unexpected {message.routing_key}")

    async def fail_in_loop(message: Message) -> None:
        fail(message)

    with pytest.raises(pytest.fail.Exception, match="unexpected k"):
        feed(fail_in_loop if fails_in_loop else fail, [("x", "k")])
