from __future__ import annotations

import socket
from typing import TYPE_CHECKING

import pytest
from support.command import pulsekit

if TYPE_CHECKING:
    from pathlib import Path

    from support.rabbitmq.broker import PulseUser, RabbitMQ


def test_an_exchange_is_created_checked_and_deleted(user: PulseUser, tmp_path: Path) -> None:
    name = f"exchange/{user.name}/v1/jobs"
    run = [
        pulsekit("exchange", action, name, folder=tmp_path, url=user.url)
        for action in ("check", "create", "create", "check", "delete", "delete", "check")
    ]
    assert [done.status for done in run] == [5, 0, 0, 0, 0, 0, 5]
    assert "does not exist" in run[0].err
    assert "was deleted" in run[4].err
    assert "did not exist" in run[5].err
    assert all(not done.out for done in run)


def test_frames_are_shown_when_debugging_asks_for_them(user: PulseUser, tmp_path: Path) -> None:
    name = f"exchange/{user.name}/v1/jobs"
    shown = pulsekit("exchange", "create", name, folder=tmp_path, url=user.url, extra={"PULSEKIT_DEBUG": "frames"})
    assert f"sent channel 1 exchange.declare exchange='{name}' exchange_type='topic' durable\n" in shown.err
    hidden = pulsekit("exchange", "create", name, folder=tmp_path, url=user.url, extra={"PULSEKIT_DEBUG": "1"})
    assert "channel 1" not in hidden.err


@pytest.mark.parametrize("action", ["create", "delete"])
def test_an_exchange_of_another_user_is_refused(user: PulseUser, broker: RabbitMQ, action: str, tmp_path: Path) -> None:
    name = f"exchange/{broker.user().name}/v1/jobs"
    done = pulsekit("exchange", action, name, folder=tmp_path, url=user.url)
    assert done.status == 5
    assert name in done.err
    assert "a user may use only exchange/<user>/" in done.err


@pytest.mark.parametrize("action", ["create", "check", "delete"])
def test_an_invalid_name_is_refused_before_connecting_with_a_suggestion(action: str, tmp_path: Path) -> None:
    done = pulsekit("exchange", action, "v1/jobs", folder=tmp_path, url="amqp://me:p@127.0.0.1:1/")
    assert done.status == 2
    assert "exchange/me/v1/jobs" in done.err


def test_without_a_broker_the_error_says_what_to_set(tmp_path: Path) -> None:
    done = pulsekit("exchange", "check", "exchange/me/x", folder=tmp_path)
    assert done.status == 2
    assert "PULSE_URL" in done.err


def test_a_closed_port_is_a_network_error(tmp_path: Path) -> None:
    done = pulsekit("exchange", "check", "exchange/me/x", folder=tmp_path, url="amqp://me:hunter2@127.0.0.1:1/")
    assert done.status == 4
    assert "connection refused" in done.err
    assert "hunter2" not in done.err


def test_an_unresponsive_broker_ends_the_command_in_ten_seconds(tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as silent:
        url = f"amqp://me:hunter2@127.0.0.1:{silent.getsockname()[1]}/"
        done = pulsekit("exchange", "check", "exchange/me/x", folder=tmp_path, url=url)
    assert done.status == 4
    assert "did not answer within 10 s" in done.err


def test_a_refused_login_differs_from_a_wrong_virtual_host(user: PulseUser, broker: RabbitMQ, tmp_path: Path) -> None:
    name = f"exchange/{user.name}/x"
    wrong = broker.admin_url.replace(":guest@", ":wrong@")
    login = pulsekit("exchange", "check", name, folder=tmp_path, url=wrong)
    vhost = pulsekit("exchange", "check", name, folder=tmp_path, url=f"{user.url}nope")
    assert (login.status, vhost.status) == (5, 5)
    assert "check user and password" in login.err
    assert "'nope'" in vhost.err


def test_a_password_on_the_command_line_is_refused_for_other_machines(user: PulseUser, tmp_path: Path) -> None:
    url = "amqps://me:hunter2@pulse.mozilla.org/"
    done = pulsekit("exchange", "check", "exchange/me/x", "--url", url, folder=tmp_path)
    assert done.status == 2
    assert "PULSE_PASSWORD" in done.err
    assert "hunter2" not in done.err
    here = pulsekit("exchange", "check", f"exchange/{user.name}/x", "--url", user.url, folder=tmp_path)
    assert here.status == 5


def test_clear_text_to_another_machine_is_refused(tmp_path: Path) -> None:
    done = pulsekit("exchange", "check", "exchange/me/x", folder=tmp_path, url="amqp://me:hunter2@192.0.2.1/")
    assert done.status == 2
    assert "--insecure" in done.err


@pytest.mark.parametrize("command", ["tail", "publish"])
def test_a_misspelt_exchange_has_the_nearest_configured_one(command: str, user: PulseUser, tmp_path: Path) -> None:
    (tmp_path / "pulsekit.yml").write_text(
        "exchange: exchange/other/v1/trial\nregistrations: exchange/other/v1/jobs:#\n"
    )
    misspelt = ["exchange/other/v1/jbos"]
    if command == "publish":
        (tmp_path / "any.json").write_text("{}")
        misspelt = ["any.json", "--exchange", *misspelt, "-k", "a", "--no-schema"]
    done = pulsekit(command, *misspelt, folder=tmp_path, url=user.url)
    assert done.status == 5
    assert done.err.endswith("\ndid you mean exchange/other/v1/jobs?\n")
    assert command == "tail" or "\n1 message was not sent\n" in done.err


def test_a_command_in_a_hint_is_quoted_for_the_shell(user: PulseUser, tmp_path: Path) -> None:
    name = f"exchange/{user.name}/a&$(b)"
    (tmp_path / "any.json").write_text("{}")
    sent = pulsekit("publish", "any.json", "--no-schema", "-e", name, "-k", "a", folder=tmp_path, url=user.url)
    pulsekit("exchange", "delete", name, folder=tmp_path, url=user.url)
    assert f"run 'pulsekit tail '{name}'' in another terminal" in sent.err
    missing = pulsekit("doctor", "-e", name, folder=tmp_path, url=user.url)
    assert f"run 'pulsekit exchange create '{name}''" in missing.out
    refused = pulsekit("tail", "queue/me/a;b", folder=tmp_path, url=user.url)
    assert "run 'pulsekit queue show 'queue/me/a;b''" in refused.err
