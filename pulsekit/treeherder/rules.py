"""Treeherder's rules beyond its schema: the name of each, how severe it is to break it, and what to change.

The schema says which jobs are valid, these rules what Treeherder does with a valid job. The linter, the configuration
and docs/lint.md take the names from this list; `checks` has the code.
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

JOB_FIELDS = frozenset({"display", "buildSystem", "origin", "jobKind"})  # of a job alone: no task has one of them
OWNER_MAX = 50  # characters, like those below
OWNER_CUT = 49  # what an owner over OWNER_MAX is cut to
SYMBOL_MAX = 25  # of symbol and chunk together
PRODUCT_NAME_MAX = 100
LOG_URL_MAX = 255
MESSAGE_MAX = 8 * 1024  # bytes
PARSED_LOGS = ("live_backing_log", "errorsummary_json")


class Severity(StrEnum):
    """Name how bad it is to break a rule.

    Attributes:
        DROPPED: Treeherder shows nothing of the job.
        WRONG: it shows something else than the job says, or loses it.
        COSMETIC: it shows nothing false, but less than it could, or what is sent is for nothing.
    """

    DROPPED = "dropped"
    WRONG = "wrong"
    COSMETIC = "cosmetic"


@dataclass(frozen=True, slots=True)
class Rule:
    """Describe one rule.

    Attributes:
        name: what it is called, in findings and in the configuration.
        severity: how bad it is to break it.
        about: what Treeherder does, in a sentence; Markdown.
        hint: what to change.
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
        "A body is decoded only if the content type of its message is `application/json`, without parameters. A body "
        "of any other type, or of none, reaches the loader as text. Looked at where the properties are known.",
        "send it with content_type application/json",
    ),
    Rule(
        "content-encoding",
        _DROPPED,
        "A body is decoded by `content_encoding` and decompressed by the header `compression`. If they do not fit the "
        "body, the message is dropped. Under the name `gzip`, kombu expects zlib's format. Looked at where they are "
        "known.",
        "send UTF-8 JSON without content_encoding and compression",
    ),
    Rule(
        "owner-missing",
        _DROPPED,
        "The loader looks at `owner` before it validates: without one the job is dropped, though the schema allows it.",
        "say who submitted the job, such as me@example.com",
    ),
    Rule(
        "time-unreadable",
        _DROPPED,
        "A time that dateutil cannot read drops the job.",
        "write it as in 2026-11-23T18:00:00Z",
    ),
    Rule(
        "project-unknown",
        _DROPPED,
        "`origin.project` has to be an active repository. Looked at where the repositories are known.",
        "ask the maintainers of that Treeherder to add or activate the repository",
    ),
    Rule(
        "time-incomplete",
        _WRONG,
        "A time without year, month or day, such as `10:00`, `Monday` or `2025`, is accepted. The missing parts are "
        "those of the day on which Treeherder reads the job.",
        "write it as in 2026-11-23T18:00:00Z",
    ),
    Rule(
        "task-id-form",
        _WRONG,
        "A `taskId` other than `<uuid>/<retry number>` loses the Taskcluster link, and hides schema errors in the log.",
        "write it as in 5b3bb6a5-6d1f-4d3c-9a3b-0f6f2b0f7c11/0",
    ),
    Rule(
        "state-backwards",
        _WRONG,
        "`completed` is final: later messages for the same `taskId` do not move a job back. Looked for among the jobs "
        "of one file.",
        "send the states of a job in their order, and a retry under the next retry number",
    ),
    Rule(
        "key-mismatch",
        _WRONG,
        "A job travels under `<destination>.<origin.project>…`; under another key it reaches those who bound another "
        "project, or nobody. Looked at where the key is known.",
        "publish with --destination, which makes the key from the job",
    ),
    Rule(
        "result-early",
        _WRONG,
        "A result counts only in state `completed`.",
        'remove it, or write "completed" as the state',
    ),
    Rule(
        "result-missing",
        _WRONG,
        "A completed job without result is shown as `unknown`.",
        f"add it: {either(['success', 'fail', 'exception', 'retry', 'canceled', 'superseded'])}",
    ),
    Rule(
        "result-retried",
        _WRONG,
        "A completed job with `isRetried` is shown as `retry`, whatever its result.",
        "leave isRetried out, unless this run is thrown away and another follows",
    ),
    Rule(
        "times-disordered",
        _WRONG,
        "Waiting and running times are worked out from the three times, which follow each other.",
        "schedule, start and complete in this order, each with its zone",
    ),
    Rule(
        "symbol-long",
        _WRONG,
        f"`jobSymbol` is followed directly by `chunkId`, and both have {SYMBOL_MAX} characters together.",
        "shorten jobSymbol",
    ),
    Rule(
        "product-name-long",
        _WRONG,
        f"`productName` is stored in {PRODUCT_NAME_MAX} characters, though the schema allows 125.",
        "shorten it",
    ),
    Rule(
        "log-url-long",
        _WRONG,
        f"Links to logs are cut at {LOG_URL_MAX} characters, those of `jobInfo` that become logs included.",
        "shorten the URL, or leave it to a redirect",
    ),
    Rule(
        "owner-long",
        _COSMETIC,
        f"An owner over {OWNER_MAX} characters is cut to {OWNER_CUT} before the schema is applied.",
        "shorten it",
    ),
    Rule(
        "time-missing",
        _COSMETIC,
        "A time that is missing stays absent, and the database makes it 1970.",
        "add the times of what has happened already",
    ),
    Rule(
        "time-zone-missing",
        _COSMETIC,
        "A time without zone counts as UTC.",
        "add Z, or an offset such as +01:00",
    ),
    Rule(
        "result-kind",
        _COSMETIC,
        "`fail` becomes `testfailed` when `jobKind` is `test`, else `busted`.",
        'write "test" or "build"',
    ),
    Rule(
        "log-unparsed",
        _COSMETIC,
        f"Only logs of the names {either([f'`{name}`' for name in PARSED_LOGS])} are ever parsed.",
        f"name it {either(PARSED_LOGS)}, if it is one",
    ),
    Rule(
        "machine-unnamed",
        _COSMETIC,
        "The machine is that of `buildMachine`, else that of `runMachine`: the first without a name is `unknown`, even "
        "when the second has one.",
        "name it, or give runMachine alone",
    ),
    Rule(
        "summary-unused",
        _COSMETIC,
        "`jobInfo.summary` is dropped.",
        "remove it",
    ),
    Rule(
        "message-large",
        _COSMETIC,
        "Messages are preferably under 8 KiB.",
        "link to what is long instead of sending it",
    ),
)
