"""The checks of `doctor`: the finding and the hint of each check."""

from __future__ import annotations

import asyncio
import contextlib
import socket
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING

import aio_pika
import pytest
import trustme
from support.proxy import Proxy, terminated

import pulsekit
from pulsekit._amqp.broker import Broker, parse_url
from pulsekit._config.settings import Settings
from pulsekit.diagnosis.checks import CHECKS, CheckResult, Status, run_checks

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable
    from pathlib import Path

    from support.rabbitmq.broker import PulseUser, RabbitMQ


async def diagnosis(
    url: str, exchange: str | None = None, *, configured: str | None = None, timeout: float = 10.0
) -> dict[str, CheckResult]:
    settings = Settings(exchange=configured)
    told: list[CheckResult] = []
    findings = await run_checks(
        lambda: (settings, parse_url(url)), exchange=exchange, timeout=timeout, on_finding=told.append
    )
    assert list(findings) == told
    assert [finding.check for finding in findings] == list(CHECKS)
    for finding in findings:
        assert bool(finding.hint) == (finding.status is Status.FAILED) == (finding.error is not None)
    return {finding.check: finding for finding in findings}


def failed(found: dict[str, CheckResult]) -> list[str]:
    return [name for name, finding in found.items() if finding.status is Status.FAILED]


def left_out(found: dict[str, CheckResult]) -> list[str]:
    return [name for name, finding in found.items() if finding.status is Status.SKIPPED]


@asynccontextmanager
async def server(answer: bytes | None) -> AsyncIterator[str]:
    """Serve one answer to every client on loopback and disconnect; without an answer, send nothing."""

    tasks: set[asyncio.Task[None]] = set()

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None
        tasks.add(task)
        with contextlib.suppress(OSError):
            if answer is not None:
                await reader.read(8)
                writer.write(answer)
            else:
                await reader.read()
            writer.close()
            await writer.wait_closed()

    async with await asyncio.start_server(serve, "127.0.0.1", 0) as running:
        yield f"127.0.0.1:{running.sockets[0].getsockname()[1]}"
    await asyncio.gather(*tasks)  # none, if the client gave up before its connection was accepted


async def test_all_checks_pass_and_nothing_is_left_behind(user: PulseUser, broker: RabbitMQ) -> None:
    exchange = f"exchange/{user.name}/x"
    async with pulsekit.connect(user.url) as pulse:
        await pulse.create_exchange(exchange)
        found = await diagnosis(user.url, exchange)
        assert {finding.status for finding in found.values()} == {Status.OK}
        assert found["exchange"].detail == f"{exchange} exists, durable and of type topic"
        assert ".".join(map(str, broker.version)) in found["amqp"].detail
        assert all(finding.seconds >= 0 for finding in found.values())
        await pulse.delete_exchange(exchange)  # if unused: no queue is bound to it


async def test_without_an_exchange_the_rest_is_checked(user: PulseUser) -> None:
    found = await diagnosis(user.url)
    assert (failed(found), left_out(found)) == ([], ["exchange", "listening"])
    assert found["publishing"].detail.startswith("the broker confirms messages")
    assert "--exchange" in found["exchange"].detail


async def test_an_alarm_of_the_broker_is_named(user: PulseUser, block: Callable[[], None]) -> None:
    await asyncio.to_thread(block)
    found = await diagnosis(user.url, timeout=5.0)
    assert failed(found) == ["publishing"]
    assert found["publishing"].detail.startswith("the broker blocks publishers: ")
    assert "memory or disk" in found["publishing"].hint
    assert found["queue types"].status is Status.OK


async def test_the_delivery_limit_is_that_of_the_release(user: PulseUser, broker: RabbitMQ) -> None:
    found = await diagnosis(user.url)
    limit = "a limit of 20" if broker.version >= (4,) else "no limit"
    assert found["queue types"].detail.startswith("classic and quorum")
    assert limit in found["queue types"].detail


async def test_a_live_diagnosis_only_looks_and_hides_the_user(user: PulseUser, broker: RabbitMQ) -> None:
    exchange = f"exchange/{user.name}/x"
    seen: list[str] = []
    async with Proxy(user.url) as proxy, pulsekit.connect(user.url) as pulse:
        await pulse.create_exchange(exchange)
        settings, url = Settings(exchange=exchange), proxy.url
        findings = await run_checks(lambda: (settings, parse_url(url)), live=True)
        seen += [f"{one.detail} {one.hint}" for one in findings]
        failures = await run_checks(lambda: (settings, parse_url(f"{url}nope")), live=True)
        seen += [f"{one.detail} {one.hint}" for one in failures]
        await pulse.delete_exchange(exchange)
    statuses = {one.check: one.status for one in findings}
    left = {name for name, status in statuses.items() if status is Status.SKIPPED}
    assert left == {"permissions", "publishing", "queue types", "listening"}
    assert set(statuses.values()) == {Status.OK, Status.SKIPPED}
    assert {one.check for one in failures if one.status is Status.FAILED} == {"virtual host"}
    assert not [text for text in seen if user.name in text or "127.0.0.1" in text or user.password in text]
    assert any("exchange/<user>/x exists" in text for text in seen)


async def test_a_missing_exchange_of_another_user_names_its_owner(user: PulseUser) -> None:
    mine = await diagnosis(user.url, f"exchange/{user.name}/none")
    assert (failed(mine), left_out(mine)) == (["exchange"], ["listening"])
    assert mine["exchange"].hint == f"run 'pulsekit exchange create exchange/{user.name}/none'"
    assert isinstance(mine["exchange"].error, pulsekit.NotFound)
    report = await diagnosis(user.url, "exchange/nobody/none")
    assert failed(report) == ["exchange"]
    assert "ask nobody to create it" in report["exchange"].hint


async def test_an_exchange_of_another_type_is_reported(user: PulseUser, broker: RabbitMQ) -> None:
    name = f"exchange/{user.name}/direct"
    async with await aio_pika.connect(broker.admin_url) as admin:
        channel = await admin.channel()
        await channel.declare_exchange(name, "direct", durable=True)
        found = await diagnosis(user.url, name)
        await channel.exchange_delete(name)
    assert failed(found) == ["exchange"]
    assert "not a durable topic exchange" in found["exchange"].detail


async def test_an_exchange_of_another_user_can_be_consumed_but_not_configured(
    user: PulseUser, broker: RabbitMQ
) -> None:
    other = broker.user()
    name = f"exchange/{other.name}/x"
    async with pulsekit.connect(other.url) as pulse:
        await pulse.create_exchange(name)
        listens = await diagnosis(user.url, name)
        publishes = await diagnosis(user.url, configured=name)
        await pulse.delete_exchange(name)
    assert failed(listens) == []
    assert "may consume from it, but not publish" in listens["names"].detail
    assert failed(publishes) == ["names"]
    assert f"set `exchange` to one of exchange/{user.name}/" in publishes["names"].hint


async def test_a_refused_login_differs_from_a_wrong_virtual_host(user: PulseUser, broker: RabbitMQ) -> None:
    login = await diagnosis(broker.admin_url.replace(":guest@", ":wrong@"))
    assert failed(login) == ["login"]
    assert isinstance(login["login"].error, pulsekit.LoginRefused)
    assert "%2F %40 %3A" in login["login"].hint
    vhost = await diagnosis(f"{user.url}nope")
    assert failed(vhost) == ["virtual host"]
    assert "'nope'" in vhost["virtual host"].detail
    assert "communitytc" in vhost["virtual host"].hint
    assert left_out(vhost) == list(CHECKS[CHECKS.index("permissions") :])


async def test_a_user_without_permission_to_create_queues_fails(rabbitmq: RabbitMQ) -> None:
    user = rabbitmq.user()
    rabbitmq.ctl("set_permissions", "-p", "/", user.name, "^$", "^$", "^$")
    found = await diagnosis(user.url)
    assert failed(found) == ["permissions"]
    assert isinstance(found["permissions"].error, pulsekit.AccessRefused)


async def test_a_closed_port_skips_all_checks_that_need_a_connection() -> None:
    found = await diagnosis("amqp://me:hunter2@127.0.0.1:1/", "exchange/me/x")
    assert failed(found) == ["tcp"]
    assert left_out(found) == list(CHECKS[CHECKS.index("tls") :])
    assert isinstance(found["tcp"].error, pulsekit.NetworkError)
    assert found["tls"].detail == "needs tcp"


async def test_an_unknown_host_is_reported(monkeypatch: pytest.MonkeyPatch) -> None:
    def unknown(*_: object, **__: object) -> None:
        raise socket.gaierror(socket.EAI_NONAME, "not known")

    monkeypatch.setattr(socket, "getaddrinfo", unknown)
    found = await diagnosis("amqps://me:hunter2@pulse.example/")
    assert failed(found) == ["dns"]
    assert "pulse.example" in found["dns"].detail
    assert left_out(found) == list(CHECKS[CHECKS.index("tcp") :])


async def test_a_cluster_host_that_is_down_is_reported_and_the_next_used(user: PulseUser) -> None:
    login, _, host = user.url.rpartition("@")
    found = await diagnosis(f"{login}@127.0.0.1:1,{host}")
    assert failed(found) == []
    assert "127.0.0.1:1" in found["tcp"].detail


@pytest.mark.parametrize(
    "answer", [b"HTTP/1.1 400 Bad Request\r\n\r\n", b"AMQP\x00\x01\x00\x00", b"\x01\x00\x00\x00\x00\x00\x02ab\xce"]
)
async def test_a_server_without_amqp_is_reported(answer: bytes) -> None:
    async with server(answer) as address:
        found = await diagnosis(f"amqp://me:hunter2@{address}/")
    assert failed(found) == ["amqp"]
    assert "does not use AMQP" in found["amqp"].detail
    assert left_out(found) == list(CHECKS[CHECKS.index("login") :])


async def test_a_server_that_closes_the_connection_may_need_tls() -> None:
    async with server(b"") as address:
        found = await diagnosis(f"amqp://me:hunter2@{address}/")
    assert failed(found) == ["amqp"]
    assert "amqps://" in found["amqp"].hint


@pytest.mark.parametrize(("scheme", "check"), [("amqp", "amqp"), ("amqps", "tls")])
async def test_an_unresponsive_server_is_not_awaited_for_ever(scheme: str, check: str) -> None:
    async with server(None) as address:
        found = await diagnosis(f"{scheme}://me:hunter2@{address}/", timeout=0.5)
    assert failed(found) == [check]
    assert isinstance(found[check].error, pulsekit.ConnectTimeout)


async def test_tls_to_a_clear_text_port_is_reported(user: PulseUser) -> None:
    found = await diagnosis(user.url.replace("amqp://", "amqps://"))
    assert failed(found) == ["tls"]
    assert "amqp://" in found["tls"].hint


@pytest.mark.parametrize(
    ("host", "name", "trusted", "hint"),
    [
        ("localhost", "localhost", True, ""),
        ("localhost.", "localhost", True, ""),
        ("localhost", "other.example", True, "host name of the certificate"),
        ("127.0.0.1", "localhost", True, "host name of the certificate"),
        ("localhost", "localhost", False, "cafile"),
    ],
)
async def test_a_certificate_is_checked_with_its_name_and_its_issuer(
    user: PulseUser,
    authority: trustme.CA,
    ca_file: Path,
    monkeypatch: pytest.MonkeyPatch,
    host: str,
    name: str,
    trusted: bool,
    hint: str,
) -> None:
    resolve = socket.getaddrinfo
    monkeypatch.setattr(  # not every resolver accepts "localhost."
        socket, "getaddrinfo", lambda of, *rest, **how: resolve(of and of.removesuffix("."), *rest, **how)
    )
    issuer = authority if trusted else trustme.CA()
    loop = asyncio.get_running_loop()
    loop.set_exception_handler(lambda *_: None)  # the test ignores the server's side of a refused handshake
    async with terminated(user.url, issuer.issue_cert(name), []) as proxy:
        url = proxy.url.replace("amqp://", "amqps://").replace("127.0.0.1", host) + f"?cafile={ca_file}"
        found = await diagnosis(url)
    assert failed(found) == (["tls"] if hint else [])
    assert hint in found["tls"].hint
    if not hint:
        assert "certificate valid for" in found["tls"].detail
        assert found["tls"].detail.startswith("TLSv1")


async def test_unreadable_certificate_files_are_reported_without_their_path(user: PulseUser, tmp_path: Path) -> None:
    found = await diagnosis(user.url.replace("amqp://", "amqps://") + f"?cafile={tmp_path}/none.pem")
    assert failed(found) == ["tls"]
    assert isinstance(found["tls"].error, pulsekit.ConfigurationError)
    assert not any(str(tmp_path) in finding.detail + finding.hint for finding in found.values())


@pytest.mark.parametrize("exchange", ["jobs", "exchange/me"])
async def test_an_invalid_name_fails_while_the_network_is_still_checked(user: PulseUser, exchange: str) -> None:
    found = await diagnosis(user.url, exchange)
    assert failed(found) == ["names"]
    assert left_out(found) == ["exchange", "listening"]


async def test_without_a_configuration_only_the_software_is_checked() -> None:
    def find() -> tuple[Settings, Broker]:
        raise pulsekit.ConfigurationError("cannot read password_file ~/secret: '/home/me/secret'; see /x/pulsekit.yml")

    found = {finding.check: finding for finding in await run_checks(find)}
    assert failed(found) == ["configuration"]
    assert len(left_out(found)) == len(CHECKS) - 2
    assert found["configuration"].detail == "cannot read password_file <path>: '<path>'; see …/pulsekit.yml"


async def test_no_result_contains_the_password(user: PulseUser) -> None:
    login, _, host = user.url.rpartition("@")
    for url in (user.url, f"{user.url}nope", f"{login}@127.0.0.1:1/", f"{login}wrong@{host}"):
        for finding in (await diagnosis(url, f"exchange/{user.name}/x")).values():
            for secret in (user.password, "p4ss"):
                assert secret not in finding.detail + finding.hint
