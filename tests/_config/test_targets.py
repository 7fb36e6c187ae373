from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from pulsekit._config.settings import Settings, load_settings
from pulsekit._config.target import Target
from pulsekit.bindings.registration import Binding, Registration
from pulsekit.errors import ConfigurationError

if TYPE_CHECKING:
    from pathlib import Path

JOBS = "exchange/me/v1/jobs"
WHOLE = f"""
exchange: {JOBS}
destinations: [treeherder]
registrations:
- {{exchange: {JOBS}, destinations: [treeherder], projects: [autoland._]}}
- exchange/me/v1/trial:x.#
"""


def settings(folder: Path, text: str) -> Settings:
    (folder / "pulsekit.yml").write_text(text)
    return load_settings(folder, {"XDG_CONFIG_HOME": str(folder)})


def test_a_target_sets_exchange_and_destinations(tmp_path: Path) -> None:
    text = WHOLE + "targets:\n  staging:\n    exchange: exchange/me/v1/trial\n    destinations: [th-staging, x]\n"
    staging = settings(tmp_path, text).at(Target.STAGING)
    assert staging.exchange == "exchange/me/v1/trial"
    assert staging.destinations == ("th-staging", "x")
    assert staging.registrations == (Binding("exchange/me/v1/trial", "x.#"),)


def test_a_target_inherits_missing_values_from_the_project(tmp_path: Path) -> None:
    production = settings(tmp_path, WHOLE + "targets: {staging: {destinations: [s]}, production: }").at(
        Target.PRODUCTION
    )
    assert production.exchange == JOBS
    assert production.destinations == ("treeherder",)
    assert production.registrations == (Registration(JOBS, ["treeherder"], ["autoland._"]),)
    assert production.schema == "pulse-job"


def test_values_that_targets_share_occur_once(tmp_path: Path) -> None:
    assert len(settings(tmp_path, WHOLE + "targets: {staging: {destinations: [s]}, production: }").registrations) == 2


def test_a_target_with_projects_is_also_a_registration_of_the_project(tmp_path: Path) -> None:
    targets = "targets: {staging: {projects: ['#']}, production: {projects: [a._]}}"
    text = f"exchange: {JOBS}\ndestinations: [th]\n{targets}\n"
    found = settings(tmp_path, text)
    assert found.at(Target.STAGING).registrations == (Registration(JOBS, ["th"], ["#"]),)
    assert found.at(Target.PRODUCTION).registrations == (Registration(JOBS, ["th"], ["a._"]),)
    assert found.registrations == (Registration(JOBS, ["th"], ["#"]), Registration(JOBS, ["th"], ["a._"]))


def test_without_a_target_settings_do_not_change(tmp_path: Path) -> None:
    found = settings(tmp_path, WHOLE)
    assert found.at(None) is found
    assert len(found.registrations) == 2


def test_a_target_keeps_the_login_and_the_host(tmp_path: Path) -> None:
    (tmp_path / "pulsekit.yml").write_text(WHOLE + "targets: {staging: {destinations: [s]}}")
    environment = {"XDG_CONFIG_HOME": str(tmp_path), "PULSE_URL": "amqps://me:pw@host/"}
    assert load_settings(tmp_path, environment).at(Target.STAGING).broker().user == "me"


@pytest.mark.parametrize(
    ("text", "words"),
    [
        (WHOLE, "no target 'staging': {file} has none; write `targets: {{staging: {{destinations: […]}}}}`, or run"),
        ("targets: {production: {destinations: [a]}}", "no target 'staging': {file} has none"),
        ("targets: [staging]", "{file}:1:10: targets: must be an object, not a list"),
        ("targets: {stage: {}}", "{file}:1:18: targets: unknown key 'stage'; the keys are staging and production"),
        ("targets: {staging: treeherder}", "{file}:1:20: targets.staging: must be an object, not"),
        (
            "targets: {staging: {destination: [a]}}",
            "staging: unknown key 'destination'; did you mean \"destinations\"?",
        ),
        ("targets: {staging: {exchange: 7}}", "{file}:1:31: targets.staging.exchange: must be a string, not 7"),
        ("targets: {staging: {destinations: a}}", "targets.staging.destinations: must be a list, not"),
        ("targets: {staging: {projects: [a]}}", "staging: exchange is missing, in the target and in the project"),
        ("exchange: jobs\ntargets: {staging: {projects: [a]}}", "staging: exchange: 'jobs' is not a Pulse exchange"),
        (f"exchange: {JOBS}\ntargets: {{staging: {{projects: [a]}}}}", "staging: destinations: the list is empty"),
    ],
)
def test_an_invalid_target_is_reported_with_position_and_correction(tmp_path: Path, text: str, words: str) -> None:
    with pytest.raises(ConfigurationError) as caught:
        settings(tmp_path, text).at(Target.STAGING)
    assert words.format(file=tmp_path / "pulsekit.yml") in str(caught.value)


def test_without_a_file_a_target_cannot_be_selected(tmp_path: Path) -> None:
    with pytest.raises(ConfigurationError, match=r"no target 'production': there is no pulsekit\.yml"):
        load_settings(tmp_path, {"XDG_CONFIG_HOME": str(tmp_path)}).at(Target.PRODUCTION)


def test_an_exchange_can_be_a_short_name_of_the_catalogue(tmp_path: Path) -> None:
    found = settings(tmp_path, "exchange: hgpushes\ntargets: {staging: {exchange: lando-stage}}\n")
    assert found.exchange == "exchange/hgpushes/v1"
    assert found.at(Target.STAGING).exchange == "exchange/landostage/pushes"
    whole = ("{exchange: hgpushes, projects: ['#']}", "{exchange: hgpushes, pattern: '#'}")
    for one in ("hgpushes.#", "'hgpushes:#'", *whole):
        (registration,) = settings(tmp_path, f"registrations: [{one}]\n").registrations
        assert registration.exchange == "exchange/hgpushes/v1", one
    assert settings(tmp_path, "exchange: hgpush\n").exchange == "hgpush"  # refused by the command that uses it
