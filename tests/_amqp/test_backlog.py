"""The time since which messages may wait in a queue, compared with a broker whose queue the test can see."""

from __future__ import annotations

from collections import deque

from hypothesis import given
from hypothesis import strategies as st

from pulsekit._amqp.backlog import DELAY, Backlog

_EVENTS = st.lists(st.tuples(st.sampled_from(["publish", "settle", "wait"]), st.integers(1, 6)), max_size=60)


@given(_EVENTS, st.integers(1, 5), st.booleans())
def test_no_waiting_message_is_older_than_the_backlog(
    events: list[tuple[str, int]],
    window: int,
    delayed: bool,
) -> None:
    backlog, now = Backlog(), 0.0
    queue: deque[float] = deque()  # when the messages in the broker were published
    unsettled = 0
    on_the_way: list[float] = []  # when the broker receives acknowledgements

    def deliver() -> None:
        nonlocal unsettled
        while queue and unsettled + len(on_the_way) < window:
            queue.popleft()
            unsettled += 1
        backlog.observe(now, unsettled, window)

    for event, count in events:
        for _ in range(count):
            if event == "publish":
                queue.append(now)
                deliver()
            elif event == "settle" and unsettled:
                backlog.observe(now, unsettled, window, 1)
                unsettled -= 1
                if delayed:
                    on_the_way.append(now + DELAY * 0.9)
                deliver()
            elif event == "wait":
                now += DELAY / 3
                on_the_way = [then for then in on_the_way if then > now]
                deliver()
    since = backlog.since(now, unsettled, window)
    if queue:
        assert since is not None
        assert since <= queue[0]


def test_an_emptied_queue_has_no_backlog() -> None:
    backlog = Backlog()
    backlog.observe(1, 2, 2)
    assert backlog.since(100, 2, 2) == 1
    backlog.observe(100, 2, 2, 2)
    assert backlog.since(100 + DELAY, 0, 2) == 1
    assert backlog.since(101, 0, 2) is None
