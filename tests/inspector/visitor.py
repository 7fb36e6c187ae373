"""A visitor of the inspector's page: a small HTTP client that sends the headers of a browser, or others."""

from __future__ import annotations

import asyncio
import json
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from pulsekit.inspector import Reader, Source, serve

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

__all__ = ["Answer", "Visitor", "opened"]


@dataclass(frozen=True, slots=True)
class Answer:
    status: int
    headers: dict[str, str]
    body: bytes

    @property
    def json(self) -> Any:
        return json.loads(self.body)


@dataclass
class Visitor:
    """The address has the port and the token of the page."""

    address: str
    cookie: str = ""
    flags: list[str] = field(default_factory=list)

    @property
    def host(self) -> str:
        return self.address.split("/")[2]

    @property
    def token(self) -> str:
        return self.address.partition("#")[2]

    @asynccontextmanager
    async def request(
        self, path: str, method: str = "GET", body: Any = None, **headers: str | None
    ) -> AsyncIterator[tuple[Answer, asyncio.StreamReader]]:
        data = b"" if body is None else json.dumps(body).encode()
        sent = {"host": self.host, "connection": "close", "cookie": self.cookie, "sec-fetch-site": "same-origin"}
        if body is not None:
            sent |= {
                "origin": f"http://{self.host}", "content-type": "application/json", "content-length": str(len(data)),
            }  # fmt: skip
        given = {name.replace("_", "-"): value for name, value in headers.items()}
        text = "".join(f"{name}: {value}\r\n" for name, value in (sent | given).items() if value is not None)
        reader, writer = await asyncio.open_connection("127.0.0.1", int(self.host.rpartition(":")[2]))
        try:
            writer.write(f"{method} {path} HTTP/1.1\r\n{text}\r\n".encode() + data)
            head = (await reader.readuntil(b"\r\n\r\n")).decode()
            first, *rest = head.split("\r\n")
            pairs = [line.partition(": ")[::2] for line in rest if line]
            yield Answer(int(first.split()[1]), {name.lower(): value for name, value in pairs}, b""), reader
        finally:
            writer.close()
            await writer.wait_closed()

    async def ask(self, path: str, method: str = "GET", body: Any = None, **headers: str | None) -> Answer:
        async with self.request(path, method, body, **headers) as (answer, reader):
            whole = await reader.read()
        return Answer(answer.status, answer.headers, whole)

    async def post(self, path: str, body: Any, **headers: str | None) -> Answer:
        return await self.ask(path, "POST", body, **headers)

    async def log_in(self) -> Answer:
        answer = await self.post("/api/login", {"token": self.token})
        self.cookie, *self.flags = answer.headers.get("set-cookie", "").split("; ")
        return answer

    async def events(self, query: str = "", **headers: str) -> AsyncIterator[tuple[str, int, Any]]:
        """Yield the kind, the id and the data of each event, until the caller stops."""
        async with self.request(f"/api/events?{query}", **headers) as (answer, reader):
            assert answer.status == 200
            number = 0
            kind = ""
            while size := int(await reader.readline() or b"0", 16):
                chunk = (await reader.readexactly(size + 2)).decode()
                for line in chunk.splitlines():
                    name, _, value = line.partition(": ")
                    if name == "id":
                        number = int(value)
                    elif name == "event":
                        kind = value
                    elif name == "data":
                        yield kind, number, json.loads(value)

    async def rows(self, count: int, query: str = "", **headers: str) -> list[dict[str, Any]]:
        """Return the first rows of a stream."""
        found: list[dict[str, Any]] = []
        async for kind, _, data in self.events(query, **headers):
            if kind == "rows":
                found += data["rows"]
            if len(found) >= count:
                break
        return found[:count]


@asynccontextmanager
async def opened(source: Source, reader: Reader | None = None) -> AsyncIterator[Visitor]:
    """Serve a page, and return a visitor who opened the printed address."""
    printed: asyncio.Future[str] = asyncio.get_running_loop().create_future()
    serving = asyncio.create_task(serve(source, reader=reader, on_address=printed.set_result))
    try:
        await asyncio.wait([serving, printed], return_when=asyncio.FIRST_COMPLETED)
        visitor = Visitor(printed.result())
        assert (await visitor.log_in()).status == 204
        yield visitor
    finally:
        serving.cancel()
        await asyncio.wait([serving])
