from __future__ import annotations

import random
from typing import TYPE_CHECKING

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pulsekit._config.registration_writer import store
from pulsekit._config.settings import load_settings
from pulsekit._config.target import Target
from pulsekit.bindings.registration import Binding, Registration, Rule
from pulsekit.errors import ConfigurationError, DocumentError

if TYPE_CHECKING:
    from pathlib import Path

    from pulsekit._config.settings import Settings

JOBS = "exchange/me/v1/jobs"
MAIN = Registration(JOBS, ["treeherder"], ["autoland._", "try._"])
TRIAL = Registration(JOBS, ["th-staging"], ["#"])
BOTH = {Target.STAGING: MAIN, Target.PRODUCTION: MAIN}
APART = {Target.STAGING: TRIAL, Target.PRODUCTION: MAIN}

WRITTEN = f"""\
# what we send to Treeherder
---
exchange:   {JOBS}   # ours
destinations: [
    treeherder,   # the real one
    "mirror"
  ]

# who binds it
registrations:
    # a friend's
    -   exchange/you/v1/jobs.a:b

    -   exchange: '{JOBS}'
        destinations: [ 'treeherder' ]
        projects:
            -   autoland._   # first
            # since 2024
            -   "mozilla-inbound._"
            # end of projects
    # end of registrations

schema:   'pulse-job'
# end of file
"""


def loaded(text: str, folder: Path) -> Settings:
    (folder / "pulsekit.yml").write_bytes(text.encode())
    return load_settings(folder, {"XDG_CONFIG_HOME": str(folder)})


def put(text: str, registrations) -> str:
    return store(text, registrations, source="pulsekit.yml")


def test_a_new_file_has_the_exchange_first_and_then_registrations() -> None:
    assert put("", BOTH) == (
        f"exchange: {JOBS}\n"
        "destinations: [treeherder]\n"
        "registrations:\n"
        f"  - exchange: {JOBS}\n"
        "    destinations: [treeherder]\n"
        "    projects: [autoland._, try._]\n"
        "targets:\n"
        "  staging:\n"
        f"    exchange: {JOBS}\n"
        "    destinations: [treeherder]\n"
        "  production:\n"
        f"    exchange: {JOBS}\n"
        "    destinations: [treeherder]\n"
    )


@pytest.mark.parametrize("registrations", [BOTH, APART, {Target.STAGING: TRIAL}, {Target.PRODUCTION: MAIN}])
@pytest.mark.parametrize(
    "text",
    [
        "",
        "# nothing yet\n",
        WRITTEN,
        WRITTEN.replace("\n", "\r\n"),
        WRITTEN.rstrip(),
        f"registrations: {JOBS}.a:b\n",
        f"registrations: {{exchange: {JOBS}, projects: [x]}}\n",
        f"registrations:\n- {{exchange: {JOBS}, destinations: [a], projects: [x], rule: project.destination}}\n",
        f'registrations: ["{JOBS}:a"]\nexchange: {JOBS}\ntargets: {{staging: {{destinations: [a], projects: [b]}}}}\n',
        f"{{exchange: {JOBS}}}\n",
        "targets:\n   staging:\n      destinations: [x]  # here\n   production:\n",
    ],
)
def test_a_stored_registration_is_read_by_settings(tmp_path: Path, text: str, registrations) -> None:
    settings = loaded(put(text, registrations), tmp_path)
    for target, registration in registrations.items():
        chosen = settings.at(target)
        assert chosen.exchange == registration.exchange
        assert chosen.destinations == registration.destinations
        assert [one for one in chosen.registrations if isinstance(one, Registration)] == [registration]
        assert registration in settings.registrations


def test_all_other_lines_stay_unchanged() -> None:
    assert put(WRITTEN, APART) == (
        WRITTEN.replace('"mozilla-inbound._"', '"try._"')
        + "targets:\n"
        + "  staging:\n"
        + f"    exchange: {JOBS}\n"
        + "    destinations: [th-staging]\n"
        + "    projects: ['#']\n"
        + "  production:\n"
        + f"    exchange: {JOBS}\n"
        + "    destinations: [treeherder]\n"
    )


def test_line_ends_are_kept() -> None:
    changed = put(WRITTEN.replace("\n", "\r\n"), BOTH)
    assert changed.count("\n") == changed.count("\r\n") > WRITTEN.count("\n")


def test_storing_again_changes_nothing() -> None:
    for text in ("", WRITTEN):
        once = put(text, APART)
        assert put(once, APART) == once


def test_an_old_rule_is_removed_with_its_registration(tmp_path: Path) -> None:
    text = f"registrations:\n- {{exchange: {JOBS}, destinations: [a], projects: [x], rule: project.destination}}\n"
    assert loaded(put(text, BOTH), tmp_path).registrations == (MAIN,)


def test_a_new_registration_replaces_all_of_the_same_exchange(tmp_path: Path) -> None:
    text = (
        "registrations:\n"
        f"- {JOBS}.a:b\n"
        "- exchange/you/v1/jobs:x\n"
        f"- {{exchange: {JOBS}, projects: [old]}}\n"
        f"- {{exchange: {JOBS}, pattern: old}}\n"
    )
    assert loaded(put(text, BOTH), tmp_path).registrations == (Binding("exchange/you/v1/jobs", "x"), MAIN)


@pytest.mark.parametrize("text", ["# mine\n\n# yours\n", "# mine\n---\n# yours", "\ufeff# mine\n# yours\n"])
def test_a_file_with_only_comments_keeps_them_at_the_top(tmp_path: Path, text: str) -> None:
    changed = put(text, BOTH)
    assert changed.index("# mine") < changed.index("# yours") < changed.index("exchange: ")
    assert loaded(changed, tmp_path).registrations == (MAIN,)


def test_a_text_between_comments_can_become_an_object() -> None:
    text = f"registrations:\n  # first\n  - {JOBS}.a:b\n  # second\n  - exchange/you/v1/jobs.x\n# end\n"
    assert put(text, {Target.PRODUCTION: MAIN}).startswith(
        "registrations:\n"
        "  # first\n"
        f"  - exchange: {JOBS}\n"
        "    destinations: [treeherder]\n"
        "    projects: [autoland._, try._]\n"
        "  # second\n"
        "  - exchange/you/v1/jobs.x\n"
    )


def test_a_long_line_is_not_wrapped() -> None:
    many = Registration(JOBS, ["treeherder"], [f"repository-number-{number}._" for number in range(20)])
    text = f"registrations:\n- {{exchange: {JOBS}, destinations: [treeherder], projects: [try._]}}\n"
    assert f"- {{exchange: {JOBS}, destinations: [treeherder], projects: [{', '.join(many.projects)}]}}" in put(
        text, {Target.PRODUCTION: many}
    )


def test_values_used_without_a_target_do_not_change(tmp_path: Path) -> None:
    settings = loaded(put("exchange: exchange/me/other\ndestinations: [x]\n", BOTH), tmp_path)
    assert (settings.exchange, settings.destinations) == ("exchange/me/other", ("x",))


def test_staging_keeps_shared_values_when_production_changes(tmp_path: Path) -> None:
    before = put("", BOTH)
    after = Registration(JOBS, ["treeherder"], ["esr._"])
    settings = loaded(put(before, {Target.PRODUCTION: after}), tmp_path)
    assert settings.at(Target.STAGING).registrations == (MAIN,)
    assert settings.at(Target.PRODUCTION).registrations == (after,)


def test_staging_equal_to_production_has_no_projects(tmp_path: Path) -> None:
    text = put(put("", APART), BOTH)
    assert text == put("", BOTH)


def test_a_name_that_yaml_would_misread_is_quoted(tmp_path: Path) -> None:
    odd = Registration("exchange/me/a: b #c", ["yes", "1", "*", "- x"], ["#", "null", "a, b", "{x"])
    assert loaded(put("", {Target.STAGING: odd, Target.PRODUCTION: odd}), tmp_path).registrations == (odd,)


@pytest.mark.parametrize(
    ("text", "error", "words"),
    [
        ("- a\n", ConfigurationError, "pulsekit.yml: write a mapping"),
        ("exchange: *x\n", DocumentError, "pulsekit.yml:1:11: the alias *x is not supported"),
        ("targets: {prod: {}}\n", ConfigurationError, "pulsekit.yml:1:17: targets: unknown key 'prod'"),
    ],
)
def test_an_invalid_file_is_not_overwritten(text: str, error, words: str) -> None:
    with pytest.raises(error) as caught:
        put(text, BOTH)
    assert str(caught.value).startswith(words)


@given(seed=st.integers(0, 1_000_000))
def test_no_comment_line_is_ever_lost(seed: int) -> None:
    rng = random.Random(seed)
    lines = [line for line in WRITTEN.splitlines() if not line.lstrip().startswith("#")]
    comments = [f"# note {number}" for number in range(rng.randint(1, 8))]
    for comment in comments:
        at = rng.randrange(len(lines) + 1)
        lines.insert(at, " " * rng.choice([0, 2, 4, 8]) + comment)
        if rng.random() < 0.3:
            lines.insert(at, "")
    new = Registration(JOBS, rng.sample(["treeherder", "a", "b"], 2), rng.sample(["autoland._", "x._", "y._"], 2))
    changed = put("\n".join(lines) + "\n", {Target.PRODUCTION: new})
    assert [comment for comment in comments if comment not in changed] == []


def test_a_registration_by_an_old_rule_is_not_rewritten_by_the_new(tmp_path: Path) -> None:
    text = (
        f"exchange: {JOBS}\n"
        "targets: {staging: {destinations: [th]}}\n"
        f"registrations:\n- {{exchange: {JOBS}, destinations: [th], projects: [try], rule: project.destination}}\n"
    )
    settings = loaded(put(text, {Target.PRODUCTION: MAIN}), tmp_path)
    assert Registration(JOBS, ["th"], ["try"], Rule.DESTINATION_PROJECT) not in settings.registrations
