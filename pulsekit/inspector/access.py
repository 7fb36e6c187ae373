"""The requests that the inspector answers: only those of its own page, opened by the user who started the command.

Programs and web sites that are open on this machine can send requests to loopback. So the messages are protected:

- The `Host` must be that of the printed address, which stops DNS rebinding.
- The token of the printed address is accepted once, in exchange for a cookie that scripts and other sites cannot use
  (`HttpOnly`, `SameSite=Strict`). All requests for data need the cookie.
- A request for data from another site is refused by `Sec-Fetch-Site` and `Origin`
  (https://www.w3.org/TR/fetch-metadata/), and a request that changes something needs an `Origin`.
- The policy of the page allows its own files and nothing else: no inline script or style, no other host, no HTML from
  text (https://www.w3.org/TR/CSP3/, https://www.w3.org/TR/trusted-types/).
"""

from __future__ import annotations

import secrets
from http import HTTPStatus
from typing import TYPE_CHECKING

from starlette.datastructures import Headers, MutableHeaders
from starlette.requests import cookie_parser
from starlette.responses import PlainTextResponse

if TYPE_CHECKING:
    from collections.abc import Mapping

    from starlette.types import ASGIApp, Message, Receive, Scope, Send

__all__ = ["Access", "Guard"]

POLICY = (
    "default-src 'none'; script-src 'self'; style-src 'self'; connect-src 'self'; base-uri 'none'; form-action 'none'; "
    "frame-ancestors 'none'; require-trusted-types-for 'script'; trusted-types 'none'"
)
_HEADERS = {
    "content-security-policy": POLICY,
    "cache-control": "no-store",
    "cross-origin-opener-policy": "same-origin",
    "cross-origin-resource-policy": "same-origin",
    "permissions-policy": "camera=(), geolocation=(), microphone=()",
    "referrer-policy": "no-referrer",
    "x-content-type-options": "nosniff",
    "x-frame-options": "DENY",
}
_SAFE = {"GET", "HEAD"}
API = "/api/"
LOGIN = "/api/login"


class Access:
    """The token, the cookie and the hosts of one run.

    Attributes:
        token: the token for the address, or an empty text once it was exchanged.
        cookie: the name of the cookie, with the port, because cookies are shared by all ports of a host.
    """

    def __init__(self, port: int) -> None:
        self.token: str = secrets.token_urlsafe(32)
        self.cookie: str = f"pulsekit-{port}"
        self._session = secrets.token_urlsafe(32)
        self.hosts: frozenset[str] = frozenset({f"127.0.0.1:{port}", f"localhost:{port}"})

    def exchange(self, token: object) -> str | None:
        """Return the value of the cookie for the right token, but only once. Return None for any other token."""
        given = token if isinstance(token, str) else ""
        if not self.token or not secrets.compare_digest(given.encode("utf-8", "replace"), self.token.encode()):
            return None
        self.token = ""
        return self._session

    def refusal(self, path: str, method: str, headers: Mapping[str, str]) -> tuple[HTTPStatus, str] | None:
        """Return the status and the reason if a request is refused, or None."""
        host = headers.get("host", "")
        if host not in self.hosts:
            return HTTPStatus.MISDIRECTED_REQUEST, "open the address that pulsekit inspector printed"
        if "origin" in headers and headers["origin"] != f"http://{host}":
            return HTTPStatus.FORBIDDEN, "a request from another site"
        if method not in _SAFE and "origin" not in headers:
            return HTTPStatus.FORBIDDEN, "a request without an origin"
        if not path.startswith(API):
            return None
        if headers.get("sec-fetch-site", "same-origin") != "same-origin":
            return HTTPStatus.FORBIDDEN, "a request from another site"
        if method not in _SAFE and headers.get("content-type") != "application/json":
            return HTTPStatus.UNSUPPORTED_MEDIA_TYPE, "the content type must be application/json"
        given = cookie_parser(headers.get("cookie", "")).get(self.cookie, "")
        if path != LOGIN and not secrets.compare_digest(given.encode("utf-8", "replace"), self._session.encode()):
            return HTTPStatus.UNAUTHORIZED, "open the address that pulsekit inspector printed, which has a token"
        return None


class Guard:
    """An ASGI application that passes only permitted requests, and adds the headers of the policy to all responses."""

    def __init__(self, app: ASGIApp, access: Access) -> None:
        self._app = app
        self._access = access

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer one request."""

        async def send_with_policy(message: Message) -> None:
            if message["type"] == "http.response.start":
                MutableHeaders(scope=message).update(_HEADERS)
            await send(message)

        app = self._app
        if scope["type"] == "http":
            headers = Headers(scope=scope)
            twice = [name for name in ("host", "origin", "cookie") if len(headers.getlist(name)) > 1]
            refused = self._access.refusal(scope["path"], scope["method"], headers)
            if twice:
                refused = HTTPStatus.BAD_REQUEST, f"more than one header {twice[0]}"
            if refused is not None:
                app = PlainTextResponse(refused[1], refused[0])
        await app(scope, receive, send_with_policy)
