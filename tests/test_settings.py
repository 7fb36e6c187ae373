from __future__ import annotations

import sys
from typing import TYPE_CHECKING

import pytest

from pulsekit.errors import ConfigurationError, InsecureConnection
from pulsekit.settings import load_settings, parse_url

if TYPE_CHECKING:
    from pathlib import Path

SECRET = "s3cr3t/@:%"
ENCODED = "s3cr3t%2F%40%3A%25"


@pytest.mark.parametrize(
    ("url", "host", "port", "vhost", "tls"),
    [
        ("amqp://u:p@h", "h", 5672, "/", False),
        ("amqp://u:p@h/", "h", 5672, "/", False),
        ("amqp://u:p@h//", "h", 5672, "/", False),
        ("amqp://u:p@h/%2F", "h", 5672, "/", False),
        ("amqp://u:p@h/%2f", "h", 5672, "/", False),
        ("amqp://u:p@h/communitytc", "h", 5672, "communitytc", False),
        ("amqp://u:p@h/a%2Fb", "h", 5672, "a/b", False),
        ("pyamqp://u:p@h:1//", "h", 1, "/", False),
        ("amqps://u:p@h", "h", 5671, "/", True),
        ("amqp://u:p@h:5671/?ssl=1", "h", 5671, "/", True),
        ("amqp://u:p@h/?ssl=true", "h", 5671, "/", True),
        ("amqp://u:p@h/?ssl=0", "h", 5672, "/", False),
        ("amqp://u:p@[::1]:5/", "::1", 5, "/", False),
    ],
)
def test_an_address_is_read_the_uri_way_and_kombus_way(url: str, host: str, port: int, vhost: str, tls: bool) -> None:
    broker = parse_url(url)
    assert (broker.host, broker.port, broker.virtual_host, broker.tls) == (host, port, vhost, tls)


def test_several_hosts_are_one_cluster_and_share_everything_else() -> None:
    broker = parse_url("amqps://u:p%2C@a,b:7,[::1]/v?heartbeat=9")
    assert broker.hosts == (("a", 5671), ("b", 7), ("::1", 5671))
    assert [str(one) for one in broker.each()] == [
        "amqps://u:***@a:5671/v",
        "amqps://u:***@b:7/v",
        "amqps://u:***@[::1]:5671/v",
    ]
    assert [one.host for one in broker.each(4)] == ["b", "::1", "a"]
    assert {(one.password, one.heartbeat, one.virtual_host) for one in broker.each()} == {("p,", 9, "v")}
    assert str(broker) == "amqps://u:***@a:5671,b:7,[::1]:5671/v"


def test_clear_text_leaves_this_machine_for_no_host_of_several() -> None:
    assert parse_url("amqp://u:p@localhost,127.0.0.2/").loopback
    with pytest.raises(InsecureConnection, match=r"example\.org"):
        parse_url("amqp://u:p@localhost,example.org/").checked()
    with pytest.raises(ConfigurationError, match="no user name"):
        parse_url("amqp://localhost,example.org/")


def test_user_and_password_are_percent_decoded() -> None:
    broker = parse_url(f"amqps://a%2Eb:{ENCODED}@h/")
    assert (broker.user, broker.password) == ("a.b", SECRET)


@pytest.mark.parametrize(
    ("url", "words"),
    [
        ("http://u:p@h/", "amqps://USER"),
        ("u:p@h", "amqps://USER"),
        ("amqp://", "no host"),
        ("amqp://u:pa/ss@h/", "%2F"),
        ("amqp://u:pa#ss@h/", "#"),
        ("amqp://u:p@h:99999/", "cannot be read"),
        ("amqp://u:p@h:x/", "cannot be read"),
        ("amqp://u:p@a,,b/", "between two commas"),
        ("amqp://u:p@a:1,b:x/", "cannot be read"),
        ("amqp://u:p@h/?verify=0", "verify"),
        ("amqp://u:p@h/?ssl=maybe", "ssl=1"),
        ("amqp://u:p@h/?heartbeat=0", "heartbeat"),
        ("amqp://u:p@h/\n", "white space"),
        ("amqps://u@h/", "no password"),
        ("amqps://h/", "no user name"),
    ],
)
def test_an_address_that_cannot_be_used_says_what_to_write(url: str, words: str) -> None:
    with pytest.raises(ConfigurationError) as caught:
        parse_url(url)
    assert words in str(caught.value)
    assert "pa/ss" not in str(caught.value)
    assert "pa#ss" not in str(caught.value)


def test_no_representation_of_an_address_holds_the_password() -> None:
    broker = parse_url(f"amqps://me:{ENCODED}@h/x")
    for text in (str(broker), repr(broker), f"{broker}"):
        assert "s3cr3t" not in text
    assert str(broker) == "amqps://me:***@h:5671/x"


def test_clear_text_leaves_this_machine_only_when_asked_for() -> None:
    with pytest.raises(InsecureConnection, match="amqps"):
        parse_url("amqp://u:p@pulse.mozilla.org/").checked()
    for host in ("localhost", "127.0.0.1", "127.8.8.8", "[::1]"):
        parse_url(f"amqp://u:p@{host}/").checked()
    settings = load_settings(environment={"PULSE_URL": "amqp://u:p@10.0.0.1/"})
    with pytest.raises(InsecureConnection):
        settings.broker()
    assert settings.broker(insecure=True).host == "10.0.0.1"


def test_a_fresh_rabbitmq_on_this_machine_needs_no_login_in_the_url() -> None:
    broker = parse_url("amqp://localhost/")
    assert (broker.user, broker.password) == ("guest", "guest")


def test_user_and_password_alone_mean_pulse_over_tls() -> None:
    broker = load_settings(environment={"PULSE_USER": "me", "PULSE_PASSWORD": "pw"}).broker()
    assert str(broker) == "amqps://me:***@pulse.mozilla.org:5671/"


def test_nothing_configured_says_what_to_set(tmp_path: Path) -> None:
    with pytest.raises(ConfigurationError, match="PULSE_URL"):
        load_settings(tmp_path, {"XDG_CONFIG_HOME": str(tmp_path)}).broker()


def test_the_url_wins_over_the_environment_and_that_over_the_users_file(tmp_path: Path) -> None:
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
def test_who_would_log_in_is_known_without_a_password(tmp_path: Path, environment, user) -> None:
    assert load_settings(tmp_path, {"XDG_CONFIG_HOME": str(tmp_path), **environment}).user == user


def test_a_project_file_says_what_to_publish(tmp_path: Path) -> None:
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
def test_a_cloned_project_cannot_say_who_logs_in_where(tmp_path: Path, key: str) -> None:
    (tmp_path / "pulsekit.yml").write_text(f"{key}: x\n")
    with pytest.raises(ConfigurationError, match="may not stand"):
        load_settings(tmp_path, {"XDG_CONFIG_HOME": str(tmp_path)})


@pytest.mark.parametrize(
    ("text", "words"), [("- a\n", "mapping"), ("exchnge: x\n", "unknown key"), ("exchange: 1", "text")]
)
def test_a_project_file_that_is_wrong_is_named(tmp_path: Path, text: str, words: str) -> None:
    (tmp_path / "pulsekit.yml").write_text(text)
    with pytest.raises(ConfigurationError, match=words):
        load_settings(tmp_path, {"XDG_CONFIG_HOME": str(tmp_path)})


def test_the_password_can_come_from_a_file_or_a_command_of_the_users(tmp_path: Path) -> None:
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


def test_tls_verifies_the_certificate_and_the_name() -> None:
    import ssl

    context = parse_url("amqps://u:p@h/").ssl_context()
    assert context is not None
    assert context.check_hostname
    assert context.verify_mode is ssl.CERT_REQUIRED
    assert parse_url("amqp://u:p@h/").ssl_context() is None


def test_a_certificate_file_that_cannot_be_used_is_named(tmp_path: Path) -> None:
    broken = tmp_path / "ca.pem"
    broken.write_text("not a certificate")
    with pytest.raises(ConfigurationError, match=r"ca\.pem"):
        parse_url(f"amqps://u:p@h/?cafile={broken}").ssl_context()
