"""The repository that Treeherder finds for a push: expected values are written by hand from its push loader."""

from __future__ import annotations

import re
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pulsekit.errors import ConfigurationError
from pulsekit.treeherder.pushes import resolve_push
from pulsekit.treeherder.repositories import Repositories, Repository, read_repositories
from pulsekit.treeherder.subjects import PushMessage, recognize
from pulsekit.treeherder.task_rules import PUSH_RULES

HG, PUSH, PULL = (
    "exchange/hgpushes/v1",
    "exchange/taskcluster-github/v1/push",
    "exchange/taskcluster-github/v1/pull-request",
)
REPOSITORIES = Repositories(
    [
        Repository("autoland", "https://hg.mozilla.org/integration/autoland"),
        Repository("old", "https://hg.mozilla.org/old", active=False),
        Repository("twin-a", "https://hg.mozilla.org/twin"),
        Repository("twin-b", "https://hg.mozilla.org/twin"),
        Repository("starred", "https://hg.mozilla.org/starred", branches=("*",)),
        Repository("fx", "https://github.com/mozilla/fx", branches=("main", "beta")),
        Repository("fx-try", "https://github.com/mozilla/fx", branches=("try/*",)),
        Repository("fx-exact", "https://github.com/mozilla/fx", branches=("try/exact",)),
        Repository("fx-tags", "https://github.com/mozilla/fx", branches=("tag",)),
        Repository("fx-pr", "https://github.com/mozilla/fx", accepts_pull_requests=True),
        Repository("all", "https://github.com/mozilla/all", branches=("*",)),
        Repository("also-all", "https://github.com/mozilla/all", branches=("ma*",)),
    ]
)


def hg(url: str = "https://hg.mozilla.org/integration/autoland", **parts: Any) -> PushMessage:
    pushes = [{"pushid": 1, "time": 1, "user": "me", "push_full_json_url": f"{url}/json-pushes?full=1"}]
    return PushMessage(HG, {"payload": {"repo_url": url, "heads": [], "pushlog_pushes": pushes} | parts})


def github(repository: str = "fx", branch: str = "main", *, pull: bool = False, **more: Any) -> PushMessage:
    side = "base" if pull else "head"
    details = {
        f"event.{side}.repo.url": f"https://github.com/mozilla/{repository}.git",
        "event.base.repo.branch": branch,
        "event.base.sha": "1" * 40,
    }
    details |= {"event.pullNumber": 7} if pull else {}
    details |= more.pop("details", {})
    return PushMessage(PULL if pull else PUSH, {"details": details} | more)


@pytest.mark.parametrize(
    ("message", "repository"),
    [
        (hg(), "autoland"),
        (PushMessage("exchange/me/hgpushes/v9", hg().payload), "autoland"),
        (github(), "fx"),
        (github(branch="beta"), "fx"),
        (github(branch="try/me"), "fx-try"),
        (github(branch="try/exact"), "fx-exact"),
        (github(details={"event.head.tag": "v1"}), "fx-tags"),
        (github(pull=True, branch="any"), "fx-pr"),
        (github("all", "topic"), "all"),
        (github(details={"event.head.repo.url": "https://github.com/mozilla.git/fx.git"}), "fx"),
        (github(details={"event.base.sha": "0" * 40}, body={"commits": [{}]}), "fx"),
    ],
)
def test_a_push_belongs_to_the_active_repository_of_url_and_branch(message: PushMessage, repository: str) -> None:
    resolved = resolve_push(message, REPOSITORIES)
    assert resolved.findings == ()
    assert resolved.repository == REPOSITORIES.find(repository)
    assert resolve_push(message).findings == ()


@pytest.mark.parametrize(
    ("message", "rule", "words"),
    [
        (PushMessage("exchange/landoprod/pushes", {}), "push-exchange", "landoprod"),
        (PushMessage("exchange/taskcluster-github/v1/release", {}), "push-exchange", "release"),
        (
            PushMessage("exchange/hgpushes/v2", {"payload": {"type": "changegroup.1", "data": {}}}),
            "push-incomplete",
            "repo_url",
        ),
        (PushMessage(HG, None), "push-incomplete", "payload"),
        (hg(repo_url=1), "push-incomplete", "not text"),
        (hg(pushlog_pushes=[{}]), "push-incomplete", "push_full_json_url"),
        (hg(pushlog_pushes=[]), "push-empty", "empty"),
        (github(details={"event.base.sha": "0" * 40}, body={"commits": []}), "push-empty", "no commits"),
        (hg("https://hg.mozilla.org/integration/autoland/"), "push-unsupported", "no repository has the URL"),
        (hg("https://hg.mozilla.org/old"), "push-unsupported", "old at .* is not active"),
        (hg("https://hg.mozilla.org/starred"), "push-unsupported", "no active repository"),
        (github(branch="topic"), "push-unsupported", "branches are beta, main, tag, try/\\*, try/exact"),
        (github("all", pull=True), "push-unsupported", "does not accept pull requests"),
        (hg("https://hg.mozilla.org/twin"), "push-ambiguous", "twin-a, twin-b"),
        (github("all", "main"), "push-ambiguous", "all, also-all"),
    ],
)
def test_each_way_in_which_treeherder_drops_a_push_has_a_rule(message: PushMessage, rule: str, words: str) -> None:
    resolved = resolve_push(message, REPOSITORIES)
    assert resolved.repository is None
    (found,) = resolved.findings
    assert found.rule == rule
    assert re.search(words, found.message)


def test_every_rule_about_pushes_is_tested() -> None:
    cases = test_each_way_in_which_treeherder_drops_a_push_has_a_rule.pytestmark[0].args[1]  # type: ignore[attr-defined] # of pytest
    assert {case[1] for case in cases} == {rule.name for rule in PUSH_RULES}


def test_pushes_are_recognized_by_exchange_or_shape() -> None:
    for message in (hg(), github(), github(pull=True)):
        record = {"exchange": message.exchange, "routing_key": "x", "payload": message.payload}
        assert recognize(record) == PushMessage(message.exchange, message.payload, "/payload")
        assert recognize(message.payload) == message


NAMES = [
    "payload", "details", "repo_url", "pushlog_pushes", "event.head.repo.url", "event.base.repo.branch",
    "event.base.sha", "body", "commits",
]  # fmt: skip
ANY = st.recursive(
    st.none() | st.integers() | st.text(),
    lambda inner: st.lists(inner) | st.dictionaries(st.sampled_from(NAMES), inner),
    max_leaves=8,
)


@given(st.sampled_from([HG, PUSH, PULL]), ANY)
def test_no_body_of_a_push_raises(exchange: str, payload: Any) -> None:
    assert resolve_push(PushMessage(exchange, payload), REPOSITORIES).findings


# repositories

FIXTURE = [
    {
        "pk": 1,
        "model": "model.repository",
        "fields": {"name": "autoland", "url": "https://hg.mozilla.org/a", "active_status": "active", "dvcs_type": "hg"},
    },
    {
        "pk": 2,
        "model": "model.repository",
        "fields": {
            "name": "fx",
            "url": "https://github.com/m/fx",
            "active_status": "onhold",
            "accepts_pull_requests": True,
        },
    },
]
BRANCHES = [
    {"pk": 1, "model": "model.repositorybranch", "fields": {"repository": 2, "branch": "main"}},
    {"pk": 2, "model": "model.repositorybranch", "fields": {"repository": 2, "branch": "try/*"}},
]
EXPECTED = [
    Repository("autoland", "https://hg.mozilla.org/a"),
    Repository("fx", "https://github.com/m/fx", active=False, branches=("main", "try/*"), accepts_pull_requests=True),
]


@pytest.mark.parametrize(
    "values",
    [
        [FIXTURE, BRANCHES],
        [BRANCHES, FIXTURE],
        [FIXTURE + BRANCHES],
        [
            [
                {"name": "autoland", "url": "https://hg.mozilla.org/a"},
                {
                    "name": "fx",
                    "url": "https://github.com/m/fx",
                    "active": False,
                    "branches": ["main", "try/*"],
                    "accepts_pull_requests": True,
                },
            ]
        ],
        [
            [
                {
                    "id": 1,
                    "name": "autoland",
                    "url": "https://hg.mozilla.org/a",
                    "active_status": "active",
                    "branch": None,
                },
                {
                    "id": 2,
                    "name": "fx",
                    "url": "https://github.com/m/fx",
                    "active_status": "onhold",
                    "branch": "main,try/*",
                    "accepts_pull_requests": True,
                },
            ]
        ],
    ],
)
def test_repositories_are_read_from_fixtures_answers_and_lists(values: list[Any]) -> None:
    found = read_repositories(*values)
    assert [found.find(name) for name in found] == EXPECTED


def test_a_list_may_have_only_names() -> None:
    found = read_repositories(["autoland", "try"])
    assert [found.find(name) for name in found] == [Repository("autoland"), Repository("try")]


def test_a_repository_without_a_url_may_be_that_of_a_push() -> None:
    resolved = resolve_push(hg(), read_repositories(["autoland", "try"]))
    assert (resolved.repository, resolved.findings) == (None, ())
    assert "an active repository has the URL and the branch" in resolved.assumptions
    (found,) = resolve_push(hg(), Repositories([Repository("gone", active=False)])).findings
    assert found.rule == "push-unsupported"


@pytest.mark.parametrize("value", [{}, "autoland", None, [1], [{}], [{"name": 1}], [{"name": "a", "url": 1}], BRANCHES])
def test_other_forms_are_refused(value: Any) -> None:
    with pytest.raises(ConfigurationError, match="repositor"):
        read_repositories(value)


def test_repositories_have_a_state_by_name() -> None:
    known = read_repositories(FIXTURE)
    assert dict(known) == {"autoland": True, "fx": False}
    assert known.find("fx") == Repository("fx", "https://github.com/m/fx", active=False, accepts_pull_requests=True)
    assert known.find("x") is None


def test_the_second_version_of_hgpushes_is_named() -> None:
    payload = {"_meta": {}, "payload": {"type": "changegroup.1", "data": {"repo_url": "x"}}}
    (found,) = resolve_push(PushMessage("exchange/hgpushes/v2", payload)).findings
    assert found.hint == "this is the form of exchange/hgpushes/v2; Treeherder reads exchange/hgpushes/v1"
