"""Serve the page and its data on loopback: files, rows as server-sent events, details on demand, and the recording.

The stream `/api/events` sends the event `rows` for each batch of entries, and `state` when the state of the source
changed. The id of a `rows` event is the number of its last entry, so that a browser continues after this entry when it
reconnects (`Last-Event-ID`, https://html.spec.whatwg.org/multipage/server-sent-events.html). A batch is made when the
browser accepts more data, so no queue grows for a slow page. The next batch of a slow page begins with the oldest entry
in the ring, and contains the number of missed entries.
"""

from __future__ import annotations

import asyncio
import json
import socket
import tempfile
from contextlib import contextmanager
from functools import cached_property
from http import HTTPStatus
from importlib.resources import files
from pathlib import Path
from typing import TYPE_CHECKING, Any

import uvicorn
from starlette.applications import Starlette
from starlette.background import BackgroundTask
from starlette.exceptions import HTTPException
from starlette.responses import FileResponse, JSONResponse, PlainTextResponse, Response, StreamingResponse
from starlette.routing import Route

from pulsekit.bindings.inspector_link import write_link
from pulsekit.catalogue import known_exchanges, read_bindings
from pulsekit.errors import BrokerRefused, ConfigurationError, NetworkError, PulsekitError
from pulsekit.inspector.access import LOGIN, Access, Guard
from pulsekit.inspector.reader import Reader, tail_command
from pulsekit.messages import Gap, Message
from pulsekit.recordings.recorder import Recorder
from pulsekit.records.expressions import Filter
from pulsekit.records.record import message_record

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable, Iterator, Sequence

    from starlette.requests import Request

    from pulsekit.inspector.ring import Entry
    from pulsekit.inspector.sources import Source

__all__ = ["serve"]

_BATCH = 2000  # entries for one event; on a busy machine, there are few events per second
_PAUSE = 0.1  # seconds between two batches of a live source
_STATE = 1.0  # seconds without an entry after which the state is sent, if it has changed
_PING = 15.0  # seconds after which a comment keeps the connection open
_MOST = 64 * 1024  # bytes in the body of a request
_SLICE = 100  # entries that are filtered or recorded at once
_TYPES = {".html": "text/html", ".css": "text/css", ".js": "text/javascript", ".svg": "image/svg+xml"}


async def serve(
    source: Source, *, reader: Reader | None = None, port: int = 0, on_address: Callable[[str], object] | None = None
) -> None:
    """Serve the page until the caller cancels.

    Args:
        source: the open source of the messages.
        reader: makes rows and details from messages.
        port: the port on 127.0.0.1. The default is any free port.
        on_address: called once the page is served, with the address to open, which contains the token.

    Raises:
        OSError: Raised when the port is in use.
    """
    with socket.socket() as listener:
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listener.bind(("127.0.0.1", port))
        listener.listen()  # a browser that opens the address at once waits until the server has started
        port = listener.getsockname()[1]
        access = Access(port)
        pages = _Pages(source, reader or Reader(), access)
        server = _Server(
            uvicorn.Config(
                Guard(pages.app, access), http="h11", ws="none", lifespan="off", log_config=None, access_log=False,
                server_header=False, date_header=False, proxy_headers=False, limit_concurrency=64,
                timeout_graceful_shutdown=2,
            )
        )  # fmt: skip
        if on_address is not None:
            address = f"http://127.0.0.1:{port}/"
            on_address(f"{write_link(source.bindings, address) if source.bindings else address}#{access.token}")
        serving = asyncio.ensure_future(server.serve([listener]))
        try:
            await asyncio.shield(serving)
        finally:
            server.should_exit = True
            pages.closing.set()
            await asyncio.wait([serving])


class _Server(uvicorn.Server):
    """A server that does not handle signals. The caller handles them."""

    @contextmanager
    def capture_signals(self) -> Iterator[None]:
        yield


class _Pages:
    """The handlers of permitted requests."""

    def __init__(self, source: Source, reader: Reader, access: Access) -> None:
        self.closing = asyncio.Event()
        self._source = source
        self._reader = reader
        self._access = access
        self._files = {
            path.name: (path.read_bytes(), _TYPES[Path(path.name).suffix])
            for path in files("pulsekit.inspector").joinpath("page").iterdir()
            if Path(path.name).suffix in _TYPES
        }
        self.app = Starlette(
            routes=[
                Route("/", self._file),
                Route("/page/{name}", self._file),
                Route(LOGIN, self._log_in, methods=["POST"]),
                Route("/api/events", self._events),
                Route("/api/exchanges", self._exchanges),
                Route("/api/bindings", self._change_bindings, methods=["POST"]),
                Route("/api/clear", self._clear, methods=["POST"]),
                Route("/api/messages/{number:int}", self._message),
                Route("/api/messages/{number:int}/{form}", self._text),
                Route("/api/recording", self._recording),
                Route("/api/command", self._command),
            ],
            exception_handlers={PulsekitError: _refused, ValueError: _refused},
        )

    async def _file(self, request: Request) -> Response:
        found = self._files.get(request.path_params.get("name", "index.html"))
        if found is None:
            raise HTTPException(HTTPStatus.NOT_FOUND, "there is no such page")
        return Response(found[0], media_type=found[1])

    async def _log_in(self, request: Request) -> Response:
        session = self._access.exchange((await _body(request)).get("token"))
        if session is None:
            words = "the token was used or is wrong: run pulsekit inspector again, and open the address that it prints"
            raise HTTPException(HTTPStatus.FORBIDDEN, words)
        response = Response(status_code=HTTPStatus.NO_CONTENT)
        response.set_cookie(self._access.cookie, session, httponly=True, samesite="strict", path="/api")
        return response

    async def _events(self, request: Request) -> Response:
        last = int(request.headers.get("last-event-id", request.query_params.get("after", "0")))
        chosen, ring = _filter(request), self._source.ring
        cursor = min(last or ring.first - 1, ring.last)  # for a new page, no entry counts as missed
        return StreamingResponse(self._stream(cursor, chosen), media_type=_EVENTS)

    async def _stream(self, cursor: int, chosen: Filter | None) -> AsyncIterator[str]:
        """Yield the events of one page, starting after the entry `cursor`."""
        ring, time = self._source.ring, asyncio.get_running_loop().time
        sent: dict[str, Any] = {}
        next_ping = next_state = time()
        yield "retry: 1000\n\n"  # milliseconds
        while not self.closing.is_set():
            if ring.last > cursor:
                missed = max(0, ring.first - cursor - 1)
                entries = ring.after(cursor, _BATCH)
                cursor = entries[-1].number if entries else ring.last
                rows = [self._reader.row(entry) async for entry in self._chosen(entries, chosen)]
                yield _event("rows", {"rows": rows, "missed": missed, "first": ring.first}, cursor)
                next_ping = time() + _PING
                await asyncio.sleep(_PAUSE if self._source.live else 0)
            else:
                await ring.wait(min(_STATE, max(0.0, next_ping - time())))
            if time() >= next_state:
                next_state = time() + _STATE
                if sent != (state := self._state(chosen)):
                    sent = state
                    yield _event("state", state)
                    next_ping = time() + _PING
            if time() >= next_ping:
                yield ":\n\n"
                next_ping = time() + _PING

    def _state(self, chosen: Filter | None) -> dict[str, Any]:
        source, ring = self._source, self._source.ring
        failed = ""
        if chosen is not None and ring.messages:
            failed = "; ".join(f"no message has {field}" for field in chosen.missing_fields)
            if chosen.failures:
                failed = f"the filter failed for {chosen.failures:,}: {chosen.failure}"
        return {
            "name": source.name,
            "live": source.live,
            "state": source.state,
            "problem": source.problem,
            "bindings": [
                {"exchange": one.exchange, "pattern": one.pattern, "problem": problem}
                for one, problem in source.bindings.items()
            ],
            "first": ring.first,
            "last": ring.last,
            "messages": ring.messages,
            "dropped": ring.dropped,
            "filter": failed,
        }

    async def _chosen(self, entries: Sequence[Entry], chosen: Filter | None) -> AsyncIterator[Entry]:
        """Yield the entries that a filter selects, and all gaps. The server answers other requests meanwhile."""
        for number, entry in enumerate(entries, 1):
            if chosen is None or isinstance(entry.value, Gap) or chosen.matches(message_record(entry.value)):
                yield entry
            if number % _SLICE == 0:
                await asyncio.sleep(0)

    async def _exchanges(self, request: Request) -> Response:  # noqa: ARG002 - starlette passes it
        return JSONResponse(self._known)

    @cached_property
    def _known(self) -> list[dict[str, str]]:
        return [
            {"exchange": one.name, "alias": one.alias, "title": one.title, "key": one.layout}
            for one in known_exchanges()
        ]

    async def _change_bindings(self, request: Request) -> Response:
        body = await _body(request)
        exchange, pattern = body.get("exchange"), body.get("pattern", "#")
        if not isinstance(exchange, str) or not isinstance(pattern, str) or not self._source.live:
            raise ConfigurationError(
                "a binding needs an exchange and a pattern, and the bindings of a recording cannot change"
            )
        change = self._source.remove if body.get("remove") is True else self._source.add
        for binding in read_bindings(f"{exchange.strip()}:{pattern.strip() or '#'}"):
            await change(binding)
        return JSONResponse(self._state(None))

    async def _clear(self, request: Request) -> Response:  # noqa: ARG002 - starlette passes it
        self._source.ring.clear()
        return JSONResponse(self._state(None))

    async def _message(self, request: Request) -> Response:
        bound = [binding for binding, problem in self._source.bindings.items() if not problem]
        details = await asyncio.to_thread(self._reader.details, self._entry(request), bound)
        return Response(json.dumps(details), media_type="application/json")

    async def _text(self, request: Request) -> Response:
        text = await asyncio.to_thread(self._reader.text, self._entry(request), request.path_params["form"])
        return PlainTextResponse(text.encode("utf-8", "backslashreplace"))

    def _entry(self, request: Request) -> Entry:
        return self._in_memory(request.path_params["number"])

    def _in_memory(self, number: int) -> Entry:
        entry = self._source.ring.get(number)
        if entry is None:
            raise HTTPException(HTTPStatus.NOT_FOUND, "the message is no longer in memory")
        return entry

    async def _recording(self, request: Request) -> Response:
        """Answer with a recording of the messages that are in the ring at this moment."""
        chosen, ring = _filter(request), self._source.ring
        only = request.query_params.get("only")
        wanted = [self._in_memory(int(only))] if only else ring.after(0, ring.last)
        entries = [one.value async for one in self._chosen(wanted, chosen)]
        folder = tempfile.TemporaryDirectory(prefix="pulsekit-inspector-")
        path = Path(folder.name) / "messages.ndjson"
        bindings = [str(binding) for binding in self._source.bindings]
        try:
            await asyncio.to_thread(_record, path, bindings, entries)
        except BaseException:
            folder.cleanup()
            raise
        return FileResponse(
            path, media_type="application/x-ndjson", filename=path.name, background=BackgroundTask(folder.cleanup)
        )

    async def _command(self, request: Request) -> Response:
        chosen = _filter(request)  # the page checks a filter by this request, because a stream cannot report its error
        return PlainTextResponse(tail_command(self._source.bindings, "" if chosen is None else chosen.text))


_EVENTS = "text/event-stream"


def _record(path: Path, bindings: list[str], entries: list[Message | Gap]) -> None:
    with Recorder(path, bindings=bindings) as recorder:
        for begin in range(0, len(entries), _SLICE):
            recorder.write(entries[begin : begin + _SLICE])


def _filter(request: Request) -> Filter | None:
    text = request.query_params.get("filter", "")
    return Filter(text) if text.strip() else None


async def _body(request: Request) -> dict[str, Any]:
    """Return the JSON object in the body of a request.

    Raises:
        ValueError: Raised when the body is too large, or not a JSON object.
    """
    data = b""
    async for part in request.stream():
        data += part
        if len(data) > _MOST:
            raise ValueError("the request is too large")
    body = json.loads(data)
    if not isinstance(body, dict):
        raise ValueError("the request is not a JSON object")  # noqa: TRY004 - the text of the request is wrong
    return body


def _event(kind: str, data: Any, number: int | None = None) -> str:
    head = "" if number is None else f"id: {number}\n"
    return f"{head}event: {kind}\ndata: {json.dumps(data)}\n\n"  # in ASCII, so lone surrogates are possible


async def _refused(request: Request, error: Exception) -> Response:  # noqa: ARG001 - starlette passes it
    status = HTTPStatus.CONFLICT if isinstance(error, BrokerRefused | NetworkError) else HTTPStatus.BAD_REQUEST
    return PlainTextResponse(str(error).encode("utf-8", "backslashreplace"), status)
