"""A project's file from an untrusted repository: it sets no login or host, and runs nothing."""

from __future__ import annotations

import json
import os
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from support.command import pulsekit
from support.samples import JOBS

import pulsekit as library
from pulsekit._config.settings import load_settings
from pulsekit.errors import ConfigurationError, InvalidInput
from security.secrets_in import PASSWORD, assert_hidden

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

MINE = {"PULSE_URL": "amqps://me:mine@pulse.example/", "HOME": "/nowhere"}
LOGIN = ("url", "user", "password", "password_file", "password_command", "host", "port", "vhost")
# The same key in every spelling of YAML, and similar keys.
SPELLINGS = (
    "{}: x",
    "'{}': x",
    '"{}": x',
    "? {}\n: x",
    "{{{}: x}}",
    '{{"{}":"x"}}',
    "\ufeff{}: x",
    "---\n{}: x\n...",
    "exchange: exchange/me/v1/jobs\n{}: x",
    "{}:\n  x",
    "{}: |\n  x",
    "{}: null",
    "{}: [x]",
    '"{} ": x',
    "pulse_{}: x",
    "targets: {{production: {{{}: x}}}}",
    "targets: {{{}: {{destinations: [a]}}}}",
    "broker: {{{}: x}}",
    "<<: {{{}: x}}",
    "registrations: [{{exchange: exchange/me/v1/jobs, projects: [a], {}: x}}]",
)


def _escaped(key: str) -> list[str]:
    return [
        f'"\\x{ord(key[0]):02x}{key[1:]}": x',
        f'"\\u{ord(key[0]):04x}{key[1:]}": x',
        f'"{key[0]}\\\n  {key[1:]}": x',
    ]


@pytest.mark.parametrize("key", LOGIN)
def test_no_spelling_of_a_key_lets_a_project_set_the_login(key: str, tmp_path: Path) -> None:
    names = (key, key.upper(), key.capitalize(), f"{key[0]}\u200b{key[1:]}")
    texts = [spelling.format(name) for spelling in SPELLINGS for name in names]
    for text in (*texts, *_escaped(key)):
        (tmp_path / "pulsekit.yml").write_text(text, encoding="utf-8")
        with pytest.raises((ConfigurationError, InvalidInput)):
            load_settings(tmp_path, MINE)


_KEYS = st.sampled_from(
    [*LOGIN, "PULSE_URL", "PULSE_USER", "exchange", "schema", "destinations", "registrations", "targets"]
)
_VALUES = st.recursive(
    st.sampled_from([None, True, 5, "x", "exchange/me/v1/jobs", "amqp://you:yours@example.org/", "production"]),
    lambda inner: st.lists(inner, max_size=2) | st.dictionaries(_KEYS, inner, max_size=2),
    max_leaves=6,
)


@given(st.dictionaries(_KEYS, _VALUES, max_size=4))
@settings(max_examples=150, suppress_health_check=list(HealthCheck))
def test_a_project_file_never_changes_the_login(tmp_path: Path, values: dict[str, Any]) -> None:
    (tmp_path / "pulsekit.yml").write_text(json.dumps(values))
    (tmp_path / "elsewhere" / ".git").mkdir(parents=True, exist_ok=True)  # no folder above is searched
    before = load_settings(tmp_path / "elsewhere", MINE)
    try:
        found = load_settings(tmp_path, MINE)
    except (ConfigurationError, InvalidInput):
        return
    assert replace(found.broker(), read_password=None) == replace(before.broker(), read_password=None)
    assert found.broker().password == "mine"
    assert found.user == "me"
    without = load_settings(tmp_path, {"HOME": "/nowhere"})
    assert not without.names_a_broker


COMMANDS = [
    ("match", "a.b"),
    ("bindings",),
    ("validate", "job.json"),
    ("publish", "job.json", "--dry-run"),
    ("exchange", "check", "exchange/me/x"),
    ("register", "--target", "production"),
]
_RUNS = [
    "password_command: touch pwned\n",
    "user: me\nurl: amqp://me@127.0.0.1:1/\npassword_command: touch pwned\n",
    "exchange: !!python/object/apply:os.system ['touch pwned']\n",
    "exchange: $(touch pwned)\n",
    "schema: '|touch pwned'\ndestinations: [a]\n",
    "schema: \"$(touch pwned)\"\ndestinations: ['`touch pwned`']\n",
    "targets: {production: {password_command: touch pwned}}\n",
]


@pytest.mark.parametrize("text", _RUNS)
def test_a_project_runs_no_command(text: str, tmp_path: Path) -> None:
    (tmp_path / "pulsekit.yml").write_text(text)
    (tmp_path / "job.json").write_text(json.dumps(JOBS[0]))
    number = _RUNS.index(text)
    for arguments in (COMMANDS[number % len(COMMANDS)], ("exchange", "check", "exchange/me/x")):
        done = pulsekit(*arguments, folder=tmp_path, url="amqp://me:p@127.0.0.1:1/")
        assert done.status in {0, 1, 2, 4}
        assert not (tmp_path / "pwned").exists()


@pytest.mark.parametrize(
    "text", ["password: *{}\n", "{}: x\n", "url: amqps://me:{}@h/\n", "{}\n", "password: [{}\n", "- {}\n"]
)
def test_a_link_to_the_users_file_reveals_nothing(text: str, tmp_path: Path) -> None:
    secret = PASSWORD[:4]
    users_file = tmp_path / "home" / "secret.yml"
    users_file.parent.mkdir()
    users_file.write_text(text.format(secret))
    (tmp_path / "pulsekit.yml").symlink_to(users_file)
    done = pulsekit("match", "a.b", folder=tmp_path)
    assert done.status == 2
    assert_hidden(done.out + done.err)


@pytest.mark.parametrize("what", ["/dev/zero", "/dev/tty", "a pipe", "a folder", "itself"])
def test_a_configuration_that_is_not_a_file_is_an_error(what: str, tmp_path: Path) -> None:
    place = tmp_path / "pulsekit.yml"
    if what == "a pipe":
        os.mkfifo(tmp_path / "pipe")  # without a writer
    elif what == "a folder":
        (tmp_path / "folder").mkdir()
    place.symlink_to({"a pipe": "pipe", "a folder": "folder", "itself": place.name}.get(what, what))
    done = pulsekit("match", "a.b", folder=tmp_path)
    assert done.status == 2
    assert "cannot read pulsekit.yml" in done.err


@pytest.fixture
def open_umask() -> Iterator[None]:
    """Let files be created with the default permissions."""
    before = os.umask(0)
    yield
    os.umask(before)


@pytest.mark.usefixtures("open_umask")
def test_private_files_are_written_only_for_their_owner(tmp_path: Path) -> None:
    (tmp_path / "there.ndjson").touch(mode=0o644)
    for name in ("new.ndjson", "new.ndjson.gz", "there.ndjson"):
        with library.Recorder(tmp_path / name, replace=True):
            assert (tmp_path / name).stat().st_mode & 0o777 == 0o600
    (tmp_path / "schema.yml").write_text("type: object\n")
    (tmp_path / "job.json").write_text("{}")
    tmp_path.chmod(0o700)
    assert pulsekit("validate", "job.json", "--schema", "schema.yml", folder=tmp_path).status == 0
    cache = tmp_path / ".cache" / "pulsekit"
    kept = list(cache.iterdir())
    assert kept
    assert {path.stat().st_mode & 0o777 for path in kept} == {0o600}
    assert cache.stat().st_mode & 0o777 == 0o700


@pytest.mark.parametrize(
    "name",
    [
        "../outside.json",
        "{outside}",
        "below/../../outside.json",
        "link.json",
        "folder/outside.json",
        "circle.json",
        "pipe.json",
        "below",
        "/dev/zero",
        "/dev/stdin",
        "/etc/passwd",
        "a\\0b.json",
    ],
)
def test_a_project_cannot_use_a_schema_outside_of_its_folder(name: str, tmp_path: Path) -> None:
    outside, project = tmp_path / "outside.json", tmp_path / "project"
    outside.write_text("{}")
    (project / "below").mkdir(parents=True)
    (project / "link.json").symlink_to(outside)
    (project / "folder").symlink_to(tmp_path)
    (project / "circle.json").symlink_to("circle.json")
    os.mkfifo(project / "pipe.json")
    (project / "pulsekit.yml").write_text(f'schema: "{name.format(outside=outside)}"')
    with pytest.raises(ConfigurationError, match="is not a file in the project's folder"):
        load_settings(project, MINE)


@pytest.mark.parametrize("name", ["pulse-job", "own.json", "below/own.yml", "./below/../own", "inner.json", "{own}"])
def test_a_project_can_have_schemas(name: str, tmp_path: Path) -> None:
    (tmp_path / "below").mkdir()
    for own in ("own.json", "own", "below/own.yml"):
        (tmp_path / own).write_text('{"type": "string"}')
    (tmp_path / "inner.json").symlink_to("below/own.yml")
    (tmp_path / "pulsekit.yml").write_text(f'schema: "{name.format(own=tmp_path / "own.json")}"')
    assert library.load_schema(load_settings(tmp_path, MINE).schema).is_valid("x") is (name != "pulse-job")


@pytest.mark.parametrize("home", ["/dev/null", "/nonexistent", "/proc/1", ""])
def test_a_home_that_cannot_be_written_prevents_no_command(home: str, tmp_path: Path) -> None:
    (tmp_path / "own.json").write_text('{"type": "object"}')  # whose compiled form cannot be cached
    (tmp_path / "job.json").write_text("{}")
    done = pulsekit("validate", "job.json", "--schema", "own.json", folder=tmp_path, extra={"HOME": home})
    assert (done.status, done.err) == (0, "1 valid, 0 invalid against own.json (strict)\n")
