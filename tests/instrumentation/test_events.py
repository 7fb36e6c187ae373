"""The events of publishers, consumers and connections for instrumentations, which cannot affect a message."""

from __future__ import annotations

import asyncio
import logging
import re
import subprocess
import sys
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from support.proxy import Proxy

import pulsekit
import pulsekit.sync
from pulsekit import Outcome, Policy, Worker
from pulsekit.consume import Workers
from pulsekit.instrumentation import Instrumentation, Logging

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from support.rabbitmq.broker import PulseUser

    from pulsekit.testing import PulseSandbox

METHODS = ("on_publish", "on_outcome", "on_deliver", "on_settle", "on_state", "on_gap", "handling")


class Seen(Instrumentation):
    """An instrumentation that stores the details and the method of each event, and adds a header to each message."""

    def __init__(self) -> None:
        self.events: list[tuple[str, Any]] = []
        self._happened = asyncio.Event()

    def __getattribute__(self, name: str) -> Any:
        if name not in METHODS or name in {"on_publish", "handling"}:
            return super().__getattribute__(name)

        def record(details: Any) -> None:
            self.events.append((name, details))
            self._happened.set()

        return record

    def on_publish(self, details: Any) -> Mapping[str, str]:
        self.events.append(("on_publish", details))
        return {"trace": "by us", "own": "not this"}

    @contextmanager
    def handling(self, details: Any) -> Iterator[None]:
        try:
            yield
        except LookupError:
            self.events.append(("handling", "LookupError"))
            raise
        self.events.append(("handling", details.message.routing_key))

    async def wait(self, name: str, count: int) -> None:
        while len(self.of(name)) < count:
            self._happened.clear()
            await self._happened.wait()

    def of(self, name: str) -> list[Any]:
        return [details for called, details in self.events if called == name]


async def test_each_message_is_observed_from_publish_to_settlement(exchange: str, user: PulseUser) -> None:
    seen, queue = Seen(), f"queue/{user.name}/jobs"

    async def handler(message: pulsekit.Message) -> None:
        assert message.headers == {"own": "kept", "trace": "by us"}
        if message.routing_key == "b":
            raise LookupError

    async with (
        pulsekit.connect(user.url, instrumentation=seen) as pulse,
        pulse.subscribe(f"{exchange}:#", queue=queue, prefetch=1) as messages,
        pulse.publisher(exchange, mandatory=True) as publisher,
    ):
        await publisher.publish({}, "a", headers={"own": "kept"})
        drafts = [pulsekit.Draft({}, key, headers={"own": "kept"}) for key in "bc"]
        drafts[1:1] = [pulsekit.Draft({}, "invalid", headers={"x" * 300: 1})]
        outcomes = [receipt.outcome async for receipt in publisher.publish_many(drafts)]
        assert outcomes == [Outcome.CONFIRMED, Outcome.INVALID, Outcome.CONFIRMED]
        handling = asyncio.ensure_future(messages.handle(handler, Policy(pulsekit.OnFailure.REJECT)))
        await seen.wait("on_settle", 3)
        await messages.drain()
        await handling
        await messages.unbind(f"{exchange}:#")
        with pytest.raises(pulsekit.MessageReturned):
            await publisher.publish({}, "d")
    published = [(details.publish.routing_key, details.outcome, details.size) for details in seen.of("on_outcome")]
    assert sorted(published) == [
        ("a", "confirmed", 2),
        ("b", "confirmed", 2),
        ("c", "confirmed", 2),
        ("d", "returned", 2),
        ("invalid", "invalid", 0),
    ]
    assert {id(details) for details in seen.of("on_publish")} == {id(one.publish) for one in seen.of("on_outcome")}
    assert all(details.seconds > 0 for details in seen.of("on_outcome"))
    assert [details.message.routing_key for details in seen.of("on_deliver")] == ["a", "b", "c"]
    assert seen.of("handling") == ["a", "LookupError", "c"]
    settled = [(one.delivery.message.routing_key, one.settlement.value, one.stale) for one in seen.of("on_settle")]
    assert settled == [("a", "ack", False), ("b", "reject", False), ("c", "ack", False)]
    assert {(one.queue, one.private) for one in seen.of("on_deliver")} == {(queue, False)}
    states = [one.state for one in seen.of("on_state") if one.connection == "publisher"]
    assert states == ["connecting", "ready", "closed"]
    assert {one.broker.user for one in seen.of("on_state")} == {user.name}


async def test_a_gap_and_a_late_settlement_are_observed(exchange: str, user: PulseUser, pulse: pulsekit.Pulse) -> None:
    seen = Seen()
    async with (
        Proxy(user.url) as proxy,
        pulsekit.connect(proxy.url, instrumentation=[seen]) as shaky,
        shaky.subscribe(f"{exchange}:#") as messages,
    ):
        await pulse.publisher(exchange).publish({}, "a")
        first = await anext(messages)
        proxy.cut()
        await seen.wait("on_gap", 1)
        with messages.handling(first):
            await first.ack()
    (gap,) = seen.of("on_gap")
    assert (gap.queue, gap.private, gap.gap.lossy) == (messages.queue, True, True)
    assert [one.stale for one in seen.of("on_settle")] == [True]
    assert seen.of("handling") == ["a"]
    assert "backing off" in [one.state for one in seen.of("on_state")]


class Broken(Instrumentation):
    """An instrumentation whose methods raise an exception, or return an invalid value."""

    def __init__(self, useless: Any = ZeroDivisionError) -> None:
        self.useless = useless

    def on_publish(self, details: object) -> Any:
        return self.fail(details)

    def fail(self, _: object) -> Any:
        if isinstance(self.useless, type):
            raise self.useless
        return self.useless

    on_outcome = on_deliver = on_settle = on_state = on_gap = handling = fail


@pytest.mark.parametrize(
    "useless",
    [
        ZeroDivisionError,
        asyncio.CancelledError,
        {"x": 1},
        {"x" * 300: "1"},
        {"x": "\ud800"},
        {"x": "1" * 70_000},
        7,
    ],
)
async def test_an_instrumentation_that_raises_affects_no_message_and_is_logged_once(
    exchange: str, user: PulseUser, useless: Any, caplog: pytest.LogCaptureFixture
) -> None:
    seen, handled = Seen(), []

    async def handler(message: pulsekit.Message) -> None:
        handled.append(message.payload)
        if len(handled) == 3:
            await messages.drain()

    async with (
        pulsekit.connect(user.url, instrumentation=[Broken(useless), seen]) as pulse,
        pulse.subscribe(f"{exchange}:#") as messages,
    ):
        publisher = pulse.publisher(exchange)
        for number in range(3):
            assert (await publisher.publish(number, "a")).outcome is Outcome.CONFIRMED
        await messages.handle(handler)
    assert handled == [0, 1, 2]
    assert [one.settlement.value for one in seen.of("on_settle")] == ["ack"] * 3
    failures = [record for record in caplog.records if "an instrumentation failed" in record.message]
    methods = {record.message.split("Broken.")[1].split()[0] for record in failures}
    if isinstance(useless, type):
        assert len(failures) == len(methods) == 2  # the other methods are one function
    else:
        assert methods == {"on_publish", "fail"}


def test_an_invalid_instrumentation_is_refused_at_once() -> None:
    class Half:
        def on_publish(self, details: object) -> None: ...

    class Asynchronous(Instrumentation):
        async def on_settle(self, details: object) -> None: ...  # type: ignore[override] # that is the test

    for wrong, words in ((Half(), "Half has no method on_outcome"), (Asynchronous(), "on_settle is called and not")):
        with pytest.raises(TypeError, match=words):
            pulsekit.connect("amqp://me:me@127.0.0.1/", instrumentation=wrong)  # type: ignore[arg-type]


def test_a_synchronous_program_is_observed(user: PulseUser, exchange: str) -> None:
    seen = Seen()
    with (
        pulsekit.sync.connect(user.url, instrumentation=seen) as pulse,
        pulse.subscribe(f"{exchange}:#") as messages,
    ):
        pulse.publisher(exchange).publish({}, "a")
        list(pulse.publisher(exchange).publish_many([({}, "b")]))
        messages.drain()
        messages.handle(lambda message: None)
    assert [one.outcome for one in seen.of("on_outcome")] == ["confirmed"] * 2
    assert seen.of("handling") == ["a", "b"]
    assert [one.settlement.value for one in seen.of("on_settle")] == ["ack"] * 2


async def test_a_worker_has_a_separate_instrumentation(user: PulseUser, exchange: str) -> None:
    seen = Seen()
    queue = f"queue/{user.name}/jobs"
    workers = Workers(
        [Worker(lambda message: None, f"{exchange}:#", queue, instrumentation=seen)],
        signals=(), count=1, on_ready=lambda name, queue: ready.set(),
    )  # fmt: skip
    ready = asyncio.Event()
    async with pulsekit.connect(user.url) as pulse:
        running = asyncio.ensure_future(workers.run(pulse))
        await ready.wait()
        await pulse.publisher(exchange).publish({}, "a")
        await running
    assert [name for name, _ in seen.events] == ["on_gap", "on_deliver", "handling", "on_settle"]


async def test_a_message_that_its_handler_settles_is_observed_once(
    user: PulseUser, pulse: pulsekit.Pulse, exchange: str
) -> None:
    seen = Seen()

    async def on_message(message: pulsekit.Message) -> None:
        await message.reject()
        await messages.drain()

    connection = pulsekit.connect(user.url, instrumentation=seen)
    async with connection as observed, observed.subscribe(f"{exchange}:#") as messages:
        await pulse.publisher(exchange).publish({}, "a")
        await messages.handle(on_message)  # acknowledges the message again
    assert [one.settlement.value for one in seen.of("on_settle")] == ["reject"]


async def test_logging_writes_a_line_for_each_event(
    user: PulseUser, exchange: str, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.DEBUG, "pulsekit.events")
    async with (
        pulsekit.connect(user.url, instrumentation=Logging()) as pulse,
        pulse.subscribe(f"{exchange}:#") as messages,
    ):
        await pulse.publisher(exchange).publish({}, "a")
        await (await anext(messages)).reject()
        await messages.unbind(f"{exchange}:#")
        with pytest.raises(pulsekit.MessageReturned):
            await pulse.publisher(exchange, mandatory=True).publish({}, "b")
    records = [record for record in caplog.records if record.name == "pulsekit.events"]
    lines = [(record.levelname, record.message) for record in records]
    assert [line for level, line in lines if level == "INFO"][-1].endswith("is closed")
    of_messages = [(level, line.split(" ")[0].strip(":")) for level, line in lines if level != "INFO"]
    assert sorted(of_messages) == sorted(
        [("DEBUG", "confirmed"), ("DEBUG", "delivered"), ("DEBUG", "reject"), ("WARNING", "returned")]
    )
    assert all(record.pulsekit is not None for record in records)  # type: ignore[attr-defined] # set by Logging


def test_the_samples_of_the_page_run(pulse_sandbox: PulseSandbox, monkeypatch: pytest.MonkeyPatch) -> None:
    page = Path(__file__).parents[2] / "docs" / "instrumentation.md"
    program, own = re.findall(r"```python\n(.*?)```", page.read_text(encoding="utf-8"), re.DOTALL)
    monkeypatch.setenv("PULSE_URL", pulse_sandbox.url("me"))
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=False, timeout=50)
    assert done.stderr == ""
    text = page.read_text(encoding="utf-8")
    families = re.findall(r"^# TYPE (\w+) (\w+)$", done.stdout, re.MULTILINE)
    listed = {name.removesuffix("_total") for name in re.findall(r"`(pulsekit_\w+)`", text.split("## Metrics")[1])}
    assert {name for name, _ in families} == listed
    names: dict[str, Any] = {}
    exec(own, names)
    with pulsekit.sync.connect(pulse_sandbox.url("me"), instrumentation=(rejected := names["Rejected"]())) as pulse:
        pulse.create_exchange("exchange/me/x")
        with pulse.subscribe("exchange/me/x") as messages:
            for key in "ab":
                pulse_sandbox.publish("exchange/me/x", key, {})
            next(messages).ack()
            next(messages).reject()
            pulse_sandbox.wait("nacked", timeout=30)
    assert rejected.keys == ["b"]
