"""PulseGuardian's page of a queue's bindings."""

from __future__ import annotations

import socket
from typing import TYPE_CHECKING

import pytest
from support.site_on_loopback import Site, bindings_page, site

import pulsekit
from pulsekit import Binding
from pulsekit.queues.guardian_site import Bound, compare, fetch_bindings

if TYPE_CHECKING:
    from collections.abc import Iterator

QUEUE = "queue/me/a b"
A, B, C = "exchange/me/a", "exchange/me/b", "exchange/me/c"


@pytest.fixture
def guardian() -> Iterator[Site]:
    with site() as running:
        yield running


def test_the_bindings_of_a_queue_are_read_with_their_arguments(guardian: Site) -> None:
    guardian.body = bindings_page(QUEUE, (A, "#"), (B, "x.*"), arguments={"n": 1})
    found = fetch_bindings(f"{guardian.url}/", QUEUE)
    assert found == (Bound(A, "#", {"n": 1}), Bound(B, "x.*", {"n": 1}))
    assert guardian.asked == ["/queue/queue/me/a%20b/bindings"]


def test_a_queue_unknown_to_pulseguardian_has_no_bindings(guardian: Site) -> None:
    guardian.body = b'{"bindings": [], "queue_name": "queue/me/q"}'
    assert fetch_bindings(guardian.url, "queue/me/q") == ()


@pytest.mark.parametrize(
    "body",
    [
        b"<html>",
        b"[]",
        b"{}",
        b'{"bindings": null}',
        b'{"bindings": [1]}',
        b'{"bindings": [{"source": 1, "routing_key": "#"}]}',
        b'{"bindings": [{"source": "exchange/me/a"}]}',
        b'{"bindings": [{"source": "exchange/me/a", "routing_key": "#", "arguments": 1}]}',
        b"[" * 100_000,
        b"\xff",
    ],
)
def test_an_answer_that_is_not_a_list_of_bindings_is_an_error(guardian: Site, body: bytes) -> None:
    guardian.body = body
    with pytest.raises(pulsekit.NetworkError, match="check the URL of PulseGuardian"):
        fetch_bindings(guardian.url, "queue/me/q")


def test_an_endless_answer_is_not_read_completely(guardian: Site, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("pulsekit.queues.guardian_site.MAX_BYTES", 100)
    guardian.body = b" " * 101 + bindings_page("queue/me/q")
    with pytest.raises(pulsekit.NetworkError, match="more than 100 bytes"):
        fetch_bindings(guardian.url, "queue/me/q")


def test_a_redirection_is_not_followed(guardian: Site) -> None:
    guardian.status, guardian.headers = 302, {"Location": f"{guardian.url}/elsewhere"}
    with pytest.raises(pulsekit.NetworkError, match="302 Found, and points to http"):
        fetch_bindings(guardian.url, "queue/me/q")
    assert len(guardian.asked) == 1


def test_a_missing_page_differs_from_a_failing_site(guardian: Site) -> None:
    guardian.status = 404
    with pytest.raises(pulsekit.NotFound, match="404"):
        fetch_bindings(guardian.url, "queue/me/q")
    guardian.status = 500
    with pytest.raises(pulsekit.NetworkError, match="500"):
        fetch_bindings(guardian.url, "queue/me/q")


def test_an_unresponsive_site_times_out() -> None:
    with socket.create_server(("127.0.0.1", 0)) as silent:
        url = f"http://127.0.0.1:{silent.getsockname()[1]}"
        with pytest.raises(pulsekit.Unreachable, match=r"within 0.05 s"):
            fetch_bindings(url, "queue/me/q", timeout=0.05)


def test_an_unreachable_site_is_a_network_error() -> None:
    with socket.socket() as reserved:  # no other process can listen on its port
        reserved.bind(("127.0.0.1", 0))
        with pytest.raises(pulsekit.Unreachable, match="refused"):
            fetch_bindings(f"http://127.0.0.1:{reserved.getsockname()[1]}", "queue/me/q")


@pytest.mark.parametrize(
    "wrong", ["", "pulseguardian", "ftp://127.0.0.1/", "file:///etc/passwd", "https://", "http://[", "https://h/?a=b"]
)
def test_an_invalid_address_is_refused(wrong: str) -> None:
    with pytest.raises(pulsekit.ConfigurationError, match="https://HOST/"):
        fetch_bindings(wrong, "queue/me/q")


def test_clear_text_to_another_machine_and_a_password_are_refused() -> None:
    with pytest.raises(pulsekit.InsecureConnection, match="https"):
        fetch_bindings("http://pulseguardian.example/", "queue/me/q")
    with pytest.raises(pulsekit.ConfigurationError) as refused:
        fetch_bindings("https://me:hunter2@pulseguardian.example/", "queue/me/q")
    assert "hunter2" not in str(refused.value)


def test_an_invalid_name_is_not_requested(guardian: Site) -> None:
    with pytest.raises(pulsekit.InvalidName):
        fetch_bindings(guardian.url, "q")
    assert guardian.asked == []


def test_existing_and_wanted_bindings_are_compared_case_sensitively() -> None:
    bound = [Bound(A, "#.x"), Bound(A, "x"), Bound(B, "#", {"n": 1})]
    change = compare(bound, [Binding(A, "x"), Binding(C, "#"), Binding(B, "#"), Binding(C, "#")])
    assert change.stale == (Bound(A, "#.x"),)
    assert change.missing == (Binding(C, "#"),)
    assert change.kept == (Bound(A, "x"), Bound(B, "#", {"n": 1}))
