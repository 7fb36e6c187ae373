"""The order of receipts, and which event wakes the waiting task, without a broker."""

from __future__ import annotations

import asyncio

import pytest

import pulsekit
from pulsekit import Outcome, Properties, Receipt
from pulsekit._amqp.frames import PublishHeader, encode_id
from pulsekit.publisher.window import PendingMessage, PublishWindow, UnsentMessage

_HEADER = PublishHeader("exchange/me/v1/jobs", "key", mandatory=False, properties=Properties(), headers={})


def message(index: int) -> PendingMessage:
    return PendingMessage(_HEADER, f"id{index}", encode_id(f"id{index}"), b"{}", index, 60.0)


def empty(window: int = 4) -> PublishWindow:
    return PublishWindow(window, mandatory=False, timeout=60.0)


def window_of(*messages: PendingMessage | UnsentMessage) -> PublishWindow:
    window = empty()
    for message in messages:
        window.add(message)
    return window


def test_receipts_are_in_order_for_outcomes_in_any_order() -> None:
    messages = [message(index) for index in range(3)]
    window = window_of(*messages)
    messages[1].settle(Outcome.REFUSED, "")
    assert window.pop_receipts() == []
    messages[0].settle(Outcome.CONFIRMED, "")
    assert [(receipt.index, receipt.outcome) for receipt in window.pop_receipts()] == [
        (0, Outcome.CONFIRMED),
        (1, Outcome.REFUSED),
    ]
    assert window.capacity == 3


def test_an_invalid_message_has_its_receipt_at_its_position() -> None:
    first = message(0)
    invalid = Receipt(1, "", "exchange/me/v1/jobs", "key", Outcome.INVALID)
    window = window_of(first, UnsentMessage(invalid))
    assert window.pop_receipts() == []
    first.settle(Outcome.CONFIRMED, "")
    assert [receipt.index for receipt in window.pop_receipts()] == [0, 1]


def test_an_error_is_raised_after_the_receipts_before_it() -> None:
    first, second = message(0), message(1)
    window = window_of(first, second)
    first.settle(Outcome.CONFIRMED, "")
    second.fail(pulsekit.NetworkError("away"))
    assert [receipt.index for receipt in window.pop_receipts()] == [0]
    with pytest.raises(pulsekit.NetworkError, match="away"):
        window.pop_receipts()


async def test_only_the_oldest_message_wakes_the_waiting_task() -> None:
    first, second = message(0), message(1)
    window = window_of(first, second)
    waiting = asyncio.ensure_future(window.changed())
    await asyncio.sleep(0)
    second.settle(Outcome.CONFIRMED, "")
    await asyncio.sleep(0)
    assert not waiting.done()
    first.settle(Outcome.CONFIRMED, "")
    await waiting


@pytest.mark.parametrize("settled_first", [False, True])
async def test_the_first_message_wakes_the_waiting_task(*, settled_first: bool) -> None:
    window, first = empty(), message(0)
    waiting = asyncio.ensure_future(window.changed())
    await asyncio.sleep(0)
    if settled_first:
        first.settle(Outcome.TIMEOUT, "")
    window.add(first)
    if not settled_first:
        first.settle(Outcome.TIMEOUT, "")
    await waiting


async def test_waiting_for_a_past_event_returns_at_once() -> None:
    first = message(0)
    window = window_of(first)
    first.settle(Outcome.CONFIRMED, "")
    await window.changed()


async def test_the_end_of_the_source_wakes_the_waiting_task() -> None:
    window = window_of(message(0))
    waiting = asyncio.ensure_future(window.changed())
    await asyncio.sleep(0)
    window.end(None)
    await waiting
    assert window.wanted == 0
    assert not window.done


async def test_a_source_is_read_again_when_prepared_messages_were_sent() -> None:
    window = empty(window=2)
    window.prepared.extend([message(0), message(1)])
    asked = asyncio.ensure_future(window.wants_more())
    await asyncio.sleep(0)
    assert not asked.done()
    window.add(window.prepared.popleft())
    waiting = asyncio.ensure_future(window.changed())
    await asked
    waiting.cancel()
