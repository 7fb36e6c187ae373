"""`pulsekit demo`: publish jobs on the sandbox, in one process, and explain each step."""

from __future__ import annotations

import asyncio
from contextlib import AsyncExitStack
from typing import TYPE_CHECKING, Any

from pulsekit._config.local_sandbox import login_at
from pulsekit.cli.connection import run
from pulsekit.cli.exit_codes import ExitCode
from pulsekit.cli.output.output import Cell, Format, Output
from pulsekit.cli.output.theme import status_style

if TYPE_CHECKING:
    from pulsekit.consumer.consumer import Consumer
    from pulsekit.publisher.publisher import Publisher
    from pulsekit.stand_in import JobOutcome

__all__ = ["EXAMPLES", "command"]

EXAMPLES = """\
pulsekit demo
"""

_EXCHANGE = "exchange/me/v1/jobs"
_WAIT = 5.0  # seconds; each step takes milliseconds


def command() -> int:
    """Show each step of a job: register, bind, publish, consume, and what Treeherder does with the job.

    Everything runs in this process, on a sandbox that stops afterwards. Nothing leaves this machine.
    """
    return run(_steps())


async def _steps() -> int:
    from pulsekit.bindings.registration import Registration
    from pulsekit.pulse import Pulse
    from pulsekit.sandbox import Sandbox
    from pulsekit.stand_in import TreeherderStandIn

    verdicts: asyncio.Queue[JobOutcome] = asyncio.Queue()
    async with AsyncExitStack() as stack:
        sandbox = await stack.enter_async_context(Sandbox())
        _step("Pulse on this machine", "a real AMQP broker in this process, with PulseGuardian's permissions")
        _say((f"PULSE_URL={sandbox.url('me')}", "dim"))

        pulse = await stack.enter_async_context(Pulse(login_at(sandbox, "me")))
        await pulse.create_exchange(_EXCHANGE)
        _step("Your exchange", "durable and of type topic, as Pulse requires")
        _say((_EXCHANGE, "key"))

        registration = Registration(_EXCHANGE, ["treeherder", "staging"], ["mozilla-inbound._", "autoland._"])
        _step("The registration", "Treeherder binds each destination with each project")
        _say(f"destinations {', '.join(registration.destinations)}; projects {', '.join(registration.projects)}")
        for binding in registration.expand():
            _say((binding.pattern, "key"))

        standin = await stack.enter_async_context(
            TreeherderStandIn(lambda name: login_at(sandbox, name), [registration], verdicts.put_nowait)
        )
        _step("A stand-in for Treeherder", f"one queue with {len(standin.bindings)} bindings; it checks each message")

        tail = await stack.enter_async_context(pulse.subscribe(_EXCHANGE))
        _step("A consumer", "tail uses a private temporary queue; other consumers are not affected")

        publisher = pulse.publisher(_EXCHANGE, schema="pulse-job", mandatory=True)
        await _publish(publisher, tail)
        await _refuse(publisher)
        await _unbound(publisher, tail, registration.expand()[0].pattern)
        await _dropped(pulse.publisher(_EXCHANGE), tail)

        _step("What Treeherder does with the jobs", "Treeherder sends no reply; the stand-in says why it drops a job")
        for _ in range(4):
            verdict = await asyncio.wait_for(verdicts.get(), _WAIT)
            if not verdict.reason:
                _say((f"stored   {verdict.message.routing_key}", "good"))
            else:
                _say((f"dropped  {verdict.message.routing_key}: {verdict.reason}", "bad"))
        _say(f"{standin.counts['stored']} stored, {standin.counts['dropped']} dropped")
    _step("Next", "start the sandbox in one terminal; commands in other terminals connect to it")
    for line in (
        "pulsekit sandbox -v",
        "pulsekit init",
        f"pulsekit tail {_EXCHANGE} --wait",
        f"pulsekit publish job.yml -e {_EXCHANGE} -d treeherder",
        "pulsekit match treeherder.mozilla-inbound._",
    ):
        _say((line, "key"))
    return ExitCode.DONE


async def _publish(publisher: Publisher, tail: Consumer) -> None:
    _step("Three jobs are published", "each one is validated, and confirmed by the broker")
    jobs = [
        _job("mozilla-inbound", "B", "build-linux64/opt", state="running", kind="build"),
        _job("mozilla-inbound", "bc", "test-linux64/opt-mochitest-browser-chrome", result="success", chunk=1),
        _job("autoland", "X", "test-linux64/debug-xpcshell", result="fail"),
    ]
    pairs = [(job, f"treeherder.{job['origin']['project']}._") for job in jobs]
    async for receipt in publisher.publish_many(pairs):
        _say((f"{receipt.outcome}  {receipt.routing_key}", "good"))
    for _ in jobs:
        await _show(tail)


async def _refuse(publisher: Publisher) -> None:
    from pulsekit.errors import InvalidPayload

    _step("An invalid job is not sent", "all errors at once, each with a correction")
    broken = _job("autoland", "X", "test-linux64/debug-xpcshell", result="fail") | {"tier": "2", "reasn": "push"}
    broken["state"] = "complete"
    try:
        await publisher.publish(broken, "treeherder.autoland._")
    except InvalidPayload as error:
        for problem in error.problems:
            _say((str(problem), "bad"))


async def _unbound(publisher: Publisher, tail: Consumer, pattern: str) -> None:
    from pulsekit.bindings.matching import explain_match

    key = "treeherder.mozilla-central._"
    _step("A routing key without a binding", "the first word that differs is the reason")
    await publisher.publish(_job("mozilla-central", "B", "build-linux64/opt", result="success"), key)
    await _show(tail)
    _say((f"{pattern}: {explain_match(pattern, key).reason}", "warn"))


async def _dropped(careless: Publisher, tail: Consumer) -> None:
    _step("A publisher that does not validate", "the broker confirms a job that Treeherder drops")
    job = _job("autoland", "X", "test-linux64/debug-xpcshell", result="fail")
    del job["version"]
    receipt = await careless.publish(job, "treeherder.autoland._")
    _say((f"{receipt.outcome}  {receipt.routing_key}", "good"))
    await _show(tail)


async def _show(tail: Consumer) -> None:
    from pulsekit.treeherder import summarize

    message = await asyncio.wait_for(anext(tail), _WAIT)
    await message.ack()
    seen = summarize(message.payload)
    assert seen is not None
    when = f"{message.received.astimezone():%H:%M:%S}"
    _say(
        f"tail  {when}  {message.routing_key}  ",
        (f"{seen.symbol}  {seen.status}", status_style(seen.status)),
        f"  {seen.name}",
    )


def _job(project: str, symbol: str, name: str, **more: Any) -> dict[str, Any]:
    """Return a small job that Treeherder would accept."""
    import uuid

    display: dict[str, Any] = {"jobSymbol": symbol, "groupSymbol": "M" if symbol == "bc" else "?", "jobName": name}
    if "chunk" in more:
        display["chunkId"] = more["chunk"]
    job = {
        "taskId": f"{uuid.uuid4()}/0",
        "origin": {"project": project, "revision": "0123456789abcdef0123456789abcdef01234567"},
        "buildSystem": "demo",
        "display": display,
        "state": more.get("state", "completed"),
        "jobKind": more.get("kind", "test"),
        "owner": "me@example.com",
        "version": 1,
    }
    return job | ({"result": more["result"]} if "result" in more else {})


def _step(title: str, about: str) -> None:
    out = Output(Format.PRETTY, live=True)
    out.line()
    out.wrapped((title, "head"), "  ", (about, "dim"), hang=3)


def _say(*cells: Cell) -> None:
    Output(Format.PRETTY, live=True).wrapped("   ", *cells, hang=6)
