"""The schema of the configuration files, which the commands and editors use."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import pytest
from jsonschema import Draft7Validator

from pulsekit._config.file_schema import login_keys, project_keys, read_schema, schema_text
from pulsekit._config.settings import load_settings
from pulsekit.errors import ConfigurationError, InvalidInput

if TYPE_CHECKING:
    from pathlib import Path

JOBS = "exchange/me/v1/jobs"
REGISTRATION: dict[str, Any] = {"exchange": JOBS, "destinations": ["treeherder"], "projects": ["autoland._"]}

# Values of `registrations`, and whether pulsekit reads them.
REGISTRATIONS = [
    (REGISTRATION, True),
    ([REGISTRATION, REGISTRATION | {"rule": "project.destination"}], True),
    ([[REGISTRATION]], True),
    ({"exchange": JOBS, "projects": ["#"]}, True),
    ({"exchange": JOBS, "pattern": "#"}, True),
    ({"exchange": JOBS, "routing_keys": ["a.#", "b"]}, True),
    ({"name": JOBS, "destinations": ["a"], "projects": ["b"]}, True),
    ({"registrations": [REGISTRATION]}, True),
    ({"sources": [REGISTRATION]}, True),
    ({"PULSE_DATA_INGESTION_SOURCES": json.dumps([REGISTRATION])}, True),
    (f"{JOBS}.a:b", True),
    ([f"{JOBS}:a.#"], True),
    (None, True),
    ([], True),
    (5, False),
    ([5], False),
    (REGISTRATION | {"projcts": ["a"]}, False),
    (REGISTRATION | {"projects": "autoland"}, False),
    (REGISTRATION | {"projects": [None]}, False),
    (REGISTRATION | {"projects": []}, False),
    (REGISTRATION | {"projects": [""]}, False),
    (REGISTRATION | {"destinations": [1]}, False),
    (REGISTRATION | {"rule": "project"}, False),
    (REGISTRATION | {"exchange": [JOBS]}, False),
]
# Values of other keys, in the project's file.
VALUES = [
    ({"exchange": JOBS, "schema": "pulse-job", "lint_off": ["log-unparsed"], "destinations": ["a"]}, True),
    (dict.fromkeys(["exchange", "schema", "lint_off", "destinations", "targets"]), True),
    ({"targets": {"staging": None, "production": {"destinations": None, "exchange": JOBS, "projects": None}}}, True),
    ({"exchange": JOBS, "targets": {"staging": {"destinations": ["a"], "projects": ["b"]}}}, True),
    ({"exchange": 5}, False),
    ({"lint_off": "log-unparsed"}, False),
    ({"lint_off": ["log-unparsed", "log-unparsd"]}, False),
    ({"destinations": [["a"]]}, False),
    ({"targets": {"beta": {}}}, False),
    ({"targets": {"staging": {"projects": ["b", None]}}}, False),
    ({"targets": {"staging": {"schema": "a"}}}, False),
    ({"logins": {}}, False),
]


def refusal(folder: Path, *, project: Any = None, user: Any = None) -> str:
    """Return the message of the error for these files, or an empty text if they can be read."""
    (folder / "pulsekit").mkdir(exist_ok=True)
    (folder / "pulsekit.yml").write_text(json.dumps(project))
    (folder / "pulsekit" / "config.yml").write_text(json.dumps(user))
    try:
        load_settings(folder, {"XDG_CONFIG_HOME": str(folder)})
    except (ConfigurationError, InvalidInput) as error:
        return str(error)
    return ""


@pytest.mark.parametrize(
    ("value", "valid"), [*(({"registrations": value}, valid) for value, valid in REGISTRATIONS), *VALUES]
)
def test_an_editor_and_the_commands_accept_the_same_files(tmp_path: Path, value: dict[str, Any], valid: bool) -> None:
    assert Draft7Validator(read_schema(user=False)).is_valid(value) is valid
    message = refusal(tmp_path, project=value)
    assert (message == "") is valid, message
    if "logins" not in value:
        assert Draft7Validator(read_schema(user=True)).is_valid(value) is valid
        assert (refusal(tmp_path, user=value) == "") is valid


@pytest.mark.parametrize("user", [False, True])
def test_the_schema_is_one_and_describes_every_key(user: bool) -> None:
    schema = json.loads(schema_text(user=user))
    Draft7Validator.check_schema(schema)
    assert "config.yml" in schema["title"] or not user
    assert all(about.get("description") for about in (project_keys() | login_keys()).values())
    assert {*schema["properties"]} == {*project_keys(), *([*login_keys(), "logins"] if user else [])}


@pytest.mark.parametrize(
    ("user", "words"),
    [
        ({"password": 271828}, "config.yml:1:14: password: must be a string"),
        ({"logins": {"work": {"password": [271828]}}}, "config.yml:1:34: logins.work.password: must be a string"),
        ({"logins": {"work": {"pasword": "271828"}}}, "logins.work: unknown key 'pasword'; the keys are url, user, "),
        ({"logins": {"work": "amqps://me:271828@h/"}}, "logins.work: must be an object"),
    ],
)
def test_a_wrong_login_is_located_and_not_quoted(tmp_path: Path, user: dict[str, Any], words: str) -> None:
    message = refusal(tmp_path, user=user)
    assert words in message
    assert "271828" not in message


def test_a_project_file_that_is_a_link_is_not_quoted(tmp_path: Path) -> None:
    (tmp_path / "secret").write_text("hunter2: x\n")
    (tmp_path / "pulsekit.yml").symlink_to(tmp_path / "secret")
    with pytest.raises(ConfigurationError, match="a key in it is unknown; the keys are exchange, ") as caught:
        load_settings(tmp_path, {"XDG_CONFIG_HOME": str(tmp_path)})
    assert "hunter2" not in str(caught.value)
