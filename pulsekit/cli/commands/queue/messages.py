"""`pulsekit queue peek` and `pulsekit queue take`: the messages of a queue, which stay in it or are removed."""

from __future__ import annotations

import json
from contextlib import aclosing
from functools import partial
from typing import TYPE_CHECKING

from pulsekit._documents.suggestions import counted
from pulsekit.cli.exit_codes import ExitCode
from pulsekit.cli.output.output import note
from pulsekit.errors import InvalidMessage
from pulsekit.records.record import message_record

if TYPE_CHECKING:
    from collections.abc import Sequence

    from pulsekit.cli.output.output import Output
    from pulsekit.messages import Message
    from pulsekit.pulse import Pulse
    from pulsekit.recordings.acknowledging import RecordingWriter

__all__ = ["peek", "take"]

_MOST_SHOWN = 1000  # characters of a body shown on one line, more than the width of a terminal


async def peek(pulse: Pulse, name: str, count: int, shown: Output, *, full: bool, force: bool) -> int:
    """Show the first messages of a queue, and leave them in the queue."""
    from pulsekit.queues.operations import peek as look
    from pulsekit.queues.operations import queue_depth

    async with pulse:
        messages = await look(pulse, name, count, force=force)
        ready = (await queue_depth(pulse, name)).ready
    _show_messages(shown, messages, 1, full=full)
    if messages:
        waiting = counted(max(ready, len(messages)), "message")
        note(f"{len(messages)} of {waiting}; they stay in the queue, marked as redelivered")
    else:
        note(f"{name} is empty")
    return ExitCode.DONE


async def take(
    pulse: Pulse, name: str, count: int | None, shown: Output | None, recording: RecordingWriter | None, *, full: bool
) -> int:
    """Show or record the messages of a queue, and remove each one afterwards."""
    from pulsekit.queues.operations import queue_depth
    from pulsekit.queues.operations import take as remove
    from pulsekit.recordings.worker import Worker

    taken = 0
    left = None
    screen = Worker("write standard output")
    async with pulse:
        waiting = (await queue_depth(pulse, name)).ready
        if recording is not None:
            await recording.open()
        where = "shown" if recording is None else f"in {recording.path}"
        note(f"taking messages out of {name}: each is removed from the queue once it is {where}")
        try:
            async with aclosing(remove(pulse, name, count)) as batches:
                async for messages in batches:
                    first = taken + 1
                    if recording is not None:
                        await recording.write(messages)
                        await recording.settle()
                        taken += len(messages)
                    if shown is not None:
                        # In a thread: a slow reader of stdout must not stop the heartbeats of the connection.
                        await screen.call(partial(_show_messages, shown, messages, first, full=full))
                    if recording is None:
                        for message in messages:
                            await message.ack()
                            taken += 1
            left = (await queue_depth(pulse, name)).ready
        finally:
            if recording is not None:
                await recording.close()
            rest = max(0, waiting - taken) if left is None else left
            note(f"removed {counted(taken, 'message')} from {name}, {rest:,} left")
    return ExitCode.DONE


def _show_messages(shown: Output, messages: Sequence[Message], first: int, *, full: bool) -> None:
    for number, message in enumerate(messages, first):
        if shown.pretty:
            _show_message(shown, number, message, full=full)
        else:
            shown.record(message_record(message, exact=True))
    shown.flush()


def _show_message(shown: Output, number: int, message: Message, *, full: bool) -> None:
    marks = " redelivered" if message.redelivered else ""
    try:
        cc = f" cc {', '.join(message.cc)}" if message.cc else ""
    except InvalidMessage:
        cc = " unreadable headers"
    size = f" {len(message.body):,} bytes"
    head = (f"{number}  ", message.exchange, " ", (message.routing_key, "key"), (f"{cc}{size}{marks}", "dim"))
    shown.wrapped(*head)
    text = message.body.decode(errors="backslashreplace")
    if not full:
        shown.fitted("   ", text[:_MOST_SHOWN])
        return
    for line in _indented(text).split("\n"):
        shown.line("   ", line)


def _indented(text: str) -> str:
    from pulsekit._documents.nesting import is_deeper
    from pulsekit.cli.output.rows import DEEPEST, MOST_LAID_OUT

    try:
        value = json.loads(text) if len(text) <= MOST_LAID_OUT else None
        return text if value is None or is_deeper(value, DEEPEST) else json.dumps(value, ensure_ascii=False, indent=2)
    except (ValueError, RecursionError):
        return text
