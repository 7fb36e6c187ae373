"""The library without an event loop: publish, consume, threads, signals, forks and the exit of the interpreter."""

from __future__ import annotations

import asyncio
import signal
import subprocess
import sys
import threading
from concurrent.futures import Future
from typing import TYPE_CHECKING, Any

import pytest
from support.children import Child
from support.proxy import Proxy
from support.queues import depth_after_return
from support.samples import JOBS

import pulsekit
import pulsekit.sync
from pulsekit.consumer import OnFailure, Policy
from pulsekit.instrumentation import Instrumentation
from pulsekit.sync.background import Background

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from support.rabbitmq.broker import PulseUser

    from pulsekit.instrumentation import DeliveryDetails
    from pulsekit.messages import Message


@pytest.fixture
def pulse(user: PulseUser) -> Iterator[pulsekit.sync.Pulse]:
    """A connection of the user whose methods block."""
    with pulsekit.sync.connect(user.url) as connection:
        yield connection


@pytest.fixture
def exchange(pulse: pulsekit.sync.Pulse, exchange: str) -> str:
    pulse.create_exchange(exchange)
    return exchange


def queue_of(pulse: pulsekit.sync.Pulse) -> str:
    return f"queue/{pulse.user}/jobs"


def send(pulse: pulsekit.sync.Pulse, exchange: str, count: int) -> None:
    for receipt in pulse.publisher(exchange).publish_many(({"n": n}, "a.b") for n in range(count)):
        receipt.check()


def numbers(messages: pulsekit.sync.Consumer, count: int) -> list[int]:
    """Consume and acknowledge a number of messages."""
    found = []
    for message in messages:
        found.append(message.payload["n"])
        message.ack()
        if len(found) == count:
            break
    return found


def threads() -> list[threading.Thread]:
    """Return the background threads of this module."""
    return [thread for thread in threading.enumerate() if thread.name == "pulsekit"]


def run_child(program: str, *arguments: str) -> Child:
    # From Python 3.12 on, a fork beside a thread is a DeprecationWarning: these tests fork on purpose.
    command = [sys.executable, "-W", "ignore::DeprecationWarning", "-c", program, *arguments]
    return Child(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)


def test_published_messages_arrive_in_order(pulse: pulsekit.sync.Pulse, exchange: str) -> None:
    with pulse.publisher(exchange) as publisher, pulse.subscribe(f"{exchange}:#") as messages:
        receipt = publisher.publish({"n": 0}, "a.b", headers={"h": 1})
        assert receipt.outcome is pulsekit.Outcome.CONFIRMED
        receipts = list(publisher.publish_many((({"n": n}, "a.b") for n in range(1, 1000)), window=16))
        assert [receipt.index for receipt in receipts] == list(range(999))
        assert numbers(messages, 1000) == list(range(1000))
        assert messages.receive(timeout=0) is None
        assert publisher.in_flight == 0


def test_errors_are_those_of_the_asynchronous_library(pulse: pulsekit.sync.Pulse, exchange: str) -> None:
    publisher = pulse.publisher(exchange, schema="pulse-job", mandatory=True)
    with pytest.raises(pulsekit.InvalidPayload):
        publisher.publish({}, "a.b")
    with pytest.raises(pulsekit.MessageReturned):
        publisher.publish(JOBS[0], "a.b")
    with pytest.raises(pulsekit.InvalidName):
        pulse.publisher("no-exchange")
    with pytest.raises(pulsekit.NotFound), pulse.subscribe("exchange/nobody/x:#"):
        pass
    with pytest.raises(TypeError, match="unexpected keyword argument 'lazy'"):
        pulse.subscribe(exchange, lazy=True)  # type: ignore[call-arg] # that is the test


def test_an_exception_of_the_iterable_comes_after_the_receipts(pulse: pulsekit.sync.Pulse, exchange: str) -> None:
    def jobs() -> Iterator[tuple[Any, str]]:
        assert threading.current_thread() is threading.main_thread()
        for n in range(100):
            yield {"n": n}, "a.b"
        raise LookupError("no more rows")

    receipts = []
    with pulse.subscribe(f"{exchange}:#") as messages:
        with pytest.raises(LookupError, match="no more rows"):
            for receipt in pulse.publisher(exchange).publish_many(jobs()):
                receipts.append(receipt.check())
        assert len(receipts) == 100
        assert len(numbers(messages, 100)) == 100


def test_a_cancellation_in_the_iterable_comes_after_the_receipts(pulse: pulsekit.sync.Pulse, exchange: str) -> None:
    def jobs() -> Iterator[tuple[Any, str]]:
        yield {}, "a.b"
        raise asyncio.CancelledError

    receipts = []
    with pytest.raises(asyncio.CancelledError):
        for receipt in pulse.publisher(exchange).publish_many(jobs()):
            receipts.append(receipt.check())
    assert len(receipts) == 1


def test_publish_many_reads_no_further_when_it_fails(pulse: pulsekit.sync.Pulse, exchange: str) -> None:
    read = 0

    def jobs() -> Iterator[tuple[Any, Any]]:
        nonlocal read
        for read in range(1, 1001):
            yield {"n": read}, 5 if read == 3 else "a.b"

    receipts = []
    with pytest.raises(TypeError, match="the routing key is a str, not int"):
        for receipt in pulse.publisher(exchange).publish_many(jobs(), window=8):
            receipts.append(receipt.check())
    assert len(receipts) == 2
    assert read <= 18


def test_publish_many_reads_two_windows_ahead_at_most(pulse: pulsekit.sync.Pulse, exchange: str) -> None:
    read = 0

    def jobs() -> Iterator[tuple[Any, str]]:
        nonlocal read
        for n in range(1000):
            read += 1
            yield {"n": n}, "a.b"

    for known, _ in enumerate(pulse.publisher(exchange).publish_many(jobs(), window=8)):
        assert read - known <= 17


def test_a_slow_iterable_delays_no_message(pulse: pulsekit.sync.Pulse, exchange: str) -> None:
    with pulse.subscribe(f"{exchange}:#") as messages:

        def jobs() -> Iterator[tuple[Any, str]]:
            for n in range(3):
                yield {"n": n}, "a.b"
                assert numbers(messages, 1) == [n]  # it arrives before the next one is asked for

        assert len(list(pulse.publisher(exchange).publish_many(jobs()))) == 3


def test_threads_share_a_publisher(pulse: pulsekit.sync.Pulse, exchange: str) -> None:
    publisher = pulse.publisher(exchange)
    outcomes: list[pulsekit.Outcome] = []

    def publish(thread: int) -> None:
        outcomes.extend(publisher.publish({"n": 100 * thread + n}, "a.b").outcome for n in range(25))

    with pulse.subscribe(f"{exchange}:#") as messages:
        threads = [threading.Thread(target=publish, args=[number]) for number in range(4)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        assert outcomes == [pulsekit.Outcome.CONFIRMED] * 100
        assert sorted(numbers(messages, 100)) == sorted(100 * thread + n for thread in range(4) for n in range(25))


def test_a_handler_runs_in_the_thread_of_the_caller(pulse: pulsekit.sync.Pulse, exchange: str) -> None:
    with pulse.subscribe(f"{exchange}:#", queue=queue_of(pulse)) as messages:
        send(pulse, exchange, 3)
        handled = []

        def on_message(message: Message) -> None:
            assert threading.current_thread() is threading.main_thread()
            handled.append(message.payload["n"])
            if len(handled) == 3:
                messages.drain()

        messages.handle(on_message)
        assert handled == [0, 1, 2]
        assert messages.depth().total == 0


def test_a_policy_decides_when_the_handler_raises(pulse: pulsekit.sync.Pulse, exchange: str) -> None:
    with pulse.subscribe(f"{exchange}:#", queue=queue_of(pulse)) as messages:
        send(pulse, exchange, 2)
        handled = []

        def on_message(message: Message) -> None:
            handled.append(message.payload["n"])
            if message.payload["n"] == 0 and len(handled) < 3:
                raise LookupError
            if sorted(handled) == [0, 0, 1]:
                messages.drain()

        messages.handle(on_message, Policy(failure=OnFailure.REQUEUE, delay=0))
        assert messages.failures == 1
        with pytest.raises(LookupError, match="stop the line"):
            send(pulse, exchange, 1)
            with pulse.subscribe(queue=queue_of(pulse)) as others:
                others.handle(stop_the_line)


def test_a_handler_that_raises_stop_iteration_fails(pulse: pulsekit.sync.Pulse, exchange: str) -> None:
    with pulse.subscribe(f"{exchange}:#", queue=queue_of(pulse)) as messages:
        send(pulse, exchange, 1)
        with pytest.raises(RuntimeError, match="the handler raised StopIteration"):
            messages.handle(lambda message: next(one for one in (message.payload,) if "m" in one))
        assert messages.failures == 1


def test_a_handler_that_awaits_nothing_loses_no_message(pulse: pulsekit.sync.Pulse, exchange: str) -> None:
    async def on_message(_: Message) -> None: ...

    def cancelled(_: Message) -> None:
        raise asyncio.CancelledError

    with pulse.subscribe(f"{exchange}:#", queue=queue_of(pulse)) as messages:
        send(pulse, exchange, 1)
        with pytest.raises(TypeError, match=r"the coroutine .*on_message, which pulsekit\.sync does not await"):
            messages.handle(lambda message: on_message(message))  # noqa: PLW0108 - it is no `async def`
        with pytest.raises(pulsekit.HandlerFailed, match="raised CancelledError"):
            messages.handle(cancelled)
        assert numbers(messages, 1) == [0]


def stop_the_line(_: Message) -> None:
    raise LookupError("stop the line")


def test_an_async_handler_and_a_timeout_are_refused(pulse: pulsekit.sync.Pulse, exchange: str) -> None:
    async def on_message(_: Message) -> None: ...

    with pulse.subscribe(exchange) as messages, pytest.raises(TypeError, match="async def"):
        messages.handle(on_message)
    with pulse.subscribe(exchange) as messages, pytest.raises(pulsekit.ConfigurationError, match="timeout"):
        messages.handle(print, pulsekit.Policy(timeout=1))


def test_an_argument_of_a_wrong_type_is_named(pulse: pulsekit.sync.Pulse, exchange: str) -> None:
    with pulse.subscribe(exchange) as messages:
        with pytest.raises(TypeError, match="policy is of type Policy, not 'requeue'"):
            messages.handle(print, "requeue")  # type: ignore[arg-type] # that is the test
        with pytest.raises(TypeError, match="timeout is a number, not '1'"):
            messages.receive("1")  # type: ignore[arg-type] # that is the test
    publisher = pulse.publisher(exchange)
    with pytest.raises(TypeError, match="timeout is a number, not 1000"):
        publisher.publish({}, "a.b", timeout=10**400)  # too large for the clock
    assert publisher.in_flight == 0
    with pytest.raises(TypeError, match="timeout is a number, not nan"):
        publisher.close(float("nan"))
    with pytest.raises(TypeError, match="run\\(\\) needs an `async def`, and this function returned str"):
        pulse.run(lambda connection: connection.user)  # type: ignore[arg-type, return-value] # that is the test


def test_a_handler_gets_the_messages_that_a_loop_left(pulse: pulsekit.sync.Pulse, exchange: str) -> None:
    with pulse.subscribe(f"{exchange}:#", queue=queue_of(pulse)) as messages:
        send(pulse, exchange, 20)
        found = numbers(messages, 1)

        def on_message(message: Message) -> None:
            found.append(message.payload["n"])
            if len(found) == 20:
                messages.drain()

        messages.handle(on_message)
        assert found == list(range(20))


class Arrival(Instrumentation):
    """An event that is set when a number of messages have arrived, whether the caller has received them or not."""

    def __init__(self, count: int) -> None:
        self._missing = count
        self.complete = threading.Event()

    def on_deliver(self, _: DeliveryDetails) -> None:
        self._missing -= 1
        if not self._missing:
            self.complete.set()


def test_a_signal_drains_at_once_and_requeues_the_messages_that_arrived(
    pulse: pulsekit.sync.Pulse, exchange: str
) -> None:
    arrival = Arrival(20)
    with pulse.subscribe(f"{exchange}:#", queue=queue_of(pulse), instrumentation=arrival) as messages:
        messages.drain_on(signal.SIGTERM, now=True)
        send(pulse, exchange, 20)
        assert arrival.complete.wait(30)
        found = []
        for message in messages:
            found.append(message.payload["n"])
            message.ack()
            signal.raise_signal(signal.SIGTERM)
            messages.depth()  # the event loop has begun to drain before that
        assert found == [0]
    assert pulse.run(depth_after_return, queue_of(pulse), 19).ready == 19


async def test_messages_of_a_private_queue_are_kept_when_the_connection_is_lost(user: PulseUser, exchange: str) -> None:
    loop, arrival = asyncio.get_running_loop(), Arrival(20)

    def consume(url: str, cut: Callable[[], None]) -> list[int]:
        back = threading.Event()
        with (
            pulsekit.sync.connect(url, instrumentation=arrival) as pulse,
            pulse.subscribe(f"{exchange}:#", on_gap=lambda _: back.set()) as messages,
        ):
            send(pulse, exchange, 20)
            assert arrival.complete.wait(30)
            found = numbers(messages, 10)
            loop.call_soon_threadsafe(cut)
            assert back.wait(30)
            return found + numbers(messages, 10)

    async with Proxy(user.url) as proxy:
        assert await asyncio.to_thread(consume, proxy.url, proxy.cut) == list(range(20))


async def test_messages_of_a_lost_connection_are_not_returned(user: PulseUser, exchange: str) -> None:
    loop = asyncio.get_running_loop()

    def consume(url: str, cut: Callable[[], None]) -> list[int]:
        lost = threading.Event()

        def on_state(name: str, state: pulsekit.State) -> None:
            if name == "consumer" and state == "backing off":
                lost.set()

        with (
            pulsekit.sync.connect(url, on_state=on_state) as pulse,
            pulse.subscribe(f"{exchange}:#", queue=queue_of(pulse)) as messages,
        ):
            send(pulse, exchange, 200)
            found = [next(messages).payload["n"]]  # others have arrived with it
            loop.call_soon_threadsafe(cut)
            assert lost.wait(10)
            return found + numbers(messages, 200)

    async with Proxy(user.url) as proxy:
        found = await asyncio.to_thread(consume, proxy.url, proxy.cut)
    assert found == [0, *range(200)]


def test_a_callback_that_waits_for_the_background_thread_is_an_error(user: PulseUser) -> None:
    failures: list[pulsekit.ConfigurationError] = []

    def on_state(*_: object) -> None:
        try:
            pulse.exchange_exists("exchange/x/y")
        except pulsekit.ConfigurationError as error:
            failures.append(error)

    with pulsekit.sync.connect(user.url, on_state=on_state) as pulse:
        pulse.exchange_exists("exchange/x/y")
    assert "background thread" in str(failures[0])


def test_a_closed_connection_is_an_error(user: PulseUser, exchange: str) -> None:
    before = threads()
    pulse = pulsekit.sync.connect(user.url)
    publisher = pulse.publisher(exchange)
    publisher.publish({"n": 0}, "a.b")
    assert len(threads()) == len(before) + 1
    pulse.close()
    pulse.close()
    with pytest.raises(pulsekit.NotOpen, match=r"pulsekit\.sync\.connect\(\) again"):
        publisher.publish({"n": 1}, "a.b")
    assert threads() == before


def test_a_connection_may_be_closed_before_its_publishers_and_consumers(user: PulseUser, exchange: str) -> None:
    with (
        pulsekit.sync.connect(user.url) as pulse,
        pulse.publisher(exchange) as publisher,
        pulse.subscribe(exchange, queue=queue_of(pulse)),
    ):
        pulse.close()
        assert publisher.close() == ()


def test_a_signal_has_its_former_effect_after_the_connection_was_closed(user: PulseUser, exchange: str) -> None:
    received: list[int] = []
    former = signal.signal(signal.SIGTERM, lambda number, _: received.append(number))
    try:
        with pulsekit.sync.connect(user.url) as pulse:
            pulse.create_exchange(exchange)
            with pulse.subscribe(exchange, queue=queue_of(pulse)) as messages:
                messages.drain_on()
                pulse.close()  # in the background thread, which cannot restore a handler
        signal.raise_signal(signal.SIGTERM)
        assert received == [signal.SIGTERM]
    finally:
        signal.signal(signal.SIGTERM, former)


def test_the_counters_can_be_read_after_the_connection(user: PulseUser, exchange: str) -> None:
    with pulsekit.sync.connect(user.url) as pulse:
        publisher = pulse.publisher(exchange)
        publisher.open()
        with pulse.subscribe(f"{exchange}:#", queue=queue_of(pulse)) as messages:
            send(pulse, exchange, 1)
            with pytest.raises(LookupError):
                messages.handle(stop_the_line)
    assert (messages.failures, messages.gaps, messages.queue) == (1, 0, queue_of(pulse))
    assert (publisher.exchange, publisher.in_flight) == (exchange, 0)
    with pytest.raises(pulsekit.NotOpen):
        messages.receive()


def test_an_error_does_not_advise_an_asynchronous_block(pulse: pulsekit.sync.Pulse, exchange: str) -> None:
    with pytest.raises(pulsekit.NotOpen, match=r"\(pulsekit\.sync: `with`\)"):
        next(pulse.subscribe(exchange))
    with pulse.subscribe(exchange) as messages, pulse.publisher(exchange) as publisher:
        pass
    with pytest.raises(pulsekit.NotOpen, match=r"use it inside its block$"):
        next(messages)
    with pytest.raises(pulsekit.NotOpen, match=r"use it inside the block of its connection$"):
        publisher.publish({}, "a.b")


def test_closing_the_connection_in_a_handler_is_an_error(user: PulseUser, exchange: str) -> None:
    pulse = pulsekit.sync.connect(user.url)
    pulse.create_exchange(exchange)
    messages = pulse.subscribe(f"{exchange}:#", queue=queue_of(pulse)).__enter__()
    send(pulse, exchange, 1)
    with pytest.raises(pulsekit.NotOpen, match=r"pulsekit\.sync\.connect\(\) again"):
        messages.handle(lambda _: pulse.close())


def test_closing_the_connection_while_many_messages_are_published_is_an_error(user: PulseUser, exchange: str) -> None:
    pulse = pulsekit.sync.connect(user.url)

    def jobs() -> Iterator[tuple[Any, str]]:
        yield {"n": 0}, "a.b"
        pulse.close()
        yield {"n": 1}, "a.b"

    with pytest.raises(pulsekit.NotOpen, match=r"pulsekit\.sync\.connect\(\) again"):
        list(pulse.publisher(exchange).publish_many(jobs()))


def test_receipts_are_yielded_although_the_connection_was_closed(user: PulseUser, exchange: str) -> None:
    pulse = pulsekit.sync.connect(user.url)
    pulse.create_exchange(exchange)

    def jobs() -> Iterator[tuple[Any, str]]:
        with pulse.subscribe(f"{exchange}:#") as messages:
            yield {"n": 0}, "a.b"
            assert numbers(messages, 1) == [0]
        pulse.close()

    receipts = []
    with pytest.raises(pulsekit.NotOpen, match=r"pulsekit\.sync\.connect\(\) again"):
        for receipt in pulse.publisher(exchange).publish_many(jobs()):
            receipts.append(receipt.check())
    assert len(receipts) == 1


def test_asynchronous_functions_run_with_the_connection(pulse: pulsekit.sync.Pulse, exchange: str) -> None:
    from pulsekit.queues import peek

    with pulse.subscribe(f"{exchange}:#", queue=queue_of(pulse)):
        pass
    send(pulse, exchange, 2)
    assert [message.payload for message in pulse.run(peek, queue_of(pulse))] == [{"n": 0}, {"n": 1}]


def test_a_cancelled_wait_of_an_asynchronous_function_is_no_closed_connection(pulse: pulsekit.sync.Pulse) -> None:
    async def cancelled(_: pulsekit.Pulse) -> None:
        task = asyncio.ensure_future(asyncio.sleep(0))
        task.cancel()
        await task

    with pytest.raises(asyncio.CancelledError):
        pulse.run(cancelled)
    assert not pulse.exchange_exists("exchange/x/y")


PUBLISH_IN_TWO_PROCESSES = """
import os, sys, threading
import pulsekit.sync
pulse = pulsekit.sync.connect(sys.argv[1])
publisher = pulse.publisher(sys.argv[2])
publisher.publish({"n": 0}, "a.b")
messages = pulse.subscribe(sys.argv[2]).__enter__()
pulse._lock.acquire()  # as if another thread used the connection at the moment of the fork
child = os.fork()
if child:
    pulse._lock.release()
    assert os.waitpid(child, 0)[1] == 0
    publisher.publish({"n": 2}, "a.b")
    assert next(messages).payload == {"n": 1}
else:
    publisher.publish({"n": 1}, "a.b")
    try:
        messages.receive()
    except pulsekit.NotOpen as error:
        assert "subscribe again" in str(error)
        assert len([one for one in threading.enumerate() if one.name == "pulsekit"]) == 1
    else:
        os._exit(1)
"""


def test_a_forked_process_publishes_over_its_own_connection(
    pulse: pulsekit.sync.Pulse, user: PulseUser, exchange: str
) -> None:
    with pulse.subscribe(f"{exchange}:#") as messages, run_child(PUBLISH_IN_TWO_PROCESSES, user.url, exchange) as child:
        assert child.communicate() == ("", "")
        assert child.returncode == 0
        assert numbers(messages, 3) == [0, 1, 2]


FORK_IN_A_BLOCK = """
import os, signal, sys
import pulsekit.sync
with pulsekit.sync.connect(sys.argv[1]) as pulse:
    with pulse.subscribe(sys.argv[2], queue=f"queue/{pulse.user}/jobs") as messages:
        messages.drain_on()
        for end in (lambda: sys.exit(3), lambda: signal.raise_signal(signal.SIGTERM)):
            child = os.fork()
            if not child:
                end()
                os._exit(1)
            print(os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]))
        messages.depth()
"""


def test_a_forked_process_ends_as_it_would_without_the_consumer_of_its_parent(
    pulse: pulsekit.sync.Pulse, user: PulseUser, exchange: str
) -> None:
    assert pulse.exchange_exists(exchange)
    with run_child(FORK_IN_A_BLOCK, user.url, exchange) as child:
        assert child.communicate() == (f"3\n{-signal.SIGTERM}\n", "")
    assert child.returncode == 0


LEAVE_OPEN = """
import sys
import pulsekit.sync
pulse = pulsekit.sync.connect(sys.argv[1])
pulse.publisher(sys.argv[2]).publish({"n": 0}, "a.b")
messages = pulse.subscribe(sys.argv[2] + ":#").__enter__()
pulse.publisher(sys.argv[2]).publish({"n": 1}, "a.b")
"""


def test_a_discarded_connection_is_reported_and_closed(user: PulseUser, exchange: str) -> None:
    before = set(threading.enumerate())
    connections = [pulsekit.sync.connect(user.url)]
    connections[0].create_exchange(exchange)
    threads = [one for one in set(threading.enumerate()) - before if one.name == "pulsekit"]
    with pytest.warns(ResourceWarning, match=f"a connection of {user.name} was not closed: use `with pulsekit.sync"):
        connections.clear()
    for thread in threads:
        thread.join(30)
    assert [thread.is_alive() for thread in threads] == [False]


def test_the_interpreter_exits_without_close(user: PulseUser, exchange: str) -> None:
    with run_child(LEAVE_OPEN, user.url, exchange) as child:
        assert child.communicate() == ("", "")
    assert child.returncode == 0


WAIT = """
import sys
import pulsekit.sync
with pulsekit.sync.connect(sys.argv[1]) as pulse:
    with pulse.subscribe(sys.argv[2] + ":#", queue=f"queue/{pulse.user}/jobs") as messages:
        print("waiting", flush=True)
        try:
            next(messages) if sys.argv[3] == "iterate" else messages.handle(print)
        except KeyboardInterrupt:
            print("interrupted", flush=True)
"""


@pytest.mark.parametrize("way", ["iterate", "handle"])
def test_ctrl_c_interrupts_a_wait(user: PulseUser, exchange: str, way: str) -> None:
    with run_child(WAIT, user.url, exchange, way) as child:
        assert child.stdout is not None
        assert child.stdout.readline() == "waiting\n"
        child.wait_until_asleep()
        child.send_signal(signal.SIGINT)
        assert child.communicate() == ("interrupted\n", "")
    assert child.returncode == 0


def test_ctrl_c_while_the_thread_starts_leaves_no_thread(monkeypatch: pytest.MonkeyPatch) -> None:
    class Interrupted(Future[None]):
        """A result for which the caller's wait is interrupted."""

        def result(self, timeout: float | None = None) -> None:
            monkeypatch.undo()
            raise KeyboardInterrupt

    monkeypatch.setattr("pulsekit.sync.background.Future", Interrupted)
    before = set(threading.enumerate())
    pulse = pulsekit.sync.connect("amqp://me:me@127.0.0.1:1/")
    with pytest.raises(KeyboardInterrupt):
        pulse.publisher("exchange/me/x")
    for thread in set(threading.enumerate()) - before:
        thread.join(30)
        assert not thread.is_alive()
    with pulse:
        assert pulse.state is pulsekit.State.CLOSED


def test_ctrl_c_cancels_a_call_that_is_being_passed_to_the_thread(monkeypatch: pytest.MonkeyPatch) -> None:
    background = Background(pulsekit.connect("amqp://u:p@127.0.0.1:1/"))
    pass_on = background.loop.call_soon_threadsafe

    def interrupted(function: Callable[[], None]) -> None:
        monkeypatch.undo()
        pass_on(function)
        raise KeyboardInterrupt

    async def tasks() -> int:
        await asyncio.sleep(0)  # so that a cancelled task has ended
        return len(asyncio.all_tasks())

    try:
        before = background.call(tasks())
        monkeypatch.setattr(background.loop, "call_soon_threadsafe", interrupted)
        with pytest.raises(KeyboardInterrupt):
            background.call(asyncio.Event().wait())
        assert background.call(tasks()) == before
    finally:
        background.close(at_once=True)


def test_a_signal_handler_publishes_while_its_thread_passes_a_message(
    pulse: pulsekit.sync.Pulse, exchange: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    publisher = pulse.publisher(exchange)
    publisher.publish({"n": 0}, "a.b")
    background = pulse._background()
    pass_on = background.loop.call_soon_threadsafe
    closing = threading.Thread(target=pulse.close)

    def interrupted(function: Callable[[], None]) -> None:
        """Publish a message, as a signal handler would, and close the connection meanwhile."""
        monkeypatch.undo()
        publisher.publish({"n": 1}, "a.b")
        closing.start()
        while not background.closed:
            pass
        pass_on(function)

    monkeypatch.setattr(background.loop, "call_soon_threadsafe", interrupted)
    with pytest.raises(pulsekit.NotOpen):
        publisher.publish({"n": 2}, "a.b")
    closing.join()


DRAIN = """
import sys
import pulsekit.sync
with pulsekit.sync.connect(sys.argv[1]) as pulse:
    with pulse.subscribe(sys.argv[2] + ":#", queue=f"queue/{pulse.user}/jobs") as messages:
        messages.drain_on()
        for message in messages:
            print("working", flush=True)
            assert sys.stdin.readline() == "done\\n"
            message.ack()
        print("drained", flush=True)
"""


def test_a_signal_lets_the_current_message_finish(pulse: pulsekit.sync.Pulse, user: PulseUser, exchange: str) -> None:
    with pulse.subscribe(f"{exchange}:#", queue=queue_of(pulse)):
        pass
    send(pulse, exchange, 1)
    command = [sys.executable, "-c", DRAIN, user.url, exchange]
    with Child(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as child:
        assert child.stdout is not None
        assert child.stdout.readline() == "working\n"
        child.send_signal(signal.SIGTERM)
        out, _ = child.communicate("done\n")
    assert out == "drained\n"
    assert child.returncode == 0
    with pulse.subscribe(queue=pulsekit.Queue(queue_of(pulse), existing=True)) as messages:
        assert messages.depth().total == 0


@pytest.mark.parametrize(
    ("module", "test", "replaced"),
    [
        ("gevent.monkey", "is_module_patched", "threading"),
        ("gevent.monkey", "is_module_patched", "queue"),
        ("eventlet.patcher", "is_monkey_patched", "thread"),
    ],
)
def test_greenlets_instead_of_threads_are_refused(
    monkeypatch: pytest.MonkeyPatch, module: str, test: str, replaced: str
) -> None:
    class Patched:
        """The part of the module that decides whether threads are replaced."""

    setattr(Patched, test, staticmethod(replaced.__eq__))
    monkeypatch.setitem(sys.modules, module, Patched())  # type: ignore[arg-type] # any object can be a module
    pulse = pulsekit.sync.connect("amqp://me:me@127.0.0.1:1/")
    with pytest.raises(pulsekit.ConfigurationError, match=f"{module.partition('.')[0]} has replaced threads"):
        pulse.publisher("exchange/me/x")


def test_a_subscription_reads_the_short_name_of_a_known_exchange(pulse: pulsekit.sync.Pulse) -> None:
    with (
        pytest.raises(pulsekit.NotFound, match="exchange/hgpushes/v1"),
        pulse.subscribe("hgpushes"),
    ):
        pass
