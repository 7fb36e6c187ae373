from __future__ import annotations

from typing import Any

import pytest

from pulsekit.records.envelope import unwrap

META = {"exchange": "exchange/build/", "routing_key": "k", "serializer": "json", "sent": "2014-07-01T10:00:00+00:00"}


@pytest.mark.parametrize(
    ("payload", "inner", "meta"),
    [
        ({"payload": {"a": 1}, "_meta": META}, {"a": 1}, META),
        ({"payload": [1], "_meta": META}, [1], META),
        ({"payload": {"type": "changegroup.1", "_meta": META}}, {"type": "changegroup.1"}, META),
        ({"payload": {"a": 1}}, {"payload": {"a": 1}}, None),
        ({"payload": {"a": 1}, "_meta": "x"}, {"payload": {"a": 1}, "_meta": "x"}, None),
        ({"_meta": META}, {"_meta": META}, None),
        ([1], [1], None),
        (None, None, None),
    ],
)
def test_only_an_envelope_is_unwrapped(payload: Any, inner: Any, meta: Any) -> None:
    assert unwrap(payload) == (inner, meta)
