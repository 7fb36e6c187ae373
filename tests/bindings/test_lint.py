from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pulsekit.bindings.coverage import covers
from pulsekit.bindings.lint import Severity, fewest_words, lint
from pulsekit.bindings.matching import RoutedMessage
from pulsekit.bindings.registration import Binding, Registration, Rule, expand

JOBS = "exchange/me/v1/jobs"


def rules(*patterns: str, exchange: str = JOBS) -> dict[str, list[str]]:
    found = lint([Binding(exchange, pattern) for pattern in patterns])
    return {binding.pattern: [finding.rule for finding in findings] for binding, findings in found.items()}


def words(*registrations: Registration | Binding, **options) -> dict[str, list[str]]:
    found = lint(registrations, **options)
    return {binding.pattern: list(map(str, findings)) for binding, findings in found.items()}


def test_the_example_of_the_documentation_has_no_findings() -> None:
    assert words(Registration(JOBS, ["treeherder"], ["mozilla-inbound._", "try._"])) == {
        "treeherder.mozilla-inbound._": [],
        "treeherder.try._": [],
    }


def test_every_binding_of_the_expansion_is_judged_in_its_order() -> None:
    registrations = [Registration(JOBS, ["a", "a.b"], ["b.c", "c"]), Binding(JOBS, "z.#")]
    assert tuple(lint(registrations)) == expand(registrations)


def test_a_project_without_the_reserved_word_is_a_hint() -> None:
    assert words(Registration(JOBS, ["treeherder"], ["autoland"])) == {
        "treeherder.autoland": [
            (
                "matches only keys of 2 words, and the usual key of a job has three, <destination>.<project>._; "
                "if your keys have three words, use project 'autoland._'"
            )
        ]
    }
    assert words(Binding(JOBS, "treeherder.*"))["treeherder.*"][0].endswith("use project '*._'")


@pytest.mark.parametrize(
    ("pattern", "exchange", "is_short"),
    [
        ("treeherder", JOBS, True),
        ("", JOBS, True),
        ("*.*", JOBS, True),
        ("*.*.*", JOBS, False),
        ("treeherder.#", JOBS, False),
        ("route.index", "exchange/taskcluster-queue/v1/task-completed", False),
        ("primary", "exchange/taskcluster-queue/v1/task-completed", True),
        ("mozilla-central", "exchange/hgpushes/v1", False),
    ],
)
def test_a_pattern_is_too_short_for_the_keys_of_its_exchange(pattern, exchange, is_short) -> None:
    assert (rules(pattern, exchange=exchange)[pattern] == ["too-short"]) is is_short


def test_the_old_rules_made_shorter_keys() -> None:
    assert words(Registration(JOBS, ["th"], ["try"], Rule.PROJECT_DESTINATION)) == {"try.th": []}
    assert words(Registration(JOBS, [], ["try"], Rule.ANY_PROJECT)) == {"#.try": []}


def test_given_keys_decide_what_is_too_short() -> None:
    least = fewest_words(
        [RoutedMessage(("a.b.c.d", "x.y")), RoutedMessage(("a.b.c",), JOBS), RoutedMessage(("a.b.c.d",), JOBS)]
    )
    assert least == {"": 2, JOBS: 3}
    assert words(Binding(JOBS, "a"), Binding(JOBS, "a.b"), least=least) == {
        "a": ["can never match: it has 1 word, and every key given has 2 or more"],
        "a.b": [],
    }
    assert words(Binding(JOBS, "a.b"), least={JOBS: 3}) == {
        "a.b": ["can never match: it has 2 words, and every key given has 3 or more"]
    }
    assert fewest_words([RoutedMessage(("",))]) == {"": 0}


def test_a_star_within_a_word_is_not_a_wildcard() -> None:
    assert words(Binding(JOBS, "treeherder.mozilla-*._")) == {
        "treeherder.mozilla-*._": [
            "the word 'mozilla-*' matches only itself: * and # are wildcards only as complete words"
        ]
    }
    assert rules("treeherder.##") == {"treeherder.##": ["too-short", "half-wildcard"]}


def test_a_project_that_cannot_be_a_repository_matches_no_job() -> None:
    assert words(Registration(JOBS, ["treeherder"], ["releases/esr._"]))["treeherder.releases/esr._"] == [
        "can never match a job: 'releases/esr' is not the name of a repository, which has only letters, digits, - and _"
    ]
    for project in ("*._", "#", "é-1._", "try.#"):
        assert not any("repository" in one for one in words(Registration(JOBS, ["t h"], [project]))[f"t h.{project}"])
    assert words(Binding(JOBS, "a/b.c/d.e")) == {"a/b.c/d.e": []}
    assert words(Registration(JOBS, ["a"], ["c/d.e"]), least={"": 3}) == {"a.c/d.e": []}


def test_every_duplicate_is_reported() -> None:
    doubled = words(Registration(JOBS, ["a", "a.b"], ["b.c.d", "c.d"]), Binding(JOBS, "a.c.d"), Binding(JOBS, "a.c.d"))
    assert doubled["a.b.c.d"] == ["is listed twice; the broker binds it once"]
    assert doubled["a.c.d"] == ["is listed 3 times; the broker binds it once"]
    assert doubled["a.b.b.c.d"] == []


def test_a_pattern_is_shadowed_by_the_widest_that_covers_it() -> None:
    found = words(Binding(JOBS, "th.try._"), Binding(JOBS, "th.*._"), Binding(JOBS, "th.#"), Binding(JOBS, "x.try._"))
    assert found == {
        "th.try._": ["'th.#' matches every key that this binding matches"],
        "th.*._": ["'th.#' matches every key that this binding matches"],
        "th.#": [],
        "x.try._": [],
    }


def test_the_second_of_two_equivalent_spellings_is_reported() -> None:
    assert rules("a.#.*", "a.*.#") == {"a.#.*": [], "a.*.#": ["shadowed"]}
    assert words(Binding(JOBS, "a.#.*"), Binding(JOBS, "a.*.#"))["a.*.#"] == ["matches the same keys as 'a.#.*'"]


def test_equal_patterns_on_different_exchanges_are_no_duplicates() -> None:
    assert words(Binding(JOBS, "th.#"), Binding("exchange/you/v1/jobs", "th.try._"))["th.try._"] == []


def test_the_documentations_pattern_for_all_jobs_is_explained_as_everything() -> None:
    found = lint([Registration(JOBS, ["#"], ["#"])])
    [finding] = found[Binding(JOBS, "#.#")]
    assert (finding.rule, finding.severity) == ("everything", Severity.NOTE)
    assert finding.message == (
        "matches every message of the exchange, whatever its key, as '#' does; "
        "Treeherder's documentation recommends it for all jobs"
    )
    assert words(Binding(JOBS, "#")) == {"#": ["matches every message of the exchange, whatever its key"]}


def test_useless_bindings_are_wrong_cosmetic_or_a_note() -> None:
    found = lint(
        [
            Binding(JOBS, "a*.b.c"),
            Binding(JOBS, "a"),
            Binding(JOBS, "b.b.b"),
            Binding(JOBS, "b.b.b"),
            Binding(JOBS, "b.#"),
        ]
    )
    assert [finding.severity for findings in found.values() for finding in findings] == [
        Severity.WRONG,
        Severity.NOTE,
        Severity.COSMETIC,
        Severity.COSMETIC,
    ]


some = st.lists(st.lists(st.sampled_from(["a", "b", "", "*", "#"]), max_size=4).map(".".join), unique=True, max_size=6)


@given(patterns=some)
def test_every_shadowed_pattern_is_covered_by_an_unshadowed_one(patterns) -> None:
    """Without the shadowed patterns, the same keys match. No other pattern is shadowed."""
    found = rules(*patterns)
    light = [pattern for pattern, names in found.items() if "shadowed" not in names]
    for pattern in patterns:
        wider = [other for other in light if other != pattern and covers(other, pattern)]
        assert bool(wider) is (pattern not in light)


def test_many_bindings_are_judged_before_a_test_times_out() -> None:
    registration = Registration(JOBS, [f"d{n}" for n in range(100)], [f"p{n}._" for n in range(200)])
    found = lint([registration, Binding(JOBS, "d7.#")])  # pair by pair it would take an hour
    assert sum(bool(findings) for findings in found.values()) == 200


def test_a_word_that_looks_like_several_is_wrong() -> None:
    for pattern, separator in (("a,b.#", "a comma"), ("t a.#", "white space"), ("a;b.#", "a semicolon")):
        assert rules(pattern)[pattern] == ["separator"]
        assert separator in words(Binding(JOBS, pattern))[pattern][0]
