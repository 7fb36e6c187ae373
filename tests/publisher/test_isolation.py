"""The search for refused messages among others, with a broker that closes the channel at the first refused one."""

from __future__ import annotations

from math import log2

from hypothesis import example, given
from hypothesis import strategies as st

from pulsekit.publisher.isolation import Isolation


def play(count: int, bad: set[int], answered_before_close: int) -> tuple[set[int], set[int], int, int]:
    """Send messages until each is confirmed or refused.

    Returns:
        The confirmed and the refused messages, the number of closed channels, and how often the broker got a message.
    """
    isolation, pending = Isolation[int](), list(range(count))
    confirmed, refused, closes, received = set[int](), set[int](), 0, 0
    while pending:
        in_flight: list[int] = []
        outbox = list(pending)
        while True:  # one channel
            now, outbox = isolation.split(outbox)
            in_flight += now
            received += len(now)
            first = next((message for message in in_flight if message in bad), None)
            before = in_flight if first is None else in_flight[: in_flight.index(first)]
            for message in before if first is None else before[:answered_before_close]:
                confirmed.add(message)
                isolation.answered(message)
            in_flight = [message for message in in_flight if message not in confirmed]
            pending = [message for message in pending if message not in confirmed]
            if first is not None or not pending:
                break
        if first is not None:
            closes += 1
            if (found := isolation.closed(in_flight)) is not None:
                refused.add(found)
                pending.remove(found)
    return confirmed, refused, closes, received


@given(st.integers(1, 300), st.sets(st.integers(0, 299), max_size=6), st.sampled_from([0, 1, 10**6]))
@example(256, {0}, 0)
@example(256, {255}, 0)
def test_each_refused_message_is_found_and_no_other_with_little_work(count: int, bad: set[int], answered: int) -> None:
    bad = {message for message in bad if message < count}
    confirmed, refused, closes, received = play(count, bad, answered)
    assert (refused, confirmed) == (bad, set(range(count)) - bad)
    steps = log2(count) + 2
    assert closes <= 2 * len(bad) * steps
    assert received <= count * (1 + len(bad) * steps)


def test_if_all_messages_are_refused_each_closes_one_channel() -> None:
    _, refused, closes, _ = play(256, set(range(256)), 0)
    assert refused == set(range(256))
    assert closes <= 256 + 8


def test_groups_have_no_limit_after_enough_answers() -> None:
    isolation = Isolation[int]()
    assert isolation.closed(range(8)) is None
    sent: list[int] = []
    outbox = list(range(100))
    while isolation.size is not None:
        now, outbox = isolation.split(outbox)
        sent.append(len(now))
        assert isolation.split(outbox) == ([], outbox)  # not before the group is answered
        assert [isolation.answered(message) for message in now] == [False] * (len(now) - 1) + [True]
    assert sent == [4]
    assert isolation.split(outbox) == (outbox, [])
