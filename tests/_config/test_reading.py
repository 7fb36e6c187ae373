"""The selection of the configuration file, and the position of errors in it."""

from __future__ import annotations

import os
import re
from typing import TYPE_CHECKING

import pytest

from pulsekit._config.project_file import project_file
from pulsekit._config.settings import Settings, load_settings
from pulsekit.errors import ConfigurationError, InvalidInput, InvalidRegistration

if TYPE_CHECKING:
    from pathlib import Path

JOBS = "exchange/me/v1/jobs"


def settings(folder: Path) -> Settings:
    return load_settings(folder, {"XDG_CONFIG_HOME": str(folder / "none")})


@pytest.fixture
def nested(tmp_path: Path) -> Path:
    """A folder, below another one that has a pulsekit.yml and a schema."""
    (tmp_path / "pulsekit.yml").write_text(f"exchange: {JOBS}\nschema: schemas/own.yml\n")
    folder = tmp_path / "a" / "b"
    folder.mkdir(parents=True)
    return folder


def test_the_nearest_parent_is_read_and_paths_are_relative_to_it(nested: Path, tmp_path: Path) -> None:
    found = settings(nested)
    assert found.exchange == JOBS
    assert found.schema == str(tmp_path / "schemas" / "own.yml")
    (nested.parent / "pulsekit.yml").write_text("exchange: exchange/me/nearer\n")
    assert settings(nested).exchange == "exchange/me/nearer"
    (nested / "pulsekit.yml").write_text("")
    assert settings(nested).exchange is None


@pytest.mark.parametrize("entry", [".git", ".hg", ".jj"])
def test_the_root_of_a_repository_ends_the_search(nested: Path, entry: str) -> None:
    (nested.parent / entry).mkdir()
    assert settings(nested).exchange is None
    (nested.parent / "pulsekit.yml").write_text(f"exchange: {JOBS}\n")
    assert settings(nested).exchange == JOBS


def test_a_file_of_another_user_above_is_not_read(
    nested: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    if os.geteuid() != 0:
        pytest.skip("only root can give a file to another user")
    os.chown(tmp_path / "pulsekit.yml", 12345, -1)
    assert settings(nested).exchange is None
    assert settings(tmp_path).exchange == JOBS  # in the current folder, it is the user's choice
    monkeypatch.setattr(os, "geteuid", lambda: 12345)
    assert settings(nested).exchange == JOBS


def test_a_named_file_is_read_instead_and_must_exist(nested: Path, tmp_path: Path) -> None:
    other = tmp_path / "other.yml"
    token = project_file.set(other)
    try:
        with pytest.raises(ConfigurationError, match=r"other\.yml: there is no such file"):
            settings(nested)
        other.mkdir()
        with pytest.raises(ConfigurationError, match=r"other\.yml: it is not a file"):
            settings(nested)
        other.rmdir()
        other.write_text("exchange: exchange/me/other\n")
        assert settings(nested).exchange == "exchange/me/other"
    finally:
        project_file.reset(token)


@pytest.mark.parametrize("name", ["pulsekit.yaml", ".pulsekit.yml"])
def test_a_file_of_another_name_is_not_left_out_silently(tmp_path: Path, name: str) -> None:
    (tmp_path / name).write_text(f"exchange: {JOBS}\n")
    with pytest.raises(ConfigurationError, match=f"{re.escape(name)} is not read: rename it to pulsekit"):
        settings(tmp_path)
    (tmp_path / "pulsekit.yml").write_text("exchange: exchange/me/read\n")
    assert settings(tmp_path).exchange == "exchange/me/read"
    (tmp_path / "pulsekit.yml").unlink()
    (tmp_path / "pulsekit.yml").symlink_to(tmp_path / "none.yml")
    with pytest.raises(ConfigurationError, match=r"pulsekit\.yml: it is a link to a file that does not exist"):
        settings(tmp_path)


@pytest.mark.parametrize("text", ["", "\n", "# exchange: x\n", "---\n", "null\n"])
def test_a_file_without_values_is_empty(tmp_path: Path, text: str) -> None:
    (tmp_path / "pulsekit.yml").write_text(text)
    assert settings(tmp_path).exchange is None
    assert settings(tmp_path).source == ""


REGISTRATION = f"registrations:\n  - exchange: {JOBS}\n    destinations: [a]\n    "


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("lint_off: []\nexchange: 1", ":2:11: exchange: must be a string, not 1 (put it in quotes)"),
        ("destinations: treeherder", ':1:15: destinations: must be a list, not the string "treeherder"'),
        (
            "lint_off: [owner-long, owner-lng]",
            ':1:24: lint_off.1: unknown value "owner-lng" (did you mean "owner-long"?)',
        ),
        ("lint_off: [x]", ':1:12: lint_off.0: must be "content-type", '),
        ("lint_off: []\nschema: [a]", ":2:9: schema: must be a string, not a list"),
        (
            "lint_off: []\nexchnge: x",
            ":2:10: unknown key 'exchnge'; did you mean \"exchange\"? the keys are exchange, destinations",
        ),
        ("lint_off: []\nurl: x", ":2:6: 'url' is not allowed in a project's file"),
        ("- a", ":1: write a mapping"),
        ("exchange: [", ":1:12: "),
        (f"{REGISTRATION}projcts: [b]", ":2:5: registration 1: unknown property 'projcts'"),
        (f"{REGISTRATION}projects: [{{}}]", ":2:5: registration 1: projects: item 1"),
        (
            f"exchange: {JOBS}\ntargets:\n  stage: {{}}",
            ":3:10: targets: unknown key 'stage'; the keys are staging and production",
        ),
        (f"exchange: {JOBS}\ntargets:\n  staging:\n    projects: b", ":4:15: targets.staging.projects: must be a list"),
        ("a: b\n---\nc: d", ": write one document"),
    ],
)
def test_an_error_has_a_position(tmp_path: Path, text: str, words: str) -> None:
    (tmp_path / "pulsekit.yml").write_text(text)
    with pytest.raises((ConfigurationError, InvalidRegistration, InvalidInput)) as caught:
        settings(tmp_path)
    assert str(caught.value).startswith(f"{tmp_path}/pulsekit.yml{words}")
