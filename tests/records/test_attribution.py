from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

import pytest

from pulsekit.bindings.registration import Binding
from pulsekit.errors import InvalidMessage
from pulsekit.messages import Message
from pulsekit.records.attribution import MatchedBindings

JOBS, OTHERS = "exchange/me/v1/jobs", "exchange/me/v1/others"
EVERYTHING = [Binding(JOBS, "treeherder.#"), Binding(JOBS, "route.*"), Binding(OTHERS), Binding(JOBS, "treeherder.#")]


def message(key: str, *cc: str, exchange: str = JOBS) -> Message:
    headers: dict[str, Any] = {"CC": list(cc)} if cc else {}
    return Message(exchange=exchange, routing_key=key, body=b"{}", received=datetime.now(UTC), headers=headers)


@pytest.mark.parametrize(
    ("given", "patterns"),
    [
        (message("treeherder.try._"), ["treeherder.#"]),
        (message("treeherder.try._", "route.x"), ["treeherder.#", "route.*"]),
        (message("elsewhere", "route.x"), ["route.*"]),
        (message("elsewhere"), []),
        (message("treeherder.x", exchange=OTHERS), ["#"]),
        (message("treeherder.x", exchange="exchange/you/x"), []),
    ],
)
def test_a_message_belongs_to_the_bindings_that_match_one_of_its_keys(given: Message, patterns: list[str]) -> None:
    attribution = MatchedBindings(EVERYTHING)
    for _ in range(2):  # the second time from memory
        assert [binding.pattern for binding in attribution.bindings(given)] == patterns
        assert [binding.pattern for binding in attribution.bindings(given)] == patterns
        assert attribution.names(given) == [f"{given.exchange}:{pattern}" for pattern in patterns]


def test_the_reason_names_the_key_that_matched() -> None:
    reasons = MatchedBindings(EVERYTHING).reasons(message("treeherder.try._", "other", "route.x"))
    assert [(reason.binding.pattern, reason.key, reason.words) for reason in reasons] == [
        ("treeherder.#", "treeherder.try._", "# matches 'try._'"),
        ("route.*", "route.x", "* matches 'x'"),
    ]


def test_malformed_headers_leave_only_the_routing_key() -> None:
    class Unreadable(Message):
        @property
        def headers(self) -> Any:
            raise InvalidMessage("no header table")

    given = Unreadable(exchange=JOBS, routing_key="treeherder.x", body=b"", received=datetime.now(UTC))
    assert MatchedBindings(EVERYTHING).bindings(given) == (EVERYTHING[0],)


def test_its_cache_is_bounded() -> None:
    attribution = MatchedBindings(EVERYTHING)
    for number in range(10_000):
        attribution.names(message(f"treeherder.{number}"))
    assert len(attribution._memo) <= 4096
