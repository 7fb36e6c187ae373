"""The requests that are answered: the matrix of Host, Origin, Sec-Fetch-Site, token and cookie."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from inspector.visitor import opened
from pulsekit.inspector import RecordedSource
from pulsekit.inspector.access import POLICY, Access

if TYPE_CHECKING:
    from pathlib import Path

HOST = "127.0.0.1:8000"
ORIGIN = f"http://{HOST}"
MATRIX: list[tuple[str, str, dict[str, str], int]] = [
    # The page itself has no data, and may be opened from any site.
    ("GET", "/", {}, 200),
    ("GET", "/", {"host": "localhost:8000"}, 200),
    ("GET", "/", {"sec-fetch-site": "cross-site"}, 200),
    # Hosts: a name that another site resolves to loopback, another port, another spelling.
    ("GET", "/", {"host": "evil.example:8000"}, 421),
    ("GET", "/", {"host": "127.0.0.1"}, 421),
    ("GET", "/", {"host": "127.0.0.1:8001"}, 421),
    ("GET", "/", {"host": "127.0.0.1:8000.evil.example"}, 421),
    ("GET", "/", {"host": ""}, 421),
    ("GET", "/api/events", {"host": "evil.example:8000"}, 421),
    # The cookie.
    ("GET", "/api/events", {}, 200),
    ("GET", "/api/events", {"cookie": ""}, 401),
    ("GET", "/api/events", {"cookie": "pulsekit-8000=wrong"}, 401),
    ("GET", "/api/events", {"cookie": "pulsekit-8000=ü"}, 401),
    ("GET", "/api/events", {"cookie": "{session of port 8001}"}, 401),
    ("POST", "/api/clear", {"cookie": "", "origin": ORIGIN}, 401),
    # Other sites, with the cookie that a browser would not send.
    ("GET", "/api/events", {"sec-fetch-site": "cross-site"}, 403),
    ("GET", "/api/events", {"sec-fetch-site": "same-site"}, 403),
    ("GET", "/api/events", {"sec-fetch-site": "none"}, 403),
    ("GET", "/api/events", {"origin": "http://evil.example"}, 403),
    ("GET", "/api/events", {"origin": "null"}, 403),
    ("GET", "/api/events", {"origin": "http://127.0.0.1:8001"}, 403),
    ("GET", "/api/events", {"origin": "https://127.0.0.1:8000"}, 403),
    ("GET", "/api/events", {"origin": "http://localhost:8000"}, 403),
    # A change needs an origin, and a content type that another site cannot send without asking.
    ("POST", "/api/clear", {"origin": ORIGIN}, 200),
    ("POST", "/api/clear", {}, 403),
    ("POST", "/api/clear", {"origin": "http://evil.example"}, 403),
    ("POST", "/api/clear", {"origin": ORIGIN, "content-type": "text/plain"}, 415),
    ("POST", "/api/login", {"origin": ORIGIN, "cookie": ""}, 200),
    ("POST", "/api/login", {"cookie": ""}, 403),
    ("DELETE", "/", {}, 403),
]


@pytest.mark.parametrize(("method", "path", "changed", "status"), MATRIX)
def test_a_request_of_another_page_is_refused(method: str, path: str, changed: dict[str, str], status: int) -> None:
    access, other = Access(8000), Access(8001)
    session = access.exchange(access.token)
    headers = {"host": HOST, "cookie": f"pulsekit-8000={session}", "content-type": "application/json"} | changed
    headers["cookie"] = headers["cookie"].format(
        **{"session of port 8001": f"pulsekit-8000={other.exchange(other.token)}"}
    )
    refused = access.refusal(path, method, headers)
    assert (200 if refused is None else refused[0]) == status


def test_the_token_is_accepted_once() -> None:
    access = Access(8000)
    token = access.token
    assert len(token) >= 43
    for wrong in ("", "wrong", token[:-1], None, 1, "ü", "\ud800"):
        assert access.exchange(wrong) is None
    assert access.exchange(token)
    assert access.exchange(token) is None
    assert access.exchange("") is None


async def test_the_server_answers_only_its_own_page_with_its_policy(tmp_path: Path) -> None:
    recording = tmp_path / "empty.ndjson"
    recording.write_text("")
    async with RecordedSource(recording) as source, opened(source) as visitor:
        again = await visitor.post("/api/login", {"token": visitor.token})
        page = await visitor.ask("/", cookie=None)
        script = await visitor.ask("/page/main.js", cookie=None)
        answers = [
            page,
            script,
            again,
            await visitor.ask("/page/..%2faccess.py"),
            await visitor.ask("/page/access.py"),
            await visitor.ask("/api/exchanges"),
            await visitor.ask("/api/exchanges", cookie=None),
            await visitor.ask("/", host="evil.example"),
            await visitor.ask("/api/exchanges", sec_fetch_site="cross-site"),
            await visitor.post("/api/clear", {}, origin="http://evil.example"),
            await visitor.post("/api/bindings", "x" * 70_000),
            await visitor.post("/api/bindings", []),
            await visitor.post("/api/bindings", {"exchange": "exchange/me/x"}),
            await visitor.ask("/api/events?after=x"),
            await visitor.ask("/api/recording", "POST", {}),
        ]
        statuses = [200, 200, 403, 404, 404, 200, 401, 421, 403, 403, 400, 400, 400, 400, 405]
        assert [answer.status for answer in answers] == statuses
        for answer in answers:
            assert answer.headers["content-security-policy"] == POLICY
            assert answer.headers["cache-control"] == "no-store"
            assert answer.headers["x-content-type-options"] == "nosniff"
            assert answer.headers["cross-origin-resource-policy"] == "same-origin"
            assert "access-control-allow-origin" not in answer.headers
        assert page.headers["content-type"] == "text/html; charset=utf-8"
        assert script.headers["content-type"].startswith("text/javascript")
        assert visitor.cookie.startswith(f"pulsekit-{visitor.host.rpartition(':')[2]}=")
        assert {*visitor.flags} == {"HttpOnly", "SameSite=strict", "Path=/api"}
