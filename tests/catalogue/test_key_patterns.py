from __future__ import annotations

import random

import pytest

from pulsekit.bindings import Binding, topic_matches
from pulsekit.catalogue import KnownLayouts, bindings, known_exchanges, pattern, patterns
from pulsekit.errors import ConfigurationError, InvalidName

FAILED = "exchange/taskcluster-queue/v1/task-failed"
TASK, GROUP = "fN1SbArXTPSVFNUvaOlinQ", "XrWNyFwpT2in-wLY9frb-w"
KEY = f"primary.{TASK}.0._._.gecko-t.t-linux.gecko-level-3.{GROUP}._"


def test_values_that_are_not_lists_of_texts_are_refused() -> None:
    with pytest.raises(TypeError, match=r"^schedulerId: 'gecko-3' is text, not a list; write \['gecko-3'\]$"):
        bindings("task-failed", {"schedulerId": "gecko-3"})
    with pytest.raises(TypeError, match=r"^routes: 'a\.b' is text, not a list"):
        patterns("task-failed", {}, "a.b")
    with pytest.raises(TypeError, match=r"^runId: 0 is not text; put it in quotes$"):
        pattern("task-failed", runId=0)  # type: ignore[arg-type] # that is the test


@pytest.mark.parametrize(
    ("exchange", "fields", "expected"),
    [
        ("task-failed", {"schedulerId": "gecko-level-3"}, "primary.*.*.*.*.*.*.gecko-level-3.#"),
        ("task-failed", {"taskGroupId": GROUP}, f"primary.*.*.*.*.*.*.*.{GROUP}.#"),
        ("task-failed", {"taskId": TASK, "runId": "_"}, f"primary.{TASK}._.#"),
        ("task-failed", {"reserved": "a.b"}, "primary.*.*.*.*.*.*.*.*.a.b"),
        ("task-failed", {"workerId": "*"}, "primary.#"),
        ("task-failed", {}, "#"),
        ("hgpushes", {"repository": "integration/autoland"}, "integration/autoland"),
        ("github-push", {"repository": "mozilla.github.io"}, "primary.*.mozilla%github%io"),
        ("github-push", {"organization": "mo zilla!"}, "primary.mozilla.*"),
        ("github-pull-request", {"action": "opened"}, "primary.*.*.opened"),
        ("github-webhooks", {"organization": "a", "repository": "b.c", "event": "push"}, "a/b.c/push"),
        ("notification", {"topic": "a.b"}, "primary.a.b"),
        ("hook-created", {"reserved": "#"}, "#"),
    ],
)
def test_fields_make_a_pattern(exchange: str, fields: dict[str, str], expected: str) -> None:
    assert pattern(exchange, **fields) == expected
    assert KnownLayouts().mismatch(bindings(exchange)[0].exchange, expected) is None


def test_a_pattern_of_fields_matches_only_keys_with_these_fields() -> None:
    by_scheduler = pattern("task-failed", schedulerId="gecko-level-3")
    assert topic_matches(by_scheduler, KEY)
    assert not topic_matches(by_scheduler, KEY.replace("gecko-level-3", "gecko-level-1"))
    assert not topic_matches(by_scheduler, KEY.replace("gecko-level-3.", "x.").replace("t-linux", "gecko-level-3"))


def test_several_values_of_a_field_make_several_bindings() -> None:
    fields = {"provisionerId": ["gecko-1", "gecko-3"], "schedulerId": ["a", "b", "a"]}
    assert bindings("task-failed", fields) == tuple(
        Binding(FAILED, f"primary.*.*.*.*.{provisioner}.*.{scheduler}.#")
        for provisioner in ("gecko-1", "gecko-3")
        for scheduler in ("a", "b")
    )


def test_a_route_makes_a_binding_in_addition_to_fields() -> None:
    assert pattern("task-failed", route="index.gecko.v2.#") == "route.index.gecko.v2.#"
    assert patterns("task-failed", {"runId": ["1"]}, ["a.b", "c"]) == ("route.a.b", "route.c", "primary.*.1.#")


@pytest.mark.parametrize(
    ("exchange", "fields", "words"),
    [
        (
            "task-failed",
            {"taskID": TASK},
            "have no field 'taskID'. Did you mean 'taskId'. The fields are routingKeyKind, taskId",
        ),
        ("task-failed", {"taskId": "gecko"}, "no key has taskId=gecko: taskId is an id of 22 characters"),
        ("task-failed", {"runId": "first"}, "runId is a number from 0 to 1000"),
        ("task-failed", {"routingKeyKind": "route"}, "routingKeyKind is always 'primary'"),
        ("task-failed", {"taskGroupId": "_"}, "taskGroupId always has a value"),
        ("task-failed", {"workerType": "a.b"}, "workerType is one word, and a word has no '.'"),
        ("task-failed", {"workerType": "a*"}, "workerType is at most 38 letters"),
        ("task-failed", {"workerType": ""}, "workerType is empty; a field without a value is written _"),
        ("github-pull-request", {"action": "open*"}, "wildcards only as whole words"),
        (
            "github-webhooks",
            {"event": "push"},
            "give organization, repository, event, or choose messages with --filter",
        ),
    ],
)
def test_a_field_that_no_key_has_is_an_error_with_the_reason(exchange: str, fields: dict[str, str], words: str) -> None:
    with pytest.raises(ConfigurationError, match=words):
        pattern(exchange, **fields)


def test_a_route_and_fields_are_not_a_single_pattern() -> None:
    with pytest.raises(ConfigurationError, match="a route and fields make two patterns"):
        pattern("task-failed", route="a", runId="0")


def test_only_some_exchanges_have_routes() -> None:
    with pytest.raises(ConfigurationError, match="messages of exchange/hgpushes/v1 have no routes"):
        pattern("hgpushes", route="a")


def test_the_fields_of_an_unknown_exchange_have_no_names() -> None:
    with pytest.raises(InvalidName, match="is not in the catalogue"):
        pattern("exchange/me/v1/jobs", project="try")
    with pytest.raises(InvalidName, match="did you mean 'task-failed'"):
        pattern("task-faild")


def test_the_number_of_bindings_has_a_limit() -> None:
    many = [f"w{number}" for number in range(40)]
    with pytest.raises(ConfigurationError, match="make 1,600 bindings"):
        patterns("task-failed", {"workerId": many, "workerGroup": many})


@pytest.mark.parametrize(
    ("exchange", "written", "reason"),
    [
        (FAILED, "primary.*.gecko-level-3.#", "word 3 is 'gecko-level-3', and runId is a number from 0 to 1000"),
        (FAILED, "gecko-level-3.#", "word 1 is 'gecko-level-3', and routingKeyKind is always 'primary'"),
        (FAILED, "primary._.#", "word 2 is '_', and taskId always has a value"),
        (FAILED, "primary.*.*", "it has 3 words, and a key has 10 or more"),
        (FAILED, "", "it has 0 words, and a key has 10 or more"),
        (FAILED, "primary.*.*.*.*.*.*.gecko-level-3.*", "it has 9 words"),
        (FAILED, "route", "it has 1 word"),
        ("exchange/taskcluster-github/v1/push", "primary.mozilla.*.*", "it has 4 words, and a key has 3"),
        ("exchange/taskcluster-github/v1/push", "#.primary.x.y.z", "word"),
        ("exchange/taskcluster-github/v1/push", "#.moz illa.y", "no key has these words after its '#'"),
        ("exchange/taskcluster-github/v1/push", "route.a", "it has 2 words, and a key has 3"),
        ("exchange/hgpushes/v1", "", "it has 0 words, and a key has 1 or more"),
        ("exchange/github-webhooks/v1", "mozilla.treeherder.push", "does not have the form <organization>/"),
    ],
)
def test_a_pattern_that_no_key_matches_is_reported_with_the_reason(exchange: str, written: str, reason: str) -> None:
    found = KnownLayouts().mismatch(exchange, written)
    assert found
    assert reason in found[0]


def test_a_pattern_for_a_route_without_its_first_word_names_the_form_of_cc_keys() -> None:
    found = KnownLayouts().mismatch(FAILED, "index.gecko.v2.#")
    assert found
    assert found[1].endswith("and CC keys are route.<route>…")


@pytest.mark.parametrize(
    ("exchange", "written"),
    [
        (FAILED, "#"),
        (FAILED, "#.#"),
        (FAILED, "primary.#"),
        (FAILED, "#.gecko-level-3.#"),
        (FAILED, "*.*.*.*.*.*.*.gecko-level-3.*.*"),
        (FAILED, "primary.*.*.*.*.*.*.*.*.*.more.words"),
        (FAILED, f"#.{GROUP}._"),
        (FAILED, "primary.*._._._.#"),
        (FAILED, "route.#"),
        (FAILED, "route.index.*"),
        (FAILED, "*.index"),
        (FAILED, KEY),
        ("exchange/hgpushes/v1", "try"),
        ("exchange/hgpushes/v1", "releases/a.b"),
        ("exchange/github-webhooks/v1", "mozilla/treeherder/push"),
        ("exchange/github-webhooks/v1", "mozilla/a.b/push"),
        ("exchange/github-webhooks/v1", "mozilla/servo.*"),
        ("exchange/taskcluster-auth/v1/role-created", "_"),
        ("exchange/me/v1/jobs", "anything.at.all"),
    ],
)
def test_a_pattern_that_a_key_can_match_has_no_finding(exchange: str, written: str) -> None:
    assert KnownLayouts().mismatch(exchange, written) is None


def test_the_verdict_on_a_pattern_agrees_with_keys() -> None:
    rng, layouts = random.Random(20261129), KnownLayouts()
    keys = [
        KEY,
        KEY.replace("gecko-level-3", "x"),
        KEY.replace(".0.", "._."),
        f"{KEY}.more",
        "route.index.a",
        "route.b",
    ]
    words = [*KEY.split("."), "*", "*", "#", "#", "route", "index", "0", "_", "more"]
    findings = 0
    for _ in range(5000):
        start = rng.choice(keys).split(".")
        for _ in range(rng.randrange(6)):
            place = rng.randrange(len(start))
            start[place : place + rng.choice((1, 1, 1, 2, 4))] = [rng.choice(words)]
        written = ".".join(start)
        mismatch = layouts.mismatch(FAILED, written)
        findings += mismatch is not None
        assert mismatch is None or not any(topic_matches(written, key) for key in keys), written
    assert 500 < findings < 4500


def test_every_exchange_has_a_pattern_for_each_of_its_fields() -> None:
    for known in known_exchanges():
        for field in known.fields:
            if not field.constant and known.separator == ".":
                value = {"slug": TASK}.get(field.form) or (TASK if "Q-T" in field.form else "1")
                assert value in pattern(known.alias, **{field.name: value})
