"""Treeherder's rules beyond its schema: the name of each rule, its severity, and how to correct a job.

The schema decides which jobs are valid. The rules describe what Treeherder does with a valid job. The linter, the
configuration and docs/lint.md use the names in this list. `rule_checks` implements them.
Source: `treeherder/etl/job_loader.py` and `treeherder/etl/jobs.py`; the Pulse specification for the size of a message
(https://wiki.mozilla.org/Auto-tools/Projects/Pulse).
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum

from pulsekit._documents.suggestions import either

__all__ = [
    "JOB_FIELDS",
    "LOG_URL_MAX",
    "MESSAGE_MAX",
    "OWNER_CUT",
    "OWNER_MAX",
    "PARSED_LOGS",
    "PRODUCT_NAME_MAX",
    "RULES",
    "SYMBOL_MAX",
    "Rule",
    "Severity",
]

JOB_FIELDS = frozenset({"display", "buildSystem", "origin", "jobKind"})  # fields of a job that no task has
OWNER_MAX = 50  # characters, like the limits below
OWNER_CUT = 49  # the length to which Treeherder cuts a longer owner
SYMBOL_MAX = 25  # symbol and chunk together
PRODUCT_NAME_MAX = 100
LOG_URL_MAX = 255
MESSAGE_MAX = 8 * 1024  # bytes
PARSED_LOGS = ("live_backing_log", "errorsummary_json")


class Severity(StrEnum):
    """The severity of a rule.

    Attributes:
        DROPPED: Treeherder does not show the job.
        WRONG: Treeherder shows a value that differs from the value in the job, or loses the value.
        COSMETIC: Treeherder shows no incorrect value, but shows less than it could, or ignores a value.
    """

    DROPPED = "dropped"
    WRONG = "wrong"
    COSMETIC = "cosmetic"


@dataclass(frozen=True, slots=True)
class Rule:
    """A rule.

    Attributes:
        name: the name in findings and in the configuration.
        severity: the severity of a finding.
        about: what Treeherder does, in Markdown.
        hint: how to correct the job.
    """

    name: str
    severity: Severity
    about: str
    hint: str


_DROPPED, _WRONG, _COSMETIC = Severity

RULES = (
    Rule(
        "content-type",
        _DROPPED,
        "Treeherder decodes a body only if the content type of the message is `application/json`, without parameters. "
        "With another content type, or none, its loader receives the body as text. Checked if the message properties "
        "are known.",
        "publish it with content_type application/json",
    ),
    Rule(
        "content-encoding",
        _DROPPED,
        "Treeherder decodes a body by `content_encoding`, and decompresses it by the header `compression`. If the body "
        "has another encoding or format, Treeherder drops the message. For `gzip`, kombu expects zlib's format. "
        "Checked if the message properties are known.",
        "publish UTF-8 JSON without content_encoding and compression",
    ),
    Rule(
        "owner-missing",
        _DROPPED,
        "Treeherder's loader requires `owner` although the schema does not. It drops a job without `owner` before it "
        "applies the schema.",
        "add the owner, such as me@example.com",
    ),
    Rule(
        "time-unreadable",
        _DROPPED,
        "If dateutil cannot parse a time, Treeherder drops the job.",
        "write it as in 2026-11-23T18:00:00Z",
    ),
    Rule(
        "project-unknown",
        _DROPPED,
        "`origin.project` must be an active repository of Treeherder. Checked if the repositories are known.",
        "ask the maintainers of that Treeherder to add or activate the repository",
    ),
    Rule(
        "time-incomplete",
        _WRONG,
        "Treeherder accepts a time without year, month or day, such as `10:00`, `Monday` or `2025`. It fills in the "
        "missing parts from the day on which it reads the job.",
        "write it as in 2026-11-23T18:00:00Z",
    ),
    Rule(
        "task-id-form",
        _WRONG,
        "If `taskId` is not `<uuid>/<retry number>`, Treeherder shows no Taskcluster link, and its log hides schema "
        "errors of the job. If Treeherder does not have the push yet, it drops such a job instead of retrying.",
        "write it as in 5b3bb6a5-6d1f-4d3c-9a3b-0f6f2b0f7c11/0",
    ),
    Rule(
        "state-backwards",
        _WRONG,
        "`completed` is final: Treeherder ignores later messages with the same `taskId`. Checked across the jobs of a "
        "file.",
        "publish the states of a job in order, and a retry with the next retry number",
    ),
    Rule(
        "key-mismatch",
        _WRONG,
        "The routing key of a job is `<destination>.<origin.project>…`. With another key, the broker routes the job to "
        "queues of another project, or to no queue. Checked if the routing key is known.",
        "publish with --destination, which builds the routing key from the job",
    ),
    Rule(
        "result-early",
        _WRONG,
        "Treeherder ignores the result of a job unless its state is `completed`.",
        'remove it, or write "completed" as the state',
    ),
    Rule(
        "result-missing",
        _WRONG,
        "Treeherder shows a completed job without a result as `unknown`.",
        f"add it: {either(['success', 'fail', 'exception', 'retry', 'canceled', 'superseded'])}",
    ),
    Rule(
        "result-retried",
        _WRONG,
        "Treeherder shows a completed job with `isRetried` as `retry`, whatever its result.",
        "remove isRetried, unless another run replaces this one",
    ),
    Rule(
        "times-disordered",
        _WRONG,
        "Treeherder computes waiting and running times from `timeScheduled`, `timeStarted` and `timeCompleted`, so "
        "these times must be in this order.",
        "order the times: timeScheduled, timeStarted, timeCompleted; give each a time zone",
    ),
    Rule(
        "symbol-long",
        _WRONG,
        f"Treeherder appends `chunkId` to `jobSymbol`. Together, they may have at most {SYMBOL_MAX} characters.",
        "shorten jobSymbol",
    ),
    Rule(
        "product-name-long",
        _WRONG,
        f"Treeherder stores {PRODUCT_NAME_MAX} characters of `productName`, though the schema allows 125.",
        "shorten it",
    ),
    Rule(
        "log-url-long",
        _WRONG,
        f"Treeherder cuts the URL of a log to {LOG_URL_MAX} characters, even if the log is a link in `jobInfo`.",
        "shorten the URL, or use a redirect",
    ),
    Rule(
        "owner-long",
        _COSMETIC,
        f"Treeherder cuts an owner of more than {OWNER_MAX} characters to {OWNER_CUT} before it applies the schema.",
        "shorten it",
    ),
    Rule(
        "time-missing",
        _COSMETIC,
        "If a time is missing, Treeherder's database stores 1970.",
        "add the times of the states that the job has reached",
    ),
    Rule(
        "time-zone-missing",
        _COSMETIC,
        "Treeherder reads a time without a time zone as UTC.",
        "add Z, or an offset such as +01:00",
    ),
    Rule(
        "result-kind",
        _COSMETIC,
        "Treeherder shows `fail` as `testfailed` if `jobKind` is `test`, otherwise as `busted`.",
        'write "test" or "build"',
    ),
    Rule(
        "log-unparsed",
        _COSMETIC,
        f"Treeherder parses only logs named {either([f'`{name}`' for name in PARSED_LOGS])}.",
        f"name it {either(PARSED_LOGS)}, if it has that format",
    ),
    Rule(
        "machine-unnamed",
        _COSMETIC,
        "Treeherder reads the machine from `buildMachine`, or from `runMachine` if `buildMachine` is missing. If that "
        "machine has no name, Treeherder shows `unknown`, even if the other machine has a name.",
        "add a name, or remove buildMachine",
    ),
    Rule(
        "summary-unused",
        _COSMETIC,
        "Treeherder ignores `jobInfo.summary`.",
        "remove it",
    ),
    Rule(
        "message-large",
        _COSMETIC,
        f"Messages on Pulse should have at most {MESSAGE_MAX // 1024} KiB.",
        "link to long content instead of including it",
    ),
)
