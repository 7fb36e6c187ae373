"""The examples of the README and the pages for users are run unchanged."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from pulsekit.cli.exit_codes import ExitCode

if TYPE_CHECKING:
    from support.rabbitmq.broker import RabbitMQ

ROOT = Path(__file__).parents[1]
HELPS = ROOT / "tests" / "cli" / "contract" / "help"
README = (ROOT / "README.md").read_text(encoding="utf-8")
PAGES = [ROOT / "README.md", *sorted(ROOT.glob("docs/*.md")), *sorted(ROOT.glob("docs/migrating/*.md"))]


def test_the_python_samples_run_as_a_user_would_run_them(broker: RabbitMQ, tmp_path: Path) -> None:
    samples = re.findall(r"```python\n(.*?)```", README, re.DOTALL)  # the job, with asyncio, without
    assert len(samples) == 3
    script, user = tmp_path / "sample.py", broker.user()
    script.write_text("\n".join(samples).replace("/me/", f"/{user.name}/"), encoding="utf-8")
    done = subprocess.run(
        [sys.executable, str(script)],
        env={"PULSE_URL": user.url, "HOME": str(tmp_path)},
        cwd=tmp_path,
        capture_output=True,
        text=True,
        timeout=50,
        check=False,
    )
    assert done.stderr == ""
    assert done.stdout.splitlines() == ["confirmed treeherder.try._"] * 2
    assert done.returncode == 0


def test_the_table_of_exit_codes_is_that_of_the_program() -> None:
    page = (ROOT / "docs" / "commands.md").read_text(encoding="utf-8").partition("## Exit codes")[2]
    listed = {int(code) for row in re.findall(r"^\| ([\d, ]+) \|", page, re.MULTILINE) for code in row.split(",")}
    assert listed == {int(code) for code in ExitCode}


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_every_command_and_option_that_a_page_shows_exists(page: Path) -> None:
    shell = "".join(re.findall(r"^```sh\n(.*?)^```", page.read_text(encoding="utf-8"), re.MULTILINE | re.DOTALL))
    for line in re.findall(r"^pulsekit (.*)", shell, re.MULTILINE):
        words = re.match(r"(\w+)(?: (\w+)(?= |$))?", line)
        assert words is not None, line
        helps = [
            HELPS / f"{'-'.join(filter(None, ('pulsekit', *names)))}.txt"
            for names in (words.groups(), words.groups()[:1])
        ]
        text = next((path for path in helps if path.exists()), helps[0]).read_text(encoding="utf-8")
        for option in re.findall(r" (--?[a-z][a-z-]*)", line):
            assert re.search(rf"^ .*{option}\b", text, re.MULTILINE), f"{page}: {line}"


def test_the_sample_of_the_configuration_is_valid(tmp_path: Path) -> None:
    from pulsekit._config.settings import load_settings

    sample = re.search(
        r"```yaml\n(.*?)```", (ROOT / "docs" / "configuration.md").read_text(encoding="utf-8"), re.DOTALL
    )
    assert sample is not None
    (tmp_path / "pulsekit.yml").write_text(sample[1])
    settings = load_settings(tmp_path, {"XDG_CONFIG_HOME": str(tmp_path)})
    assert settings.exchange == "exchange/me/v1/jobs"
    assert [binding.pattern for entry in settings.registrations for binding in entry.expand()] == [  # type: ignore[union-attr] # registrations, not bindings
        "treeherder.mozilla-inbound._",
        "treeherder.autoland._",
    ]
