"""Pages of web sites: the deadline, the limit, and what is not followed. See also `queues/test_guardian_site.py`."""

from __future__ import annotations

import time

import pytest
from support.site_on_loopback import dripping, site

import pulsekit
from pulsekit._http import check_site, fetch


@pytest.mark.parametrize(
    "head", [b"", b"HTTP/1.1 200 OK\r\nX-Long: ", b"HTTP/1.1 200 OK\r\nContent-Length: 100000\r\n\r\n"]
)
def test_a_site_that_sends_a_byte_now_and_then_times_out(head: bytes) -> None:
    with dripping(head) as url:
        began = time.monotonic()
        with pytest.raises(pulsekit.Unreachable, match=r"did not answer within 0\.3 s"):
            fetch(url, timeout=0.3, max_bytes=1_000_000)
        assert time.monotonic() - began < 25


def test_every_status_is_an_answer_with_its_body() -> None:
    with site() as running:
        running.status, running.body = 404, b'{"code": "ResourceNotFound"}'
        answer = fetch(f"{running.url}/x", timeout=10, max_bytes=100)
        assert (answer.status, answer.body) == (404, running.body)
        with pytest.raises(pulsekit.NotFound, match="404 Not Found"):
            answer.check()


def test_a_url_keeps_its_path_and_loses_its_last_slash() -> None:
    assert check_site("https://example.com/a/", "X") == "https://example.com/a"


@pytest.mark.parametrize("status", [200, 404])
def test_an_answer_that_ends_too_early_is_an_error(status: int) -> None:
    with site() as running:
        running.status, running.body, running.headers = status, b'{"bindings": [', {"Content-Length": "1000"}
        with pytest.raises(pulsekit.Unreachable, match="connection was closed after 14 of 1,000 bytes"):
            fetch(running.url, timeout=10, max_bytes=10_000)
