"""The delays between attempts to connect."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from pulsekit._amqp.backoff import Backoff


@given(st.integers(0, 40), st.floats(0.001, 1), st.floats(1, 100))
def test_delays_are_jittered_up_to_their_limit(attempts: int, first: float, most: float) -> None:
    backoff = Backoff(first=first, most=most)
    pauses = [backoff.next() for _ in range(attempts)]
    assert all(0 <= pause <= min(most, first * 2**number) for number, pause in enumerate(pauses))


def test_delays_without_jitter_are_their_limit() -> None:
    backoff = Backoff(first=1, most=5)
    assert [backoff.next(jitter=False) for _ in range(4)] == [1, 2, 4, 5]


def test_delays_start_over_only_after_a_healthy_time() -> None:
    backoff = Backoff(first=1, most=1000)
    for _ in range(9):
        backoff.next()
    backoff.connected_for(29.9)
    assert max(backoff.next() for _ in range(20)) > 1
    backoff.connected_for(30)
    assert backoff.next() <= 1
