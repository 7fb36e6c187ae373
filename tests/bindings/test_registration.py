from __future__ import annotations

import json
import re
import textwrap
from dataclasses import FrozenInstanceError, replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pulsekit.bindings.registration import Binding, Registration, Rule, diff, expand, read_registrations
from pulsekit.errors import DocumentError, InvalidName, InvalidPattern, InvalidRegistration

JOBS = "exchange/me/v1/jobs"


def bound(text: str | bytes) -> list[str]:
    return [str(binding) for binding in expand(read_registrations(text, source="jobs.yml"))]


# values


def test_a_binding_splits_at_the_first_colon() -> None:
    assert Binding.parse(f"{JOBS}:treeherder.a:b") == Binding(JOBS, "treeherder.a:b")


def test_a_binding_without_a_pattern_matches_every_key() -> None:
    assert Binding.parse(JOBS) == Binding(JOBS, "#")


def test_a_binding_with_an_empty_pattern_matches_only_the_empty_key() -> None:
    assert Binding.parse(f"{JOBS}:").pattern == ""


def test_writing_a_binding_reverses_parsing_it() -> None:
    assert Binding.parse(str(Binding(JOBS, "a.:b"))) == Binding(JOBS, "a.:b")


def test_a_binding_is_immutable() -> None:
    with pytest.raises(FrozenInstanceError):
        Binding(JOBS).pattern = "x"  # type: ignore[misc]  # what the test is about


def test_a_binding_refuses_names_that_pulse_cannot_have() -> None:
    with pytest.raises(InvalidName, match="exchange/<user>/jobs"):
        Binding.parse("jobs:#")
    with pytest.raises(InvalidPattern, match="256 bytes"):
        Binding(JOBS, "x" * 256)


@pytest.mark.parametrize(
    ("rule", "patterns"),
    [
        (Rule.DESTINATION_PROJECT, ["th.a._", "th.b", "stage.a._", "stage.b"]),
        (Rule.PROJECT_DESTINATION, ["a._.th", "b.th", "a._.stage", "b.stage"]),
        (Rule.ANY_PROJECT, ["#.a._", "#.b"]),
    ],
)
def test_a_registration_expands_by_each_historical_rule_destination_by_destination(rule, patterns) -> None:
    registration = Registration(JOBS, ["th", "stage"], ["a._", "b"], rule)
    assert registration.expand() == tuple(Binding(JOBS, pattern) for pattern in patterns)


def test_a_rule_can_be_given_by_its_name() -> None:
    assert Registration(JOBS, [], ["try"], rule="any.project").expand() == (Binding(JOBS, "#.try"),)  # type: ignore[arg-type]  # as from a file


def test_equal_combinations_are_bound_once_at_the_first_position() -> None:
    registration = Registration(JOBS, ["a", "a.b", "a"], ["b.c", "c"])
    assert [binding.pattern for binding in registration.expand()] == ["a.b.c", "a.c", "a.b.b.c"]
    again = Registration(JOBS, ["a"], ["c", "z"])
    assert [binding.pattern for binding in expand([registration, again])] == ["a.b.c", "a.c", "a.b.b.c", "a.z"]


def test_registrations_with_the_same_lists_are_equal_and_can_be_keys() -> None:
    assert len({Registration(JOBS, ["a"], ["b"]), Registration(JOBS, ("a",), ("b",))}) == 1


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (("jobs", ["a"], ["b"]), "exchange: 'jobs' is not a Pulse exchange name"),
        ((7, ["a"], ["b"]), "exchange: 7 is not text"),
        ((JOBS, "treeherder", ["b"]), "destinations: 'treeherder' is text, not a list; write ['treeherder']"),
        ((JOBS, ["a"], "try"), "projects: 'try' is text, not a list; write ['try']"),
        ((JOBS, ["a"], {"try"}), "projects: {'try'} is not a list of texts"),
        ((JOBS, ["a"], []), "projects: the list is empty; write ['#']"),
        (
            (JOBS, [], ["b"]),
            "destinations: the list is empty; write ['#'] for every destination, or the rule any.project",
        ),
        ((JOBS, ["a", ""], ["b"]), "destinations: item 2 is an empty text; write '#'"),
        ((JOBS, ["a"], ["b", 1.5]), "projects: item 2, 1.5, is not text; put it in quotes"),
        ((JOBS, ["a"], [None]), "projects: item 1 is empty; in YAML, a '#' without quotes begins a comment"),
        ((JOBS, ["a"], ["\ud800"]), "projects: item 1: pattern '\\ud800' is not valid Unicode"),
        ((JOBS, ["a" * 200], ["b" * 55]), "destination and project together: pattern 'aaa"),
        ((JOBS, ["a"] * 400, ["b"] * 300), "the registration expands to more than 100,000 bindings"),
        ((JOBS, ["a"], ["b"], "project"), "rule: 'project' is not one of destination.project, project.destination, "),
    ],
)
def test_a_registration_that_cannot_be_expanded_is_reported_with_a_correction(arguments, words) -> None:
    with pytest.raises(InvalidRegistration) as caught:
        Registration(*arguments)
    assert str(caught.value).startswith(words)


def test_the_longest_combination_is_255_bytes() -> None:
    assert len(Registration(JOBS, ["a" * 200], ["b" * 54]).expand()[0].pattern) == 255


def test_a_registration_can_be_expanded_by_another_rule() -> None:
    old = replace(Registration(JOBS, ["th"], ["try"]), rule=Rule.PROJECT_DESTINATION)
    assert [binding.pattern for binding in old.expand()] == ["try.th"]


def test_a_diff_shows_the_effect_of_the_deploy_of_2018() -> None:
    old = Registration(JOBS, [], ["try", "autoland"], Rule.ANY_PROJECT).expand()
    new = (Binding(JOBS, "try"), Binding(JOBS, "#.autoland"))
    change = diff(old, new)
    assert change.added == (Binding(JOBS, "try"),)
    assert change.removed == (Binding(JOBS, "#.try"),)
    assert change.kept == (Binding(JOBS, "#.autoland"),)


@given(old=st.lists(st.sampled_from("abcdef")), new=st.lists(st.sampled_from("abcdef")))
def test_a_diff_accounts_for_every_binding_once(old, new) -> None:
    before, after = [Binding(JOBS, key) for key in old], [Binding(JOBS, key) for key in new]
    change = diff(before, after)
    assert set(change.removed) | set(change.kept) == set(before)
    assert set(change.added) | set(change.kept) == set(after)
    assert len(change.added) + len(change.kept) == len(set(after))
    assert len(change.removed) + len(change.kept) == len(set(before))


# reading

AS_JSON = json.dumps({"exchange": JOBS, "destinations": ["treeherder"], "projects": ["mozilla-inbound._"]})


def test_an_object_becomes_a_registration_and_a_string_a_binding() -> None:
    assert read_registrations(f'[{AS_JSON}, "{JOBS}.a:b"]', source="x") == (
        Registration(JOBS, ["treeherder"], ["mozilla-inbound._"]),
        Binding(JOBS, "a"),
        Binding(JOBS, "b"),
    )


def test_projects_without_destinations_match_any_destination_as_in_2018() -> None:
    assert bound(f'{{"exchange": "{JOBS}", "projects": ["try"]}}') == [f"{JOBS}:#.try"]


def test_an_object_can_name_its_rule() -> None:
    assert bound(f"exchange: {JOBS}\ndestinations: [th]\nprojects: [try]\nrule: project.destination") == [
        f"{JOBS}:try.th"
    ]


def test_an_empty_list_registers_nothing() -> None:
    assert read_registrations("[]", source="x") == ()


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("", "jobs.yml contains no registration; the form is {"),
        ("\n# nothing\n", "jobs.yml contains no registration"),
        ("hello world", "jobs.yml:1:1: 'hello world' is not a registration; the form is {"),
        ("registrations:", "nothing is not a registration"),
        (f"{JOBS}.#\n{JOBS}\n", f"jobs.yml:2:1: '{JOBS}' has no key; write '{JOBS}.#' to match every key"),
        (f"{JOBS}.a::b", f"jobs.yml:1:1: '{JOBS}.a::b' has an empty key"),
        (
            "exchange/my.user/jobs.#",
            "'exchange/my.user/jobs.#' is split at its first dot, and 'exchange/my' is not a Pulse",
        ),
        ("exchange/my.user/jobs.#", 'for an exchange with a dot in its name write {"exchange": …, "pattern": …}'),
        (
            '{"destinations": ["a"], "projects": ["b"]}',
            "jobs.yml:1:1: exchange is missing; the form of a registration is {",
        ),
        (f'{{"exchange": "{JOBS}"}}', "jobs.yml:1:1: projects is missing"),
        (
            f'[{AS_JSON},\n {{"exchange": "{JOBS}", "project": ["x"]}}]',
            "jobs.yml:2:2: registration 2: unknown property 'project'; did you mean 'projects'?",
        ),
        (
            f'{{"exchange": "{JOBS}", "queue": 1}}',
            "unknown property 'queue'; the properties are exchange, destinations, projects",
        ),
        (f"exchange: {JOBS}\nprojects: try\n", "jobs.yml:1:1: projects: 'try' is text, not a list; write ['try']"),
        (f"exchange: {JOBS}\nprojects:\n- #\n", "in YAML, a '#' without quotes begins a comment"),
        (f"[{{'exchange': '{JOBS}', 'projects': 'try'}},]", "registration 1: projects: 'try' is text"),
        (f"[{AS_JSON}, 7]", "registration 2: 7 is not a registration"),
        ("[[[[[[[[[[[[7]]]]]]]]]]]]", "is not a registration"),
    ],
)
def test_an_unreadable_registration_is_reported_with_position_and_correction(text: str, words: str) -> None:
    with pytest.raises(InvalidRegistration) as caught:
        bound(text)
    assert words in str(caught.value)


# former forms


def test_the_form_of_2015_has_a_name_and_the_rule_of_2015() -> None:
    entry = {"name": JOBS, "projects": ["try", "autoland"], "destinations": ["production"]}
    assert bound(json.dumps([entry])) == [f"{JOBS}:try.production", f"{JOBS}:autoland.production"]
    assert bound(json.dumps([{**entry, "rule": "destination.project"}]))[0] == f"{JOBS}:production.try"


def test_an_object_with_routing_keys_is_its_bindings() -> None:
    assert bound(json.dumps({"exchange": JOBS, "routing_keys": ["bugzilla#", "#"]})) == [
        f"{JOBS}:bugzilla#",
        f"{JOBS}:#",
    ]


def test_strings_with_commas_between_them_are_several() -> None:
    text = f"exchange/ci-x/v1/jobs.try:autoland, {JOBS}.a,b.#,"
    assert bound(text) == ["exchange/ci-x/v1/jobs:try", "exchange/ci-x/v1/jobs:autoland", f"{JOBS}:a,b.#"]
    assert bound(f"PULSE_JOB_SOURCES={text}") == bound(text)
    for separator in ("; ", " ", ";"):
        assert bound(f"{JOBS}.a;b{separator}exchange/b/y.c") == [f"{JOBS}:a;b", "exchange/b/y:c"]


@pytest.mark.parametrize(
    "text",
    [
        'import env\n\nDEBUG = env("DEBUG", True)\nSOURCES = env.json(\n    "SOURCES",\n    default={list},\n)\n',
        "SOURCES: list[dict] = {list}\nOTHER = frozenset({{1}})\nX = f(1)\n",
        "X = env.json('X', {list})",
        "DEBUG = True\nSOURCES = {list}\n",
        "SOURCES: list = {list}\n",
        "class Production:\n    SOURCES = env.json('SOURCES', default={list})\n",
        "from a import b\nif b:\n    SOURCES = {list}\n",
        "SOURCES = tuple({list})\n",
    ],
)
def test_a_settings_module_is_read_and_not_executed(text: str) -> None:
    listed = f"[{{'exchange': '{JOBS}', 'destinations': ['th'], 'projects': ['try']}},  # more\n]"
    assert bound(text.format(list=listed)) == [f"{JOBS}:th.try"]


def test_a_term_of_a_sum_that_is_not_read_is_named() -> None:
    text = f"A = 1\nX = env.json('X', default=DEFAULT + [{{'exchange': '{JOBS}', 'projects': ['a']}}])\n"
    warnings: list[str] = []
    read_registrations(text, source="settings.py", on_warning=warnings.append)
    assert warnings == ["settings.py:2: DEFAULT is not read"]
    warnings.clear()
    deep = text.replace("DEFAULT", f"B + B + {'-' * 900}1")
    assert read_registrations(deep, source="settings.py", on_warning=warnings.append)
    assert warnings == ["settings.py:2: B is not read", "settings.py:2: a term of this sum is not read"]


def test_python_of_any_length_takes_no_minutes() -> None:
    with pytest.raises(DocumentError, match="characters of Python: write JSON instead"):
        bound("A = 1\n" * 200_000)


@pytest.mark.parametrize(
    "text",
    [
        "PULSE_DATA_INGESTION_SOURCES={list}\nDEBUG=1\n",
        "# where\nexport PULSE_URL=amqp://h/\nexport PULSE_DATA_INGESTION_SOURCES='{list}'\n",
        "A=b c\nPULSE_JOB_EXCHANGES=exchange/me/v1/jobs\nPULSE_JOB_DESTINATIONS=th\nPULSE_JOB_PROJECTS=try\n",
        "A=1\n\nPULSE_JOB_SOURCES=exchange/me/v1/jobs.th.try\n",
        '{{"A": "1", "PULSE_JOB_SOURCES": "exchange/me/v1/jobs.th.try"}}',
        "A: 1\nPULSE_DATA_INGESTION_SOURCES: '{list}'\n",
    ],
)
def test_a_file_of_variables_has_registrations_among_others(text: str) -> None:
    listed = f'[{{"exchange": "{JOBS}", "destinations": ["th"], "projects": ["try"]}}]'
    assert bound(text.format(list=listed)) == [f"{JOBS}:th.try"]


def test_a_settings_module_without_registrations_is_an_error() -> None:
    with pytest.raises(DocumentError, match=r"jobs\.yml: this Python code has no list of registrations"):
        bound("X = open('/etc/passwd')")
    with pytest.raises(DocumentError, match=r"jobs\.yml:2:\d+: this is not Python"):
        bound("X = f(\n)]")


@pytest.mark.parametrize(
    "text",
    [
        "PULSE_JOB_EXCHANGES=exchange/a/x, exchange/b/y\n# both\nexport PULSE_JOB_PROJECTS='try,autoland'\n{last}=th\n",
        "PULSE_JOB_EXCHANGES: exchange/a/x,exchange/b/y\nPULSE_JOB_PROJECTS: try,autoland\n{last}: th\n",
    ],
)
def test_the_three_variables_of_2018_are_every_combination(text: str) -> None:
    assert bound(text.format(last="PULSE_JOB_DESTINATIONS")) == [
        "exchange/a/x:th.try",
        "exchange/a/x:th.autoland",
        "exchange/b/y:th.try",
        "exchange/b/y:th.autoland",
    ]


def test_a_comma_at_the_end_of_a_variable_of_2018_adds_no_name() -> None:
    text = "PULSE_JOB_EXCHANGES=exchange/a/x,\nPULSE_JOB_DESTINATIONS=th\nPULSE_JOB_PROJECTS=try, ,autoland,\n"
    assert bound(text) == ["exchange/a/x:th.try", "exchange/a/x:th.autoland"]


@pytest.mark.parametrize("sign", [":", "="])
def test_a_list_in_a_variable_of_2018_is_refused(sign: str) -> None:
    text = (
        f"PULSE_JOB_EXCHANGES{sign} exchange/a/x\nPULSE_JOB_DESTINATIONS{sign} ['th']\nPULSE_JOB_PROJECTS{sign} try\n"
    )
    with pytest.raises(InvalidRegistration, match=r"PULSE_JOB_DESTINATIONS: .* write names with commas between them"):
        bound(text.replace(":", sign))


def test_a_comment_after_a_variable_is_no_part_of_its_value() -> None:
    text = "PULSE_JOB_EXCHANGES=exchange/a/x # ours\nPULSE_JOB_PROJECTS='try, #' # all\nPULSE_JOB_DESTINATIONS=#\n"
    assert bound(text) == ["exchange/a/x:#.try", "exchange/a/x:#.#"]
    listed = f'[{{"exchange": "{JOBS}", "destinations": ["#"], "projects": ["a # b"]}}]'
    assert bound(f"A=1\nPULSE_DATA_INGESTION_SOURCES='{listed}' # ours\n") == [f"{JOBS}:#.a # b"]


def test_one_of_the_three_variables_without_the_others_is_an_error() -> None:
    with pytest.raises(InvalidRegistration, match="PULSE_JOB_DESTINATIONS is missing"):
        bound("PULSE_JOB_EXCHANGES=exchange/a/x\nPULSE_JOB_PROJECTS=try")


def test_fenced_blocks_of_markdown_are_read_with_their_lines() -> None:
    entry = f"{{'exchange': '{JOBS}',\n 'destinations': ['a'], 'projects': ['b']}}"
    text = f"# Title\n\n```sh\nls\n```\n\n```json\n{entry}\n```\n"
    assert bound(text) == [f"{JOBS}:a.b"]
    with pytest.raises(InvalidRegistration, match=r"jobs\.yml:8"):
        bound(text.replace("'projects'", "'project'"))


def test_json_that_is_written_as_several_python_texts_lacks_no_comma() -> None:
    text = f"""X = loads('[{{"exchange": "{JOBS}", "destinations": ["th"],'\n          ' "projects": ["try"]}}]')"""
    (found,) = read_registrations(text, source="a.py", on_warning=pytest.fail)
    assert found == Registration(JOBS, ["th"], ["try"])


def test_a_missing_comma_between_python_texts_is_a_warning() -> None:
    text = (
        f"{{\n'exchange': '{JOBS}',\n'destinations': [\n'production'  # one\n\n'staging'\n],\n'projects': ['try'],\n}}"
    )
    warnings: list[str] = []
    for form in (text, f"X = env.json(default=[{text}])", f"```\n{text}\n```"):
        assert len(read_registrations(form, source="a.py", on_warning=warnings.append)) == 1
    assert [warning.split(": ")[0] for warning in warnings] == ["a.py:4", "a.py:4", "a.py:5"]
    assert "a comma is missing between 'production' and 'staging'" in warnings[0]
    read_registrations(text.replace("# one", ","), source="a.py", on_warning=warnings.append)
    assert len(warnings) == 3
    elsewhere = f"A = 'a' 'b'\nX = [{{'exchange': '{JOBS}', 'projects': ['try']}}]\n"
    read_registrations(elsewhere, source="a.py", on_warning=pytest.fail)


@pytest.mark.parametrize(
    ("text", "line", "words"),
    [
        (f"[{{'exchange': '{JOBS}', 'projects': ['a']}}\n {{'exchange': '{JOBS}'}}]", 1, "forgot a comma"),
        (f"{{'exchange': '{JOBS}'\n 'projects': ['a']}}", 1, f"a comma is missing between '{JOBS}' and 'projects'"),
        (f"{{'exchange': '{JOBS}',\n 'projects': ['a'], 'projects': ['b']}}", 2, "the key 'projects' occurs twice"),
        (f"import a\nX = [{{'exchange': '{JOBS}', 'exchange': 'b'}}]", 2, "the key 'exchange' occurs twice"),
    ],
)
def test_a_comma_or_key_that_python_would_hide_is_an_error(text: str, line: int, words: str) -> None:
    with pytest.raises(DocumentError, match=re.escape(words)) as caught:
        bound(text)
    assert caught.value.line == line


@pytest.mark.parametrize(
    ("text", "warning"),
    [
        (f"exchange: {JOBS}\nprojects:\n- try\n  a\n", "3:3: 'try a' has white space, but is one name"),
        (f"- exchange: {JOBS}\n  projects: [try a]\n", "2:14: registration 1: 'try a' has white space"),
        (f'{{"exchange": "{JOBS}", "projects": ["try,a"]}}', "1:50: 'try,a' has a comma"),
        (f'{{"exchange": "{JOBS}", "pattern": "#.a;#.b"}}', "1:48: '#.a;#.b' has a semicolon"),
        (f"{JOBS}.a:b,c", "1:1: 'b,c' has a comma"),
        (f'{{"exchange": "{JOBS}, exchange/b/y", "projects": ["a"]}}', f"1:14: '{JOBS}, exchange/b/y' has a comma"),
        (f"PULSE_JOB_EXCHANGES={JOBS}\nPULSE_JOB_DESTINATIONS=a b\nPULSE_JOB_PROJECTS=c", " registration 1: 'a b' has"),
        (f"[{{'exchange': '{JOBS}', 'projects': ['a', 'b c']}}]", " registration 1: 'b c' has white space"),
    ],
)
def test_a_name_that_looks_like_several_is_a_warning_with_its_place(text: str, warning: str) -> None:
    warnings: list[str] = []
    assert read_registrations(text, source="jobs.yml", on_warning=warnings.append)
    assert warnings[0].startswith(f"jobs.yml:{warning}")


def test_every_block_of_code_in_markdown_is_read() -> None:
    entry = "{{\n    'exchange': '{}',\n    'projects': ['a'],\n}}"
    fenced = f"```\n{entry.format(JOBS)}\n```\n"
    indented = textwrap.indent(entry.format("exchange/me/v1/stage"), "    ")
    text = f"For production, use {JOBS}:\n\n{fenced}\nAnd for staging:\n\n{indented}\n\nThanks.\n"
    found = [f"{JOBS}:#.a", "exchange/me/v1/stage:#.a"]
    assert read_registrations(text, source="a.md", on_warning=pytest.fail) == read_registrations(text, source="a.md")
    assert bound(text) == found
    assert bound(f"For staging\n\n{indented}") == found[1:]
    assert bound(f"A fence without end:\n\n{fenced[:-4]}") == found[:1]
    assert bound(f"{fenced}\n    pulsekit tail exchange/me/v1/stage\n") == found[:1]


@pytest.mark.parametrize(
    "text",
    [
        "For staging add {{'exchange': 'exchange/b/y', 'projects': ['a']}}\n\n```\n{list}\n```\n",
        "X = {list}\nX.append({{'exchange': 'exchange/b/y', 'projects': ['a']}})\nY = 1\n",
        "import a\nX = {list}\ndef f():\n    return [{{'exchange': 'exchange/b/y', 'projects': ['a']}}]\n",
        '{{"registrations": {list}, "sources": [{{"exchange": "exchange/b/y", "projects": ["a"]}}]}}',
        "PULSE_JOB_SOURCES={string}\nOTHER_SOURCES=exchange/b/y.a\n",
        "{string}:bexchange/b/y.c",
    ],
)
def test_an_exchange_that_is_not_read_is_a_warning_with_its_line(text: str) -> None:
    text = text.format(list=f'[{{"exchange": "{JOBS}", "projects": ["a"]}}]', string=f"{JOBS}.a")
    warnings: list[str] = []
    assert {one.exchange for one in read_registrations(text, source="x", on_warning=warnings.append)} == {JOBS}
    line = next(number for number, one in enumerate(text.splitlines(), 1) if "exchange/b/y" in one)
    assert warnings == [f"x:{line}: exchange/b/y is here, but in no form that is read as a registration"]
    commented = f"# formerly exchange/b/y\n- {JOBS}.a  # and exchange/b/z\n"
    read_registrations(commented, source="x", on_warning=pytest.fail)


def test_a_list_that_is_not_only_literals_is_a_warning() -> None:
    text = f"import a\nX = [{{'exchange': '{JOBS}', 'projects': ['a']}}]\nY = [('{JOBS}.a', A)]\n"
    warnings: list[str] = []
    assert len(read_registrations(text, source="x.py", on_warning=warnings.append)) == 1
    assert warnings == ["x.py:3: not read, because it has more than texts, lists and dicts"]


@pytest.mark.parametrize(
    ("text", "line"),
    [
        ("services:\n  backend:\n    environment:\n      - {name}={json}\n", 4),
        ("services:\n  backend:\n    environment:\n      {name}: '{json}'\n", 4),
        ("#!/bin/sh\nset -e\nexport {name}='{json}'\n./listen\n", 3),
        ("{name}='{json}' ./listen\n", 1),
        ("heroku config:set {name}='{json}'\n", 1),
        ("FROM python\nENV {name}='{json}'\n", 2),
        ("apiVersion: v1\ndata:\n  {name}: '{json}'\n", 3),
        ("env:\n- name: {name}\n  value: '{json}'\n", 2),
        ("[Service]\nEnvironment={name}={json}\n", 2),
        ("PULSE_URL=amqp://h/\n{name}='[\n{json}]'\n", 2),
    ],
)
def test_a_variable_within_another_file_is_named_with_the_form_to_give(text: str, line: int) -> None:
    name = "PULSE_DATA_INGESTION_SOURCES"
    with pytest.raises(InvalidRegistration) as caught:
        bound(text.format(name=name, json=f'[{{"exchange":"{JOBS}","projects":["a"]}}]'))
    assert str(caught.value).startswith(f"jobs.yml:{line}: {name} is within another text")
    assert f"only lines {name}=VALUE can be read, or the value alone" in str(caught.value)


def test_text_of_another_kind_is_not_the_suggested_name_of_an_exchange() -> None:
    for text in (f'<pre>{{"exchange":"{JOBS}","projects":["a"]}}</pre>', f"see {JOBS}.a for jobs", "set -x A b.c:d"):
        with pytest.raises(InvalidRegistration) as caught:
            bound(text)
        assert "did you mean" not in str(caught.value)
