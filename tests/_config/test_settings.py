from __future__ import annotations

import sys
from typing import TYPE_CHECKING

import pytest

from pulsekit._config.settings import load_settings
from pulsekit.errors import ConfigurationError

if TYPE_CHECKING:
    from pathlib import Path

SECRET = "s3cr3t/@:%"


def test_user_and_password_without_a_url_mean_pulse_over_tls() -> None:
    broker = load_settings(environment={"PULSE_USER": "me", "PULSE_PASSWORD": "pw"}).broker()
    assert str(broker) == "amqps://me:***@pulse.mozilla.org:5671/"


def test_without_a_configuration_the_error_suggests_one(tmp_path: Path) -> None:
    with pytest.raises(ConfigurationError, match="PULSE_URL"):
        load_settings(tmp_path, {"XDG_CONFIG_HOME": str(tmp_path)}).broker()


def test_an_unknown_variable_is_reported(tmp_path: Path) -> None:
    environment = {"XDG_CONFIG_HOME": str(tmp_path), "PULSE_USERNAME": "me", "PULSE_URI": "amqps://h/", "PULSE": "x"}
    with pytest.raises(ConfigurationError, match="PULSE_URI is not read: PULSE_URL is") as caught:
        load_settings(tmp_path, environment).broker()
    assert "PULSE_USERNAME is not read: PULSE_USER is" in str(caught.value)
    near = {"PULSE_USR": "PULSE_USER", "PULSE_JOB_SOURCE": "PULSE_JOB_SOURCES", "PULSE_PORT": "PULSE_URL"}
    near |= {"PULSEKIT_NOCACHE": "PULSEKIT_NO_CACHE"}
    for name, meant in near.items():
        assert load_settings(tmp_path, {name: "x"}).unknown_variables == (f"{name} is not read: {meant} is",)
    known = {
        "PULSEKIT_DEBUG": "1",
        "PULSEKIT_OTHER": "1",
        "PULSE_USER": "me",
        "PULSE_PASSWORD": "pw",
        "PULSE_DATA_INGESTION_SOURCES": "[]",
        "PULSE_JOB_SOURCES": "",
    }
    assert load_settings(tmp_path, known).unknown_variables == ()


def test_the_url_overrides_environment_and_user_file(tmp_path: Path) -> None:
    folder = tmp_path / "pulsekit"
    folder.mkdir()
    (folder / "config.yml").write_text("url: amqps://file:pw@file/\n")
    files = {"XDG_CONFIG_HOME": str(tmp_path)}
    environment = {**files, "PULSE_URL": "amqps://env:pw@env/"}
    assert load_settings(tmp_path, files).broker().user == "file"
    assert load_settings(tmp_path, environment).broker().user == "env"
    assert load_settings(tmp_path, environment).broker("amqps://arg:pw@arg/").user == "arg"


@pytest.mark.parametrize(
    ("environment", "user"),
    [
        ({}, None),
        ({"PULSE_USER": "me"}, "me"),
        ({"PULSE_URL": "amqps://a%2Eb:pw@h/", "PULSE_USER": "me"}, "a.b"),
        ({"PULSE_URL": "amqps://h/", "PULSE_USER": "me"}, "me"),
        ({"PULSE_URL": "amqps://[/"}, None),
    ],
)
def test_the_user_name_is_known_without_a_password(tmp_path: Path, environment, user) -> None:
    assert load_settings(tmp_path, {"XDG_CONFIG_HOME": str(tmp_path), **environment}).user == user


def test_a_project_file_sets_what_to_publish(tmp_path: Path) -> None:
    (tmp_path / "pulsekit.yml").write_text(
        "exchange: exchange/me/v1/jobs\n"
        "destinations: [treeherder, staging]\n"
        "lint_off: [log-unparsed]\n"
        "registrations:\n"
        "  - exchange: exchange/me/v1/jobs\n"
        "    destinations: [treeherder]\n"
        "    projects: ['autoland._']\n"
    )
    settings = load_settings(tmp_path, {"XDG_CONFIG_HOME": str(tmp_path)})
    assert settings.exchange == "exchange/me/v1/jobs"
    assert settings.destinations == ("treeherder", "staging")
    assert settings.lint_off == ("log-unparsed",)
    assert len(settings.registrations) == 1
    assert settings.schema == "pulse-job"


@pytest.mark.parametrize("key", ["url", "user", "password", "host", "password_command", "vhost"])
def test_a_cloned_project_cannot_set_login_or_host(tmp_path: Path, key: str) -> None:
    (tmp_path / "pulsekit.yml").write_text(f"{key}: x\n")
    with pytest.raises(ConfigurationError, match="is not allowed"):
        load_settings(tmp_path, {"XDG_CONFIG_HOME": str(tmp_path)})


@pytest.mark.parametrize(
    ("text", "words"), [("- a\n", "mapping"), ("exchnge: x\n", "unknown key"), ("exchange: 1", "a string")]
)
def test_an_invalid_project_file_is_reported(tmp_path: Path, text: str, words: str) -> None:
    (tmp_path / "pulsekit.yml").write_text(text)
    with pytest.raises(ConfigurationError, match=words):
        load_settings(tmp_path, {"XDG_CONFIG_HOME": str(tmp_path)})


def test_the_password_can_come_from_a_file_or_a_command(tmp_path: Path) -> None:
    folder = tmp_path / "pulsekit"
    folder.mkdir()
    secret = tmp_path / "secret"
    secret.write_text(f"{SECRET}\n")
    environment = {"XDG_CONFIG_HOME": str(tmp_path)}
    (folder / "config.yml").write_text(f"user: me\npassword_file: {secret}\n")
    broker = load_settings(tmp_path, environment).broker()
    assert broker.password == SECRET
    secret.write_text("changed\n")
    assert broker.renewed().password == "changed"
    given = load_settings(tmp_path, environment | {"PULSE_PASSWORD": "wins"}).broker()
    assert given.renewed().password == "wins"
    (folder / "config.yml").write_text(f"user: me\npassword_command: {sys.executable} -c 'print(\"from command\")'\n")
    assert load_settings(tmp_path, environment).broker().password == "from command"
    (folder / "config.yml").write_text("user: me\npassword_file: /does/not/exist\n")
    with pytest.raises(ConfigurationError, match="password_file"):
        load_settings(tmp_path, environment).broker()


LOGINS = """
url: amqps://file:pw@file/
logins:
  work: {url: amqps://worker@work/, password_command: echo secret}
  pulse: {user: them, password: pw}
  broken: {password: pw}
"""
VARIABLES = {"PULSE_URL": "amqps://env@env/", "PULSE_USER": "env", "PULSE_PASSWORD": "env", "PULSE_JOB_SOURCES": "x"}


@pytest.fixture
def logins(tmp_path: Path) -> dict[str, str]:
    """An environment with a login, and with a file of logins."""
    (tmp_path / "pulsekit").mkdir()
    (tmp_path / "pulsekit" / "config.yml").write_text(LOGINS)
    return VARIABLES | {"XDG_CONFIG_HOME": str(tmp_path)}


def test_a_selected_login_is_complete_and_names_what_it_overrides(tmp_path: Path, logins: dict[str, str]) -> None:
    work = load_settings(tmp_path, logins, login="work")
    assert (str(work.broker()), work.broker().password) == ("amqps://worker:***@work:5671/", "secret")
    assert (work.user, work.names_a_broker) == ("worker", True)
    assert work.overridden == ("PULSE_URL", "PULSE_USER", "PULSE_PASSWORD")
    assert work.unknown_variables == ()
    pulse = load_settings(tmp_path, logins, login="pulse").broker()
    assert (str(pulse), pulse.password) == ("amqps://them:***@pulse.mozilla.org:5671/", "pw")
    assert str(load_settings(tmp_path, logins).broker()) == "amqps://env:***@env:5671/"


@pytest.mark.parametrize(
    ("login", "url", "words"),
    [
        ("wrk", None, "no login 'wrk': the logins are work, pulse, broken"),
        ("broken", None, "the login 'broken' has neither `url` nor `user`"),
        ("work", "amqps://me:pw@h/", "a URL and the login 'work' both select the broker"),
    ],
)
def test_an_invalid_login_is_refused(
    tmp_path: Path, logins: dict[str, str], login: str, url: str | None, words: str
) -> None:
    with pytest.raises(ConfigurationError, match=words):
        load_settings(tmp_path, logins, login=login).broker(url)
    with pytest.raises(ConfigurationError, match=r"the user's config\.yml has none, write `logins: "):
        load_settings(tmp_path, {"XDG_CONFIG_HOME": str(tmp_path / "none")}, login=login)
