"""The data of the page, as a browser asks for it, on every broker."""

from __future__ import annotations

import asyncio
import json
import logging
import os
import signal
import socket
import subprocess
import sys
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

import pytest
from support.children import Child
from support.command import environment
from support.proxy import Proxy
from support.samples import JOBS
from support.taskcluster import GROUP, RUN, SLUG

import pulsekit
from inspector.visitor import opened
from pulsekit._amqp import methods
from pulsekit.bindings.registration import Binding
from pulsekit.inspector import LiveSource, Reader, RecordedSource, serve
from pulsekit.inspector.ring import Ring

if TYPE_CHECKING:
    from support.rabbitmq.broker import PulseUser

    from inspector.visitor import Visitor


async def send(pulse: pulsekit.Pulse, exchange: str, payloads: Any, key: str = "a.b", **more: Any) -> None:
    async for receipt in pulse.publisher(exchange, **more).publish_many((payload, key) for payload in payloads):
        receipt.check()


def numbered(first: int, last: int) -> list[dict[str, int]]:
    return [{"n": number} for number in range(first, last)]


async def bodies(visitor: Visitor, rows: list[dict[str, Any]]) -> list[int]:
    return [json.loads((await visitor.ask(f"/api/messages/{row['n']}/raw")).body)["n"] for row in rows]


async def test_a_message_has_a_row_and_all_its_details(pulse: pulsekit.Pulse, exchange: str) -> None:
    await pulse.create_exchange(exchange)
    registered = [("pulsekit.yml", [Binding(exchange, "treeherder.*._"), Binding(exchange, "x")])]
    async with (
        LiveSource(pulse, [Binding(exchange, "route.#")]) as source,
        opened(source, Reader(receivers=registered)) as visitor,
    ):
        await pulse.publisher(exchange).publish(
            JOBS[2],
            "treeherder.try._",
            cc=["route.index.x"],
            headers={"attempt": 2},
            properties=pulsekit.Properties(app_id="ci"),
        )
        (row,) = await visitor.rows(1)
        assert row["e"] == exchange
        assert row["k"] == "treeherder.try._"
        assert row["cc"] == 1
        assert row["ok"] is True
        assert row["job"] == ["M(bc3)", "testfailed", "test-linux-64/debug-browser-chrome-3"]
        details = (await visitor.ask(f"/api/messages/{row['n']}")).json
        assert details["cc"] == ["route.index.x"]
        assert details["headers"]["attempt"] == 2
        assert details["properties"]["app_id"] == "ci"
        assert details["matched"] == [
            {"binding": f"{exchange}:route.#", "key": "route.index.x", "words": details["matched"][0]["words"]}
        ]
        assert [(one["name"], one["binding"]) for one in details["receivers"]] == [
            ("pulsekit.yml", f"{exchange}:treeherder.*._")
        ]
        assert details["schema"] == {"name": "pulse-job", "problems": []}
        (verdict,) = details["treeherder"]
        assert verdict["outcome"] == "stored"
        assert (verdict["job"]["group"], verdict["job"]["symbol"], verdict["job"]["status"]) == (
            "M",
            "bc3",
            "testfailed",
        )
        texts = [
            (await visitor.ask(f"/api/messages/{row['n']}/{form}")).body.decode() for form in ("json", "yaml", "raw")
        ]
        assert json.loads(texts[0]) == json.loads(texts[2]) == JOBS[2]
        assert "\n  jobSymbol: bc\n" in texts[1]
        assert (await visitor.ask("/api/messages/2")).status == 404
        entry = source.ring.get(1)
        assert entry is not None
        assert not isinstance(entry.value._payload, dict)  # type: ignore[union-attr] # the limit is that of bodies


@pytest.mark.parametrize("broker", ["sandbox"], indirect=True)
async def test_the_command_that_is_copied_publishes_the_message_again(
    pulse: pulsekit.Pulse, user: PulseUser, exchange: str, tmp_path: Path
) -> None:
    await pulse.create_exchange(exchange)
    async with LiveSource(pulse, [Binding(exchange, "#")]) as source, opened(source) as visitor:
        for key in ("it's $(a) `b`", "\x1b[31m\u202e", "-x"):
            first = source.ring.last
            await pulse.publisher(exchange).publish(b'{"a" : 1}', key, cc=["c;d"])
            (row,) = await visitor.rows(1, f"after={first}")
            (tmp_path / "FILE").write_bytes((await visitor.ask(f"/api/recording?only={row['n']}")).body)
            command = (await visitor.ask(f"/api/messages/{row['n']}")).json["publish"]
            assert command.isprintable()
            words = f"{sys.executable} -m {command}"
            plain = environment(tmp_path, user.url, {"LC_ALL": "C"})  # a locale without the characters
            done = await asyncio.to_thread(
                subprocess.run, ["bash", "-c", words], env=plain, cwd=tmp_path, capture_output=True, check=False
            )
            assert done.returncode == 0, done.stderr
            again = await visitor.rows(1, f"after={row['n']}")
            assert (again[0]["k"], again[0]["cc"]) == (key, 1)
            assert (await visitor.ask(f"/api/messages/{again[0]['n']}/raw")).body == b'{"a" : 1}'


async def test_bindings_change_while_messages_flow_and_each_has_its_state(pulse: pulsekit.Pulse, exchange: str) -> None:
    await pulse.create_exchange(exchange)
    async with LiveSource(pulse) as source, opened(source) as visitor:
        refused = await visitor.post("/api/bindings", {"exchange": "exchange/nobody/v1/none", "pattern": "#"})
        assert refused.status == 409
        assert b"exchange/nobody/v1/none" in refused.body
        assert (await visitor.post("/api/bindings", {"exchange": "nonsense"})).status == 400
        added = await visitor.post("/api/bindings", {"exchange": exchange, "pattern": "a.#"})
        assert [bool(one["problem"]) for one in added.json["bindings"]] == [True, False]
        flowing = asyncio.create_task(send(pulse, exchange, numbered(0, 400)))
        for _ in range(5):
            for remove in (False, True):
                await visitor.post("/api/bindings", {"exchange": exchange, "pattern": "b.#", "remove": remove})
        await flowing
        await visitor.post("/api/bindings", {"exchange": exchange, "pattern": "b.#"})
        await send(pulse, exchange, numbered(400, 401), "b")
        rows = await visitor.rows(401)
        assert await bodies(visitor, [rows[0], *rows[398:]]) == [0, 398, 399, 400]
        await visitor.post("/api/bindings", {"exchange": exchange, "pattern": "b.#", "remove": True})
        await send(pulse, exchange, numbered(401, 402), "b")
        await send(pulse, exchange, numbered(402, 403))
        assert await bodies(visitor, await visitor.rows(1, f"after={rows[-1]['n']}")) == [402]


async def test_a_stream_continues_at_its_position_and_counts_missed_messages(
    pulse: pulsekit.Pulse, exchange: str
) -> None:
    await pulse.create_exchange(exchange)
    async with LiveSource(pulse, [Binding(exchange, "#")], Ring(count=10)) as source, opened(source) as visitor:
        await send(pulse, exchange, numbered(0, 5))
        first = await visitor.rows(5)
        last = str(first[-1]["n"])
        await send(pulse, exchange, numbered(5, 8))
        assert await bodies(visitor, await visitor.rows(3, "after=0", last_event_id=last)) == [5, 6, 7]
        await send(pulse, exchange, numbered(8, 30))
        while source.ring.last < 30:
            await source.ring.wait(10)
        async for kind, number, data in visitor.events(last_event_id=last):
            if kind == "rows":
                assert (len(data["rows"]), data["missed"], data["first"], number) == (10, 15, 21, 30)
            else:
                assert data["dropped"] == 20
                break
        async for _, _, data in visitor.events():  # of a page that is opened now
            assert (len(data["rows"]), data["missed"]) == (10, 0)
            break


async def test_a_filter_selects_rows_and_the_download(pulse: pulsekit.Pulse, exchange: str) -> None:
    await pulse.create_exchange(exchange)
    async with LiveSource(pulse, [Binding(exchange, "#")]) as source, opened(source) as visitor:
        await send(pulse, exchange, numbered(0, 300))
        assert len(await visitor.rows(300)) == 300
        chosen = "filter=payload.n+%3E%3D+%60298%60"
        assert await bodies(visitor, await visitor.rows(2, chosen)) == [298, 299]
        recording = (await visitor.ask(f"/api/recording?{chosen}")).body.splitlines()
        assert [json.loads(line).get("payload") for line in recording[1:-1]] == [{"n": 298}, {"n": 299}]
        only = (await visitor.ask("/api/recording?only=7")).body.splitlines()
        assert [json.loads(line).get("payload") for line in only[1:-1]] == [{"n": 6}]
        dropped = await visitor.ask("/api/recording?only=301")
        assert (dropped.status, dropped.body) == (404, b"the message is no longer in memory")
        wrong = await visitor.ask("/api/command?filter=payload.n%3E%3D")
        assert wrong.status == 400
        assert b"is not JMESPath" in wrong.body
        failing = "filter=sum(routing_key)"
        async for kind, _, data in visitor.events(failing):
            if kind == "state":
                assert data["filter"].startswith("the filter failed for 300: ")
                break
        async for kind, _, data in visitor.events("filter=payload.m"):
            if kind == "state":
                assert data["filter"] == "no message has payload.m"
                break
        command = (await visitor.ask(f"/api/command?{chosen}")).body.decode()
        assert command == f"pulsekit tail '{exchange}:#' --filter 'payload.n >= `298`'"
        cleared = await visitor.post("/api/clear", {})
        assert (cleared.json["messages"], cleared.json["dropped"], cleared.json["first"]) == (300, 0, 301)
        assert len((await visitor.ask("/api/recording")).body.splitlines()) == 2


async def test_the_download_equals_a_parallel_recording_except_for_times(
    pulse: pulsekit.Pulse, user: PulseUser, exchange: str, tmp_path: Path
) -> None:
    await pulse.create_exchange(exchange)
    command = [sys.executable, "-m", "pulsekit", "tail", exchange, "--save", "tail.ndjson", "-n", "33"]
    with Child(
        command, env=environment(tmp_path, user.url), cwd=tmp_path, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE
    ) as tail:
        assert tail.stderr.readline().startswith(b"listening on ")
        downloaded = await _downloaded(pulse, exchange)
        assert await asyncio.to_thread(tail.wait) == 0
    (tmp_path / "page.ndjson").write_bytes(downloaded)
    assert len([*pulsekit.read_recording(tmp_path / "page.ndjson")]) == 33

    def without_times(data: bytes) -> list[Any]:
        lines = [json.loads(line) for line in data.splitlines()]
        for line in lines:
            line.pop("received", None), line.pop("began", None), line.pop("sha256", None)
        return lines

    assert without_times(downloaded) == without_times((tmp_path / "tail.ndjson").read_bytes())


async def _downloaded(pulse: pulsekit.Pulse, exchange: str) -> bytes:
    """Publish 33 messages, and return what the page downloads of them."""
    async with LiveSource(pulse, [Binding(exchange, "#")]) as source, opened(source) as visitor:
        publisher = pulse.publisher(exchange)
        await publisher.publish(b'{"a" : 1.0,\n"a":2}', "k", cc=["x"], headers={"float": 1.5, "bytes": b"\xff"})
        await publisher.publish(b"\xff\x00 no text", "k", properties=pulsekit.Properties(content_type="text/plain"))
        await publisher.publish({"text": "ü\u202e\x1b日"}, "ü.#")
        await send(pulse, exchange, JOBS * 10)
        await visitor.rows(33)
        answer = await visitor.ask("/api/recording")
    assert answer.headers["content-disposition"] == 'attachment; filename="messages.ndjson"'
    return answer.body


async def test_a_lost_connection_is_a_gap_and_bindings_added_meanwhile_are_bound(
    user: PulseUser, exchange: str
) -> None:
    async with Proxy(user.url) as proxy, pulsekit.connect(user.url) as direct, pulsekit.connect(proxy.url) as pulse:
        await direct.create_exchange(exchange)
        async with LiveSource(pulse, [Binding(exchange, "a")]) as source, opened(source) as visitor:
            await send(direct, exchange, numbered(0, 1), "a")
            assert len(await visitor.rows(1)) == 1
            proxy.refuse()
            proxy.cut()
            async for kind, _, data in visitor.events():
                if kind == "state" and data["state"] == "reconnecting":
                    break
            waiting = await visitor.post("/api/bindings", {"exchange": exchange, "pattern": "b"})
            assert waiting.status == 200
            proxy.accept()
            async for kind, _, data in visitor.events():
                if (
                    kind == "state"
                    and data["state"] == "listening"
                    and not any(one["problem"] for one in data["bindings"])
                ):
                    break
            await send(direct, exchange, numbered(1, 2), "b")
            rows = await visitor.rows(3)
            assert rows[1]["gap"]["lossy"] is True
            assert await bodies(visitor, [rows[0], rows[2]]) == [0, 1]


@pytest.mark.parametrize("broker", ["sandbox"], indirect=True)
async def test_leaving_stops_the_bindings_of_every_gap(pulse: pulsekit.Pulse, exchange: str) -> None:
    await pulse.create_exchange(exchange)
    source = LiveSource(pulse, [Binding(exchange, "a")])
    async with source:
        source.bindings[Binding(exchange, "b")] = "waits for a connection"
        async with source._changing:  # a change of the bindings is in progress
            now = datetime.now(UTC)
            for _ in range(2):
                source._on_gap(pulsekit.Gap(now, now, 0, lossy=False))
            await source.__aexit__(None, None, None)
            left = [task for task in asyncio.all_tasks() if task.get_name() == "bind again"]
    assert left == []


async def test_a_queue_that_pulse_guardian_deletes_is_a_gap_and_replaced(pulse: pulsekit.Pulse, exchange: str) -> None:
    await pulse.create_exchange(exchange)
    async with LiveSource(pulse, [Binding(exchange, "#")]) as source, opened(source) as visitor:
        await send(pulse, exchange, numbered(0, 1))
        await visitor.rows(1)
        assert source._consumer is not None
        queue = source._consumer.queue
        link = await pulse._in.link()
        await link.ask(lambda channel: methods.delete_queue(channel, queue), "delete the queue")
        async for kind, _, data in visitor.events():
            if kind == "state" and data["problem"]:
                assert "was deleted" in data["problem"]
                assert data["state"] == "listening"
                break
        await send(pulse, exchange, numbered(1, 2))
        rows = await visitor.rows(3)
        assert rows[1]["gap"]["lossy"] is True
        assert await bodies(visitor, [rows[0], rows[2]]) == [0, 1]


async def test_a_page_that_does_not_read_uses_constant_memory(pulse: pulsekit.Pulse, exchange: str) -> None:
    await pulse.create_exchange(exchange)
    ring = Ring(count=200)
    async with LiveSource(pulse, [Binding(exchange, "#")], ring) as source, opened(source) as visitor:
        async with visitor.request("/api/events?after=0") as (_, reader):
            reader._limit = 1  # stop reading the socket  # type: ignore[attr-defined]
            text = {"text": "x" * 100}
            await send(pulse, exchange, [text] * 3000, "k" * 200)
            while ring.messages < 3000:
                await ring.wait(10)
            assert len(ring.after(0, 1000)) == 200
            assert ring.size < 200 * 2000
        async for kind, _, data in visitor.events():
            if kind == "rows":
                assert len(data["rows"]) == 200
                break


async def test_a_browser_can_connect_as_soon_as_the_address_is_printed(tmp_path: Path) -> None:
    (path := tmp_path / "jobs.ndjson").write_text("")
    connected: asyncio.Future[socket.socket] = asyncio.get_running_loop().create_future()

    def on_address(address: str) -> None:
        connected.set_result(socket.create_connection(("127.0.0.1", urlsplit(address).port or 0)))

    async with RecordedSource(path) as source:
        serving = asyncio.create_task(serve(source, on_address=on_address))
        await asyncio.wait([serving, connected], return_when=asyncio.FIRST_COMPLETED)
        with connected.result():
            pass
        serving.cancel()
        await asyncio.wait([serving])


async def test_a_recorded_payload_that_is_not_json_is_reported(tmp_path: Path) -> None:
    path = tmp_path / "jobs.ndjson"
    record = {"exchange": "exchange/me/x", "routing_key": "k"}
    path.write_text("".join(f"{json.dumps(record | {'payload': payload})}\n" for payload in (1, float("nan"), 2)))
    async with RecordedSource(path) as source, opened(source) as visitor:
        async for kind, _, data in visitor.events():
            if kind == "state" and data["state"] == "read":
                assert data["problem"].startswith(f"{path}: message 2: the payload cannot be written as JSON")
                assert data["messages"] == 1
                break


async def test_a_recording_is_shown_up_to_its_damage(tmp_path: Path) -> None:
    path = tmp_path / "jobs.ndjson"
    record = {
        "v": 1,
        "exchange": "exchange/me/x",
        "routing_key": "k",
        "payload": {"n": 1},
        "received": "2026-11-29T00:00Z",
    }
    gap = {
        "v": 1,
        "type": "gap",
        "from": "2026-11-29T00:00Z",
        "to": "2026-11-29T00:01Z",
        "seconds": 60,
        "lossy": True,
        "epoch": 2,
    }
    path.write_text("\n".join([json.dumps(record)] * 3 + [json.dumps(gap), "{damaged"]))
    async with RecordedSource(path) as source, opened(source) as visitor:
        rows = await visitor.rows(4)
        assert ["gap" in row for row in rows] == [False, False, False, True]
        async for kind, _, data in visitor.events():
            if kind == "state" and data["state"] == "read":
                assert "line 5" in data["problem"] or ":5" in data["problem"]
                assert (data["live"], data["name"], data["messages"]) == (False, str(path), 3)
                break


async def test_the_page_does_not_contain_the_login(
    user: PulseUser, exchange: str, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.DEBUG)
    async with pulsekit.connect(user.url) as pulse:
        await pulse.create_exchange(exchange)
        async with LiveSource(pulse, [Binding(exchange, "#")]) as source, opened(source) as visitor:
            await send(pulse, exchange, numbered(0, 1))
            seen = [str(await visitor.rows(1))]
            async for kind, _, data in visitor.events():
                if kind == "state":
                    seen.append(str(data))
                    break
            for path in ("/api/messages/1", "/api/recording", "/api/command", "/api/exchanges", "/"):
                seen.append((await visitor.ask(path)).body.decode())
            text = "".join(seen)
            assert user.password not in text
            assert visitor.token not in caplog.text
            assert visitor.cookie.partition("=")[2] not in caplog.text


def test_the_page_is_loaded_only_by_its_command_and_needs_the_extra() -> None:
    code = """
import sys
sys.modules["starlette"] = None
from pulsekit.cli import main
status = main(["inspector", "task-failed"])
assert not [name for name in sys.modules if name.startswith(("pulsekit.inspector", "uvicorn"))]
sys.exit(status)
"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert done.returncode == 2
    assert len(done.stderr.splitlines()) == 1
    assert "pip install 'treeherder-pulsekit[inspector]'" in done.stderr


def test_the_page_is_opened_without_its_token_in_a_process_list(tmp_path: Path) -> None:
    (tmp_path / "empty.ndjson").write_text("")
    opener = tmp_path / "browser"
    opened_by = tmp_path / "opened"
    os.mkfifo(opened_by)
    opener.write_text(f'#!/bin/sh\n{{ echo "$1"; stat -c %a "$(dirname "${{1#file://}}")"; }} > {opened_by}\n')
    opener.chmod(0o755)
    command = (sys.executable, "-m", "pulsekit", "inspector", "empty.ndjson", "--open")
    environment_ = environment(tmp_path, extra={"BROWSER": str(opener)})
    with Child(
        command, env=environment_, cwd=tmp_path, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    ) as run:
        address = run.stdout.readline().strip()
        assert "works once" in run.stderr.readline()
        url, mode = opened_by.read_text().split()  # waits for the browser
        page = Path(url.removeprefix("file://"))
        assert (mode, address.partition("#")[2] in url, address in page.read_text()) == ("700", False, True)
        run.send_signal(signal.SIGINT)
        assert run.wait() == 130
        assert not page.parent.exists()


async def test_a_message_of_a_known_exchange_is_judged_by_the_catalogue_and_as_a_task(tmp_path: Path) -> None:
    exchange = "exchange/taskcluster-queue/v1/task-failed"
    key = f"primary.{SLUG}.0.group.worker-7.gecko-t.t-linux.gecko-level-3.{GROUP}._"
    status = {
        "taskId": SLUG, "provisionerId": "gecko-t", "workerType": "t-linux", "taskQueueId": "gecko-t/t-linux",
        "schedulerId": "gecko-level-3", "projectId": "none", "taskGroupId": GROUP, "priority": "low",
        "deadline": "2026-11-24T18:00:00.000Z", "expires": "2027-11-23T18:00:00.000Z", "retriesLeft": 5,
        "state": "failed", "runs": [RUN | {"scheduled": "2026-11-23T17:55:00.000Z"}],
    }  # fmt: skip
    payload = {"version": 1, "status": status, "runId": 0, "workerGroup": "group", "workerId": "worker-7"}
    record = {"v": 1, "exchange": exchange, "routing_key": key, "cc": ["route.x"], "received": "2026-11-29T00:00:00Z"}
    record["properties"] = {"content_type": "application/json"}
    lines = [
        record | {"payload": payload},
        record | {"payload": payload | {"runId": "0"}},
    ]
    path = tmp_path / "tasks.ndjson"
    path.write_text("".join(f"{json.dumps(line)}\n" for line in lines))
    async with RecordedSource(path) as source, opened(source) as visitor:
        rows = await visitor.rows(2)
        assert rows[0]["ok"] is True
        assert "/runId" in rows[1]["bad"]
        details = (await visitor.ask("/api/messages/1")).json
        assert details["key"]["taskId"] == SLUG
        (receiver,) = details["receivers"]
        assert (receiver["name"], receiver["binding"], receiver["key"]) == ("Treeherder", f"{exchange}:#", key)
        assert [one["outcome"] for one in details["treeherder"]] == ["unknown"]  # without the definition of the task
