"""The pytest plugin, used as its users use it."""

from __future__ import annotations

import asyncio
import re
import subprocess
import sys
from pathlib import Path

import pytest

import pulsekit
import pulsekit.pytest_plugin
from pulsekit.sandbox import GuardianLimits
from pulsekit.testing import PulseSandbox

pytest_plugins = ["pytester"]
pulse = pulsekit.pytest_plugin.pulse  # the plugin's fixture, which tests/conftest.py replaces for all other tests
EXCHANGE = "exchange/me/v1/jobs"
DOCS = Path(__file__).parents[1] / "docs" / "testing.md"


async def test_a_publisher_under_test_is_seen(pulse_sandbox: PulseSandbox, pulse: pulsekit.Pulse) -> None:
    await pulse.publisher(EXCHANGE).publish({"a": 1}, "k")
    (message,) = await pulse_sandbox.published(1)
    assert (message.exchange, message.routing_key, message.payload) == (EXCHANGE, "k", {"a": 1})


async def test_a_consumer_receives_injected_messages_and_its_settlements_are_visible(
    pulse_sandbox: PulseSandbox, pulse: pulsekit.Pulse
) -> None:
    pulse_sandbox.publish(EXCHANGE, "lost", {})  # no queue is bound yet
    async with pulse.subscribe(EXCHANGE, wait=True) as messages:
        assert [pulse_sandbox.publish(EXCHANGE, key, {"k": key}, headers={"h": 1}) for key in "abc"] == [1, 1, 1]
        first, second, third = [await anext(messages) for _ in range(3)]
        assert first.payload == {"k": "a"}
        assert first.headers == {"h": 1}
        await first.ack()
        await second.reject()
        await third.nack()
        assert len(await pulse_sandbox.until("acked", "nacked", count=3, timeout=30)) == 3
    assert [message.routing_key for message in await pulse_sandbox.acked(1)] == ["a"]
    assert [message.routing_key for message in await pulse_sandbox.nacked(2)] == ["b", "c"]


async def test_a_dead_letter_is_seen_with_its_reason(pulse_sandbox: PulseSandbox, pulse: pulsekit.Pulse) -> None:
    await pulse.create_exchange(f"{EXCHANGE}/dead")
    queue = pulsekit.Queue("queue/me/q", dead_letters=f"{EXCHANGE}/dead")
    await pulse.create_exchange(EXCHANGE)
    async with pulse.subscribe(EXCHANGE, queue=queue) as messages:
        pulse_sandbox.publish(EXCHANGE, "k", {})
        await (await anext(messages)).reject()
        (letter,) = await pulse_sandbox.dead_lettered(1)
    assert letter.routing_key == "k"
    assert "rejected" in letter.detail


@pytest.mark.pulse_sandbox(rabbitmq=4, users={"ann": "secret"})
async def test_the_mark_has_the_arguments_of_the_sandbox(pulse_sandbox: PulseSandbox) -> None:
    async with pulsekit.connect(pulse_sandbox.url("ann")) as ann:
        with pytest.raises(pulsekit.AccessRefused, match="configure access to exchange"):  # the words of RabbitMQ 4
            await ann.create_exchange("exchange/bob/x")
    async with pulsekit.connect(pulse_sandbox.url("me")) as me:
        with pytest.raises(pulsekit.LoginRefused):
            await me.create_exchange("exchange/me/x")


async def test_a_cut_connection_reconnects(pulse_sandbox: PulseSandbox, pulse: pulsekit.Pulse) -> None:
    publisher = pulse.publisher(EXCHANGE)
    await publisher.publish({}, "k")
    assert pulse_sandbox.cut("me") == 1
    assert (await publisher.publish({}, "k")).outcome == "confirmed"
    assert len(await pulse_sandbox.published(2)) == 2


async def test_a_refused_publish_is_an_error(pulse_sandbox: PulseSandbox, pulse: pulsekit.Pulse) -> None:
    publisher = pulse.publisher(EXCHANGE, overflow_rejects=True)
    pulse_sandbox.refuse()
    with pytest.raises(pulsekit.MessageRefused):
        await publisher.publish({}, "k")
    with pytest.raises(pulsekit.OutcomeUnknown):
        await pulse.publisher(EXCHANGE).publish({}, "k")
    pulse_sandbox.refuse(False)
    await publisher.publish({}, "k")


async def test_a_blocked_publisher_waits(pulse_sandbox: PulseSandbox, pulse: pulsekit.Pulse) -> None:
    publisher = pulse.publisher(EXCHANGE)
    await publisher.open()
    pulse_sandbox.block()
    await publisher.publish({}, "k")  # the first message, with which the broker knows that this connection publishes
    await pulse_sandbox.until("blocked", timeout=30)
    waiting = asyncio.ensure_future(publisher.publish({}, "k"))
    async with pulse.subscribe(EXCHANGE):  # consumers are not blocked, and subscribing needs several round trips
        assert not waiting.done()
    pulse_sandbox.unblock()
    await waiting


async def test_a_queue_deleted_by_the_guardian_ends_its_consumer(
    pulse_sandbox: PulseSandbox, pulse: pulsekit.Pulse
) -> None:
    await pulse.create_exchange(EXCHANGE)
    async with pulse.subscribe(EXCHANGE, queue="queue/me/q") as messages:
        pulse_sandbox.publish(EXCHANGE, "k", {})
        await anext(messages)
        assert pulse_sandbox.depth("queue/me/q") == 1
        assert pulse_sandbox.delete_queue("queue/me/q")
        with pytest.raises(pulsekit.SubscriptionLost):
            await anext(messages)
    assert pulse_sandbox.depth("queue/me/q") is None


async def test_the_guardian_warns_and_deletes_like_the_real_one() -> None:
    limits = GuardianLimits(warn=2, delete=5, interval=0.01)
    with PulseSandbox(guardian=limits) as sandbox:
        async with pulsekit.connect(sandbox.url("me")) as pulse:
            await pulse.create_exchange(EXCHANGE)
            async with pulse.subscribe(EXCHANGE, queue="queue/me/full", prefetch=1):
                for _ in range(3):
                    sandbox.publish(EXCHANGE, "k", {})
                (warned,) = await sandbox.until("guardian-warned", timeout=30)
                for _ in range(3):
                    sandbox.publish(EXCHANGE, "k", {})
                (deleted,) = await sandbox.until("guardian-deleted", timeout=30)
    assert warned.queue == deleted.queue == "queue/me/full"


def test_a_failed_wait_reports_how_many_there_were(pulse_sandbox: PulseSandbox) -> None:
    pulse_sandbox.publish(EXCHANGE, "k", {})  # not what the code under test has published
    with pytest.raises(TimeoutError, match="0 of 2"):
        pulse_sandbox.wait("published", count=2, timeout=0.05)


def test_each_sandbox_is_separate(pulse_sandbox: PulseSandbox) -> None:
    with PulseSandbox() as other:
        assert other.url() != pulse_sandbox.url()
        other.publish(EXCHANGE, "k", {})
        assert pulse_sandbox.seen("published") == []
    with pytest.raises(pulsekit.NotOpen):
        other.url()


def test_only_given_users_may_log_in() -> None:
    async def attempt(url: str) -> None:
        async with pulsekit.connect(url) as pulse:
            await pulse.exchange_exists(EXCHANGE)

    with PulseSandbox(users={"me": "right"}) as sandbox:
        asyncio.run(attempt(sandbox.url("me")))
        for url in (sandbox.url("me").replace("right", "wrong"), sandbox.url("you")):
            with pytest.raises(pulsekit.LoginRefused):
                asyncio.run(attempt(url))


def samples(*, of_tests: bool) -> list[str]:
    """Return the Python of the document: its tests, or what runs without pytest."""
    found = re.findall(r"```python\n(.*?)```", DOCS.read_text(encoding="utf-8"), re.DOTALL)
    return [sample for sample in found if ("def test_" in sample) is of_tests]


@pytest.mark.parametrize("options", [(), ("-o", "asyncio_mode=strict"), ("-o", "asyncio_mode=auto")], ids=" ".join)
def test_the_tests_in_the_documentation_pass(pytester: pytest.Pytester, options: tuple[str, ...]) -> None:
    tests = samples(of_tests=True)
    assert len(tests) >= 2
    for number, sample in enumerate(tests):
        pytester.makepyfile(**{f"test_sample_{number}": sample})
    result = pytester.runpytest_subprocess("-p", "no:randomly", *options)
    result.assert_outcomes(passed=sum(sample.count("def test_") for sample in tests))


def test_a_mark_with_an_argument_without_a_name_is_an_error(pytester: pytest.Pytester) -> None:
    pytester.makepyfile("import pytest\n@pytest.mark.pulse_sandbox(4)\ndef test_it(pulse_sandbox):\n    pass\n")
    result = pytester.runpytest_subprocess("-p", "no:randomly")
    result.assert_outcomes(errors=1)
    result.stdout.fnmatch_lines(["*needs the names of its arguments, such as rabbitmq=4*"])


def test_without_pytest_the_sandbox_is_a_context_manager(tmp_path: Path) -> None:
    (sample,) = samples(of_tests=False)
    script = tmp_path / "sample.py"
    script.write_text(f'import sys\nsys.modules["pytest"] = None  # importing it fails\n{sample}', encoding="utf-8")
    done = subprocess.run([sys.executable, script], capture_output=True, text=True, timeout=50, check=False)
    assert (done.stderr, done.stdout) == ("", "build.done {'build': 7}\n")
