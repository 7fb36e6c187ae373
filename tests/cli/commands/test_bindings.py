from __future__ import annotations

import gzip
import json

import pytest
from support.samples import COMPLETED

JOBS = "exchange/me/v1/jobs"
NEW = f"exchange: {JOBS}\ndestinations: [treeherder]\nprojects: [try, autoland]\n"


@pytest.fixture
def files(folder):
    (folder / "new.yml").write_text(NEW)
    (folder / "old.txt").write_text(f"{JOBS}.treeherder.try:treeherder.gone\n")


def test_a_file_is_expanded_in_order(call, files) -> None:
    result = call("bindings", "new.yml")
    assert result.code == 0
    assert result.out.splitlines() == [
        f'{{"exchange":"{JOBS}","pattern":"treeherder.try"}}',
        f'{{"exchange":"{JOBS}","pattern":"treeherder.autoland"}}',
    ]
    assert result.err == "2 bindings from new.yml\n"


def test_text_output_has_bindings_in_the_form_for_tail(call, files) -> None:
    assert call("bindings", "new.yml", "-o", "pretty").out == f"{JOBS}:treeherder.try\n{JOBS}:treeherder.autoland\n"


@pytest.mark.parametrize("form", ["ndjson", "pretty"])
def test_written_output_can_be_read_again(call, files, form) -> None:
    written = call("bindings", "new.yml", "-o", form).out
    assert call("bindings", "-o", form, stdin=written).out == written


@pytest.mark.parametrize(
    ("rule", "patterns"),
    [
        ("destination.project", ["treeherder.try", "treeherder.autoland"]),
        ("project.destination", ["try.treeherder", "autoland.treeherder"]),
        ("any.project", ["#.try", "#.autoland"]),
    ],
)
def test_a_rule_replaces_the_registrations_own(call, files, rule, patterns) -> None:
    out = call("bindings", "new.yml", "--rule", rule).out
    assert [json.loads(line)["pattern"] for line in out.splitlines()] == patterns


def test_a_pipe_is_read_with_and_without_a_dash(call) -> None:
    assert call("bindings", stdin=NEW).out == call("bindings", "-", stdin=NEW).out != ""
    assert "from <stdin>" in call("bindings", stdin=NEW).err


def test_the_variable_is_read_if_nothing_is_piped(call, monkeypatch) -> None:
    monkeypatch.setenv("PULSE_DATA_INGESTION_SOURCES", f'[{{"exchange": "{JOBS}", "projects": ["q"]}}]')
    result = call("bindings")
    assert result.out == f'{{"exchange":"{JOBS}","pattern":"#.q"}}\n'
    assert result.err == "1 binding from $PULSE_DATA_INGESTION_SOURCES\n"
    assert call("bindings", stdin="").out == result.out
    assert call("bindings", stdin=f"{JOBS}.piped").out == f'{{"exchange":"{JOBS}","pattern":"piped"}}\n'


def test_a_variable_that_a_newer_form_replaces_is_named(call, monkeypatch) -> None:
    monkeypatch.setenv("PULSE_DATA_INGESTION_SOURCES", f"{JOBS}.a")
    monkeypatch.setenv("PULSE_JOB_SOURCES", f"{JOBS}.b")
    result = call("bindings")
    assert json.loads(result.out)["pattern"] == "a"
    assert result.err.startswith(
        "warning: PULSE_DATA_INGESTION_SOURCES is set, so the registrations in PULSE_JOB_SOURCES are not read\n"
    )


def test_a_name_that_looks_like_several_is_a_warning_in_each_command(call, folder) -> None:
    (folder / "pulsekit.yml").write_text(f"registrations:\n- exchange: {JOBS}\n  projects: [try autoland]\n")
    warning = "warning: pulsekit.yml:3:14: registration 1: 'try autoland' has white space, but is one name"
    for command in (["bindings"], ["bindings", "--lint"], ["match", "a.try"], ["doctor", "--config"]):
        assert call(*command).err.startswith(warning), command
    refused = call("register", "-e", JOBS, "-d", "treeherder,stage", "-p", "try._")
    assert (refused.code, refused.out) == (1, "")
    assert "'treeherder,stage.try._' has a comma, but is one name" in refused.err
    (folder / "pulsekit.yml").write_text(f"exchange: {JOBS}\ndestinations:\n- treeherder\n  stage\n")
    assert call("doctor", "--config").err.startswith("warning: pulsekit.yml:3:3: 'treeherder stage' has white space")


def test_the_configuration_is_read_last(call, folder) -> None:
    (folder / "pulsekit.yml").write_text(f"registrations:\n- {JOBS}.a\n")
    result = call("bindings")
    assert result.out == f'{{"exchange":"{JOBS}","pattern":"a"}}\n'
    assert "from pulsekit.yml" in result.err


def test_a_diff_shows_what_a_deployment_would_change(call, files) -> None:
    result = call("bindings", "new.yml", "--diff", "old.txt")
    assert result.code == 0
    assert [(json.loads(line)["change"], json.loads(line)["pattern"]) for line in result.out.splitlines()] == [
        ("removed", "treeherder.gone"),
        ("added", "treeherder.autoland"),
        ("kept", "treeherder.try"),
    ]
    assert result.err == "1 removed, 1 added, 1 kept\n"


def test_text_output_shows_only_changes(call, files) -> None:
    out = call("bindings", "new.yml", "--diff", "old.txt", "-o", "pretty").out
    assert out == f"- {JOBS}:treeherder.gone\n+ {JOBS}:treeherder.autoland\n"


def test_a_deployment_that_unbinds_everything_causes_a_warning(call, folder) -> None:
    (folder / "old").write_text(f"{JOBS}.#.try")
    (folder / "new").write_text(f"{JOBS}.try")
    assert (
        "warning: no binding is kept: a deployment would unbind all old bindings"
        in call("bindings", "new", "--diff", "old").err
    )
    assert "warning" not in call("bindings", "new", "--diff", "new").err


def test_one_of_the_two_may_be_piped(call, files) -> None:
    piped = f"{JOBS}.treeherder.try:treeherder.gone"
    assert call("bindings", "new.yml", "--diff", "-", stdin=piped).err == "1 removed, 1 added, 1 kept\n"
    assert call("bindings", "--diff", "old.txt", stdin=NEW).err == "1 removed, 1 added, 1 kept\n"


@pytest.mark.parametrize(
    ("arguments", "code", "words"),
    [
        ([], 2, "error: no registrations: give a FILE, pipe them, set PULSE_DATA_INGESTION_SOURCES, or add them to"),
        (["nowhere.yml"], 74, "error: nowhere.yml: No such file or directory"),
        (["bad.yml"], 1, "error: bad.yml:2:11: the alias *all is not supported: write the value"),
        (["-", "--diff", "-"], 2, "error: only one of FILE, OLD and --keys can be stdin"),
        (["new.yml", "--diff", "nowhere.yml"], 74, "error: nowhere.yml: No such file or directory"),
        (["new.yml", "--rule", "best"], 2, "'best' is not one of 'destination.project', 'project.destination', 'any.p"),
        (["new.yml", "old.txt"], 2, "unexpected extra argument"),
    ],
)
@pytest.mark.usefixtures("files")
def test_input_that_cannot_be_expanded_is_an_error(call, folder, arguments, code, words) -> None:
    (folder / "bad.yml").write_text("exchange: x\nprojects: *all\n")
    result = call("bindings", *arguments)
    assert (result.code, result.out) == (code, "")
    assert words in result.err


def test_a_file_over_the_limit_is_refused(call, folder) -> None:
    with (folder / "huge").open("wb") as file:
        file.truncate((256 << 20) + 1)
    result = call("bindings", "huge")
    assert result.code == 1
    assert result.err == "error: huge: more than 256 MiB; write NDJSON, or select a part of it, such as with jq\n"


# keys and recordings

KEYS = "treeherder.try\ntreeherder.gone\ntreeherder.gone\ntreeherder.autoland\nelsewhere\n"
RECORDING = "\n".join(
    json.dumps({"v": 1, "exchange": exchange, "routing_key": key, "cc": cc, "payload": {}})
    for exchange, key, cc in [
        (JOBS, "treeherder.gone", []),
        (JOBS, "x", ["treeherder.autoland", "treeherder.try"]),
        ("exchange/you/v1/jobs", "treeherder.gone", []),
    ]
)


def test_a_diff_shows_which_messages_would_start_and_stop_arriving(call, files, folder) -> None:
    (folder / "keys.txt").write_text(KEYS)
    result = call("bindings", "new.yml", "--diff", "old.txt", "--keys", "keys.txt")
    assert result.code == 0
    assert [json.loads(line) for line in result.out.splitlines()] == [
        {
            "exchange": JOBS,
            "pattern": "treeherder.gone",
            "change": "removed",
            "takes": 2,
            "stops": 2,
            "examples": ["treeherder.gone"],
        },
        {
            "exchange": JOBS,
            "pattern": "treeherder.autoland",
            "change": "added",
            "takes": 1,
            "starts": 1,
            "examples": ["treeherder.autoland"],
        },
        {
            "exchange": JOBS,
            "pattern": "treeherder.try",
            "change": "kept",
            "takes": 1,
            "examples": ["treeherder.try"],
        },
    ]
    assert result.err == (
        "1 removed, 1 added, 1 kept\n"
        "5 messages: 1 would start to arrive, 2 would stop, 1 arrive before and after, 1 never arrive\n"
    )


def test_a_recording_counts_on_its_exchange_with_all_its_keys(call, files) -> None:
    result = call("bindings", "new.yml", "--diff", "old.txt", "--keys", "-", stdin=RECORDING)
    assert "3 messages: 0 would start to arrive, 1 would stop, 1 arrive before and after, 1 never arrive" in result.err


def test_a_recording_can_be_compressed(call, files, folder) -> None:
    record = json.dumps({"v": 1, "exchange": JOBS, "routing_key": "treeherder.gone", "payload": {}})
    (folder / "jobs.ndjson.gz").write_bytes(gzip.compress(f"{record}\n".encode()))
    arguments = ["bindings", "new.yml", "--diff", "old.txt", "--keys", "jobs.ndjson.gz"]
    assert "1 message: 0 would start to arrive, 1 would stop" in call(*arguments).err
    (folder / "jobs.ndjson.gz").write_bytes(gzip.compress(f"{record}\n".encode())[:-4])
    damaged = call(*arguments)
    assert (damaged.code, damaged.out) == (1, "")
    assert "jobs.ndjson.gz" in damaged.err


def test_keys_may_be_given_one_by_one_and_beside_a_file(call, files, folder) -> None:
    (folder / "keys.txt").write_text("treeherder.gone")
    arguments = ["--diff", "old.txt", "-k", "treeherder.autoland", "-k", "", "--keys", "keys.txt"]
    assert "3 messages: 1 would start to arrive, 1 would stop, 0 arrive" in call("bindings", "new.yml", *arguments).err


def test_text_output_shows_the_effect_beside_each_binding(call, folder) -> None:
    (folder / "old").write_text(f"{JOBS}.a.#:b.#:c")
    (folder / "new").write_text(f"{JOBS}.a.#:*.x:d.#:e")
    keys = [f"--routing-key={key}" for key in ("a.x", "b.x", "b.y", "d.1", "d.2", "d.3", "d.4")]
    assert call("bindings", "new", "--diff", "old", *keys, "-o", "pretty").out == (
        f"- {JOBS}:b.#  1 would stop: b.y\n"
        f"- {JOBS}:c    no match\n"
        f"+ {JOBS}:*.x  none would start: other bindings already match all 2\n"
        f"+ {JOBS}:d.#  4 would start, such as d.1, d.2, d.3\n"
        f"+ {JOBS}:e    no match\n"
        f"  {JOBS}:a.#  matches 1: a.x\n"
    )


def test_without_a_diff_each_binding_has_its_number_of_matches(call, files) -> None:
    result = call("bindings", "new.yml", "-k", "treeherder.try", "-k", "x")
    assert [json.loads(line) for line in result.out.splitlines()] == [
        {"exchange": JOBS, "pattern": "treeherder.try", "takes": 1, "examples": ["treeherder.try"]},
        {"exchange": JOBS, "pattern": "treeherder.autoland", "takes": 0, "examples": []},
    ]
    assert result.err == "2 messages: 1 matched, 1 not matched\n"


# lint

ODD = f"exchange: {JOBS}\ndestinations: [treeherder]\nprojects: [try._, autoland, '#', 'moz-*._', try._]\n"


def test_lint_reports_every_finding_of_every_binding(call) -> None:
    result = call("bindings", "--lint", stdin=ODD)
    assert result.code == 1
    found = {line["pattern"]: line["lint"] for line in map(json.loads, result.out.splitlines())}
    assert {pattern: [one["rule"] for one in lint] for pattern, lint in found.items()} == {
        "treeherder.try._": ["duplicate", "shadowed"],
        "treeherder.autoland": ["too-short", "shadowed"],
        "treeherder.#": [],
        "treeherder.moz-*._": ["half-wildcard", "shadowed"],
    }
    assert found["treeherder.try._"][1] == {
        "rule": "shadowed",
        "severity": "cosmetic",
        "message": "'treeherder.#' matches every key that this binding matches",
        "hint": "",
    }
    assert result.err == "4 bindings: 1 wrong, 4 cosmetic, 1 note\n"


def test_lint_that_finds_only_useless_bindings_is_no_failure(call) -> None:
    result = call("bindings", "--lint", "-o", "pretty", stdin=f"{JOBS}.a.b.c:a.#")
    assert (result.code, result.err) == (0, "2 bindings: 1 cosmetic\n")
    assert result.out == f"cosmetic  {JOBS}:a.b.c  'a.#' matches every key that this binding matches\n"


def test_lint_without_findings_prints_so(call) -> None:
    result = call("bindings", "--lint", "-o", "pretty", stdin=f"{JOBS}.a.b.c")
    assert (result.code, result.out, result.err) == (0, "", "1 binding: no findings\n")


def test_lint_explains_what_the_documentation_recommends_for_everything(call) -> None:
    result = call("bindings", "--lint", "-o", "pretty", stdin=f"{JOBS}.#.#")
    assert result.code == 0
    assert "matches every message of the exchange, whatever its key, as '#' does" in result.out


def test_lint_measures_patterns_by_the_keys_it_is_given(call) -> None:
    assert call("bindings", "--lint", "-k", "a.b", stdin=f"{JOBS}.a.b").code == 0
    assert call("bindings", "--lint", "-k", "a.b.c.d", stdin=f"{JOBS}.a.b.c").code == 1


@pytest.mark.parametrize("columns", [60, 80])
def test_lint_fits_a_narrow_terminal(on_terminal, folder, columns) -> None:
    (folder / "odd.yml").write_text(ODD)
    result = on_terminal("bindings", "odd.yml", "--lint", columns=columns)
    assert result.code == 1
    assert max(map(len, result.out.splitlines())) <= columns
    assert "use project 'autoland._'" in " ".join(result.out.split())


# targets

PROJECT = f"""
exchange: {JOBS}
destinations: [treeherder]
targets:
  staging: {{destinations: [th-staging], projects: ['#']}}
  production:
registrations:
- {JOBS}.treeherder.try._
- exchange/me/v1/other.#
"""


def test_a_target_has_its_own_bindings(call, folder) -> None:
    (folder / "pulsekit.yml").write_text(PROJECT)
    staging = call("bindings", "--target", "staging")
    assert staging.out == f'{{"exchange":"{JOBS}","pattern":"th-staging.#"}}\n'
    assert staging.err == "1 binding from pulsekit.yml, staging\n"
    assert call("bindings", "--target", "production").out == f'{{"exchange":"{JOBS}","pattern":"treeherder.try._"}}\n'
    assert call("bindings").err == "3 bindings from pulsekit.yml\n"


@pytest.mark.parametrize(
    ("arguments", "code", "words"),
    [
        (["new.yml", "--diff", "old.txt", "--lint"], 2, "--diff and --lint cannot be combined"),
        (["-", "--keys", "-"], 2, "only one of FILE, OLD and --keys can be stdin"),
        (["new.yml", "--target", "staging"], 2, "--target selects registrations of pulsekit.yml"),
        (["--target", "staging"], 2, "no target 'staging': there is no pulsekit.yml; write `targets: {staging:"),
        (["--target", "dev"], 2, "'dev' is not one of 'staging', 'production'"),
        (["new.yml", "--keys", "nowhere.txt"], 74, "error: nowhere.txt: No such file or directory"),
        (["new.yml", "--keys", "empty.txt"], 2, "no keys in empty.txt: write one key per line"),
        (["new.yml", "--keys", "bad.txt"], 1, "error: bad.txt:2: routing key 'xxx"),
        (["new.yml", "-k", "x" * 256], 1, "error: routing key 'xxx"),
    ],
)
@pytest.mark.usefixtures("files")
def test_input_that_cannot_be_compared_is_an_error(call, folder, arguments, code, words) -> None:
    (folder / "empty.txt").write_text("\n")
    (folder / "bad.txt").write_text("fine\n" + "x" * 300)
    result = call("bindings", *arguments)
    assert (result.code, result.out) == (code, "")
    assert words in result.err


def test_a_rule_is_refused_for_strings_which_are_bindings(call) -> None:
    refused = call("bindings", "--rule", "any.project", stdin=f"{JOBS}.try:autoland,exchange/me/x.#")
    assert (refused.code, refused.out) == (1, "")
    assert f"--rule any.project cannot expand {JOBS}:try: it is a binding already" in refused.err
    assert "Remove --rule, or write it as a registration with both" in refused.err


def test_keys_of_two_words_are_a_note_and_every_command_matches_them(call, folder) -> None:
    (folder / "pulsekit.yml").write_text(
        f"exchange: {JOBS}\nregistrations: [{{exchange: {JOBS}, destinations: [me], projects: [try]}}]\n"
    )
    lint = call("bindings", "--lint")
    assert (lint.code, lint.err) == (0, "1 binding: 1 note\n")
    assert call("match", "me.try").code == 0
    job = folder / "job.json"
    job.write_text(json.dumps(COMPLETED | {"origin": COMPLETED["origin"] | {"project": "try"}}))
    for options in (("-k", "me.try"), ("-d", "me")):
        sent = json.loads(call("publish", "job.json", "--dry-run", *options, "-o", "ndjson").out)
        assert (sent["routing_key"], sent["bindings"]) == ("me.try", ["me.try"]), options
    assert call("register", "-d", "me", "-p", "try").code == 0
