from __future__ import annotations

import gzip
import json
import signal
import subprocess
import sys
from pathlib import Path
from threading import Thread
from typing import TYPE_CHECKING

import pytest
from support.children import Child

from cli.conftest import environment

if TYPE_CHECKING:
    from cli.conftest import Result

KEY = "treeherder.mozilla-inbound._"
JOBS = "exchange/me/v1/jobs"


def records(text: str) -> list[dict[str, object]]:
    return [json.loads(line) for line in text.splitlines()]


def test_without_a_configuration_the_documented_example_is_used(call) -> None:
    result = call("match", KEY)
    assert result.code == 0
    assert records(result.out) == [
        {
            "routing_key": KEY,
            "exchange": JOBS,
            "pattern": "treeherder.mozilla-inbound._",
            "matched": True,
            "reason": "the same words",
        },
        {
            "routing_key": KEY,
            "exchange": JOBS,
            "pattern": "mozilla-inbound._.treeherder",
            "matched": False,
            "reason": ("word 1: pattern has 'mozilla-inbound', key has 'treeherder' (the same words in another order)"),
        },
        {
            "routing_key": KEY,
            "exchange": JOBS,
            "pattern": "#.mozilla-inbound._",
            "matched": True,
            "reason": "# matches 'treeherder'",
        },
    ]
    assert "matching 3 bindings on exchange/me/v1/jobs from the example of Treeherder's documentation" in result.err


def test_one_rule_can_be_selected(call) -> None:
    result = call("match", KEY, "--rule", "project.destination")
    assert [record["pattern"] for record in records(result.out)] == ["mozilla-inbound._.treeherder"]
    assert result.code == 1


@pytest.mark.parametrize(("pattern", "code"), [("treeherder.#", 0), ("#.autoland.*", 1), ("*", 1), (f"{JOBS}:#", 0)])
def test_the_exit_code_shows_whether_a_binding_matches(call, pattern, code) -> None:
    result = call("match", KEY, "--binding", pattern)
    assert result.code == code
    assert [record["matched"] for record in records(result.out)] == [code == 0]


def test_every_key_must_match(call) -> None:
    result = call("match", "a.b", "a.c", "d", "--binding", "a.*", "--binding", "*.c")
    assert result.code == 1
    assert [record["matched"] for record in records(result.out)] == [True, False, True, True, False, False]
    assert result.err.endswith("3 keys: 2 matched, 1 not matched\n")
    assert call("match", "a.b", "a.c", "--binding", "a.*").code == 0


def test_the_empty_key_is_a_key(call) -> None:
    assert call("match", "", "--binding", "#").code == 0
    assert call("match", "", "--binding", "*").code == 1
    assert "(the empty key)  matched by none" in call("match", "", "--binding", "*", "-o", "pretty").out


def test_a_registration_file_is_expanded(call, folder) -> None:
    (folder / "jobs.yml").write_text(f"exchange: {JOBS}\ndestinations: [treeherder]\nprojects: [try, autoland]\n")
    result = call("match", "treeherder.try", "--registration", "jobs.yml", "--binding", "other")
    assert result.code == 0
    assert [(record["exchange"], record["pattern"], record["matched"]) for record in records(result.out)] == [
        ("", "other", False),
        (JOBS, "treeherder.try", True),
        (JOBS, "treeherder.autoland", False),
    ]
    assert "matching 3 bindings from --binding, jobs.yml" in result.err


def test_a_rule_that_a_registration_cannot_follow_is_reported(call, folder) -> None:
    (folder / "jobs.yml").write_text(f"exchange: {JOBS}\nprojects: [try]\n")
    result = call("match", "x", "--registration", "jobs.yml", "--rule", "destination.project")
    assert result.code == 1
    assert (
        f"the registration of {JOBS} cannot follow destination.project: destinations: the list is empty" in result.err
    )


def test_the_configuration_is_used_and_named(call, folder) -> None:
    (folder / "pulsekit.yml").write_text(f"registrations:\n- {{exchange: {JOBS}, projects: [try]}}\n")
    result = call("match", "treeherder.try")
    assert result.code == 0
    assert "from pulsekit.yml" in result.err


def test_the_variable_overrides_the_file(call, folder, monkeypatch) -> None:
    (folder / "pulsekit.yml").write_text(f"registrations:\n- {{exchange: {JOBS}, projects: [try]}}\n")
    monkeypatch.setenv("PULSE_DATA_INGESTION_SOURCES", f'["{JOBS}.a"]')
    result = call("match", "a")
    assert result.code == 0
    assert "matching 1 binding on exchange/me/v1/jobs from $PULSE_DATA_INGESTION_SOURCES" in result.err


def test_the_same_binding_given_twice_is_tried_once(call) -> None:
    assert len(records(call("match", "a", "--binding", "a", "--binding", "a").out)) == 1


# pretty


def test_text_output_shows_matches_then_the_nearest_misses(call) -> None:
    patterns = [
        "x.y.z",
        "p.q.r.s",
        "treeherder.autoland.linux",
        "treeherder.#",
        "Treeherder.try",
        "#.q",
        "treeherder.*",
    ]
    options = [option for pattern in patterns for option in ("--binding", pattern)]
    result = call("match", "treeherder.try", "-o", "pretty", *options)
    assert result.out.splitlines() == [
        "treeherder.try  matched by 2 of 7 bindings",
        "match  treeherder.#               # matches 'try'",
        "match  treeherder.*               * matches 'try'",
        (
            "no     Treeherder.try             "
            "word 1: pattern has 'Treeherder', key has 'treeherder' (they differ only in case)"
        ),
        "no     #.q                        word 2: pattern has 'q', key has 'try'",
        "no     treeherder.autoland.linux  word 2: pattern has 'autoland', key has 'try'",
        "… and 2 more do not match; --all shows them",
    ]
    assert "x.y.z" in call("match", "treeherder.try", "-o", "pretty", "--all", *options).out


def test_exchanges_are_shown_when_there_are_several(call) -> None:
    out = call("match", "a", "--binding", f"{JOBS}:a", "--binding", "exchange/you/x:a", "-o", "pretty").out
    assert f"match  {JOBS}:a" in out
    assert "exchange/me" not in call("match", "a", "--binding", f"{JOBS}:a", "-o", "pretty").out


def test_several_keys_are_separated(call) -> None:
    assert call("match", "a", "b", "--binding", "a", "-o", "pretty").out.count("\n\n") == 1


def test_a_wildcard_in_a_key_is_reported(call) -> None:
    assert "in a key, * and # are ordinary words" in call("match", "a.#", "--binding", "a.b").err
    assert "words like any other" not in call("match", "a.b#", "--binding", "a.b").err


# pipes


def test_keys_are_read_from_a_pipe_one_per_line(call) -> None:
    result = call("match", "--binding", "a.*", stdin="a.b\r\n\na.c")
    assert result.code == 0
    assert [record["routing_key"] for record in records(result.out)] == ["a.b", "a.c"]


def test_records_are_matched_with_their_cc_keys(call) -> None:
    record = json.dumps({"v": 1, "routing_key": "x", "cc": ["route.a", "route.b"], "payload": {}})
    result = call("match", "--binding", "route.b", "--binding", "y", stdin=record)
    assert result.code == 0
    assert [(line["routing_key"], line["matched"], line["reason"]) for line in records(result.out)] == [
        ("x", True, "CC key 'route.b': the same words"),
        ("x", False, "word 1: pattern has 'y', key has 'x'"),
    ]
    assert "\nCC route.a, route.b\n" in call("match", "--binding", "y", "-o", "pretty", stdin=record).out


def test_records_are_matched_on_their_own_exchange(call) -> None:
    record = json.dumps({"routing_key": "a", "exchange": JOBS, "payload": 1})
    result = call("match", "--binding", "exchange/you/x:#", "--binding", f"{JOBS}:b", stdin=record)
    assert result.code == 1
    assert records(result.out)[0]["reason"] == f"the message is on another exchange, {JOBS}"
    assert call("match", "--binding", f"{JOBS}:#", stdin=record).code == 0
    assert call("match", "--binding", "#", stdin=record).code == 0


def test_metadata_lines_of_a_recording_are_skipped(call) -> None:
    lines = [{"v": 1, "type": "gap"}, {"v": 1, "routing_key": "a", "payload": 1}, {"v": 1, "type": "trailer"}]
    result = call("match", "--binding", "#", stdin="\n".join(map(json.dumps, lines)))
    assert [record["routing_key"] for record in records(result.out)] == ["a"]


@pytest.mark.parametrize(
    ("line", "words"),
    [
        ('{"routing_key": "a"', "error: <stdin>:2:20: this is not JSON"),
        ('{"routing_key": 7}', "error: <stdin>:2: the record has no text `routing_key`"),
        ('{"v": 1, "type": []}', "error: <stdin>:2: the record has no text `routing_key`"),
        ('{"routing_key": "a", "cc": "b"}', "error: <stdin>:2: `exchange` of a record must be text, and `cc` a list"),
        ('{"routing_key": "a", "cc": [1]}', "error: <stdin>:2: `cc` of a record must be a list of keys"),
        ("x" * 256, "error: <stdin>:2: routing key 'xxx"),
        (b"a\xff", "error: <stdin>:2:2: byte 0xff at offset 1 is not UTF-8"),
        (b"x" * (17 << 20), "error: <stdin>:2: the line has more than 16 MiB"),
    ],
)
def test_a_line_that_is_not_a_key_is_an_error_with_number(call, line, words) -> None:
    stdin = b"a\n" + (line.encode() if isinstance(line, str) else line) + b"\nb\n"
    result = call("match", "--binding", "#", stdin=stdin)
    assert result.code == 1
    assert [record["routing_key"] for record in records(result.out)] == ["a"]
    assert words in result.err


def test_a_compressed_recording_is_an_error_that_names_gunzip(call) -> None:
    result = call("match", "--binding", "#", stdin=gzip.compress(b'{"routing_key": "a"}'))
    assert (result.code, result.out) == (1, "")
    assert "it is gzip: pipe the output of 'gunzip -c FILE'" in result.err


@pytest.mark.parametrize("stdin", [None, "", "\n\n", "\n[]\n", " \r\n"])
def test_no_key_is_a_usage_error_with_an_example(call, stdin) -> None:
    result = call("match", stdin=stdin)
    assert (result.code, result.out) == (2, "")
    assert "error: no key" in result.err.lower()


def test_a_terminal_without_a_key_gets_an_example(on_terminal) -> None:
    result = on_terminal("match")
    assert result.code == 2
    assert f"pulsekit match {KEY}" in result.out


def test_each_answer_is_printed_before_the_next_key_is_read(folder) -> None:
    with Child(
        [sys.executable, "-m", "pulsekit", "match", "--binding", "a"],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        text=True,
        env=environment(),
    ) as process:
        assert process.stdin is not None
        assert process.stdout is not None
        for key in ("a", "b"):
            process.stdin.write(key + "\n")
            process.stdin.flush()
            assert json.loads(process.stdout.readline())["routing_key"] == key
    assert process.returncode == 1


def peak_of(process: subprocess.Popen[str]) -> int:
    """Return the most memory a process had so far, in KiB (proc_pid_status(5))."""
    return int(Path(f"/proc/{process.pid}/status").read_text().partition("VmHWM:")[2].split()[0])


def test_a_recording_of_any_length_needs_the_memory_of_one_record(folder) -> None:
    record = json.dumps({"v": 1, "routing_key": "a.b", "cc": ["c"], "payload": {"text": "x" * 20_000}}) + "\n"
    with Child(
        [sys.executable, "-m", "pulsekit", "match", "--binding", "a.*", "--binding", "#.d"],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        text=True,
        env=environment(),
    ) as process:
        assert process.stdin is not None
        assert process.stdout is not None

        def answers(records: int) -> int:
            """Send records, and return how many answers there are once all are read."""
            writer = Thread(target=lambda: (process.stdin.write(record * records), process.stdin.flush()))
            writer.start()
            matched = [json.loads(process.stdout.readline())["matched"] for _ in range(2 * records)]
            writer.join()
            return matched.count(True)

        assert answers(10) == 10
        before = peak_of(process)
        assert answers(2_000) == 2_000  # 40 MB
        assert peak_of(process) - before < 4_000
    assert process.returncode == 0


def test_an_interruption_ends_it_without_a_message(folder) -> None:
    with Child(
        [sys.executable, "-m", "pulsekit", "match", "--binding", "a"],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        env=environment(),
    ) as process:
        assert process.stderr is not None
        assert process.stderr.readline() == "matching 1 binding from --binding\n"
        process.wait_until_asleep()
        process.send_signal(signal.SIGINT)
        assert process.stderr.read() == ""
        assert process.wait(timeout=40) == 130


# start


def loaded(result: Result) -> set[str]:
    """Return the packages that a command imported, as Python reports them on stderr."""
    lines = [line for line in result.err.splitlines() if line.startswith("import time:")]
    return {line.rpartition("|")[2].strip().partition(".")[0] for line in lines}


HEAVY = {"aio_pika", "aiormq", "asyncio", "fastjsonschema", "jsonschema", "rich", "ruamel", "ssl"}


@pytest.mark.parametrize(
    ("arguments", "stdin"),
    [
        (["a", "--binding", "a"], None),
        (["a", "--binding", "a", "-o", "pretty"], None),
        (["a", "--registration", "jobs.json"], None),
        (["--binding", "a"], "a\n"),
        (["--binding", "a"], '{"v": 1, "routing_key": "a", "payload": {}}\n{"v": 1, "type": "gap"}\n'),
    ],
)
def test_neither_aio_pika_nor_rich_nor_yaml_is_loaded_needlessly(spawn, folder, arguments, stdin) -> None:
    registration = {"exchange": JOBS, "destinations": ["a"], "projects": ["#"]}
    (folder / "jobs.json").write_text(json.dumps(registration))
    result = spawn("match", *arguments, stdin=stdin, env={"PYTHONPROFILEIMPORTTIME": "1"})
    assert result.code == 0
    assert "typer" in loaded(result)
    assert HEAVY.isdisjoint(loaded(result))


def test_yaml_is_loaded_only_to_read_yaml(spawn, folder) -> None:
    (folder / "jobs.yml").write_text(f"exchange: {JOBS}\nprojects: [a]\ndestinations: [b]\n")
    result = spawn("match", "b.a", "--registration", "jobs.yml", env={"PYTHONPROFILEIMPORTTIME": "1"})
    assert result.code == 0
    assert loaded(result) & HEAVY == {"ruamel"}


# errors


@pytest.mark.parametrize(
    ("arguments", "code", "words"),
    [
        (["x" * 256], 1, "error: routing key 'xxx"),
        (["a", "--binding", "x" * 256], 2, "error: pattern 'xxx"),
        (["a", "--binding", "exchange/me:a"], 2, "error: 'exchange/me' is not a Pulse exchange name"),
        (["a", "--registration", "nowhere.yml"], 74, "error: nowhere.yml: No such file or directory"),
        (["a", "--registration", "."], 74, "error: .: Is a directory"),
        (["a", "--registration", "bad.yml"], 1, "error: bad.yml:1:1: unknown property 'job'"),
        (["--registration", "-"], 2, "error: --registration - reads stdin"),
    ],
)
def test_invalid_arguments_end_with_one_line(call, folder, arguments, code, words) -> None:
    (folder / "bad.yml").write_text("job: 1\n")
    result = call("match", *arguments, stdin="a\n")
    assert result.code == code
    assert result.out == ""
    assert words in result.err.splitlines()[-1]


def test_registrations_may_come_from_the_pipe_when_keys_do_not(call) -> None:
    result = call("match", "a", "--registration", "-", stdin=f"{JOBS}.a\n")
    assert result.code == 0
    assert "from <stdin>" in result.err


def test_half_a_surrogate_pair_on_the_command_line_is_refused(spawn) -> None:
    result = spawn("match", b"\xff".decode("utf-8", "surrogateescape"))
    assert result.code == 1
    assert "not valid Unicode text" in result.err
    assert "Traceback" not in result.err


def test_a_link_of_pulse_inspector_is_bindings(call) -> None:
    link = "https://community-tc.services.mozilla.com/pulse-messages?bindings[0][exchange]=exchange/me/x"
    former = "https://tools.taskcluster.net/pulse-inspector/#!((exchange:exchange/me/y,routingKeyPattern:a.*))"
    matched = call("match", "a.b", "-b", link, "-b", former)
    assert [(one["exchange"], one["pattern"], one["matched"]) for one in map(json.loads, matched.out.splitlines())] == [
        ("exchange/me/x", "#", True),
        ("exchange/me/y", "a.*", True),
    ]
    expanded = call("bindings", former)
    assert (expanded.code, json.loads(expanded.out)) == (0, {"exchange": "exchange/me/y", "pattern": "a.*"})
    wrong = call("match", "a.b", "-b", "https://taskcluster.net/")
    assert (wrong.code, wrong.out) == (2, "")
    assert "is not a link of Pulse Inspector" in wrong.err
