from __future__ import annotations

import json
import re
import subprocess
import sys
from copy import deepcopy

import pytest
from support.children import Child
from support.samples import COMPLETED, JOBS, PENDING, RUNNING

from cli.conftest import environment
from pulsekit.treeherder import preview_job

BROKEN = PENDING | {"state": "Pending"}
OWNERLESS = {name: value for name, value in PENDING.items() if name != "owner"}
UNTIMELY = PENDING | {"timeScheduled": "soon"}
SGR = re.compile(r"\x1b\[[0-9;]*m")


def records(result):
    return [json.loads(line) for line in result.out.splitlines()]


def ndjson(*values) -> str:
    return "".join(f"{json.dumps(value)}\n" for value in values)


def stored(result) -> list[dict]:
    """Return what Treeherder stores, from each line that has it."""
    return [
        {name: line[name] for name in ("job", "superseded", "revision")}
        for line in records(result)
        if line["outcome"] == "stored"
    ]


def job(number: int, **changes):
    """Return a new completed job."""
    made = deepcopy(COMPLETED) | {"taskId": f"1d2e3f40-5a6b-4c7d-8e9f-{number:012x}/0"}
    for name, value in changes.items():
        if name in {"jobSymbol", "groupSymbol", "chunkId", "jobName"}:
            made["display"][name] = value
        elif name == "platform":
            made["buildMachine"]["platform"] = made["runMachine"]["platform"] = value
        elif name == "project":
            made["origin"]["project"] = value
        else:
            made[name] = value
    return made


# as data


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("one.json", json.dumps(COMPLETED, indent=2)),
        ("list.json", json.dumps(JOBS)),
        ("lines.ndjson", ndjson(*JOBS)),
        ("one.yml", json.dumps(COMPLETED, indent=2)),
        ("several.yml", "".join(f"---\n{json.dumps(one)}\n" for one in JOBS)),
    ],
)
def test_every_form_of_file_and_pipe_gives_a_line_a_job(call, folder, name, text) -> None:
    (folder / name).write_text(text)
    expected = [preview_job(one) for one in ([COMPLETED] if name.startswith("one") else JOBS)]
    for result in (call("preview", name), call("preview", stdin=text), call("preview", "-", stdin=text)):
        assert result.code == 0
        assert stored(result) == expected
        assert result.err == (
            f"Treeherder would drop 0 and store {len(expected)}, if it has the projects and the pushes\n"
        )


def test_the_payload_of_a_record_is_shown(call) -> None:
    record = {"v": 1, "exchange": "exchange/me/v1/jobs", "routing_key": "treeherder.try._"}
    gap = {"v": 1, "type": "gap", "from": "x", "to": "y", "lossy": True}
    bodies = [{"payload": PENDING}, {"body": json.dumps(PENDING)}, {"payload": 1, "body": json.dumps(PENDING)}]
    result = call("preview", stdin=ndjson(gap, *(record | body for body in bodies)))
    assert (result.code, stored(result)) == (0, [preview_job(PENDING)] * 3)


def test_an_invalid_job_has_its_errors_in_its_line(call, folder) -> None:
    (folder / "jobs.ndjson").write_text(ndjson(PENDING, BROKEN, UNTIMELY, COMPLETED) + "{]\n")
    result = call("preview", "jobs.ndjson")
    assert result.code == 1
    first, second, third, fourth, fifth = records(result)
    assert stored(result) == [preview_job(PENDING), preview_job(COMPLETED)]
    assert [(one["source"], one["index"], one["valid"], one["outcome"]) for one in records(result)] == [
        ("jobs.ndjson", 0, True, "stored"),
        ("jobs.ndjson", 1, False, "dropped"),
        ("jobs.ndjson", 2, True, "dropped"),
        ("jobs.ndjson", 3, True, "stored"),
        ("jobs.ndjson", 4, False, None),
    ]
    assert first["lint"][0]["rule"] == "time-missing"
    assert not fourth["errors"]
    assert second["errors"] == [
        {
            "pointer": "/state",
            "message": 'must be "unscheduled", "pending", "running" or "completed", not "Pending" '
            '(did you mean "pending"?)',
            "rule": "enum",
            "line": 2,
            "column": ndjson(BROKEN).index('"Pending"') + 1,
            "suggestion": {"op": "replace", "path": "/state", "value": "pending"},
        }
    ]
    assert [(one["pointer"], one["rule"], one["line"]) for one in third["lint"][:1]] == [
        ("/timeScheduled", "time-unreadable", 3)
    ]
    assert [(one["rule"], one["line"]) for one in fifth["errors"]] == [("syntax", 5)]
    assert result.err == "Treeherder would drop 3 and store 2, if it has the projects and the pushes\n"


def test_a_job_that_treeherder_ignores_is_not_counted_as_stored(call) -> None:
    result = call("preview", stdin=ndjson(job(1), job(1, result="exception"), job(2)))
    assert [line["outcome"] for line in records(result)] == ["stored", "ignored", "stored"]
    assert result.code == 0
    assert result.err == "Treeherder would drop 0, ignore 1 and store 2, if it has the projects and the pushes\n"


def test_errors_in_a_record_have_their_position_in_the_file(call) -> None:
    record = {"routing_key": "a", "payload": BROKEN}
    result = call("preview", stdin=ndjson(record, {"routing_key": "a", "body_b64": "!"}))
    assert result.code == 1
    first, second = records(result)
    assert [(one["pointer"], one["column"]) for one in first["errors"]] == [
        ("/state", ndjson(record).index('"Pending"') + 1)
    ]
    assert [one["rule"] for one in second["errors"]] == ["record"]


def test_a_valid_job_that_would_be_dropped_is_reported(call, folder) -> None:
    (folder / "job.json").write_text(json.dumps(OWNERLESS))
    result = call("preview", "job.json")
    assert result.code == 1
    (line,) = records(result)
    assert (line["valid"], line["outcome"], line["lint"][0]["rule"]) == (True, "dropped", "owner-missing")
    assert "job" not in line
    assert result.err.endswith("Treeherder would drop 1 and store 0, if it has the projects and the pushes\n")


def test_a_message_without_its_definition_is_neither_dropped_nor_stored(call) -> None:
    runs = [{"runId": 0, "state": "running", "reasonCreated": "scheduled"}]
    result = call("preview", stdin=ndjson({"status": {"taskId": "DF9vTi-OTBudejtvDR4qTA", "runs": runs}, "runId": 0}))
    assert result.code == 1
    assert [one["outcome"] for one in records(result)] == ["unknown"]
    assert "would drop 0 and store 0" in result.err
    assert "1 cannot be judged" in result.err


def test_every_value_that_json_represents_can_be_shown(call) -> None:
    strange = PENDING | {"reason": "\ud800 \x1b[2J \u202e", "tier": 1.0}
    for output in ("ndjson", "pretty"):
        result = call("preview", "-o", output, stdin=json.dumps(strange))
        assert result.code == 0
        assert not re.search("[\x00-\x09\x0b-\x1f\x7f-\x9f\u202e]", result.out)
    assert stored(call("preview", stdin=json.dumps(strange))) == [preview_job(strange)]


@pytest.mark.parametrize(
    ("arguments", "stdin", "code", "words"),
    [
        ([], None, 2, "error: nothing to preview: add a file, or pipe jobs, as in 'pulsekit preview job.yml'"),
        (["empty.json"], None, 2, "error: nothing to preview: empty.json is empty"),
        ([], " \n", 2, "error: nothing to preview: <stdin> is empty"),
        (["nowhere.json"], None, 74, "error: nowhere.json: No such file or directory"),
    ],
)
def test_unreadable_input_is_an_error(call, folder, arguments, stdin, code, words) -> None:
    (folder / "empty.json").write_text("\n")
    result = call("preview", *arguments, stdin=stdin)
    assert (result.code, result.out) == (code, "")
    assert words in result.err


def test_a_pipe_is_shown_as_it_arrives(folder) -> None:
    for output, first in (("ndjson", '{"job":'), ("pretty", "try 5c3e1f4b9d2a")):
        with Child(
            [sys.executable, "-m", "pulsekit", "preview", "-o", output],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            env=environment(),
        ) as process:
            assert process.stdin is not None
            assert process.stdout is not None
            process.stdin.write(ndjson(PENDING).encode())
            process.stdin.flush()
            assert process.stdout.readline().decode().startswith(first)
            process.stdin.close()
            process.stdout.read()
            assert process.wait(timeout=40) == 0


# as a picture


def test_a_job_is_drawn_with_its_row_and_its_details(call, folder) -> None:
    links = [
        {"label": "log", "linkText": "bc_errorsummary.log", "url": "https://ci.example.com/1/errors"},
        {"label": "data", "linkText": "numbers", "url": "https://ci.example.com/1/perfherder-data.json"},
    ]
    logs = [*COMPLETED["logs"], {"name": "other", "url": "https://ci.example.com/1/other"}]
    (folder / "job.json").write_text(json.dumps(COMPLETED | {"jobInfo": {"links": links}, "logs": logs}))
    result = call("preview", "job.json", "-o", "pretty")
    assert result.code == 0
    rule = "M(bc3) testfailed ".ljust(80, "─")
    assert result.out.splitlines() == [
        "mozilla-central 5c3e1f4b9d2a",
        "  linux64 asan debug  M(bc3)",
        rule,
        "Job         test-linux-64/debug-browser-chrome-3",
        "Group       Mochitests",
        "State       completed",
        "Result      testfailed",
        "Requested   2026-11-23 17:58:00 UTC",
        "Started     2026-11-23 18:00:00 UTC",
        "Ended       2026-11-23 18:20:00 UTC",
        "Waited      2 min",
        "Duration    20 min",
        "Platform    linux64 (linux, x86_64)",
        "Machine     builder-7",
        "Options     debug, asan",
        "Tier        1",
        "Owner       ci@example.com",
        "Reason      scheduled",
        "Product     firefox",
        "Built by    our-ci",
        "Task        HS4_QFprTH2OnwobLD1OXw, run 1",
        "Supersedes  0c5f6f4e-2f8e-4c1b-9d7a-3b6f0d1e2a4c/0",
        "Log  live_backing_log  parsed",
        "  https://ci.example.com/1/live.log",
        "Log  other  a link",
        "  https://ci.example.com/1/other",
        "Log  errorsummary_json  parsed",
        "  https://ci.example.com/1/errors",
        "Performance data  numbers  parsed",
        "  https://ci.example.com/1/perfherder-data.json",
    ]


def test_a_missing_field_of_a_job_has_no_line(call) -> None:
    out = call("preview", "-o", "pretty", stdin=json.dumps(PENDING)).out
    labels = [line.split("  ")[0] for line in out.splitlines()[3:]]
    assert labels == [
        *("Job", "Group", "State", "Result", "Platform", "Machine"),
        *("Tier", "Owner", "Reason", "Product", "Built by", "Task"),
    ]


def test_many_jobs_are_drawn_as_treeherder_does_by_push_platform_and_group(call, folder) -> None:
    jobs = [
        job(1, jobSymbol="bc", chunkId=10),
        job(2, jobSymbol="bc", chunkId=2, result="success"),
        job(3, jobSymbol="B", groupSymbol="?", chunkId=1),
        job(4, groupSymbol="R", tier=2),
        job(5, platform="mac", labels=["opt"]),
        job(6, project="try"),
    ]
    (folder / "jobs.json").write_text(json.dumps(jobs))
    out = call("preview", "jobs.json", "-o", "pretty").out
    assert out.splitlines() == [
        "mozilla-central 5c3e1f4b9d2a",
        "  linux64 asan debug  B1 M(bc2 bc10) R[tier 2](bc3)",
        "  mac opt             M(bc3)",
        "try 5c3e1f4b9d2a",
        "  linux64 asan debug  M(bc3)",
        "  1 success  5 testfailed",
    ]
    with_details = call("preview", "jobs.json", "-o", "pretty", "--details").out
    assert with_details.startswith(out)
    assert with_details.count("\nJob ") == 6


def test_of_the_states_of_a_job_the_final_one_is_drawn(call) -> None:
    done = PENDING | {"state": "completed", "result": "success"}
    for jobs in ([PENDING, RUNNING, done, RUNNING], [done, done | {"result": "fail"}, PENDING]):
        jobs.append(job(1))
        out = call("preview", "-o", "pretty", stdin=json.dumps(jobs)).out
        assert "  1 success  1 testfailed\n" in out
    out = call("preview", "-o", "pretty", stdin=json.dumps([RUNNING, PENDING, job(1)])).out
    assert "  1 testfailed  1 running\n" in out


def test_a_dropped_job_has_reasons_and_no_drawing(call, folder) -> None:
    (folder / "jobs.ndjson").write_text(ndjson(BROKEN, OWNERLESS, UNTIMELY))
    result = call("preview", "jobs.ndjson", "-o", "pretty")
    assert result.code == 1
    column = ndjson(BROKEN).index('"Pending"') + 1
    first, second, third = result.out.splitlines()
    assert first.startswith(f"jobs.ndjson:1:{column}  /state  must be ")
    assert second.startswith('jobs.ndjson:2:1  dropped  "owner" is missing (add the owner')
    assert third.startswith("jobs.ndjson:3:")
    assert '  /timeScheduled  "soon" is not a date or time' in third


def test_reasons_and_drawings_are_in_the_order_of_the_file(call) -> None:
    out = call("preview", "-o", "pretty", stdin=ndjson(job(1, project="first"), BROKEN, job(2, project="second"))).out
    places = [out.index(words) for words in ("first", "<stdin>:2:", "second")]
    assert places == sorted(places)


def test_a_symbol_of_many_digits_is_drawn(call, folder) -> None:
    (folder / "jobs.json").write_text(json.dumps([job(1, jobSymbol="9" * 25, chunkId=10**4299), job(2)]))
    result = call("preview", "jobs.json", "-o", "pretty")
    assert result.code == 0
    assert "9" * 25 + "1" + "0" * 4299 in result.out


@pytest.mark.parametrize("columns", [60, 80, 120])
def test_a_drawing_fits_the_terminal(on_terminal, folder, columns) -> None:
    jobs = [job(number, jobSymbol="bc", chunkId=number + 1) for number in range(40)]
    jobs += [job(100, jobName="x" * 139, platform="windows11-64-24h2-hw-ref-shippable-quantum-render", owner="o" * 50)]
    jobs[-1]["logs"] = []
    (folder / "jobs.json").write_text(json.dumps(jobs))
    (folder / "job.json").write_text(json.dumps(jobs[-1]))
    for name in ("jobs.json", "job.json"):
        lines = SGR.sub("", on_terminal("preview", name, columns=columns).out).splitlines()
        assert max(map(len, lines)) <= columns
        assert not any(line.endswith(" ") for line in lines)
    many = SGR.sub("", on_terminal("preview", "jobs.json", columns=columns).out)
    assert re.findall(r"bc\d+", many.partition("windows11")[0]) == [f"bc{number + 1}" for number in range(40)]


def test_a_link_is_not_divided(on_terminal, folder) -> None:
    url = "https://ci.example.com/" + "x" * 200
    (folder / "job.json").write_text(json.dumps(COMPLETED | {"logs": [{"name": "live_backing_log", "url": url}]}))
    assert f"  {url}\n" in SGR.sub("", on_terminal("preview", "job.json", columns=60).out)


def test_a_symbol_has_the_colour_of_its_result(on_terminal, folder) -> None:
    results = ["success", "fail", "exception", "canceled", "retry", "superseded"]
    jobs = [job(number, chunkId=number + 1, result=result) for number, result in enumerate(results)]
    (folder / "jobs.json").write_text(json.dumps(jobs))
    out = on_terminal("preview", "jobs.json", env={"TERM": "xterm-256color"}).out
    row = next(line for line in out.splitlines() if "bc1" in line)
    painted = dict(reversed(pair) for pair in re.findall(r"\x1b\[([0-9;]+)m(bc\d)\x1b\[0m", row))
    assert painted == {
        "bc1": "38;5;28",
        "bc2": "1;38;5;166",
        "bc3": "1;38;5;98",
        "bc4": "38;5;162",
        "bc5": "38;5;32",
        "bc6": "38;5;30",
    }
    legend = out[out.index("1 success") :]
    for colour, words in (("1;38;5;166", "1 testfailed"), ("38;5;32", "1 retry")):
        assert f"\x1b[{colour}m{words}\x1b[0m" in legend


def test_without_colours_the_drawing_is_plain(on_terminal, folder) -> None:
    (folder / "jobs.ndjson").write_text(ndjson(COMPLETED, BROKEN))
    for env in ({"NO_COLOR": "1"}, {"TERM": "dumb"}):
        out = on_terminal("preview", "jobs.ndjson", env=env).out
        assert "M(bc3) testfailed" in out
        assert "\x1b" not in out


def test_text_in_a_job_cannot_control_the_terminal(on_terminal, folder) -> None:
    evil = "\x1b[2J\u202e\x9b31m\n"
    made = job(1, jobSymbol=evil, groupSymbol=evil, jobName=evil, reason=evil, productName=evil, owner=evil)
    made["display"]["groupName"] = evil
    made["logs"] = [{"name": evil, "url": f"https://{evil}"}]
    (folder / "job.json").write_text(json.dumps(made))
    out = on_terminal("preview", "job.json", "--details", env={"NO_COLOR": "1"}, columns=200).out
    assert not re.search("[\x00-\x09\x0b-\x1f\x7f-\x9f\u202e]", out)
    assert out.count(r"\x1b[2J\u202e\x9b31m\x0a") == 2 + 2 + 5 + 2  # of the row, the title, the fields and the log


def test_ndjson_output_does_not_load_the_drawing(call, folder) -> None:
    script = (
        "import sys; from pulsekit.cli import main; main(['preview']); print('rich' in sys.modules, file=sys.stderr)"
    )
    done = subprocess.run(
        [sys.executable, "-c", script],
        input=json.dumps(COMPLETED),
        capture_output=True,
        text=True,
        env=environment(),
        timeout=30,
        check=True,
    )
    assert done.stderr.splitlines()[-1] == "False"


def test_a_job_can_be_seen_in_another_state_than_its_file_has(call, folder) -> None:
    (folder / "job.json").write_text(json.dumps(COMPLETED, indent=1))
    seen = call("preview", "job.json", "--set", "state=running", "--unset", "timeCompleted", "-o", "ndjson")
    assert seen.code == 0
    changed = {name: value for name, value in COMPLETED.items() if name != "timeCompleted"} | {"state": "running"}
    assert stored(seen) == [preview_job(changed)]
    assert call("preview", "job.json", "--set", "stat=running").code == 2
    refused = call("preview", "job.json", "--set", "state=runing", "-o", "ndjson")
    assert refused.code == 1
    assert [error["pointer"] for error in records(refused)[0]["errors"]] == ["/state"]
    record = {"routing_key": "k", "payload": {}, "body": json.dumps(PENDING)}
    assert stored(call("preview", "--set", "tier=3", stdin=ndjson(record))) == [preview_job(PENDING | {"tier": 3})]
    odd = call("preview", "--set", "origin.project=x", stdin=ndjson(PENDING | {"origin": "x"}))
    assert records(odd)[0]["errors"][0]["rule"] == "set"
