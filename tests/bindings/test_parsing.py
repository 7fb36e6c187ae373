from __future__ import annotations

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pulsekit.bindings.parsing import EXAMPLE, Entry, read_entries
from pulsekit.bindings.registration import Registration, expand, read_registrations
from pulsekit.errors import DocumentError, InvalidInput

JOBS = "exchange/me/v1/jobs"
DOCUMENTED = """
    {
        "exchange": "exchange/me/v1/jobs",
        "destinations": [
            'treeherder',
        ],
        "projects": [
            'mozilla-inbound._'
        ],
    },
"""
AS_JSON = json.dumps({"exchange": JOBS, "destinations": ["treeherder"], "projects": ["mozilla-inbound._"]})


def bound(text: str | bytes) -> list[str]:
    return [str(binding) for binding in expand(read_registrations(text, source="jobs.yml"))]


@pytest.mark.parametrize(
    "text",
    [
        AS_JSON,
        f"[{AS_JSON}]",
        AS_JSON.encode(),
        b"\xef\xbb\xbf" + AS_JSON.encode(),
        f'{{"registrations": [{AS_JSON}]}}',
        f"{AS_JSON}\n",
        "exchange: exchange/me/v1/jobs\ndestinations: [treeherder]\nprojects: [mozilla-inbound._]\n",
        "registrations:\n- {exchange: exchange/me/v1/jobs, destinations: [treeherder], projects: [mozilla-inbound._]}",
        "{exchange: exchange/me/v1/jobs, destinations: [treeherder], projects: [mozilla-inbound._]}",
        f"PULSE_DATA_INGESTION_SOURCES: '[{AS_JSON}]'",
        DOCUMENTED,
        f"[{DOCUMENTED}]",
        f"# from the docs\n\nPULSE_DATA_INGESTION_SOURCES = [{DOCUMENTED}]  # end\n",
        f"exchange = {{'sources': [{DOCUMENTED}]}}",
        f"export PULSE_DATA_INGESTION_SOURCES='[{AS_JSON}]'",
        f"PULSE_DATA_INGESTION_SOURCES=[{AS_JSON}]".replace(" ", ""),
        'PULSE_DATA_INGESTION_SOURCES="[{}]";'.format(AS_JSON.replace('"', r"\"")),
        f"'[{AS_JSON}]'",
        "exchange/me/v1/jobs.treeherder.mozilla-inbound._",
        "'exchange/me/v1/jobs.treeherder.mozilla-inbound._',",
        "exchange/me/v1/jobs:treeherder.mozilla-inbound._",
        f'{{"exchange": "{JOBS}", "pattern": "treeherder.mozilla-inbound._"}}',
    ],
)
def test_every_written_form_gives_the_same_bindings(text) -> None:
    assert bound(text) == ["exchange/me/v1/jobs:treeherder.mozilla-inbound._"]


def test_yaml_behind_a_line_of_dashes_is_not_markdown() -> None:
    text = f"---\nregistrations:\n\n    - exchange: {JOBS}\n      projects: [a]\n"
    assert bound(text) == [f"{JOBS}:#.a"]
    with pytest.raises(DocumentError, match="the key 'registrations' occurs twice"):
        bound(f"{text}\nregistrations: []\n")


def test_several_blocks_of_the_documentation_may_follow_each_other() -> None:
    other = DOCUMENTED.replace("/me/", "/you/")
    assert bound(DOCUMENTED + other) == [
        "exchange/me/v1/jobs:treeherder.mozilla-inbound._",
        "exchange/you/v1/jobs:treeherder.mozilla-inbound._",
    ]


def test_strings_and_objects_may_be_one_per_line() -> None:
    text = f'# ours\nexchange/me/v1/jobs.#.a:#.b\n\n{{"exchange":"{JOBS}","pattern":"c"}}\nexchange/me/v1/jobs:d\n'
    assert bound(text) == [f"{JOBS}:{key}" for key in ("#.a", "#.b", "c", "d")]


@pytest.mark.parametrize(
    ("text", "line", "words"),
    [
        ('{"exchange": "x",\n "projects": [,]}', 2, "JSON"),
        ("{'exchange': 'x',\n 'projects': ['a' 7]}", 2, "Python"),
        ("SOURCES = [\n {'exchange': 'x',\n", 2, "never closed"),
        ("exchange: x\nprojects: [*]\n", 2, "YAML"),
        (b"exchange: \xff", None, "not UTF-8"),
    ],
)
def test_text_in_no_known_form_is_reported_at_the_furthest_position(text, line, words) -> None:
    with pytest.raises(DocumentError) as caught:
        bound(text)
    assert caught.value.source == "jobs.yml"
    assert caught.value.line == line
    assert words in str(caught.value)


@pytest.mark.parametrize(
    "text",
    [
        "[" * 100_000,
        "{" * 5000,
        "-" * 200_000,
        "(" + "1+" * 50_000 + "1)",
        "['" + "a" * 2_000_000,
        "'" * 7,
        "[{[]: 1}]",
        "[__import__('os')]",
        "{'a': 1, **{}}",
        "[b'x']",
        "\0",
        "[\0]",
    ],
    ids=lambda text: text[:8],
)
def test_hostile_text_is_refused_with_a_known_error(text: str) -> None:
    with pytest.raises(InvalidInput):
        bound(text)


@given(text=st.text(alphabet=st.sampled_from("[]{}()'\",:.#-=\n exchang/\\01")))
def test_no_text_raises_anything_but_the_two_errors(text: str) -> None:
    try:
        bound(text)
    except InvalidInput as error:
        assert str(error)  # noqa: PT017 - most texts are refused, some are not


names = st.text(alphabet="abc._-*#", min_size=1, max_size=8)


@given(destinations=st.lists(names, min_size=1, max_size=4), projects=st.lists(names, min_size=1, max_size=4))
def test_json_and_python_literals_of_any_registration_are_read_back(destinations, projects) -> None:
    registration = {"exchange": JOBS, "destinations": destinations, "projects": projects}
    expected = (Registration(JOBS, destinations, projects),)
    assert read_registrations(json.dumps(registration), source="x") == expected
    assert read_registrations(repr(registration) + ",", source="x") == expected


def test_the_example_that_errors_show_can_be_read() -> None:
    assert bound(EXAMPLE) == [f"{JOBS}:treeherder.mozilla-inbound._"]


def test_an_invalid_registration_has_a_position() -> None:
    assert list(read_entries("registrations:\n- 7\n- {a: b}\n", source="jobs.yml", on_warning=pytest.fail)) == [
        Entry(7, "jobs.yml:2:3: registration 1: "),
        Entry({"a": "b"}, "jobs.yml:3:3: registration 2: "),
    ]
