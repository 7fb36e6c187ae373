"""Any input bytes lead to a documented error or a correct result."""

from __future__ import annotations

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from security.targets import TARGETS, Target

_EXAMPLES = {"sandbox": 50, "schemas": 100, "messages": 100}  # the slow ones
_MANY = 200


def inputs(target: Target) -> st.SearchStrategy[bytes]:
    """Draw pieces with a little noise, or insert them into a complete input."""
    pieces = st.sampled_from(target.pieces) | st.binary(max_size=3)
    written = st.lists(pieces, max_size=25).map(b"".join)
    if not target.seeds:
        return written
    return written | st.builds(_put_into, st.sampled_from(target.seeds), written, st.integers(0), st.integers(0, 20))


def _put_into(seed: bytes, piece: bytes, at: int, gone: int) -> bytes:
    at %= len(seed) + 1
    return seed[:at] + piece + seed[at + gone :]


@pytest.fixture(autouse=True)
def _no_cache(monkeypatch: pytest.MonkeyPatch) -> None:
    """Prevent thousands of schemas, each used once, from being cached on disk."""
    monkeypatch.setenv("PULSEKIT_NO_CACHE", "1")


@pytest.mark.parametrize("name", TARGETS)
def test_any_input_is_read_or_refused_with_a_documented_error(name: str) -> None:
    target = TARGETS[name]
    for seed in (b"", *target.seeds):
        target.check(seed)

    @settings(max_examples=_EXAMPLES.get(name, _MANY), suppress_health_check=list(HealthCheck))
    @given(inputs(target))
    def check(data: bytes) -> None:
        target.check(data)

    check()
