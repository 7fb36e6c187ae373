"""No part of a password is in what pulsekit prints, logs, raises, writes, or starts."""

from __future__ import annotations

import asyncio
import asyncio.base_events
import json
import socket
import subprocess
import sys
import time
from contextlib import asynccontextmanager
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

import pytest
import trustme
from support.command import environment, pulsekit, start
from support.proxy import terminated
from support.samples import JOBS

import pulsekit as library
from pulsekit._amqp.broker import parse_url
from pulsekit._config.settings import load_settings
from pulsekit.cli.exit_codes import report
from pulsekit.cli.output.output import fail
from security.secrets_in import ENCODED, OF_A_USER, PASSWORD, assert_hidden, everything

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from support.rabbitmq.broker import RabbitMQ


def test_the_search_finds_each_form_of_the_password() -> None:
    for text in (PASSWORD, ENCODED, repr(PASSWORD), json.dumps(PASSWORD), f"…{PASSWORD[-6:]}…"):
        with pytest.raises(AssertionError):
            assert_hidden(text)
    with pytest.raises(AssertionError):
        assert_hidden(everything(ExceptionGroup("", [ValueError(PASSWORD)])))


# what the library raises, logs and shows


@pytest.fixture
def logged(caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch) -> pytest.LogCaptureFixture:
    """All records of any level, including asyncio's about every single callback."""
    caplog.set_level(1)
    for name in ("pulsekit", "aio_pika", "aiormq", "asyncio"):
        caplog.set_level(1, name)
    original = asyncio.base_events._format_handle

    def tell(handle: Any) -> str:
        try:
            return original(handle)
        except AttributeError:  # of aio-pika: the repr of a callback that was called already
            return "?"

    monkeypatch.setattr(asyncio.base_events, "_format_handle", tell)
    return caplog


def log_callbacks() -> None:
    """Let asyncio log each callback and its arguments from now on, as in debug mode."""
    loop = asyncio.get_running_loop()
    loop.set_debug(True)
    loop.slow_callback_duration = 0


async def _attempt(url: str, *, timeout: float = 30, **options: Any) -> str:
    """Connect, and return everything visible of the error."""
    log_callbacks()
    with pytest.raises(library.PulsekitError) as caught:
        async with library.connect(url, timeout=timeout, **options) as pulse:
            await pulse.exchange_exists("exchange/me/x")
    return everything(caught.value)


async def test_a_refused_login_does_not_show_it(broker: RabbitMQ, logged: pytest.LogCaptureFixture) -> None:
    parts = urlsplit(broker.admin_url)
    user = "guest" if broker.kind == "sandbox" else parts.username
    shown = await _attempt(f"amqp://{user}:{ENCODED}@{parts.hostname}:{parts.port}/")
    assert "LoginRefused" in shown
    assert_hidden(shown + logged.text)


async def test_a_refused_virtual_host_does_not_show_it(broker: RabbitMQ, logged: pytest.LogCaptureFixture) -> None:
    user = broker.user()
    shown = await _attempt(broker.url(user, "nowhere"))
    assert "VirtualHostRefused" in shown
    assert OF_A_USER in user.password
    assert_hidden(shown + logged.text, OF_A_USER)


@asynccontextmanager
async def _listening(answer: bytes | None) -> AsyncIterator[int]:
    """Answer every client, or send nothing until it disconnects."""

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        if answer is None:
            await reader.read()
        else:
            writer.write(answer)
        writer.close()

    server = await asyncio.start_server(serve, "127.0.0.1", 0)
    async with server:
        yield server.sockets[0].getsockname()[1]


@pytest.mark.parametrize(
    ("answer", "scheme", "kind"),
    [
        (b"HTTP/1.0 400 Bad Request\r\n\r\n", "amqp", "Unreachable"),
        (b"AMQP\x00\x00\x09\x01", "amqp", "Unreachable"),
        (b"", "amqp", "Unreachable"),
        (b"AMQP\x00\x00\x09\x01", "amqps", "Unreachable"),
        (None, "amqp", "ConnectTimeout"),
    ],
)
async def test_a_malformed_answer_does_not_show_it(
    answer: bytes | None, scheme: str, kind: str, logged: pytest.LogCaptureFixture
) -> None:
    async with _listening(answer) as port:
        timeout = 0.5 if kind == "ConnectTimeout" else 30
        shown = await _attempt(f"{scheme}://me:{ENCODED}@127.0.0.1:{port}/", timeout=timeout)
    assert kind in shown
    assert_hidden(shown + logged.text)


@pytest.mark.parametrize("where", ["127.0.0.1:1", "nowhere.invalid", "127.0.0.1:1,nowhere.invalid"])
@pytest.mark.parametrize("scheme", ["amqp", "amqps"])
async def test_an_unreachable_broker_does_not_show_it(
    where: str, scheme: str, logged: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    look_up = socket.getaddrinfo

    def getaddrinfo(host: str, *arguments: Any, **options: Any) -> Any:
        if host == "nowhere.invalid":  # not every resolver answers this at once
            raise socket.gaierror(socket.EAI_NONAME, "Name or service not known")
        return look_up(host, *arguments, **options)

    monkeypatch.setattr("socket.getaddrinfo", getaddrinfo)
    shown = await _attempt(f"{scheme}://me:{ENCODED}@{where}/", insecure=True)
    assert "Unreachable" in shown
    assert_hidden(shown + logged.text)


async def test_an_untrusted_certificate_does_not_show_it(
    broker: RabbitMQ, ca_file: Path, logged: pytest.LogCaptureFixture
) -> None:
    user = broker.user()
    asyncio.get_running_loop().set_exception_handler(lambda *_: None)  # the server's side of the handshake
    async with terminated(user.url, trustme.CA().issue_cert("localhost"), []) as proxy:
        port = urlsplit(proxy.url).port
        shown = await _attempt(f"amqps://me:{ENCODED}@localhost:{port}/?cafile={ca_file}")
    assert "certificate" in shown
    assert_hidden(shown + logged.text)


async def test_clear_text_to_another_machine_does_not_show_it() -> None:
    with pytest.raises(library.InsecureConnection) as caught:
        load_settings(environment={"PULSE_URL": f"amqp://me:{ENCODED}@example.org/"}).broker()
    assert_hidden(everything(caught.value))


async def test_successful_work_does_not_show_it(broker: RabbitMQ, logged: pytest.LogCaptureFixture) -> None:
    user = broker.user()
    log_callbacks()
    exchange = f"exchange/{user.name}/x"
    async with library.connect(user.url) as pulse:
        publisher = pulse.publisher(exchange)
        await publisher.open()
        async with pulse.subscribe(exchange) as messages:
            receipt = await publisher.publish({"a": 1}, "k")
            message = await anext(messages)
            await message.ack()
            shown = [repr(vars_of(one)) for one in (pulse, publisher, messages, message, receipt, await pulse.link())]
            shown += [repr(task) for task in asyncio.all_tasks()]
    assert "pulsekit" in logged.text
    assert len(logged.records) > 100
    assert_hidden("\n".join(shown) + logged.text, OF_A_USER)


def vars_of(thing: Any, levels: int = 3) -> dict[str, Any]:
    """Return what a debugger shows of an object of pulsekit, and of the objects in it."""
    names = [
        name
        for kind in type(thing).__mro__
        for name in (*getattr(kind, "__slots__", ()), *getattr(thing, "__dict__", ()))
    ]
    shown = {name: getattr(thing, name, None) for name in names}
    ours = {name: part for name, part in shown.items() if type(part).__module__.startswith("pulsekit")}
    return shown | {f"{name}.": vars_of(part, levels - 1) for name, part in ours.items() if levels}


def test_no_form_of_an_address_or_of_settings_shows_it() -> None:
    settings = load_settings(environment={"PULSE_URL": f"amqps://me:{ENCODED}@h/", "PULSE_PASSWORD": PASSWORD})
    broker = settings.broker()
    assert broker.password == PASSWORD
    for text in (str(broker), repr(broker), f"{broker!s:>40}", str(asdict(broker)), repr(broker.each())):
        assert_hidden(text)
    assert_hidden(repr(settings) + str(settings) + str(asdict(settings)) + repr(vars_of(settings)))


# mistakes in a URL


@pytest.mark.parametrize(
    "url",
    [
        "http://me:{}@h/",
        "me:{}@h/",
        "amqps:me:{}@h/",
        "amqps:/me:{}@h/",
        "amqps://me:{}@",
        "amqps://me:{}@/v",
        "amqps://me:{}@h:x/",
        "amqps://me:{}@h:99999/",
        "amqps://me:{}@[::1/",
        "amqps://me:[{}@h/",
        "amqps://me:{}@a,,b/",
        "amqps://me:{}@h o/",
        "amqps://me:{}@h/%ff",
        "amqps://me:{}%ff@h/",
        "amqps://me:{}%00@h/",
        "amqps://me:{}\u2100@h/",
        "amqps://me:{}\udce9@h/",
        "amqps://:{}@h/",
        "amqps://me:12?{}@h/",
        "amqps://me:12?a={}@h/",
        "amqps://me:12/{}@h/",
        "amqps://me:12#{}@h/",
        "amqps://me:{}@h/?verify=0",
        "amqps://me:{}@h/?ssl=maybe",
        "amqps://me:{}@h/?heartbeat=x",
        " amqps://me:{}@h/",
        "amqps://me:{}@h/\n",
        "amqp://me:{}@example.org/",
    ],
)
@pytest.mark.parametrize("password", [ENCODED, "aa7h", "aa7h,bb8i", "aa7h@bb8i", "aa7h:bb8i", "aa7h/bb8i", "aa7h?bb8i"])
def test_a_url_that_cannot_be_used_does_not_show_it(url: str, password: str, capfd: Any) -> None:
    with pytest.raises(library.ConfigurationError) as caught:
        load_settings(environment={"PULSE_URL": url.format(password)}).broker()
    assert_hidden(everything(caught.value))
    report(caught.value)
    assert_hidden(capfd.readouterr().err)


def test_the_url_of_a_call_is_in_no_frame_below_it() -> None:
    with pytest.raises(library.ConfigurationError) as caught:
        parse_url(f"amqps://me:{ENCODED}@h:x/")
    assert_hidden(everything(caught.value))


# mistakes in the user's own file


@pytest.mark.parametrize(
    "text",
    [
        "password: *aa7h",
        "password: &aa7h x",
        "password: !aa7h x",
        'password: "aa7h',
        "password: [aa7h",
        "password: aa7h: bb8i",
        "password: @aa7h",
        "password: aa7h\npassword: bb8i",
        "password: [aa7h, bb8i]",
        "password: {aa7h: bb8i}",
        "aa7h",
        "- aa7h",
        "user: [aa7h]",
        "user: me\npassword: aa7h\nbogus: 1",
        "user: me\npassword: aa7h\nexchange: 1",
        "user: me\npassword: aa7h\ntargets: 1",
        "user: me\npassword: aa7h\nurl: amqp://example.org/",
        "url: amqps://me:aa7h@h:x/",
        "url: amqps://me:aa7h@h/\npassword_file: /does/not/exist",
        "url: amqps://me:aa7h@h/\npassword_file: ~nobody-of-that-name/x",
        'url: amqps://me:aa7h@h/\npassword_file: "a\\0b"',
        "user: me\npassword_file: latin-1",
        "user: me\npassword_command: cat latin-1",
        "user: me\npassword_command: sh -c 'cat secret; exit 1'",
    ],
)
def test_a_users_file_that_cannot_be_used_does_not_show_it(
    text: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "latin-1").write_bytes(b"aa7h\xff")
    (tmp_path / "secret").write_text("aa7h")
    (tmp_path / "pulsekit").mkdir()
    (tmp_path / "pulsekit" / "config.yml").write_text(text)
    with pytest.raises(library.PulsekitError) as caught:
        load_settings(tmp_path, {"XDG_CONFIG_HOME": str(tmp_path), "PULSE_PASSWORD_OF_ANOTHER": "aa7h"}).broker()
    assert_hidden(everything(caught.value))


# the command line

URL = f"amqps://me:{ENCODED}@127.0.0.1:1/"
EXCHANGE = "exchange/me/x"
COMMANDS = [
    ("tail", EXCHANGE),
    ("tail", EXCHANGE, "--wait", "-o", "ndjson", "--save", "recording.ndjson"),
    ("publish", "job.json", "--exchange", EXCHANGE, "-d", "treeherder"),
    ("publish", "job.json", "--exchange", EXCHANGE, "-d", "treeherder", "-o", "ndjson"),
    ("publish", "job.json", "--exchange", EXCHANGE, "-d", "treeherder", "--dry-run"),
    ("exchange", "create", EXCHANGE),
    ("exchange", "check", EXCHANGE),
    ("exchange", "delete", EXCHANGE, "--force"),
    ("queue", "show", "queue/me/q"),
    ("queue", "peek", "queue/me/q"),
    ("validate", "job.json"),
    ("validate", "job.json", "--schema", "schema.yml"),
    ("preview", "job.json", "-o", "pretty"),
    ("match", "treeherder.a._"),
    ("bindings",),
    ("init", "--force"),
    ("register", "-d", "treeherder", "-p", "a._", "--write"),
]


def files_in(folder: Path) -> dict[str, bytes]:
    """Return the name and content of every file below a folder."""
    return {str(path): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


@pytest.mark.parametrize("arguments", COMMANDS, ids=" ".join)
def test_no_command_shows_or_keeps_the_password_of_the_environment(arguments: tuple[str, ...], tmp_path: Path) -> None:
    (tmp_path / "job.json").write_text(json.dumps(JOBS[0]))
    (tmp_path / "schema.yml").write_text("type: object\n")
    debug = {"PULSEKIT_DEBUG": "1", "PULSE_PASSWORD": PASSWORD, "PYTHONASYNCIODEBUG": "1", "XDG_CACHE_HOME": "cache"}
    done = subprocess.run(
        (sys.executable, "-m", "pulsekit", *arguments),
        env=environment(tmp_path, URL, debug),
        cwd=tmp_path,
        capture_output=True,
        stdin=subprocess.DEVNULL,
        timeout=50,
        check=False,
    )
    assert done.returncode in {0, 1, 2, 4}, done.stderr
    assert_hidden(done.stdout + done.stderr)
    assert_hidden(json.dumps({name: content.decode("latin-1") for name, content in files_in(tmp_path).items()}))


@pytest.mark.parametrize(
    "arguments",
    [
        ("{}",),
        ("tail", "{}"),
        ("tail", "--url", "{}", "exchange/me/x"),
        ("tail", "--url={}", "exchange/me/x"),
        ("tail", "--ulr", "{}", "exchange/me/x"),
        ("tail", "--idle", "{}", "exchange/me/x"),
        ("tail", "exchange/me/x", "--schema", "{}"),
        ("tail", "exchange/me/x", "--save", "{}"),
        ("tail", "exchange/me/x", "-n", "{}"),
        ("publish", "{}"),
        ("publish", "--exchange", "{}", "-d", "t", "job.json"),
        ("exchange", "check", "{}"),
        ("exchange", "{}"),
        ("queue", "show", "{}"),
        ("queue", "show", "queue/me/q", "--guardian", "{}"),
        ("validate", "{}"),
        ("validate", "--profile", "{}", "job.json"),
        ("preview", "{}"),
        ("match", "--registration", "{}", "k"),
        ("bindings", "{}"),
        ("register", "-e", "{}", "-d", "t", "-p", "p"),
        ("init", "--exchange", "{}"),
        ("sandbox", "--host", "{}"),
        ("sandbox", "--fault", "{}"),
        ("sandbox", "--port", "0", "--", "{}"),
    ],
    ids=" ".join,
)
def test_a_url_in_a_wrong_place_is_repeated_without_its_password(arguments: tuple[str, ...], tmp_path: Path) -> None:
    (tmp_path / "job.json").write_text("{}")
    done = pulsekit(*(part.format(f"amqps://me:{ENCODED}@pulse.mozilla.org/") for part in arguments), folder=tmp_path)
    assert done.status != 0
    assert_hidden(done.out + done.err)


def test_a_password_on_the_command_line_is_refused_for_other_machines(tmp_path: Path) -> None:
    def error_of(url: str) -> str:
        done = pulsekit("exchange", "check", EXCHANGE, "--url", url, folder=tmp_path)
        assert_hidden(done.out + done.err)
        return done.err

    assert "set PULSE_PASSWORD instead" in error_of(f"amqps://me:{ENCODED}@example.invalid/")
    assert "set PULSE_PASSWORD instead" in error_of(f"amqps://me:{ENCODED}@127.0.0.1:1,example.invalid:1/")
    assert "connection refused" in error_of(f"amqp://me:{ENCODED}@127.0.0.1:1/")


def test_the_report_of_a_bug_does_not_show_it(capfd: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PULSEKIT_DEBUG", "1")
    with pytest.raises(RuntimeError) as caught:
        raise RuntimeError(f"no idea what to do with amqps://me:{ENCODED}@h/ and {URL}")
    assert report(caught.value) == 70
    output = capfd.readouterr().err
    assert "amqps://me:***@h/ and amqps://me:***@127.0.0.1:1/" in output
    assert "Traceback" in output
    assert_hidden(output)


def test_endless_words_are_searched_for_passwords_at_once(capfd: Any) -> None:
    begin = time.process_time()
    fail("://:" * 100_000 + " x@" + ":/" * 100_000 + f" {URL}")
    assert time.process_time() - begin < 5  # a second; squared, hours
    assert_hidden(capfd.readouterr().err)


# the process list

_LOOK = """\
import os, pathlib, sys
here = pathlib.Path("/proc")
lines = [(here / str(pid) / "cmdline").read_bytes() for pid in (os.getpid(), os.getppid())]
pathlib.Path("seen").write_bytes(b"\\n".join(lines))
"""


@pytest.fixture
def proc() -> Path:
    """The process list, which every user of the machine can read."""
    path = Path("/proc/self/cmdline")
    if not path.exists():
        pytest.skip("no /proc on this system")
    return path


def test_the_arguments_of_a_running_command_do_not_contain_it(proc: Path, broker: RabbitMQ, tmp_path: Path) -> None:
    user = broker.user()
    pulsekit("exchange", "create", f"exchange/{user.name}/x", folder=tmp_path, url=user.url)
    with start("tail", f"exchange/{user.name}/x", folder=tmp_path, url=user.url) as tail:
        assert tail.stderr is not None
        assert "listening" in tail.stderr.readline()
        assert_hidden(Path(f"/proc/{tail.pid}/cmdline").read_bytes(), OF_A_USER)
        tail.terminate()
        tail.communicate()


def test_a_child_process_cannot_read_it_from_its_parent(proc: Path, tmp_path: Path) -> None:
    (tmp_path / "look.py").write_text(_LOOK)
    (tmp_path / "secret").write_text(PASSWORD)
    arguments = ("sandbox", "--port", "0", "--password-file", "secret", "--", sys.executable, "look.py")
    assert pulsekit(*arguments, folder=tmp_path).status == 0
    seen = (tmp_path / "seen").read_bytes()
    assert b"look.py" in seen
    assert b"sandbox" in seen
    assert_hidden(seen)


def test_a_password_command_is_run_without_it(proc: Path, tmp_path: Path) -> None:
    (tmp_path / "look.py").write_text(_LOOK + "print(pathlib.Path('secret').read_text())")
    (tmp_path / "secret").write_text(PASSWORD)
    folder = tmp_path / ".config" / "pulsekit"
    folder.mkdir(parents=True)
    (folder / "config.yml").write_text(f"url: amqps://me@127.0.0.1:1/\npassword_command: {sys.executable} look.py\n")
    done = pulsekit("exchange", "check", EXCHANGE, folder=tmp_path, extra={"PULSEKIT_DEBUG": ""})
    assert done.status == 4
    seen = (tmp_path / "seen").read_bytes()
    assert b"look.py" in seen
    assert b"exchange" in seen
    assert_hidden(seen)
    assert_hidden(done.out + done.err)
