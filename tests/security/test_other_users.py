"""Files and folders of another user: no command needs them, and none of them configures a login."""

from __future__ import annotations

import subprocess
import sys
from typing import TYPE_CHECKING, Any

import pytest
from support.command import ordinary_user, pulsekit

from pulsekit._config.settings import load_settings
from pulsekit.errors import ConfigurationError

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

URL = "amqp://me:pw@127.0.0.1:1/"  # nothing listens
UNREACHABLE = 4
FILE_ERROR = 74


@pytest.fixture
def closed(tmp_path: Path) -> Iterator[Path]:
    """A folder that its user may not search, as the home of another user."""
    folder = tmp_path / "closed"
    (folder / ".config" / "pulsekit").mkdir(parents=True)
    (folder / ".config" / "pulsekit" / "config.yml").write_text("url: amqp://other:pw@127.0.0.1:1/\n")
    (folder / "pulsekit.yml").write_text("exchange: exchange/me/v1/jobs\n")
    folder.chmod(0)
    yield folder
    folder.chmod(0o700)


def run(*arguments: str, folder: Path, **extra: str) -> Any:
    return pulsekit(*arguments, folder=folder, extra=extra, prefix=ordinary_user())


def test_a_closed_home_prevents_no_command(closed: Path, tmp_path: Path) -> None:
    (tmp_path / "own.json").write_text('{"type": "object"}')  # whose compiled form would be cached in the home
    done = pulsekit(
        *("validate", "-", "--schema", "own.json"),
        folder=tmp_path,
        given="{}",
        extra={"HOME": str(closed)},
        prefix=ordinary_user(),
    )
    assert (done.status, done.err) == (0, "1 valid, 0 invalid against own.json (strict)\n")


def test_the_reason_is_reported_if_the_login_could_be_in_a_closed_home(closed: Path, tmp_path: Path) -> None:
    reason = f"cannot read {closed}/.config/pulsekit/config.yml: Permission denied"
    show = ("queue", "show", "queue/me/x")
    done = run(*show, folder=tmp_path, HOME=str(closed))
    assert (done.status, "no broker is configured" in done.err, done.err.count(reason)) == (2, True, 1)
    done = run(*show, folder=tmp_path, HOME=str(closed), PULSE_URL=URL)
    assert (done.status, f"warning: {reason}\n" in done.err) == (UNREACHABLE, True)
    done = run(*show, "--login", "work", folder=tmp_path, HOME=str(closed))
    assert (done.status, done.err.count(reason)) == (2, 1)
    done = run("doctor", "--config", folder=tmp_path, HOME=str(closed))
    assert (done.status, done.err) == (0, f"warning: {reason}\n")


def test_a_closed_or_deleted_current_folder_prevents_no_command(closed: Path, tmp_path: Path) -> None:
    (tmp_path / "own.json").write_text('{"type": "object"}')
    for folder, script in ((closed, 'cd "$0"'), (tmp_path / "gone", 'mkdir "$0"; cd "$0"; rmdir "$0"')):
        shell = ("sh", "-c", f'{script}; exec {" ".join(ordinary_user())} "$@"', str(folder))
        arguments = ("validate", "-", "--schema", str(tmp_path / "own.json"))
        done = pulsekit(*arguments, folder=tmp_path, given="{}", prefix=shell)
        assert (done.status, [record["valid"] for record in done.records]) == (0, [True]), done.err


def test_a_file_of_the_user_that_cannot_be_read_is_an_error(tmp_path: Path) -> None:
    (tmp_path / ".config" / "pulsekit").mkdir(parents=True)
    (tmp_path / ".config" / "pulsekit" / "config.yml").touch(mode=0)
    done = run("match", "a.b", folder=tmp_path)
    assert (done.status, "config.yml: Permission denied" in done.err) == (2, True)


def test_a_schema_of_another_user_is_an_error(tmp_path: Path) -> None:
    (tmp_path / "own.json").touch(mode=0)
    done = run("validate", "-", "--schema", "own.json", folder=tmp_path)
    assert (done.status, done.err) == (2, "error: the schema 'own.json' cannot be read: Permission denied\n")


@pytest.mark.parametrize("home", ["HOME", "XDG_CONFIG_HOME"])
@pytest.mark.parametrize("value", ["", ".", "folder"])
def test_a_relative_home_never_reads_the_login_of_a_project(
    home: str, value: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for base in (tmp_path, tmp_path / "folder"):
        for folder in (base / ".config" / "pulsekit", base / "pulsekit"):
            folder.mkdir(parents=True)
            (folder / "config.yml").write_text("user: stranger\npassword_command: touch was-run\n")
    monkeypatch.chdir(tmp_path)
    settings = load_settings(environment={"HOME": str(tmp_path / "none"), home: value})
    with pytest.raises(ConfigurationError, match="no broker is configured"):
        settings.broker()
    assert not (tmp_path / "was-run").exists()


def test_without_a_home_the_settings_are_empty(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("HOME", raising=False)
    monkeypatch.setattr("pwd.getpwuid", {}.__getitem__)  # as for the users of some containers
    assert load_settings(tmp_path, {}).user is None


@pytest.mark.parametrize(
    "write",
    [
        "pulsekit.cli.output.files.write_whole(path, '{}')",
        "pulsekit.recordings.recorder.Recorder(path, replace=True).open()",
    ],
)
def test_an_error_names_the_file_and_not_a_temporary_one(write: str, tmp_path: Path) -> None:
    (tmp_path / "a.ndjson").write_text("old")
    tmp_path.chmod(0o500)
    module = write.partition("(")[0].rpartition(".")[0]
    program = f"""
import pathlib, {module}
path = pathlib.Path("a.ndjson")
try:
    {write}
except PermissionError as error:
    print(error.filename)
"""
    done = subprocess.run(
        (*ordinary_user(), sys.executable, "-c", program),
        cwd=tmp_path,
        capture_output=True,
        text=True,
        timeout=50,
        check=True,
    )
    tmp_path.chmod(0o700)
    assert done.stdout == "a.ndjson\n"
    assert [path.name for path in tmp_path.iterdir()] == ["a.ndjson"]
    assert (tmp_path / "a.ndjson").read_text() == "old"


@pytest.mark.parametrize("arguments", [(), ("--force",)])
def test_a_recording_that_cannot_be_created_is_reported_before_connecting(
    arguments: tuple[str, ...], tmp_path: Path
) -> None:
    folder = tmp_path / "theirs"
    folder.mkdir()
    if arguments:
        (folder / "a.ndjson").write_text("old")
    folder.chmod(0o500)
    done = run("tail", "exchange/me/x", "--save", "theirs/a.ndjson", *arguments, folder=tmp_path, PULSE_URL=URL)
    assert (done.status, done.err) == (FILE_ERROR, "error: theirs/a.ndjson: Permission denied\n")
