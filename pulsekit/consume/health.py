"""Health and metrics of running workers over HTTP, on loopback.

- `/live`: 200 while the event loop runs. If an `async def` handler blocks the event loop, the answer is late.
- `/ready`: 200 if every worker receives messages, else 503 with a line for each worker.
- `/metrics`: the counters as OpenMetrics 1.0
  (https://github.com/prometheus/OpenMetrics/blob/main/specification/OpenMetrics.md).

Plan: a connection has one request, which must be GET. The size and the duration of a request and the number of
connections are limited, so that no client can exhaust the memory.
"""

from __future__ import annotations

import asyncio
from contextlib import asynccontextmanager
from http import HTTPStatus
from typing import TYPE_CHECKING

from pulsekit.errors import ConfigurationError
from pulsekit.instrumentation.openmetrics import CONTENT_TYPE, Family, exposition, label

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from pulsekit.consume.running import RunningWorker
    from pulsekit.consume.workers import Workers

__all__ = ["metrics", "serve_health"]

_HOST = "127.0.0.1"
_MAX_HEAD = 8192  # bytes of the head of a request
_MAX_CONNECTIONS = 16
_TIMEOUT = 5.0  # seconds for one request
_TEXT = "text/plain; charset=utf-8"


@asynccontextmanager
async def serve_health(workers: Workers, port: int = 0) -> AsyncIterator[str]:
    """Serve health and metrics within the block, and yield the URL, such as `http://127.0.0.1:9100`.

    Args:
        workers: the workers.
        port: the port on loopback. 0 means any free port.

    Raises:
        ConfigurationError: Raised when the port is in use, or is not a port.
    """
    connections: set[asyncio.Task[None]] = set()

    async def connected(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None
        connections.add(task)
        try:
            if len(connections) <= _MAX_CONNECTIONS:
                async with asyncio.timeout(_TIMEOUT):
                    await _serve(workers, reader, writer)
        except (TimeoutError, OSError, asyncio.IncompleteReadError, asyncio.LimitOverrunError, asyncio.CancelledError):
            pass  # the client is slow, gone or does not use HTTP, or the server closes
        finally:
            connections.discard(task)
            writer.transport.abort() if writer.transport.get_write_buffer_size() else writer.close()

    if not 0 <= port <= 65535:  # uvloop would use another port
        raise ConfigurationError(f"cannot serve HTTP on port {port} of {_HOST}: a port is a number from 0 to 65535")
    try:
        server = await asyncio.start_server(connected, _HOST, port, limit=_MAX_HEAD)
    except OSError as error:
        raise ConfigurationError(f"cannot serve HTTP on port {port} of {_HOST}: {error.strerror or error}") from error
    try:
        yield f"http://{_HOST}:{server.sockets[0].getsockname()[1]}"
    finally:
        server.close()
        for task in connections:
            task.cancel()
        if connections:
            await asyncio.wait(connections, timeout=_TIMEOUT)


async def _serve(workers: Workers, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    head = await reader.readuntil(b"\r\n\r\n")
    method, _, rest = head.partition(b" ")
    path = rest.partition(b" ")[0].partition(b"?")[0]
    status, body, kind = HTTPStatus.OK, "live\n", _TEXT
    if method != b"GET":
        status, body = HTTPStatus.METHOD_NOT_ALLOWED, "only GET is allowed\n"
    elif path == b"/ready":
        status = HTTPStatus.OK if workers.ready else HTTPStatus.SERVICE_UNAVAILABLE
        body = "".join(f"{worker.name}: {_state(workers, worker)}\n" for worker in workers.workers)
    elif path == b"/metrics":
        body, kind = metrics(workers), CONTENT_TYPE
    elif path != b"/live":
        status, body = HTTPStatus.NOT_FOUND, "try /live, /ready or /metrics\n"
    content = body.encode()
    headers = [f"Content-Type: {kind}", f"Content-Length: {len(content)}", "Cache-Control: no-store", "Allow: GET"]
    lines = [f"HTTP/1.1 {status.value} {status.phrase}", *headers, "Connection: close", "", ""]
    writer.write("\r\n".join(lines).encode() + content)
    await writer.drain()


def _state(workers: Workers, worker: RunningWorker) -> str:
    if workers.stopping:
        return "stopping"
    return "ready" if worker.ready else "ended" if worker.opened and worker.source is None else "connecting"


def metrics(workers: Workers) -> str:
    """Return the counters of workers as OpenMetrics."""
    all_workers = [(label("worker", worker.name), worker) for worker in workers.workers]
    sources = [(label, worker.source) for label, worker in all_workers if worker.source is not None]
    families: list[Family] = [
        ("pulsekit_worker_ready", "gauge", "Whether the worker receives messages.",
         [("", label, int(worker.ready)) for label, worker in all_workers]),
        ("pulsekit_messages_handled", "counter", "Calls of the handler that ended, by outcome.",
         [("_total", f'{label},outcome="{outcome}"', count) for label, worker in all_workers
          for outcome, count in (("success", worker.succeeded), ("failure", worker.failed))]),
        ("pulsekit_handler_seconds", "summary", "How long the calls of the handler lasted.",
         [sample for label, worker in all_workers
          for sample in (("_count", label, worker.succeeded + worker.failed), ("_sum", label, worker.seconds))]),
        ("pulsekit_handlers_running", "gauge", "Calls of the handler that run.",
         [("", label, len(worker.running)) for label, worker in all_workers]),
        ("pulsekit_handler_oldest_start_timestamp_seconds", "gauge", "When the oldest call that runs began.",
         [("", label, min(worker.running.values())) for label, worker in all_workers if worker.running]),
        ("pulsekit_messages_poison", "counter", "Poison messages that did not reach the handler.",
         [("_total", label, source.poison) for label, source in sources]),
        ("pulsekit_messages_stale", "counter", "Messages that were settled after their connection was lost.",
         [("_total", label, source.stale) for label, source in sources]),
        ("pulsekit_reconnects", "counter", "Times that the subscription was restored.",
         [("_total", label, source.gaps) for label, source in sources]),
    ]  # fmt: skip
    return exposition(families)
