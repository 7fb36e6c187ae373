"""Staging and production, for every command with an exchange or destinations."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from pathlib import Path

    from support.rabbitmq.broker import RabbitMQ

    from cli.conftest import Call, Spawn


@pytest.fixture
def project(call: Call, folder: Path) -> Path:
    assert call("init").code == 0
    return folder


@pytest.mark.parametrize(
    ("arguments", "key"),
    [
        ([], "treeherder.autoland._"),
        (["--target", "production"], "treeherder.autoland._"),
        (["--target", "staging"], "treeherder-staging.autoland._"),
        (["--target", "staging", "-d", "mine"], "mine.autoland._"),
    ],
)
def test_publish_sends_to_the_destinations_of_the_target(call: Call, project: Path, arguments, key) -> None:
    dry = json.loads(call("publish", "job.yml", "--dry-run", *arguments).out)
    assert dry["routing_key"] == key
    assert dry["bindings"] == ([] if key.startswith("mine") else [key])


async def test_tail_consumes_the_destinations_of_the_target(broker: RabbitMQ, spawn: Spawn) -> None:
    user = broker.user()
    login = {"PULSE_URL": user.url}
    spawn("init", env=login)
    assert spawn("exchange", "create", "--target", "staging", env=login).code == 0
    assert spawn("exchange", "check", "--target", "production", env=login).code == 0
    done = spawn("tail", "--target", "staging", "--for", "1ms", env=login)
    assert done.code == 0
    assert f"listening on exchange/{user.name}/v1/jobs:treeherder-staging.#\n" in done.err


def test_match_uses_the_bindings_of_the_target(call: Call, project: Path) -> None:
    assert call("match", "treeherder.autoland._", "--target", "production").code == 0
    assert call("match", "treeherder.autoland._", "--target", "staging").code == 1
    both = call("match", "treeherder.autoland._", "--target", "staging", "--binding", "#")
    assert (both.code, len(both.out.splitlines())) == (0, 2)


@pytest.mark.parametrize(
    "arguments",
    [
        ["publish", "job.yml", "--dry-run"],
        ["match", "a.b.c"],
        ["bindings"],
        ["tail"],
        ["exchange", "create"],
        ["exchange", "check"],
    ],
)
def test_a_target_that_is_not_configured_is_an_error(call: Call, folder: Path, arguments) -> None:
    result = call(*arguments, "--target", "staging")
    assert result.code == 2
    assert "no target 'staging': there is no pulsekit.yml" in result.err


def test_a_target_and_a_name_exclude_each_other(call: Call, project: Path) -> None:
    for arguments in (["tail", "exchange/me/x"], ["exchange", "create", "exchange/me/x"]):
        result = call(*arguments, "--target", "staging")
        assert result.code == 2
        assert "--target selects" in result.err


def test_without_a_name_the_error_asks_for_one(call: Call, folder: Path) -> None:
    assert "no EXCHANGE: add one" in call("tail").err
    assert "no NAME: give exchange/<user>/<name>" in call("exchange", "create").err
