from __future__ import annotations

import asyncio
import json
import subprocess
import sys
from typing import TYPE_CHECKING

import pytest
from pamqp import commands
from pamqp.frame import marshal
from support.command import environment, pulsekit

from pulsekit._config.settings import login_name

if TYPE_CHECKING:
    from pathlib import Path

    from support.rabbitmq.broker import PulseUser

    from cli.conftest import OnTerminal


def test_a_healthy_setup_exits_0_with_one_record_a_check(user: PulseUser, tmp_path: Path) -> None:
    name = f"exchange/{user.name}/x"
    pulsekit("exchange", "create", name, folder=tmp_path, url=user.url)
    done = pulsekit("doctor", "--exchange", name, folder=tmp_path, url=user.url)
    pulsekit("exchange", "delete", name, folder=tmp_path, url=user.url)
    assert (done.status, done.err) == (0, "all checks passed\n")
    assert {record["status"] for record in done.records} == {"ok"}
    assert all(record.keys() == {"check", "status", "seconds", "detail", "hint"} for record in done.records)


def test_a_report_names_each_check_its_time_and_the_hint(user: PulseUser, tmp_path: Path) -> None:
    name = f"exchange/{user.name}/none"
    done = pulsekit("doctor", "-o", "pretty", "--exchange", name, folder=tmp_path, url=user.url)
    assert done.status == 5
    lines = {line[9:21].strip(): line for line in done.out.splitlines()}
    assert lines["login"].startswith("ok ")
    assert " ms  " in lines["login"]
    assert lines["exchange"].startswith("failed")
    assert lines["listening"].startswith("skipped")
    assert f"hint  run 'pulsekit exchange create {name}" in done.out
    assert "failed: exchange" in done.err
    assert user.password not in done.out + done.err


@pytest.mark.parametrize(
    ("url", "exchange", "status", "check"),
    [
        (None, "exchange/me/x", 2, "configuration"),
        ("amqp://me:hunter2@192.0.2.1/", "exchange/me/x", 2, "configuration"),
        ("amqps://me:hun/ter2@pulse.example/", "exchange/me/x", 2, "configuration"),
        ("amqp://me:hunter2@127.0.0.1:1/", "jobs", 2, "names"),
        ("amqp://me:hunter2@127.0.0.1:1/", "exchange/me/x", 4, "tcp"),
    ],
)
def test_the_first_failure_decides_the_exit_status(
    url: str | None, exchange: str, status: int, check: str, tmp_path: Path
) -> None:
    done = pulsekit("doctor", "--exchange", exchange, folder=tmp_path, url=url)
    assert done.status == status
    assert next(record["check"] for record in done.records if record["status"] == "failed") == check
    assert "ter2" not in done.out + done.err
    assert str(tmp_path) not in done.out + done.err


def test_an_invalid_configuration_is_a_failed_check(user: PulseUser, tmp_path: Path) -> None:
    (tmp_path / "pulsekit.yml").write_text("exchange: [1\n")
    done = pulsekit("doctor", folder=tmp_path, url=user.url)
    assert done.status == 2
    assert "pulsekit.yml:" in done.records[1]["detail"]


def test_it_fits_a_narrow_terminal(user: PulseUser, on_terminal: OnTerminal) -> None:
    done = on_terminal("doctor", columns=60, env={"PULSE_URL": user.url, "NO_COLOR": "1"})
    assert done.code == 0
    assert "skipped  exchange" in done.out
    assert max(map(len, done.out.splitlines())) <= 60


def test_an_invalid_option_is_a_usage_error(tmp_path: Path) -> None:
    done = pulsekit("doctor", "--timeout", "0", folder=tmp_path)
    assert (done.status, done.out) == (2, "")


def test_a_login_decides_before_the_environment_and_ends_with_the_command(
    call, folder, user: PulseUser, monkeypatch, tmp_path: Path
) -> None:
    (tmp_path / "pulsekit").mkdir()
    (tmp_path / "pulsekit" / "config.yml").write_text(f"logins: {{mine: {{url: '{user.url}'}}}}")
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path))
    monkeypatch.setenv("PULSE_URL", "amqps://hunter2:hunter2@192.0.2.1/")
    name = f"exchange/{user.name}/login"
    done = call("exchange", "create", name, "--login", "mine")
    assert done.code == 0, done.err
    assert done.err.startswith("--login mine: not using PULSE_URL of the environment\n")
    checked = call("doctor", "--login", "mine", "--exchange", name)
    assert checked.code == 0, checked.out
    assert "registrations from" not in checked.out  # the file has only logins
    assert call("exchange", "delete", name, "--login", "mine").code == 0
    both = call("tail", name, "--login", "mine", "--url", "amqps://me@h/")
    assert (both.code, both.err) == (
        2,
        "error: a URL and the login 'mine' both select the broker: remove one of them\n",
    )
    unknown = call("tail", name, "--login", "his")
    assert (unknown.code, unknown.err) == (2, "error: no login 'his': the logins are mine\n")
    assert login_name.get() is None


@pytest.fixture
def configured(folder: Path, tmp_path: Path) -> dict[str, str]:
    """An environment in which values are from an unreachable URL, two files, and a variable that is not read."""
    (tmp_path / "pulsekit").mkdir()
    (tmp_path / "pulsekit" / "config.yml").write_text(
        "password_command: pass --secret hunter2\nlogins: {work: {url: 'amqps://me:hunter2@work/'}}\n"
    )
    assert pulsekit("init", folder=folder).status == 0
    return {"XDG_CONFIG_HOME": str(tmp_path), "PULSE_URL": "amqps://me:hunter2@192.0.2.1/", "PULSE_PORT": "5671"}


@pytest.mark.parametrize("columns", [60, 80])
def test_each_setting_has_its_value_and_place_on_a_narrow_terminal(
    on_terminal: OnTerminal, configured: dict[str, str], columns: int
) -> None:
    done = on_terminal("doctor", "--config", columns=columns, env={**configured, "NO_COLOR": "1"})
    assert done.code == 0
    assert max(map(len, done.out.splitlines())) <= columns
    shown = " ".join(done.out.split())
    assert "url amqps://192.0.2.1:5671/ from PULSE_URL" in shown
    assert "user me from PULSE_URL" in shown
    assert "destinations treeherder from pulsekit.yml:10:15" in shown
    assert "schema pulse-job (default)" in shown
    assert "warning: PULSE_PORT is not read: PULSE_URL is" in shown
    assert "hunter2" not in shown


def test_settings_are_records_in_a_pipe(spawn, configured: dict[str, str]) -> None:
    done = spawn("doctor", "--config", "--login", "work", "--exchange", "exchange/me/x", env=configured)
    assert (done.code, done.err) == (0, "warning: PULSE_PORT is not read: PULSE_URL is\n")
    found = {one["setting"]: one for one in map(json.loads, done.out.splitlines())}
    assert all(one.keys() == {"setting", "value", "source", "place", "unused"} for one in found.values())
    assert found["url"]["value"] == "amqps://work:5671/"
    assert found["url"]["place"].endswith("config.yml:2:22")
    assert found["url"]["unused"] == ["PULSE_URL"]
    assert (found["exchange"]["source"], found["exchange"]["unused"]) == ("option", ["pulsekit.yml:6:11"])
    assert "hunter2" not in done.out
    refused = spawn("doctor", "--config", "--timeout", "1s", env=configured)
    assert (refused.code, refused.out) == (2, "")
    assert "remove --timeout, --live and --insecure" in refused.err


def test_a_live_report_names_no_user_and_no_host(user: PulseUser, tmp_path: Path) -> None:
    done = pulsekit("doctor", "--live", "-o", "pretty", folder=tmp_path, url=user.url)
    assert done.status == 0, done.err
    assert "create something: run doctor without --live" in done.out
    assert "9 checks passed, 5 skipped" in done.err
    assert "does not notice an alarm for memory or disk space" in done.err
    assert not [word for word in (user.name, user.password, "127.0.0.1") if word in done.out + done.err]
    assert pulsekit("doctor", "--live", "--config", folder=tmp_path).status == 2


async def test_a_live_report_has_no_warning_with_a_host(tmp_path: Path) -> None:
    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(marshal(commands.Connection.Start(mechanisms="PLAIN", server_properties={}), 0))
        await reader.read()  # and no other answer, which pulsekit warns about after 2 s
        writer.close()

    async with await asyncio.start_server(serve, "127.0.0.1", 0) as server:
        url = f"amqp://jane:x@127.0.0.1:{server.sockets[0].getsockname()[1]}/"
        done = await asyncio.to_thread(  # `support.command` removes this warning
            subprocess.run, (sys.executable, "-m", "pulsekit", "doctor", "--live", "--timeout", "3s"),
            env=environment(tmp_path, url), cwd=tmp_path, capture_output=True, text=True, timeout=50, check=False,
        )  # fmt: skip
    assert done.returncode == 4
    assert "failed: login" in done.stderr
    assert "127.0.0.1" not in done.stdout + done.stderr


@pytest.mark.parametrize(
    ("url", "said"),
    [
        ("amqp://jane:x@host.example/", "sent in clear text to another machine"),
        ("amqps://jane@host.example/", "no password for <host>"),
        ("amqp://jane%20doe:x@127.0.0.1:1/", "amqp://<user>:***@<host>:1/"),
    ],
)
def test_a_live_report_of_a_failure_names_no_user_and_no_folder(url: str, said: str, tmp_path: Path) -> None:
    folder = tmp_path / "jane doe" / "a project"
    (folder / "below").mkdir(parents=True)
    (folder / "pulsekit.yml").write_text("exchange: exchange/me/x\n")
    done = pulsekit("doctor", "--live", folder=folder / "below", url=url)
    assert done.status in {2, 4}
    assert said in done.out
    assert not [
        word for word in ("jane", "doe", "a project", "host.example", "127.0.0.1") if word in done.out + done.err
    ]
    assert said.startswith("amqp") == ("from …/pulsekit.yml" in done.out)
