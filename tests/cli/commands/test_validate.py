from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import nullcontext
from copy import deepcopy

import pytest
from support import samples
from support.children import Child

from cli.conftest import environment

# Jobs that break no rule of Treeherder's beyond its schema.
PENDING = samples.PENDING | {"timeScheduled": "2026-11-23T18:00:00Z"}
COMPLETED = samples.COMPLETED | {"jobInfo": {"links": samples.COMPLETED["jobInfo"]["links"]}}
JOBS = [PENDING, samples.RUNNING, COMPLETED]

BROKEN = PENDING | {"state": "Pending", "tier": 7}


def records(result):
    return [json.loads(line) for line in result.out.splitlines()]


def ndjson(*values) -> str:
    return "".join(f"{json.dumps(value)}\n" for value in values)


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("one.json", json.dumps(COMPLETED, indent=2)),
        ("list.json", json.dumps(JOBS)),
        ("lines.ndjson", ndjson(*JOBS)),
        ("lines", ndjson(*JOBS)),
        ("one.yml", json.dumps(COMPLETED, indent=2)),
        ("list.yaml", "".join(f"- {json.dumps(job)}\n" for job in JOBS)),
        ("several.yml", "".join(f"---\n{json.dumps(job)}\n" for job in JOBS)),
    ],
)
def test_every_form_of_file_and_pipe_is_read(call, folder, name, text) -> None:
    (folder / name).write_text(text)
    for result, source in [(call("validate", name), name), (call("validate", stdin=text), "<stdin>")]:
        assert result.code == 0
        count = 1 if name.startswith("one") else len(JOBS)
        assert records(result) == [
            {"source": source, "index": index, "valid": True, "errors": [], "lint": [], "outcome": "stored"}
            for index in range(count)
        ]
        assert result.err == f"{count} valid, 0 invalid against pulse-job (strict)\n"


def test_a_named_pipe_is_read_like_stdin(call, folder) -> None:
    """Pass a pipe as a file name, as a shell does for `<(make-jobs)`."""
    pipe = folder / "pipe"
    os.mkfifo(pipe)
    with ThreadPoolExecutor() as pool:
        writing = pool.submit(pipe.write_text, ndjson({"a": 1}, {"a": 2}))
        result = call("validate", "pipe")
        writing.result()
    assert result.code == 1
    assert [(one["source"], one["index"], one["errors"][0]["line"]) for one in records(result)] == [
        ("pipe", 0, 1),
        ("pipe", 1, 2),
    ]


def test_an_invalid_job_exits_1_with_every_error(call, folder) -> None:
    (folder / "jobs.ndjson").write_text(ndjson(PENDING, BROKEN, COMPLETED))
    result = call("validate", "jobs.ndjson")
    assert result.code == 1
    assert [record["valid"] for record in records(result)] == [True, False, True]
    assert records(result)[1]["errors"] == [
        {
            "pointer": "/state",
            "message": 'must be "unscheduled", "pending", "running" or "completed", not "Pending" '
            '(did you mean "pending"?)',
            "rule": "enum",
            "line": 2,
            "column": ndjson(BROKEN).index('"Pending"') + 1,
            "suggestion": {"op": "replace", "path": "/state", "value": "pending"},
        },
        {
            "pointer": "/tier",
            "message": "must be 3 or less, not 7",
            "rule": "maximum",
            "line": 2,
            "column": ndjson(BROKEN).index("7}") + 1,
            "suggestion": {"op": "replace", "path": "/tier", "value": 3},
        },
    ]
    assert result.err == "2 valid, 1 invalid against pulse-job (strict)\n"


def test_text_output_has_a_line_per_error_that_an_editor_can_follow(call, folder) -> None:
    (folder / "job.yml").write_text("taskId: a/0\nstat: running\norigin:\n  project: try\n  revision: ABC\n")
    result = call("validate", "job.yml", "-o", "pretty", "--profile", "treeherder")
    assert result.code == 1
    assert result.out.splitlines() == [
        'job.yml:1:1  "buildSystem" is missing',
        'job.yml:1:1  "display" is missing',
        'job.yml:1:1  "state" is missing (rename "stat" if it is this property)',
        'job.yml:1:1  "jobKind" is missing (add it: "other")',
        'job.yml:1:1  "version" is missing (add it: 1)',
        'job.yml:2:7  /stat  "stat" is not a known property (did you mean "state"?)',
        "job.yml:5:13  /origin/revision  must have 40 characters or more, has 3",
        'job.yml:5:13  /origin/revision  must match ^[0-9a-f]+$, but "ABC" does not (write it in lower case)',
        'job.yml:1:1  dropped  "owner" is missing (add the owner, such as me@example.com) [owner-missing]',
        (
            'job.yml:1:9  wrong  /taskId  "a/0" is not <uuid>/<retry number> '
            "(write it as in 5b3bb6a5-6d1f-4d3c-9a3b-0f6f2b0f7c11/0) [task-id-form]"
        ),
    ]
    assert result.err == "0 valid, 1 invalid against pulse-job (treeherder); Treeherder's rules: 1 dropped, 1 wrong\n"


def test_the_summary_counts_jobs_and_not_findings(call) -> None:
    result = call("validate", stdin=ndjson({**JOBS[0], "taskId": "a/0", "productName": "x" * 101}))
    assert len([one for one in records(result)[0]["lint"] if one["severity"] == "wrong"]) > 1
    assert result.err == "1 valid, 0 invalid against pulse-job (strict); Treeherder's rules: 1 wrong\n"


def test_text_output_has_no_line_for_a_valid_job(call, folder) -> None:
    result = call("validate", "-o", "pretty", stdin=ndjson(*JOBS))
    assert (result.code, result.out) == (0, "")


def test_text_in_a_job_cannot_control_the_terminal(call) -> None:
    job = PENDING | {"state": "\x1b[2J\u202e", "\x9b31m": 1}
    result = call("validate", "-o", "pretty", stdin=json.dumps(job))
    assert "\x1b" not in result.out
    assert "\u202e" not in result.out
    assert "\x9b" not in result.out


def test_only_the_strict_profile_checks_dates(call) -> None:
    job = json.dumps(PENDING | {"timeStarted": "2026-11-23 18:00"})
    assert call("validate", stdin=job).code == 1
    assert call("validate", "--profile", "strict", stdin=job).code == 1
    assert call("validate", "--profile", "treeherder", stdin=job).code == 0


def test_another_schema_is_named_or_given_as_a_file_or_configured(call, folder) -> None:
    registration = '{"exchange": "exchange/me/v1/jobs", "projects": ["try"]}'
    assert call("validate", "--schema", "registration", stdin=registration).code == 0
    (folder / "number.yml").write_text("type: number\n")
    assert call("validate", "--schema", "number.yml", stdin="[1, 2.5]").code == 0
    assert call("validate", "--schema", "number.yml", stdin='["x"]').code == 1
    (folder / "pulsekit.yml").write_text("schema: registration\n")
    assert call("validate", stdin=registration).code == 0


def test_the_payload_of_a_record_is_judged_with_its_position(call, folder) -> None:
    record = {"v": 1, "exchange": "exchange/me/v1/jobs", "routing_key": "treeherder.try._"}
    bodies = [{"payload": BROKEN}, {"body": json.dumps(BROKEN)}, {"payload": BROKEN, "body": json.dumps(BROKEN)}]
    gap = {"v": 1, "type": "gap", "from": "x", "to": "y", "lossy": True}
    lines = [gap, *(record | body for body in bodies), record | {"payload": PENDING}, {"v": 1, "type": "trailer"}]
    (folder / "tail.ndjson").write_text(ndjson(*lines))
    result = call("validate", "tail.ndjson")
    assert result.code == 1
    assert [(one["index"], one["valid"]) for one in records(result)] == [(1, False), (2, False), (3, False), (4, True)]
    for one in records(result)[:3]:
        assert [error["pointer"] for error in one["errors"]] == ["/state", "/tier"]
        assert {error["line"] for error in one["errors"]} == {one["index"] + 1}
    first, second, third = (json.dumps(line) for line in lines[1:4])
    assert [one["errors"][0]["column"] for one in records(result)[:3]] == [
        first.index('"Pending"') + 1,
        second.index('"{') + 1,
        third.index('"Pending"') + 1,
    ]


@pytest.mark.parametrize(
    "broken", [{"body": "{"}, {"body_b64": "!"}, {"body": 1}, {"payload": 1, "v": 2}, {"body_b64": "/w=="}]
)
def test_an_unreadable_record_is_invalid(call, broken) -> None:
    result = call("validate", stdin=json.dumps({"routing_key": "a"} | broken))
    assert result.code == 1
    (record,) = records(result)
    (error,) = record["errors"]
    assert error["rule"] in {"record", "syntax"}
    assert (error["message"], error["line"]) != ("", None)


def test_an_unreadable_line_is_one_error_and_the_rest_is_read(call, folder) -> None:
    text = f"{json.dumps(PENDING)}\n\n{{'a': 1}}\n{json.dumps(COMPLETED)}\n"
    (folder / "jobs.ndjson").write_text(text)
    for result in (call("validate", "jobs.ndjson"), call("validate", "-", stdin=text)):
        assert result.code == 1
        assert [(one["index"], one["valid"]) for one in records(result)] == [(0, True), (1, False), (2, True)]
        (error,) = records(result)[1]["errors"]
        assert (error["rule"], error["pointer"], error["line"], error["column"]) == ("syntax", "", 3, 2)
        assert "double quotes" in error["message"]


@pytest.mark.parametrize(
    ("name", "data", "words"),
    [
        ("a.json", b'{"a": "\xff"}', "byte 0xff at offset 7 is not UTF-8"),
        ("a.json", b'{"a": 1}\0', "more text follows"),
        ("a.json", b'{"a": "\0"}', "invalid control character"),
        ("a.json", b"[" * 100_000, "nested too deeply"),
        ("a.json", b'{"a": 1, "a": 2}', "occurs twice"),
        ("a.json", b"[1" + b"0" * 5000 + b"]", "more than 4300 digits"),
        ("a.yml", b"a: \0", "U+0000"),
        ("a.yml", b"- " * 1000, "nested too deeply: more than 200 levels"),
        ("a.yml", b"a: &a [*a, *a]", "the anchor &a is not supported"),
        ("a.yml", b"a: b: c", "not YAML"),
        ("a.yml", b"# nothing\n", ""),
        ("a.ndjson", b"\xff\xfe{\0}\0", "UTF-16"),
        ("a", b"\x89PNG\r\n\x1a\n", "not UTF-8"),
    ],
)
def test_text_that_is_not_json_or_yaml_is_invalid_with_a_reason(call, folder, name, data, words) -> None:
    (folder / name).write_bytes(data)
    result = call("validate", name, "-o", "pretty")
    if not words:
        assert result.code == 2
        return
    assert result.code == 1
    assert words in result.out
    assert result.out.startswith(f"{name}:1")
    assert len(result.out.splitlines()) == 1
    assert call("validate", stdin=data).code == 1


def test_a_line_without_an_end_does_not_hide_the_lines_after_it(call, folder) -> None:
    (folder / "jobs.ndjson").write_bytes(ndjson(PENDING).encode() + b'"' + b"x" * (17 << 20) + b'"\n{}\n')
    for result in (call("validate", "jobs.ndjson"), call("validate", stdin=(folder / "jobs.ndjson").read_bytes())):
        assert result.code == 1
        assert [(one["index"], one["valid"]) for one in records(result)] == [(0, True), (1, False), (2, False)]
        (error,) = records(result)[1]["errors"]
        assert (error["rule"], error["line"], error["message"]) == ("syntax", 2, "the line has more than 16 MiB")
        assert records(result)[2]["errors"][0]["line"] == 3


def test_blank_lines_before_the_first_payload_count_as_lines(call) -> None:
    for payload, column in [(ndjson(BROKEN) * 2, ndjson(BROKEN).index('"Pending"') + 1), ("state: Pending\n", 1)]:
        result = call("validate", stdin="\n \n" * 1000 + payload)
        assert records(result)[0]["index"] == 0
        assert records(result)[0]["errors"][0]["line"] == 2001
        assert records(result)[0]["errors"][0]["column"] == column


def test_several_files_are_judged_each_with_its_name(call, folder) -> None:
    (folder / "a.json").write_text(json.dumps(PENDING))
    (folder / "b.json").write_text("{")
    (folder / "c.yml").write_text(json.dumps([PENDING, COMPLETED]))
    result = call("validate", "a.json", "b.json", "c.yml")
    assert result.code == 1
    assert [(one["source"], one["index"], one["valid"]) for one in records(result)] == [
        ("a.json", 0, True),
        ("b.json", 0, False),
        ("c.yml", 0, True),
        ("c.yml", 1, True),
    ]


@pytest.mark.parametrize(
    ("arguments", "stdin", "code", "words"),
    [
        ([], None, 2, "error: nothing to validate: add a file, or pipe jobs, as in 'pulsekit validate job.yml'"),
        (["empty.json"], None, 2, "error: nothing to validate: empty.json is empty"),
        ([], " \n", 2, "error: nothing to validate: <stdin> is empty"),
        (["nowhere.json"], None, 74, "error: nowhere.json: No such file or directory"),
        (["."], None, 74, "error: .: Is a directory"),
        (["--schema", "pulse-jobs"], "{}", 2, "use the path of a file, or one of pulse-job, pulse-job-2020"),
        (["--schema", "broken.yml"], "{}", 2, "error: broken.yml: the schema is invalid at /type"),
        (["--profile", "lax"], "{}", 2, "'lax' is not one of 'strict', 'treeherder'"),
    ],
)
def test_input_that_cannot_be_validated_is_an_error(call, folder, arguments, stdin, code, words) -> None:
    (folder / "empty.json").write_text("\n")
    (folder / "broken.yml").write_text("type: text\n")
    result = call("validate", *arguments, stdin=stdin)
    assert (result.code, result.out) == (code, "")
    assert words in result.err


def test_a_job_of_five_megabytes_is_judged_quickly(call, folder) -> None:
    job = deepcopy(COMPLETED)
    job["logs"] = [{"url": f"https://example.com/{number}.log", "name": "log"} for number in range(80_000)]
    job["logs"][-1]["url"] = "no uri"
    (folder / "big.json").write_text(json.dumps(job, indent=1))
    assert (folder / "big.json").stat().st_size > 5_000_000
    begin = time.process_time()
    result = call("validate", "big.json", "-o", "pretty")
    assert time.process_time() - begin < 15  # one, unless coverage is measured
    assert result.code == 1
    assert "/logs/79999/url  must be an absolute URI" in result.out


@pytest.mark.parametrize("source", ["file", "redirection", "pipe"])
def test_memory_does_not_grow_with_the_number_of_jobs(folder, source) -> None:
    (folder / "anything.json").write_text('{"type": "object"}')
    peaks = []
    for count in (1_000, 20_000):
        (folder / "jobs.ndjson").write_text(ndjson({"text": "x" * 4_000}) * count)
        command = {
            "file": "pulsekit validate jobs.ndjson",
            "redirection": "pulsekit validate < jobs.ndjson",
            "pipe": "cat jobs.ndjson | pulsekit validate",
        }[source]
        report = (
            "from pulsekit.cli import main; code = main(['validate', *sys.argv[1:], '--schema', 'anything.json'])\n"
            "print(open('/proc/self/status').read().partition('VmHWM:')[2].split()[0], file=sys.stderr)"
        )
        command = command.replace("pulsekit validate", f'"{sys.executable}" -c "import sys; {report}"')
        done = subprocess.run(
            ["bash", "-c", command], capture_output=True, text=True, env=environment(), timeout=50, check=True
        )
        assert done.stdout.count("\n") == done.stdout.count('"valid":true') == count
        peaks.append(int(done.stderr.split()[-1]))
    assert peaks[1] - peaks[0] < 8_000  # KiB, of 80 MB that were read


def test_a_pipe_is_validated_as_it_arrives(folder) -> None:
    with Child(
        [sys.executable, "-m", "pulsekit", "validate"],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        env=environment(),
    ) as process:
        assert process.stdin is not None
        assert process.stdout is not None
        for job in JOBS:
            process.stdin.write(ndjson(job).encode())
            process.stdin.flush()
            assert json.loads(process.stdout.readline())["valid"]
        process.stdin.close()
        assert process.wait(timeout=40) == 0


@pytest.mark.parametrize(
    ("change", "code", "rule", "severity"),
    [
        ({"jobInfo": {"summary": "x"}}, 0, "summary-unused", "cosmetic"),
        ({"result": None}, 1, "result-missing", "wrong"),
        ({"owner": None}, 1, "owner-missing", "dropped"),
    ],
)
def test_broken_rules_are_reported_and_severe_ones_change_the_exit_code(call, change, code, rule, severity) -> None:
    job = {name: value for name, value in (COMPLETED | change).items() if value is not None}
    result = call("validate", stdin=json.dumps(job, indent=1))
    (record,) = records(result)
    assert (result.code, record["valid"], record["errors"]) == (code, True, [])
    (found,) = record["lint"]
    assert (found["rule"], found["severity"]) == (rule, severity)
    assert found["line"] >= 1
    assert f"Treeherder's rules: 1 {severity}" in result.err
    assert f"{severity}" in call("validate", "-o", "pretty", stdin=json.dumps(job)).out
    kind = {"cosmetic": "notice", "wrong": "warning", "dropped": "error"}[severity]
    assert call("validate", "-o", "github", stdin=json.dumps(job)).out.startswith(f"::{kind} title={rule}::")


def test_a_rule_can_be_disabled_by_flag_or_configuration(call, folder) -> None:
    job = json.dumps({name: value for name, value in COMPLETED.items() if name != "result"})
    assert call("validate", "--lint-off", "result-missing", stdin=job).code == 0
    assert call("validate", stdin=job).code == 1
    (folder / "pulsekit.yml").write_text("lint_off: [result-missing]\n")
    assert call("validate", stdin=job).code == 0
    result = call("validate", "--lint-off", "result-mising", stdin=job)
    assert result.code == 2
    assert "did you mean 'result-missing'" in result.err


def test_rules_use_the_key_of_a_record_and_earlier_jobs(call, folder) -> None:
    record = {"routing_key": "treeherder.elsewhere._", "payload": COMPLETED}
    assert [found["rule"] for found in records(call("validate", stdin=json.dumps(record)))[0]["lint"]] == [
        "key-mismatch"
    ]
    back = COMPLETED | {"state": "running"}
    del back["result"]
    (folder / "one.ndjson").write_text(ndjson(COMPLETED, back))
    (folder / "two.ndjson").write_text(ndjson(back))
    first, second, third = records(call("validate", "one.ndjson", "two.ndjson"))
    assert "state-backwards" in [found["rule"] for found in second["lint"]]
    assert "state-backwards" not in [found["rule"] for found in first["lint"] + third["lint"]]


def test_rules_for_jobs_do_not_apply_to_other_schemas(call, folder) -> None:
    (folder / "any.json").write_text("{}")
    assert records(call("validate", "--schema", "any.json", stdin="{}"))[0]["lint"] == []


FORMER = JOBS[0] | {
    "origin": {"kind": "hg.mozilla.org", "project": "autoland", "revision": "c0ffee01" * 5, "pushLogID": 7}
}
TODAY = JOBS[0] | {"origin": {"project": "autoland", "revision": "c0ffee01" * 5, "id": 7}}


def test_a_job_of_an_older_form_is_reported_first_with_its_fields(call) -> None:
    result = call("validate", "-o", "ndjson", stdin=json.dumps(FORMER))
    first, *others = records(result)[0]["errors"]
    assert result.code == 1
    assert (first["pointer"], first["rule"]) == ("/origin", "revision")
    assert "until April 2026" in first["message"]
    assert "origin.kind was removed, origin.pushLogID → origin.id" in first["message"]
    assert not others


def test_an_older_form_is_reported_beside_other_errors(call) -> None:
    broken = FORMER | {"origin": FORMER["origin"] | {"revision": "short"}, "state": "done"}
    rules = [error["rule"] for error in records(call("validate", stdin=json.dumps(broken)))[0]["errors"]]
    assert rules == ["revision", "minLength", "pattern", "enum"]


def test_migrating_writes_valid_jobs_and_reports_the_others(call) -> None:
    record = {"routing_key": "k", "payload": FORMER, "body": json.dumps(FORMER)}
    lines = [FORMER, TODAY, FORMER | {"state": "done"}, record, {"type": "gap"}]
    result = call("validate", "--migrate", stdin="".join(json.dumps(line) + "\n" for line in lines))
    assert result.code == 1
    assert records(result) == [TODAY, TODAY, {"routing_key": "k", "payload": TODAY}]
    assert "<stdin>:3" in result.err
    assert '"done"' in result.err


def test_migrating_and_reporting_exclude_each_other(call) -> None:
    assert call("validate", "--migrate", "-o", "github", stdin=json.dumps(TODAY)).code == 2


def test_annotations_for_github_have_place_and_text_and_are_escaped(call, folder) -> None:
    name = "a,b:c%.json"
    (folder / name).write_text(json.dumps(JOBS[0] | {"state": "100%\n::error::", "result": "fine"}, indent=1))
    result = call("validate", "-o", "github", name)
    assert result.code == 1
    first, second = result.out.splitlines()
    escaped = name.replace("%", "%25").replace(",", "%2C").replace(":", "%3A")
    assert first.startswith(f"::error file={escaped},line=")
    assert ",title=/state::" in first
    assert "100%25" in first
    assert ",title=/result::" in second
    assert call("validate", "-o", "github", stdin=json.dumps(TODAY)).out == ""


def test_edits_apply_before_a_job_is_judged(call, folder) -> None:
    (folder / "job.yml").write_text(json.dumps(COMPLETED, indent=1))
    early = call("validate", "job.yml", "--set", "state=pending", "-o", "ndjson")
    assert early.code == 1
    assert [one["rule"] for one in records(early)[0]["lint"]] == ["result-early"]
    assert call("validate", "job.yml", "--set", "state=pending", "--unset", "result").code == 0
    bad = records(call("validate", "job.yml", "--set", "state=runing", "--set", "origin.project=a b"))[0]
    assert [(error["pointer"], error["line"]) for error in bad["errors"]] == [
        ("/origin/project", None),
        ("/state", None),
    ]
    assert call("validate", "job.yml", "--set", "stat=pending").code == 2


def test_payloads_of_records_can_be_edited_and_errors_have_lines(call) -> None:
    fine = {"v": 1, "routing_key": "treeherder.try._", "payload": {}, "body": json.dumps(PENDING)}
    odd = {"routing_key": "k", "payload": PENDING | {"origin": 7}}
    unreadable = {"routing_key": "k", "body_b64": "*"}
    given = ndjson({"v": 1, "type": "gap"}, fine, odd, unreadable, [1])
    result = call("validate", "--set", "origin.project=try", "--set", "tier=2", stdin=given)
    assert result.code == 1
    found = [[(error["rule"], error["line"]) for error in record["errors"]] for record in records(result)]
    assert found == [[], [("set", 3)], [("record", 4)], [("set", 5)]]


def test_migrated_jobs_can_be_edited(call) -> None:
    former = PENDING | {"origin": PENDING["origin"] | {"kind": "hg.mozilla.org"}}
    result = call("validate", "--migrate", "--set", "tier=2", stdin=ndjson(former))
    assert records(result) == [PENDING | {"tier": 2}]


def test_corrections_are_in_the_output_for_programs(call) -> None:
    (record,) = records(call("validate", stdin=ndjson(BROKEN | {"labels": [float("nan")], "zebra": 1})))
    assert [error["suggestion"] for error in record["errors"]] == [
        {"op": "remove", "path": "/zebra"},
        {"op": "replace", "path": "/state", "value": "pending"},
        {"op": "replace", "path": "/tier", "value": 3},
        None,
    ]


def test_a_registration_is_reported_as_such_and_not_as_an_invalid_job(call, folder) -> None:
    registration = {"exchange": "exchange/me/v1/jobs", "destinations": ["treeherder"], "projects": ["try._"]}
    name = registration["exchange"]
    project = {"exchange": name, "destinations": ["a"], "registrations": [registration]}
    binding = {"exchange": name, "pattern": "#"}
    for value in (registration, [registration], {"registrations": [registration]}, project, binding, f"{name}.a.#"):
        for command in (["validate"], ["preview", "-o", "ndjson"], ["publish", "--dry-run", "-e", name, "-k", "a"]):
            done = call(*command, stdin=json.dumps(value))
            assert done.code == 1
            (error,) = json.loads(done.out)["errors"]
            assert error["message"] == (
                "is a registration, not a job ('pulsekit bindings FILE --lint' checks registrations)"
            )
    assert "registration" not in call("validate", "-", stdin=json.dumps(BROKEN)).out
    refused = call("bindings", stdin=json.dumps(PENDING))
    assert refused.code == 1
    assert "this is a job, not a registration; 'pulsekit validate FILE' checks jobs" in refused.err


OLD = {name: value for name, value in PENDING.items() if name != "timeScheduled"}


def test_a_finding_of_many_jobs_is_shown_ten_times_and_counted(call) -> None:
    given = ndjson(*[OLD] * 2000, *[BROKEN] * 3)
    shown = call("validate", "-o", "pretty", stdin=given)
    assert shown.code == 1
    assert sum("[time-missing]" in line for line in shown.out.splitlines()) == 10
    assert sum("  /tier  " in line for line in shown.out.splitlines()) == 3
    assert "1,990 findings not shown: 1,990 time-missing; --statistics counts them" in shown.err
    few = call("validate", "-o", "pretty", "--max", "1", stdin=given)
    assert len(few.out.splitlines()) == 3
    assert "1,999 time-missing" in few.err
    # Programs get every record with all of its findings.
    lines = records(call("validate", "-o", "ndjson", stdin=given))
    assert [len(line["lint"] + line["errors"]) for line in lines] == [1] * 2000 + [2] * 3


def test_statistics_count_each_finding_and_name_the_first(call) -> None:
    given = ndjson(*[OLD] * 2000, *[BROKEN] * 3)
    shown = call("validate", "-o", "pretty", "--statistics", stdin=given)
    assert (shown.code, "not shown" in shown.err) == (1, False)
    *invalid, cosmetic = (line.split() for line in shown.out.splitlines())
    assert {tuple(words[:2]) for words in invalid} == {("3", "invalid")}
    assert cosmetic[:3] == ["2,000", "cosmetic", "time-missing"]
    assert shown.out.splitlines()[-1].endswith("(first: <stdin>:1:1)")
    lines = records(call("validate", "-o", "ndjson", "--statistics", stdin=given))
    assert [(line["rule"], line["count"], line["line"]) for line in lines][-1] == ("time-missing", 2000, 1)
    assert {line["pointer"]: line["count"] for line in lines[:-1]} == {"/state": 3, "/tier": 3}


def test_memory_and_lines_are_limited_for_many_different_errors(call) -> None:
    given = ndjson(*[PENDING | {f"field{number}": 1} for number in range(1500)])
    shown = call("validate", "-o", "pretty", stdin=given)
    assert len(shown.out.splitlines()) == 1010
    assert "490 findings not shown" in shown.err


@pytest.mark.parametrize(
    ("arguments", "words"),
    [(["validate", "jobs.ndjson"], "validated"), (["replay", "jobs.ndjson", "-e", "exchange/me/x"], "read")],
)
def test_payloads_are_counted_on_a_terminal_while_they_are_read(
    call, folder, monkeypatch, arguments: list[str], words: str
) -> None:
    counted: list[str] = []

    class Counted(nullcontext[Callable[[], None]]):
        def __init__(self, doing: str) -> None:
            super().__init__(lambda: counted.append(doing))

    monkeypatch.setenv("PULSE_URL", "amqp://me:me@127.0.0.1:1/")
    for module in ("pulsekit.cli.output.receipts", "pulsekit.cli.commands.validate"):
        monkeypatch.setattr(f"{module}.Counting", Counted)
    record = {"v": 1, "exchange": "exchange/me/x", "routing_key": "k", "payload": PENDING}
    (folder / "jobs.ndjson").write_text(f"{json.dumps(record)}\n" * 3)
    call(*arguments)
    assert counted == [words] * 3


def test_a_valid_job_imports_only_what_its_verdict_needs(folder):
    unneeded = {"asyncio", "fastjsonschema", "pulsekit._amqp.broker", "pulsekit.schemas.revisions", "rich", "ruamel"}
    (folder / "job.json").write_text(json.dumps(COMPLETED))
    script = f"from pulsekit.cli import main; main(); import sys; print(sorted({unneeded} & sys.modules.keys()))"
    arguments = (sys.executable, "-c", script, "validate", "job.json")
    done = subprocess.run(arguments, cwd=folder, env=environment(), capture_output=True, text=True, check=True)
    assert done.stdout.splitlines()[1:] == ["[]"]
