"""The description of a queue, without a broker."""

from __future__ import annotations

import dataclasses
from typing import Any

import pytest

import pulsekit
from pulsekit import Queue


def test_options_become_arguments_of_queue_declare() -> None:
    queue = Queue(
        "queue/me/jobs", type="quorum", expires=1.5, dead_letters="exchange/me/dead", arguments={"x-max-length": 9}
    )
    assert queue.declare_arguments == {
        "x-queue-type": "quorum",
        "x-expires": 1500,
        "x-dead-letter-exchange": "exchange/me/dead",
        "x-max-length": 9,
        "x-delivery-limit": 20,
    }
    limited = Queue("queue/me/jobs", type="quorum", arguments={"x-delivery-limit": 5})
    assert limited.declare_arguments["x-delivery-limit"] == 5
    assert Queue("queue/me/jobs").declare_arguments == {}


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"name": "jobs"}, "jobs"),
        ({"dead_letters": "queue/me/dead"}, "queue/me/dead"),
        ({"type": "stream"}, "'classic' or 'quorum'"),
        ({"type": "quorum", "durable": False}, "durable"),
        ({"arguments": {"x-queue-type": "quorum"}, "durable": False}, "durable"),
        ({"expires": 0}, "expires"),
        ({"expires": 315_360_000.001}, "expires"),
        ({"expires": float("inf")}, "expires"),
        ({"expires": 1, "arguments": {"x-expires": 2}}, "x-expires"),
        ({"existing": True, "expires": 1}, "do not apply"),
        ({"existing": True, "arguments": {"x-max-length": 9}}, "do not apply"),
    ],
)
def test_a_queue_that_cannot_be_declared_is_refused(options: dict[str, object], words: str) -> None:
    with pytest.raises(pulsekit.ConfigurationError, match=words):
        Queue(**({"name": "queue/me/jobs"} | options))  # type: ignore[arg-type] # the values are wrong on purpose


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"expires": "60"}, "expires is a number, not '60'"),
        ({"arguments": None}, "arguments is of type Mapping, not None"),
        ({"arguments": ["x-max-length"]}, "arguments is of type Mapping"),
    ],
)
def test_an_option_of_a_wrong_type_is_refused(options: dict[str, Any], words: str) -> None:
    with pytest.raises(TypeError, match=words):
        Queue("queue/me/jobs", **options)


def test_a_queue_is_a_value() -> None:
    queue = Queue("queue/me/jobs", expires=60)
    assert queue == Queue("queue/me/jobs", expires=60)
    assert len({queue, Queue("queue/me/jobs", expires=60)}) == 1
    with pytest.raises(dataclasses.FrozenInstanceError):
        queue.name = "queue/me/other"  # type: ignore[misc] # the test is about this error
