"""The page as a user sees it, in Debian's Chromium."""

from __future__ import annotations

import asyncio
import json
import os
import signal
import subprocess
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from support.command import start
from support.proxy import Proxy
from support.samples import JOBS

import pulsekit
from inspector.browser import REQUIRED, axe_source, lacking_browser, pages, rows_shown, shows, texts_are
from pulsekit.bindings.registration import Binding
from pulsekit.inspector import LiveSource, Reader, RecordedSource, Source, serve, server
from pulsekit.inspector.ring import Ring
from pulsekit.sandbox import GuardianLimits
from pulsekit.testing import PulseSandbox

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Iterator
    from typing import Self

    from support.rabbitmq.broker import PulseUser

    from inspector.browser import Opener

pytestmark = [pytest.mark.browser, pytest.mark.timeout(300)]
ONE_BROKER = pytest.mark.parametrize("broker", ["sandbox"], indirect=True)
HOSTILE = [
    "<img src=x onerror=alert(1)>",
    "<script>window.pwned=1</script>",
    "\"><svg/onload=fetch('http://evil.example/')>",
    "javascript:alert(1)",
    "{{constructor.constructor('window.pwned=1')()}}",
    "\u202egnp.exe\u2066\x1b[31m\x00\u2028",
    "__proto__",
]


@pytest.fixture(autouse=True)
def _browser_is_there() -> None:
    if lacking := lacking_browser():
        if REQUIRED:
            pytest.fail(lacking, pytrace=False)
        pytest.skip(lacking)


@pytest.fixture
async def opener() -> AsyncIterator[Opener]:
    async with pages() as found:
        yield found


class Served:
    """A page that is served within the block; `address` has its token."""

    def __init__(self, source: Source, reader: Reader | None = None) -> None:
        self.address = ""
        self._source, self._reader = source, reader

    async def __aenter__(self) -> Self:
        printed: asyncio.Future[str] = asyncio.get_running_loop().create_future()
        self._serving = asyncio.create_task(serve(self._source, reader=self._reader, on_address=printed.set_result))
        self.address = await printed
        return self

    async def __aexit__(self, *_: object) -> None:
        self._serving.cancel()
        await asyncio.wait([self._serving])


async def send(pulse: pulsekit.Pulse, exchange: str, payloads: Any, key: str = "a.b") -> None:
    async for receipt in pulse.publisher(exchange).publish_many((payload, key) for payload in payloads):
        receipt.check()


def numbered(first: int, last: int) -> list[dict[str, int]]:
    return [{"n": number} for number in range(first, last)]


async def select_last(page: Any) -> None:
    await page.locator("#list").focus()
    await page.keyboard.press("End")
    await page.locator("#payload:not(:empty)").wait_for()


async def test_the_command_shows_its_first_message_and_ends(
    opener: Opener, pulse: pulsekit.Pulse, user: PulseUser, exchange: str, tmp_path: Path
) -> None:
    await pulse.create_exchange(exchange)
    with start("inspector", f"{exchange}:a.#", folder=tmp_path, url=user.url) as command:
        address = (await asyncio.to_thread(command.stdout.readline)).strip()
        page = await opener.open(address)
        await page.get_by_text("Listening").wait_for()
        await send(pulse, exchange, numbered(0, 1))
        await page.locator(".row").get_by_text("a.b").wait_for()
        assert address.partition("#")[2] not in page.url
        assert await page.evaluate("document.cookie") == ""
        await page.reload()
        await rows_shown(page, 1)
        await page.evaluate("location.hash = '#the-token-of-another-run'")
        await page.wait_for_url(lambda url: "another" not in url)
        await rows_shown(page, 1)
        second = await opener.open(address)
        await second.get_by_text("the token was used").wait_for()
        assert await second.locator(".row").count() == 0
        command.send_signal(signal.SIGINT)
        assert await asyncio.to_thread(command.wait) == 130
        await page.get_by_text("pulsekit inspector does not answer").wait_for()
        assert "Traceback" not in command.stderr.read()


@ONE_BROKER
async def test_a_pattern_typed_during_a_request_is_not_lost(
    opener: Opener, pulse: pulsekit.Pulse, exchange: str
) -> None:
    released = asyncio.Event()

    async def answer_late(route: Any) -> None:
        response = await route.fetch()
        await released.wait()
        await route.fulfill(response=response)

    await pulse.create_exchange(exchange)
    async with LiveSource(pulse, [Binding(exchange, "a")]) as source, Served(source) as served:
        page = await opener.open(served.address)
        await page.get_by_text("Listening").wait_for()
        await page.route("**/api/bindings", answer_late)
        await page.locator("#exchange").fill(exchange)
        await page.locator("#pattern").fill("b")
        await page.get_by_text("Add binding").click()
        await page.locator("#bindings").get_by_text(f"{exchange}:b").wait_for()
        await page.locator("#pattern").fill("c")
        async with page.expect_response("**/api/bindings"):
            released.set()
        await page.get_by_text("Add binding").click()
        await page.locator("#bindings").get_by_text(f"{exchange}:c").wait_for()


async def test_bindings_change_in_the_page_without_loss(opener: Opener, pulse: pulsekit.Pulse, exchange: str) -> None:
    await pulse.create_exchange(exchange)
    async with LiveSource(pulse, [Binding(exchange, "a.#")]) as source, Served(source) as served:
        page = await opener.open(served.address)
        await page.get_by_text("Listening").wait_for()
        flowing = asyncio.create_task(send(pulse, exchange, numbered(0, 2000)))
        exchange_field, pattern_field = page.locator("#exchange"), page.locator("#pattern")
        for pattern in ("b.#", "c.#", "d.#"):
            await exchange_field.fill(exchange)
            await pattern_field.fill(pattern)
            await page.get_by_text("Add binding").click()
            await page.locator("#bindings").get_by_text(f"{exchange}:{pattern}").wait_for()
            await page.locator("#pattern:placeholder-shown").wait_for()  # the page empties the field afterwards
        await exchange_field.fill("exchange/nobody/v1/none")
        await page.get_by_text("Add binding").click()
        await page.locator("#bindings li.bad").get_by_text("exchange/nobody/v1/none:#").wait_for()
        await page.get_by_label(f"Remove {exchange}:c.#").click()
        await page.locator("#bindings").get_by_text(f"{exchange}:c.#").wait_for(state="detached")
        await flowing
        for pattern in ("b.x", "c.x", "d.x"):
            await send(pulse, exchange, numbered(0, 1), pattern)
        await rows_shown(page, 2002)
        assert "pattern%5D=d.%23" in page.url
        assert "pattern%5D=c.%23" not in page.url
        # The address is a link: a page that is opened with it adds what is missing.
        await source.remove(Binding(exchange, "d.#"))
        await page.goto(page.url.partition("?")[0] + f"?bindings[0][exchange]={exchange}&bindings[0][pattern]=e")
        await page.locator("#bindings").get_by_text(f"{exchange}:e").wait_for()
        assert source.bindings[Binding(exchange, "e")] == ""
        # The form completes known exchanges, and shows the layout of their keys.
        await page.locator("#exchange").fill("task-failed")
        assert "primary.<taskId>" in await page.locator("#layout").inner_text()
        assert await page.locator("#exchanges option[value=hgpushes]").count() == 1


@ONE_BROKER
async def test_filter_pause_clear_verdicts_and_the_download(
    opener: Opener, pulse: pulsekit.Pulse, exchange: str, tmp_path: Path
) -> None:
    await pulse.create_exchange(exchange)
    async with LiveSource(pulse, [Binding(exchange, "#")]) as source, Served(source) as served:
        page = await opener.open(served.address)
        broken = {**JOBS[0], "state": "done"}
        await send(pulse, exchange, [*JOBS, broken, b"no json"])
        await rows_shown(page, 5)
        await texts_are(page, ".row .verdict", ["valid"] * 3 + ["invalid", "not JSON"])
        await page.locator(".row").get_by_text("invalid").click()
        details = page.locator("#details")
        await details.get_by_text("Treeherder: dropped").wait_for()
        assert "/state: must be" in await details.inner_text()
        # Pause: new messages are counted, and shown afterwards.
        await page.get_by_text("Pause", exact=True).click()
        await send(pulse, exchange, numbered(0, 3))
        await page.get_by_text("Resume (3 new)").click()
        await rows_shown(page, 8)
        # The filter also applies to messages that are there, and to the download.
        await page.locator("#filter").fill("payload.n >")
        await page.get_by_text("Apply").click()
        await page.locator("#alert").get_by_text("is not JMESPath").wait_for()
        await page.locator("#filter").fill("payload.n >= `1`")
        await page.get_by_text("Apply").click()
        await rows_shown(page, 2)
        await send(pulse, exchange, numbered(0, 2))
        await rows_shown(page, 3)
        async with page.expect_download() as downloading:
            await page.get_by_text("Download", exact=True).click()
        download = await downloading.value
        assert download.suggested_filename == "messages.ndjson"
        await download.save_as(tmp_path / "page.ndjson")
        found = [*pulsekit.read_recording(tmp_path / "page.ndjson")]
        assert [one.content for one in found] == [b'{"n":1}', b'{"n":2}', b'{"n":1}']  # type: ignore[union-attr]
        await page.get_by_text("Clear").click()
        await rows_shown(page, 0)
        await page.locator("#filter").fill("")
        await page.get_by_text("Apply").click()
        await send(pulse, exchange, numbered(5, 6))
        await rows_shown(page, 1)


@ONE_BROKER
async def test_the_details_of_a_message_and_what_can_be_copied(
    opener: Opener, pulse: pulsekit.Pulse, exchange: str
) -> None:
    await pulse.create_exchange(exchange)
    reader = Reader(receivers=[("pulsekit.yml", [Binding(exchange, "treeherder.#")])])
    async with LiveSource(pulse, [Binding(exchange, "route.#")]) as source, Served(source, reader) as served:
        await pulse.publisher(exchange).publish(JOBS[2], "treeherder.try._", cc=["route.x"], headers={"attempt": 2})
        page = await opener.open(served.address, permissions=["clipboard-read", "clipboard-write"])
        await rows_shown(page, 1)
        await select_last(page)
        text = await page.locator("#details").inner_text()
        for part in (
            f"route.x  ← {exchange}:route.#", "header attempt", "Valid: pulse-job", "Treeherder: stored",
            "M(bc3)", "testfailed", f"pulsekit.yml: {exchange}:treeherder.# matches treeherder.try._",
        ):  # fmt: skip
            assert part in text
        payload = page.locator("#payload")
        assert json.loads(await payload.inner_text()) == JOBS[2]
        await page.get_by_role("tab", name="YAML").click()
        await shows(page, "#payload", "taskId: ")
        await page.get_by_role("tab", name="Raw").click()
        await shows(page, "#payload", '{"taskId":')

        async def copied(button: str) -> str:
            await page.evaluate("navigator.clipboard.writeText('')")
            await page.get_by_role("button", name=button).click()
            while not await page.evaluate("navigator.clipboard.readText()"):
                await asyncio.sleep(0.01)  # the status may be that of the button before
            await page.get_by_text("Copied").wait_for()
            return await page.evaluate("navigator.clipboard.readText()")

        assert await copied("Copy as command") == f"pulsekit tail '{exchange}:route.#'"
        assert (await copied("Copy as publish")).endswith(f"-e {exchange} -k treeherder.try._ --cc route.x FILE")
        link = await copied("Copy link")
        assert link.endswith("#message-1")
        # The link leads to the message, in the same browser.
        again = await opener.open(link, context=page.context)
        await again.locator("#details").get_by_text("Treeherder: stored").wait_for()


async def test_a_lost_connection_of_page_or_broker_is_shown_and_restored(
    opener: Opener, user: PulseUser, exchange: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    servers: list[Any] = []
    made = server._Server
    monkeypatch.setattr(server, "_Server", lambda config: servers.append(made(config)) or servers[-1])
    async with Proxy(user.url) as proxy, pulsekit.connect(user.url) as direct, pulsekit.connect(proxy.url) as pulse:
        await direct.create_exchange(exchange)
        async with LiveSource(pulse, [Binding(exchange, "#")]) as source, Served(source) as served:
            page = await opener.open(served.address)
            await send(direct, exchange, numbered(0, 3))
            await rows_shown(page, 3)
            proxy.refuse()
            proxy.cut()
            await page.get_by_text("Reconnecting to the broker").wait_for()
            proxy.accept()
            await page.locator(".row.gap").get_by_text("messages of this time are missing").wait_for()
            for connection in servers[0].server_state.connections:
                connection.transport.abort()
            await page.get_by_text("does not answer").wait_for()
            await send(direct, exchange, numbered(3, 6))
            await rows_shown(page, 6)
            await page.get_by_text("Listening").wait_for()


@ONE_BROKER
async def test_a_message_executes_nothing_and_sends_nothing(
    opener: Opener, pulse: pulsekit.Pulse, exchange: str
) -> None:
    await pulse.create_exchange(exchange)
    async with LiveSource(pulse, [Binding(exchange, "#")]) as source, Served(source) as served:
        page = await opener.open(served.address)
        publisher = pulse.publisher(exchange)
        job = json.loads(json.dumps(JOBS[2]))
        for text in HOSTILE:
            job["display"] |= {"jobName": text, "groupName": text}
            job["jobInfo"] = {
                "links": [{"url": "javascript:alert(1)//perfherder-data.json", "linkText": text, "label": text}]
            }
            headers = {"h" + text.replace("\x00", ""): text}
            await publisher.publish(job, text, cc=[text], headers=headers)
            await publisher.publish({text: [text]}, text)
            await publisher.publish(text.encode(), text)
        await rows_shown(page, 3 * len(HOSTILE))
        await page.locator("#list").focus()
        await page.keyboard.press("Home")
        for number in range(3 * len(HOSTILE)):
            await page.locator(f"#row-{number + 1}[aria-selected=true]").wait_for()
            await page.locator("#payload:not(:empty)").wait_for()
            for form in ("YAML", "Raw", "JSON"):
                await page.get_by_role("tab", name=form).click()
            shown = await page.locator("body").inner_text()
            assert not set(shown) & set("\u202e\u2066\x1b\x00\u2028")
            await page.locator("#list").press("ArrowDown")
        assert await page.evaluate("window.pwned") is None
        assert (
            await page.evaluate("document.querySelectorAll('img, svg, iframe, script:not([src^=\"/page/\"])').length")
            == 0
        )
        # Even code of the page could not make HTML of a text, or load from elsewhere.
        refused = await page.evaluate(
            "(() => { try { document.body.innerHTML = '<b>'; } catch (e) { return e.name; } })()"
        )
        assert refused == "TypeError"
    opener.problems = [one for one in opener.problems if "TrustedHTML" not in one]


@ONE_BROKER
async def test_everything_can_be_done_with_the_keyboard(opener: Opener, pulse: pulsekit.Pulse, exchange: str) -> None:
    await pulse.create_exchange(exchange)
    async with LiveSource(pulse) as source, Served(source) as served:
        page = await opener.open(served.address)
        await page.get_by_text("No binding").wait_for()
        press = page.keyboard.press

        async def tab_to(selector: str) -> None:
            for _ in range(30):
                if await page.evaluate("selector => document.activeElement.matches(selector)", selector):
                    return
                await press("Tab")
            pytest.fail(f"Tab does not lead to {selector}")

        await tab_to("#exchange")
        await page.keyboard.type(exchange)
        await press("Enter")
        await page.get_by_text("Listening").wait_for()
        await send(pulse, exchange, numbered(0, 100))
        await rows_shown(page, 100)
        await tab_to("#list")
        for key, number in {"Home": 1, "ArrowDown": 2, "End": 100, "ArrowUp": 99}.items():
            await press(key)
            await page.locator(f"#row-{number}[aria-selected=true]").wait_for()
            assert await page.locator("#list").get_attribute("aria-activedescendant") == f"row-{number}"
        await press("Enter")
        await page.locator("#heading:focus").wait_for()
        await tab_to("[role=tab]")
        await press("ArrowRight")
        await page.locator("#tab-yaml:focus").wait_for()
        await shows(page, "#payload", "n: 98")
        await press("Escape")
        await page.locator("#list:focus").wait_for()
        await press("p")
        await page.locator("#pause[aria-pressed=true]").wait_for()
        await press("p")
        await press("/")
        await page.keyboard.type("payload.n == `7`")
        await press("Enter")
        await rows_shown(page, 1)
        await tab_to("#bindings button")
        await press("Enter")
        await page.locator("#bindings li").wait_for(state="detached")


@ONE_BROKER
async def test_the_list_follows_the_newest_row_until_it_is_scrolled_up(
    opener: Opener, pulse: pulsekit.Pulse, exchange: str
) -> None:
    await pulse.create_exchange(exchange)
    async with LiveSource(pulse, [Binding(exchange, "#")]) as source, Served(source) as served:
        page = await opener.open(served.address)
        await send(pulse, exchange, numbered(0, 100))
        await page.locator("#row-100").wait_for()
        # Between a scrolling of the list and the event of this scrolling, the list gets lower, as for one more binding.
        await page.evaluate("""{
            const [list, rows] = [document.getElementById("list"), document.getElementById("rows")];
            const shrink = (_, observer) => {
                observer.disconnect();
                list.style.height = `${list.clientHeight - 90}px`;
            };
            new MutationObserver(shrink).observe(rows, { attributes: true, attributeFilter: ["style"] });
        }""")
        await send(pulse, exchange, numbered(100, 101))
        await page.locator("#row-101").wait_for()
        await send(pulse, exchange, numbered(101, 120))
        await page.locator("#row-120").wait_for()
        await page.locator("#list").hover()
        await page.mouse.wheel(0, -600)
        await page.locator("#row-120").wait_for(state="detached")
        await send(pulse, exchange, numbered(120, 121))
        await rows_shown(page, 121)
        assert await page.locator("#row-121").count() == 0
        await page.mouse.wheel(0, 6000)
        await page.locator("#row-121").wait_for()
        await send(pulse, exchange, numbered(121, 140))
        await page.locator("#row-140").wait_for()
        await page.evaluate("""new Promise((done) => {  // as a touchpad does, less than a row
            const list = document.getElementById("list");
            list.addEventListener("scroll", () => requestAnimationFrame(done), { once: true });
            list.scrollTop -= 10;
        })""")
        await send(pulse, exchange, numbered(140, 160))
        await rows_shown(page, 160)
        assert await page.locator("#row-160").count() == 0


@ONE_BROKER
@pytest.mark.parametrize("scheme", ["light", "dark"])
async def test_axe_finds_no_violation_and_nothing_is_cut_at_any_width(
    opener: Opener, pulse: pulsekit.Pulse, exchange: str, scheme: Any
) -> None:
    axe = axe_source()
    await pulse.create_exchange(exchange)
    async with LiveSource(pulse, [Binding(exchange, "#")]) as source, Served(source) as served:
        page = await opener.open(served.address, color_scheme=scheme)
        await send(pulse, exchange, [*JOBS, {**JOBS[2], "state": "done"}, b"no json"] * 20, "treeherder.autoland._")
        await rows_shown(page, 100)
        await page.locator("#exchange").fill("exchange/nobody/v1/none")
        await page.get_by_text("Add binding").click()
        await page.locator("#bindings li.bad").wait_for()
        for row in (98, 99, 100):
            await page.locator(f"#row-{row}").click()
            await page.locator("#payload:not(:empty)").wait_for()
            await page.evaluate(axe)
            found = await page.evaluate("axe.run({resultTypes: ['violations']})")
            assert [f"{one['id']}: {[node['html'] for node in one['nodes']]}" for one in found["violations"]] == []
        for width in (360, 600, 900, 1280, 2560):
            await page.set_viewport_size({"width": width, "height": 800})
            assert await page.evaluate("document.documentElement.scrollWidth") <= width
            assert await page.locator(".row").count() > 3
            await page.evaluate(axe)
            found = await page.evaluate("axe.run({resultTypes: ['violations']})")
            assert [one["id"] for one in found["violations"]] == [], width


async def test_a_recording_of_a_hundred_thousand_messages_is_opened_without_a_broker(
    opener: Opener, tmp_path: Path
) -> None:
    path = tmp_path / "many.ndjson"
    when = "2026-11-29T00:00:00Z"
    line = '{{"v":1,"exchange":"exchange/me/x","routing_key":"k.{0}","received":"{1}","payload":{{"n":{0}}}}}\n'
    with path.open("w") as file:
        file.writelines(line.format(number, when) for number in range(100_000))
    async with RecordedSource(path) as source, Served(source) as served:
        page = await opener.open(served.address)
        await page.locator("#title").get_by_text(str(path)).wait_for()
        await rows_shown(page, 100_000)
        await select_last(page)
        assert json.loads(await page.locator("#payload").inner_text()) == {"n": 99_999}
        await page.keyboard.press("Home")
        await page.locator("#row-1[aria-selected=true]").wait_for()
        assert await page.locator(".row").count() < 100
        assert not await page.locator("#bound").is_visible()
        await page.locator("#filter").fill("payload.n == `77777`")
        await page.get_by_text("Apply").click()
        await rows_shown(page, 1)


async def test_a_link_shows_its_message_in_the_list_while_it_is_in_memory(opener: Opener, tmp_path: Path) -> None:
    from playwright.async_api import expect

    path = tmp_path / "some.ndjson"
    line = '{{"v":1,"exchange":"exchange/me/x","routing_key":"k","received":"2026-11-29T00:00:00Z","payload":{0}}}\n'
    path.write_text("".join(map(line.format, range(300))))
    async with RecordedSource(path) as source, Served(source) as served:
        page = await opener.open(served.address)
        await rows_shown(page, 300)
        linked = await opener.open(f"{page.url}#message-150", context=page.context)
        await expect(linked.locator("#row-150[aria-selected=true]")).to_be_in_viewport()
        await shows(linked, "#payload", "149")
        source.ring.clear()
        await linked.get_by_role("button", name="Copy payload").click()
        await shows(linked, "#payload", "the message is no longer in memory")


@ONE_BROKER
async def test_a_slow_page_continues_with_the_newest_and_counts_missed_messages(
    opener: Opener, pulse: pulsekit.Pulse, exchange: str
) -> None:
    await pulse.create_exchange(exchange)
    async with LiveSource(pulse, [Binding(exchange, "#")], Ring(count=100)) as source, Served(source) as served:
        page = await opener.open(served.address)
        await page.get_by_text("Listening").wait_for()
        debugger, paused = await page.context.new_cdp_session(page), asyncio.Event()
        debugger.on("Debugger.paused", lambda _: paused.set())
        await debugger.send("Debugger.enable")
        await debugger.send("Debugger.pause")
        for _ in range(20):
            await send(pulse, exchange, [{}] * 1000, "long." + "k" * 200)
        await paused.wait()
        await debugger.send("Debugger.resume")
        await page.get_by_text("missed: they arrive faster than this page shows them").wait_for()
        await send(pulse, exchange, numbered(0, 1), "last")
        await page.locator(".row").get_by_text("last").wait_for()
        assert len(await page.locator(".row").all()) <= 100
        assert source.ring.messages == 20_001


@pytest.fixture
def patient() -> Iterator[str]:
    """A sandbox for a busy machine, whose guardian does not delete a queue that is read too slowly for a while."""
    with PulseSandbox(guardian=GuardianLimits(warn=10**6, delete=10**7)) as sandbox:
        yield sandbox.url("me")


@pytest.mark.timeout(0)
async def test_two_thousand_messages_a_second_in_constant_memory(opener: Opener, patient: str, tmp_path: Path) -> None:
    """Send for ten seconds, or for PULSEKIT_LOAD_SECONDS. Memory is measured once the list is full."""
    async with pulsekit.connect(patient) as pulse:
        await under_load(opener, pulse, patient, tmp_path)


async def under_load(opener: Opener, pulse: pulsekit.Pulse, url: str, tmp_path: Path) -> None:
    exchange = "exchange/me/v1/jobs"
    await pulse.create_exchange(exchange)
    length = float(os.environ.get("PULSEKIT_LOAD_SECONDS", "10"))
    rate = 2000  # messages a second
    batch = [*JOBS, {**JOBS[0], "state": "done"}] * 25
    publisher = pulse.publisher(exchange)
    with start("inspector", exchange, folder=tmp_path, url=url, stderr=subprocess.DEVNULL) as command:
        page = await opener.open((await asyncio.to_thread(command.stdout.readline)).strip())
        await page.get_by_text("Listening").wait_for()
        session = await page.context.new_cdp_session(page)
        status = Path(f"/proc/{command.pid}/status")

        async def memory() -> tuple[float, float]:
            """Return the MiB of the server, and of the page after a garbage collection."""
            await session.send("HeapProfiler.collectGarbage")
            heap = await session.send("Runtime.getHeapUsage")
            return int(status.read_text().partition("VmRSS:")[2].split()[0]) / 1024, heap["usedSize"] / 2**20

        clock = asyncio.get_running_loop().time
        sent, sizes, began = 0, [], clock()
        next_look = began + 8
        while clock() < began + 8 + length or sent < 18_000:
            async for receipt in publisher.publish_many((payload, "treeherder.try._") for payload in batch):
                receipt.check()
            sent += len(batch)
            if clock() >= next_look and sent > 15_000:  # the list is full
                next_look = clock() + max(1, length / 10)
                sizes.append(await memory())
            await asyncio.sleep(max(0, began + sent / rate - clock()))
        rated = sent / (clock() - began)
        await send(pulse, exchange, numbered(0, 1), "last")
        await shows(page, "#counts", f"10,000 shown of {sent + 1:,}")  # a busy machine is behind for a while
        await page.locator(".row").get_by_text("last", exact=True).wait_for()
        sizes.append(await memory())
        first, growth = sizes[0], [max(one[part] for one in sizes) - sizes[0][part] for part in (0, 1)]
        print({"messages": sent, "rate": rated, "server MiB": first[0], "page MiB": first[1], "growth": growth})  # noqa: T201 - for `pytest -s`
        assert growth[0] < 16, sizes
        assert growth[1] < 8, sizes
        command.send_signal(signal.SIGINT)
        await asyncio.to_thread(command.wait)
