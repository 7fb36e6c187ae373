"""Ctrl-C once and twice, and the signals of a service manager: the command ends with a message and cleans up."""

from __future__ import annotations

import asyncio
import fcntl
import json
import os
import re
import signal
import subprocess
from typing import TYPE_CHECKING

import pytest
from support.command import start
from support.proxy import Proxy
from support.terminal import CTRL_C, Terminal

if TYPE_CHECKING:
    from pathlib import Path

    from cli.contract.conftest import Place


def listeners(place: Place) -> str:
    """Return whether a queue is still bound to the unbound exchange; otherwise it is deleted and created again."""
    done = place.run("exchange delete {lonely}")
    if done.status == 0:
        place.run("exchange create {lonely}")
    return "" if done.status == 0 else done.err


def test_ctrl_c_ends_a_tail_and_its_queue_is_gone(place: Place) -> None:
    with Terminal("tail", place.lonely, folder=place.folder, url=place.url) as tail:
        tail.expect("listening on ")
        assert f"error: queues are bound to {place.lonely}" in listeners(place)
        place.run("publish job.yml --exchange {lonely} -d treeherder")
        tail.expect("treeherder.")
        tail.type(CTRL_C)
        assert tail.end() == 130
    assert "1 message in " in tail.plain
    assert "Traceback" not in tail.plain
    assert listeners(place) == ""


async def test_a_second_ctrl_c_does_not_wait_for_an_unresponsive_broker(place: Place) -> None:
    async with Proxy(place.url) as proxy:
        with Terminal("tail", place.lonely, folder=place.folder, url=proxy.url) as tail:
            await asyncio.to_thread(tail.expect, "listening on ")
            proxy.black_hole()
            tail.type(CTRL_C)
            await asyncio.to_thread(tail.expect, "0 messages in ")
            tail.type(CTRL_C)
            assert await asyncio.to_thread(tail.end) == 130
    assert "Traceback" not in tail.plain
    assert "Exception" not in tail.plain


@pytest.mark.parametrize("sent", [signal.SIGTERM, signal.SIGHUP])
def test_a_terminated_tail_prints_a_summary_and_exits_by_the_signal(place: Place, sent: signal.Signals) -> None:
    with start("tail", place.lonely, folder=place.folder, url=place.url) as tail:
        assert tail.stderr is not None
        assert tail.stderr.readline().startswith("listening on ")
        tail.send_signal(sent)
        err = tail.stderr.read()
    assert tail.returncode == -sent
    assert err.startswith("0 messages in ")
    assert listeners(place) == ""


@pytest.mark.parametrize(("sent", "status"), [(signal.SIGINT, 130), (signal.SIGTERM, -signal.SIGTERM)])
async def test_a_terminated_publish_prints_what_was_sent_and_what_is_unknown(
    place: Place, sent: signal.Signals, status: int
) -> None:
    job = (place.folder / "jobs.ndjson").read_text().splitlines(keepends=True)[0]
    words = place.words("publish --exchange {exchange} -d treeherder -o ndjson")
    async with Proxy(place.url) as proxy:
        with start(*words, folder=place.folder, url=proxy.url, stdin=subprocess.PIPE) as process:
            assert process.stdin is not None
            assert process.stdout is not None
            process.stdin.write(job * 3)
            process.stdin.flush()
            receipts = [await asyncio.to_thread(process.stdout.readline) for _ in range(3)]
            proxy.hold_answers()
            carried = proxy.carried
            process.stdin.write(job * 2)
            process.stdin.flush()
            while proxy.carried < carried + len(job):  # waits for both, because they are sent with one write
                await asyncio.sleep(0)
            process.send_signal(sent)
            _, err = await asyncio.to_thread(process.communicate)
    assert process.returncode == status
    assert all("message_id" in receipt for receipt in receipts)
    assert f"3 returned, to {place.exchange} in " in err
    assert "2 messages had no confirm and may have arrived" in err
    assert "to continue with the first job that has no receipt, add --skip 3" in err
    assert "Traceback" not in err


async def test_a_stopped_replay_prints_how_many_messages_were_not_sent(place: Place) -> None:
    job = json.loads((place.folder / "jobs.ndjson").read_text().splitlines()[0])
    record = {"v": 1, "exchange": place.exchange, "routing_key": "k", "payload": job}
    (place.folder / "recorded.ndjson").write_text(f"{json.dumps(record)}\n" * 3)
    words = place.words("replay recorded.ndjson --exchange {exchange} --every 1h -o ndjson")
    with start(*words, folder=place.folder, url=place.url) as process:
        assert process.stdout is not None
        receipt = await asyncio.to_thread(process.stdout.readline)
        process.send_signal(signal.SIGINT)
        _, err = await asyncio.to_thread(process.communicate)
    assert process.returncode == 130
    assert '"index":0' in receipt
    assert f"1 returned, to {place.exchange} in " in err
    assert "\n2 messages were not sent, or had no confirm\n" in err


async def test_a_stopped_publish_accounts_for_every_job_and_prints_skip(place: Place) -> None:
    total = 400
    job = (place.folder / "jobs.ndjson").read_text().splitlines(keepends=True)[0]
    (place.folder / "many.ndjson").write_text(job * total)
    words = place.words("publish many.ndjson --exchange {exchange} -d treeherder -d staging --window 4 -o ndjson")
    async with Proxy(place.url) as proxy:
        with start(*words, folder=place.folder, url=proxy.url) as process:
            assert process.stdout is not None
            receipts = [await asyncio.to_thread(process.stdout.readline)]
            proxy.hold_answers()
            process.send_signal(signal.SIGINT)
            out, err = await asyncio.to_thread(process.communicate)
            receipts += out.splitlines()
    assert process.returncode == 130
    counts = {
        what: int(number.replace(",", ""))
        for number, what in re.findall(
            r"^([\d,]+) (?:messages? )?(returned|had no confirm|(?:was|were) not sent)", err, re.MULTILINE
        )
    }
    assert counts["returned"] == len(receipts)
    assert sum(counts.values()) == 2 * total
    assert f"add --skip {len(receipts) // 2}\n" in err or len(receipts) < 2
    again = place.run(
        f"publish many.ndjson --exchange {{exchange}} -d treeherder -d staging --skip {len(receipts) // 2}"
    )
    assert len(again.out.splitlines()) == 2 * (total - len(receipts) // 2)


def test_ctrl_c_during_the_validation_sends_nothing(place: Place) -> None:
    job = (place.folder / "jobs.ndjson").read_text().splitlines(keepends=True)[0]
    (place.folder / "huge.ndjson").write_text(job * 60_000)
    words = place.words("publish huge.ndjson --exchange {lonely} -d treeherder")
    with Terminal(*words, folder=place.folder, url=place.url) as publish:
        publish.expect("validated ")
        publish.type(CTRL_C)
        assert publish.end() == 130
    assert "nothing was sent" in publish.plain
    assert "Traceback" not in publish.plain


def test_one_ctrl_c_ends_a_command_while_nothing_reads_its_output(tmp_path: Path) -> None:
    (tmp_path / "jobs.ndjson").write_text("{}\n" * 1000)
    reader, writer = os.pipe()
    fcntl.fcntl(writer, fcntl.F_SETPIPE_SZ, 4096)
    with start("validate", "jobs.ndjson", folder=tmp_path, stdout=writer) as process:
        os.close(writer)
        os.read(reader, 1)  # the rest of the write is larger than the pipe
        process.send_signal(signal.SIGINT)
        assert process.wait(timeout=40) == 130
        assert process.stderr is not None
        assert process.stderr.read() == ""
    os.close(reader)


def test_ctrl_c_ends_a_watch(place: Place) -> None:
    with Terminal("queue", "show", place.queue, "--watch", folder=place.folder, url=place.url) as watch:
        watch.expect(" 100 ")
        watch.type(CTRL_C)
        assert watch.end() == 130
    assert "Traceback" not in watch.plain


@pytest.mark.parametrize("line", ["queue purge {queue}", "register"])
def test_ctrl_c_at_a_question_means_no(place: Place, line: str) -> None:
    with Terminal(*place.words(line), folder=place.folder, url=place.url) as asking:
        asking.expect("[y/N]" if "purge" in line else "Exchange")
        asking.process.wait_until_asleep()
        asking.type(CTRL_C)
        assert asking.end() == 130
    assert "Traceback" not in asking.plain
    assert '"ready":100,' in place.run("queue show {queue}").out


def test_ctrl_c_ends_a_sandbox_and_the_command_within(place: Place) -> None:
    words = ("sandbox", "--port", "0", "--", "sh", "-c", "echo inside; exec sleep 60")
    with Terminal(*words, folder=place.folder) as sandbox:
        sandbox.expect("inside")
        sandbox.type(CTRL_C)
        assert sandbox.end() == 130
    assert "Traceback" not in sandbox.plain
