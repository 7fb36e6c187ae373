"""The place of each setting, and that commands use the same value."""

from __future__ import annotations

from dataclasses import asdict
from typing import TYPE_CHECKING

import pytest

from pulsekit._config import origins
from pulsekit._config.origins import find_origins
from pulsekit._config.settings import load_settings, login_name

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from pulsekit._config.origins import Origin

USER = """\
url: amqps://file:hunter2@file/vhost
user: filed
password_command: echo hunter2
lint_off: [log-unparsed]
destinations: [mine]
logins:
  work: {user: worker, password: hunter2}
"""
PROJECT = """\
exchange: exchange/me/v1/jobs
destinations: [theirs]
"""


@pytest.fixture
def find(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Callable[..., dict[str, Origin]]]:
    """Return the origins by setting, for a user's file, a project's file, an environment, and a selected login."""
    token = login_name.set(None)
    monkeypatch.setattr(origins, "default_sandbox", lambda _: None)

    def find(
        user: str = "", project: str = "", login: str | None = None, url: str | None = None, **variables: str
    ) -> dict[str, Origin]:
        (tmp_path / "pulsekit").mkdir(exist_ok=True)
        (tmp_path / "pulsekit" / "config.yml").write_text(user)
        (tmp_path / "pulsekit.yml").write_text(project)
        (tmp_path / "secret").write_text("hunter2")
        monkeypatch.chdir(tmp_path)
        login_name.set(login)
        environment = {"XDG_CONFIG_HOME": str(tmp_path), **variables}
        found = find_origins(url=url, environment=environment)
        assert "hunter2" not in str([asdict(one) for one in found])
        if (named := {one.setting: one for one in found})["url"].value is not None and named["password"].value:
            broker = load_settings(environment=environment).broker(url)
            assert named["user"].value == broker.user
            assert named["url"].value == str(broker).replace(f"{broker.user}:***@", "")
        return named

    yield find
    login_name.reset(token)


def test_each_place_decides_before_the_next(find: Callable[..., dict[str, Origin]], tmp_path: Path) -> None:
    file = f"{tmp_path}/pulsekit/config.yml"
    found = find(USER, PROJECT, url="amqp://me:hunter2@127.0.0.1/", PULSE_URL="amqps://env@env/", PULSE_USER="env")
    assert (found["url"].value, found["url"].source, found["url"].place) == (
        "amqp://127.0.0.1:5672/",
        "option",
        "--url",
    )
    assert found["url"].unused == ("PULSE_URL", f"{file}:1:6")
    assert (found["user"].value, found["user"].place) == ("me", "--url")
    assert found["user"].unused == ("PULSE_USER", f"{file}:2:7")
    assert (found["password"].value, found["password"].place) == ("***", "--url")
    assert (found["destinations"].value, found["destinations"].unused) == (["theirs"], (f"{file}:5:15",))
    assert (found["destinations"].source, found["destinations"].place) == ("project", "pulsekit.yml:2:15")
    assert (found["lint_off"].source, found["lint_off"].place) == ("user", f"{file}:4:11")
    assert (found["schema"].value, found["schema"].source, found["schema"].place) == ("pulse-job", "default", "")
    assert found["logins"].value == ["work"]


@pytest.mark.parametrize(
    ("arguments", "url", "user", "password"),
    [
        ({}, (None, ""), (None, ""), (None, "")),
        (
            {"PULSE_USER": "env", "PULSE_PASSWORD": "hunter2"},
            ("amqps://pulse.mozilla.org:5671/", ""),
            ("env", "PULSE_USER"),
            ("***", "PULSE_PASSWORD"),
        ),
        (
            {"user": "user: me\npassword_file: secret"},
            ("amqps://pulse.mozilla.org:5671/", ""),
            ("me", "config.yml:1:7"),
            ("content of secret", "config.yml:2:16"),
        ),
        (
            {"user": USER, "PULSE_URL": "amqps://env"},
            ("amqps://env:5671/", "PULSE_URL"),
            ("filed", "config.yml:2:7"),
            ("output of echo …", "config.yml:3:19"),
        ),
        (
            {"user": USER, "login": "work", "PULSE_URL": "amqps://env:hunter2@env"},
            ("amqps://pulse.mozilla.org:5671/", ""),
            ("worker", "config.yml:7:16"),
            ("***", "config.yml:7:34"),
        ),
        ({"PULSE_URL": "amqp://127.0.0.1"}, ("amqp://127.0.0.1:5672/", "PULSE_URL"), ("guest", ""), (None, "")),
        ({"PULSE_URL": "amqp://hun/ter2@h"}, ("cannot be read", "PULSE_URL"), (None, ""), (None, "")),
    ],
)
def test_the_login_is_that_of_the_connection(find, arguments, url, user, password) -> None:
    found = find(**arguments)
    for setting, (value, place) in {"url": url, "user": user, "password": password}.items():
        assert found[setting].value == value
        assert found[setting].place.endswith(place)
    assert found.get("login") is None or found["login"].place == "--login"


def test_variables_with_registrations_and_switches_are_settings(find: Callable[..., dict[str, Origin]]) -> None:
    found = find("", "registrations: exchange/me/x:#", PULSE_JOB_SOURCES="exchange/me/x.a", CI="true")
    assert found["registrations"].place == "PULSE_JOB_SOURCES"
    assert found["registrations"].unused == ("pulsekit.yml:1:16",)
    assert (found["CI"].value, found["CI"].source) == ("true", "environment")
    assert "NO_COLOR" not in found
