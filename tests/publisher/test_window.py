"""The order of receipts, and who is woken by what, without a broker."""

from __future__ import annotations

import asyncio

import pytest

import pulsekit
from pulsekit import Outcome, Properties, Receipt
from pulsekit._amqp.frames import PublishHeader, encode_id
from pulsekit.publisher.window import PendingMessage, PublishWindow, UnsentMessage

_ENVELOPE = PublishHeader("exchange/me/v1/jobs", "key", mandatory=False, properties=Properties(), headers={})


def entry(index: int) -> PendingMessage:
    return PendingMessage(_ENVELOPE, f"id{index}", encode_id(f"id{index}"), b"{}", index, 60.0)


def empty(window: int = 4) -> PublishWindow:
    return PublishWindow(window, mandatory=False, timeout=60.0)


def flow_of(*entries: PendingMessage | UnsentMessage) -> PublishWindow:
    flow = empty()
    for one in entries:
        flow.add(one)
    return flow


def test_receipts_come_in_order_however_outcomes_do() -> None:
    entries = [entry(index) for index in range(3)]
    flow = flow_of(*entries)
    entries[1].settle(Outcome.REFUSED, "")
    assert flow.take_known() == []
    entries[0].settle(Outcome.CONFIRMED, "")
    assert [(receipt.index, receipt.outcome) for receipt in flow.take_known()] == [
        (0, Outcome.CONFIRMED),
        (1, Outcome.REFUSED),
    ]
    assert flow.room == 3


def test_what_is_not_sent_has_its_receipt_in_its_place() -> None:
    first = entry(0)
    invalid = Receipt(1, "", "exchange/me/v1/jobs", "key", Outcome.INVALID)
    flow = flow_of(first, UnsentMessage(invalid))
    assert flow.take_known() == []
    first.settle(Outcome.CONFIRMED, "")
    assert [receipt.index for receipt in flow.take_known()] == [0, 1]


def test_an_error_waits_until_the_receipts_before_it_are_taken() -> None:
    first, second = entry(0), entry(1)
    flow = flow_of(first, second)
    first.settle(Outcome.CONFIRMED, "")
    second.fail(pulsekit.NetworkError("away"))
    assert [receipt.index for receipt in flow.take_known()] == [0]
    with pytest.raises(pulsekit.NetworkError, match="away"):
        flow.take_known()


async def test_the_oldest_wakes_who_waits_and_no_other_does() -> None:
    first, second = entry(0), entry(1)
    flow = flow_of(first, second)
    waiting = asyncio.ensure_future(flow.changed())
    await asyncio.sleep(0)
    second.settle(Outcome.CONFIRMED, "")
    await asyncio.sleep(0)
    assert not waiting.done()
    first.settle(Outcome.CONFIRMED, "")
    await waiting


@pytest.mark.parametrize("settled_first", [False, True])
async def test_the_first_message_of_an_empty_flow_wakes_who_waits(*, settled_first: bool) -> None:
    flow, first = empty(), entry(0)
    waiting = asyncio.ensure_future(flow.changed())
    await asyncio.sleep(0)
    if settled_first:
        first.settle(Outcome.TIMEOUT, "")
    flow.add(first)
    if not settled_first:
        first.settle(Outcome.TIMEOUT, "")
    await waiting


async def test_waiting_for_what_has_happened_does_not_wait() -> None:
    first = entry(0)
    flow = flow_of(first)
    first.settle(Outcome.CONFIRMED, "")
    await flow.changed()


async def test_the_end_of_the_source_wakes_who_waits_and_wants_no_more() -> None:
    flow = flow_of(entry(0))
    waiting = asyncio.ensure_future(flow.changed())
    await asyncio.sleep(0)
    flow.end(None)
    await waiting
    assert flow.wanted == 0
    assert not flow.over


async def test_a_source_is_asked_again_when_what_was_ready_has_gone_out() -> None:
    flow = empty(window=2)
    flow.ahead.extend([entry(0), entry(1)])
    asked = asyncio.ensure_future(flow.wants_more())
    await asyncio.sleep(0)
    assert not asked.done()
    flow.add(flow.ahead.popleft())
    waiting = asyncio.ensure_future(flow.changed())
    await asked
    waiting.cancel()
