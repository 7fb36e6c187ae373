from __future__ import annotations

import json

import pytest

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


def test_a_person_sees_bindings_that_can_be_given_to_tail(call, files) -> None:
    assert call("bindings", "new.yml", "-o", "pretty").out == f"{JOBS}:treeherder.try\n{JOBS}:treeherder.autoland\n"


@pytest.mark.parametrize("form", ["ndjson", "pretty"])
def test_what_is_written_can_be_read_again(call, files, form) -> None:
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


def test_the_variable_is_read_where_no_pipe_is(call, monkeypatch) -> None:
    monkeypatch.setenv("PULSE_DATA_INGESTION_SOURCES", f'[{{"exchange": "{JOBS}", "projects": ["q"]}}]')
    result = call("bindings")
    assert result.out == f'{{"exchange":"{JOBS}","pattern":"#.q"}}\n'
    assert result.err == "1 binding from $PULSE_DATA_INGESTION_SOURCES\n"
    assert call("bindings", stdin="").out == result.out
    assert call("bindings", stdin=f"{JOBS}.piped").out == f'{{"exchange":"{JOBS}","pattern":"piped"}}\n'


def test_the_configuration_is_read_last(call, folder) -> None:
    (folder / "pulsekit.yml").write_text(f"registrations:\n- {JOBS}.a\n")
    result = call("bindings")
    assert result.out == f'{{"exchange":"{JOBS}","pattern":"a"}}\n'
    assert "from pulsekit.yml" in result.err


def test_a_diff_says_what_a_deploy_would_do(call, files) -> None:
    result = call("bindings", "new.yml", "--diff", "old.txt")
    assert result.code == 0
    assert [(json.loads(line)["change"], json.loads(line)["pattern"]) for line in result.out.splitlines()] == [
        ("removed", "treeherder.gone"),
        ("added", "treeherder.autoland"),
        ("kept", "treeherder.try"),
    ]
    assert result.err == "1 removed, 1 added, 1 kept\n"


def test_a_person_sees_only_what_changes(call, files) -> None:
    out = call("bindings", "new.yml", "--diff", "old.txt", "-o", "pretty").out
    assert out == f"- {JOBS}:treeherder.gone\n+ {JOBS}:treeherder.autoland\n"


def test_a_deploy_that_unbinds_everything_is_warned_of(call, folder) -> None:
    (folder / "old").write_text(f"{JOBS}.#.try")
    (folder / "new").write_text(f"{JOBS}.try")
    assert (
        "warning: nothing is kept: every binding there was would be unbound"
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
        ([], 2, "error: no registrations: give a FILE or a pipe, set PULSE_DATA_INGESTION_SOURCES, or write them into"),
        (["nowhere.yml"], 74, "error: nowhere.yml: No such file or directory"),
        (["bad.yml"], 1, "error: bad.yml:2:11: the alias *all is not read"),
        (["-", "--diff", "-"], 2, "error: FILE and OLD cannot both be stdin"),
        (["new.yml", "--diff", "nowhere.yml"], 74, "error: nowhere.yml: No such file or directory"),
        (["new.yml", "--rule", "best"], 2, "'best' is not one of 'destination.project', 'project.destination', 'any.p"),
        (["new.yml", "old.txt"], 2, "unexpected extra argument"),
    ],
)
@pytest.mark.usefixtures("files")
def test_what_cannot_be_expanded_ends_with_its_status(call, folder, arguments, code, words) -> None:
    (folder / "bad.yml").write_text("exchange: x\nprojects: *all\n")
    result = call("bindings", *arguments)
    assert (result.code, result.out) == (code, "")
    assert words in result.err


def test_a_file_that_is_far_too_large_is_refused(call, folder) -> None:
    with (folder / "huge").open("wb") as file:
        file.truncate((64 << 20) + 1)
    result = call("bindings", "huge")
    assert result.code == 1
    assert result.err == "error: huge: more than 64 MiB\n"
