from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from cryptography.hazmat.primitives.serialization import (
    BestAvailableEncryption,
    Encoding,
    PrivateFormat,
    load_pem_private_key,
)

from pulsekit._amqp.broker import parse_url, user_in
from pulsekit._config.settings import load_settings
from pulsekit.errors import ConfigurationError, InsecureConnection

if TYPE_CHECKING:
    from pathlib import Path

    import trustme

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
def test_an_address_is_read_by_the_uri_rules_and_as_by_kombu(
    url: str, host: str, port: int, vhost: str, tls: bool
) -> None:
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


def test_every_host_of_a_cluster_may_be_an_ipv6_address() -> None:
    broker = parse_url("amqp://a%40,b:p@[::1]:1,[::1]:2,[2001:db8::2],c/")
    assert broker.hosts == (("::1", 1), ("::1", 2), ("2001:db8::2", 5672), ("c", 5672))
    assert user_in("amqp://a%40,b:p@[::1]:1,[::1]:2/") == broker.user == "a@,b"


@pytest.mark.parametrize(
    "url",
    [
        "amqp://u:p@[::1/",
        "amqp://u:p@::1]/",
        "amqp://u:p@[::1,b]/",
        "amqp://u:p@[::1]b/",
        "amqp://u:p@a[::1]/",
        "amqp://u:p@a,b[::1]:5/",
        "amqp://u:p@[::1][::1]/",
        "amqp://u:p@[h]/",
        "amqp://u:[::1]@h/",
        "amqp://[::1]:p@h/",
        "amqp://u:[p]@[::1]/",
    ],
)
def test_brackets_enclose_only_an_ipv6_address(url: str) -> None:
    with pytest.raises(ConfigurationError, match="cannot be read"):
        parse_url(url)
    assert user_in(url) is None


def test_clear_text_is_refused_if_one_host_is_another_machine() -> None:
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
        ("amqp://u:p@h/?ssl=maybe", "must be 1 or 0"),
        ("amqp://u:p@localhost/?cafile=/ca.pem", "cafile in the broker URL needs TLS"),
        ("amqp://u:p@localhost/?ssl=0&certfile=/a.pem&keyfile=/a.pem", "certfile in the broker URL needs TLS"),
        ("amqps://u:p@h/?cafile=/ca.pem&keyfile=/a.pem", "add certfile"),
        ("amqp://u:p@h/?heartbeat=0", "heartbeat"),
        ("amqp://u:p@h/?heartbeat=" + "9" * 5000, "heartbeat"),
        ("amqp://u:12?pa/ss@h/", "'@' after its host"),
        ("amqp://u:12/pa/ss@h/", "'@' after its host"),
        ("amqp:u:pa/ss@h/", "'@' after its host"),
        ("pa/ss://h/", "amqps://USER"),
        ("amqp://u:p@a..b/", "host"),
        ("amqp://u:p@" + "a" * 64 + ".org/", "host"),
        ("amqp://u:p@h o/", "host"),
        ("amqp://u:p@h\udce9/", "UTF-8"),
        ("amqp://u:pa/ss\u2100@h/", "cannot be read"),
        ("amqp://u:%ff@h/", "password in the broker URL is not percent-encoded UTF-8"),
        ("amqp://%ff:p@h/", "user name in the broker URL is not percent-encoded UTF-8"),
        ("amqp://u:p@h/%ff", "virtual host in the broker URL is not percent-encoded UTF-8"),
        ("amqp://u:p%00@h/", "NUL"),
        ("amqp://u:p@h/\n", "white space"),
        ("amqps://u@h/", "no password"),
        ("amqps://h/", "no user name"),
        ("amqp://u:p@localhost:0/", "port 0"),
    ],
)
def test_an_invalid_address_is_reported_with_a_correction(url: str, words: str) -> None:
    with pytest.raises(ConfigurationError) as caught:
        parse_url(url)
    assert words in str(caught.value)
    assert "pa/ss" not in str(caught.value)
    assert "pa#ss" not in str(caught.value)
    assert caught.value.__context__ is None  # another error would show a part of the URL


@pytest.mark.parametrize("host", ["pulse.mozilla.org.", "bücher.example", "a_b", "fe80::1%eth0"])
def test_a_host_may_be_any_name_that_a_resolver_accepts(host: str) -> None:
    assert parse_url(f"amqps://u:p@{f'[{host}]' if ':' in host else host}/").host == host


def test_no_representation_of_an_address_contains_the_password() -> None:
    broker = parse_url(f"amqps://me:{ENCODED}@h/x")
    for text in (str(broker), repr(broker), f"{broker}", repr(broker.password)):
        assert "s3cr3t" not in text
    assert str(broker) == "amqps://me:***@h:5671/x"


def test_clear_text_to_another_machine_needs_a_flag() -> None:
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


def test_tls_verifies_the_certificate_and_the_name() -> None:
    import ssl

    context = parse_url("amqps://u:p@h/").ssl_context()
    assert context is not None
    assert context.check_hostname
    assert context.verify_mode is ssl.CERT_REQUIRED
    assert parse_url("amqp://u:p@h/").ssl_context() is None


def test_an_unusable_certificate_file_is_reported(tmp_path: Path) -> None:
    broken = tmp_path / "ca.pem"
    broken.write_text("not a certificate")
    with pytest.raises(ConfigurationError, match=r"ca\.pem"):
        parse_url(f"amqps://u:p@h/?cafile={broken}").ssl_context()
    missing = tmp_path / "none.pem"
    with pytest.raises(ConfigurationError, match=r"none\.pem: No such file or directory$"):
        parse_url(f"amqps://u:p@h/?cafile={missing}").ssl_context()
    with pytest.raises(ConfigurationError, match="null byte"):
        parse_url("amqps://u:p@h/?cafile=ca%00.pem").ssl_context()


def test_an_encrypted_key_is_reported_and_no_pass_phrase_is_asked_for(tmp_path: Path, authority: trustme.CA) -> None:
    issued = authority.issue_cert("me")
    encrypted = load_pem_private_key(issued.private_key_pem.bytes(), None).private_bytes(
        Encoding.PEM, PrivateFormat.PKCS8, BestAvailableEncryption(b"secret")
    )
    certificate, key = tmp_path / "me.pem", tmp_path / "key.pem"
    issued.cert_chain_pems[0].write_to_path(certificate)
    key.write_bytes(encrypted)
    with pytest.raises(ConfigurationError, match=r"key\.pem: the key is encrypted"):
        parse_url(f"amqps://u:p@h/?certfile={certificate}&keyfile={key}").ssl_context()
