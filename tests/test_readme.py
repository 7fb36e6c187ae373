"""What the README shows is run as it stands."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING

from pulsekit.cli.exit_codes import ExitCode

if TYPE_CHECKING:
    from support.rabbitmq.broker import RabbitMQ

README = (Path(__file__).parents[1] / "README.md").read_text(encoding="utf-8")


def block_after(marker: str) -> str:
    found = re.search(rf"<!-- {marker} -->\n```\w+\n(.*?)```", README, re.DOTALL)
    assert found is not None, marker
    return found[1]


def test_the_python_sample_runs_as_a_user_would_run_it(broker: RabbitMQ, tmp_path: Path) -> None:
    script = tmp_path / "sample.py"
    script.write_text(block_after("sample"), encoding="utf-8")
    done = subprocess.run(
        [sys.executable, str(script)],
        env={"PULSE_URL": broker.user().url, "HOME": str(tmp_path)},
        cwd=tmp_path,
        capture_output=True,
        text=True,
        timeout=50,
        check=False,
    )
    assert done.stderr == ""
    assert done.stdout.splitlines() == [
        "confirmed",
        "treeherder.mozilla-inbound._ completed",
        "['treeherder.mozilla-inbound._']",
        "True",
    ]
    assert done.returncode == 0


def test_the_table_of_exit_codes_is_that_of_the_program() -> None:
    listed = {int(code) for row in re.findall(r"^\| ([\d, ]+) \|", README, re.MULTILINE) for code in row.split(",")}
    assert listed == {int(code) for code in ExitCode}


def test_every_command_the_readme_names_exists() -> None:
    from pulsekit.cli.app import _COMMANDS

    named = set(re.findall(r"^pulsekit (\w+)", README, re.MULTILINE))
    assert named
    assert named <= set(_COMMANDS)


def test_the_sample_of_the_configuration_is_understood(tmp_path: Path) -> None:
    from pulsekit._config.settings import load_settings

    (tmp_path / "pulsekit.yml").write_text(re.search(r"```yaml\n(.*?)```", README, re.DOTALL)[1])  # type: ignore[index] # it is there
    settings = load_settings(tmp_path, {"XDG_CONFIG_HOME": str(tmp_path)})
    assert settings.exchange == "exchange/me/v1/jobs"
    assert [binding.pattern for entry in settings.registrations for binding in entry.expand()] == [  # type: ignore[union-attr] # registrations, not bindings
        "treeherder.mozilla-inbound._",
        "treeherder.autoland._",
    ]
