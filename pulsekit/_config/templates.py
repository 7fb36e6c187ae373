"""Templates of the first two files of a project: `pulsekit.yml`, and a valid job with a comment for each field."""

from __future__ import annotations

import json
import re
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING

from pulsekit.bindings.names import check_exchange
from pulsekit.errors import ConfigurationError
from pulsekit.treeherder.rule_list import OWNER_MAX

if TYPE_CHECKING:
    from uuid import UUID

__all__ = ["SCHEMA_FILE", "job_text", "project_text"]

# Texts that YAML reads unchanged without quotes; not, for example, `yes` or `1`.
_PLAIN = re.compile(r"(?!(?:true|false|null|yes|no|on|off)\Z)[A-Za-z_][\w/._-]*\Z", re.IGNORECASE | re.ASCII)

# The schema of pulsekit.yml, in the same folder: a relative path is valid for all users of a repository.
SCHEMA_FILE = "pulsekit.schema.json"

_REPOSITORY = re.compile(r"[\w-]{1,50}\Z")  # `origin.project` of the job schema
_DESTINATION = "treeherder"
_REVISION = "0123456789abcdef0123456789abcdef01234567"

_PROJECT = """\
# yaml-language-server: $schema={schema}
# The configuration of pulsekit for this project. A login or a host is not
# allowed here: set PULSE_USER and PULSE_PASSWORD, or PULSE_URL.

# Your own exchange: exchange/<Pulse user>/<name>.
exchange: {exchange}

# The first words of the routing keys. A job is sent once to each:
# <destination>.<origin.project>._
destinations: [{destination}]

# What Treeherder binds to the exchange: every destination with every project.
# The `_` is the reserved word that ends the routing key of a job.
registrations:
  - exchange: {exchange}
    destinations: [{destination}]
    projects: [{project}]

# The differences for `--target staging` and `--target production`: exchange,
# destinations and projects. See `pulsekit register`.
targets:
  staging:
    destinations: [{destination}-staging]
    projects: [{project}]
  production:
    destinations: [{destination}]
"""

_JOB = """\
# A job for Treeherder. Send the same taskId again to report progress: first
# with `state: pending`, then `running`, finally `completed`.

# A UUID for each job; the number after the slash counts its runs from 0.
taskId: {task}/0

# The push of the job. Treeherder must have the repository. If the push does
# not exist yet, it tries again up to ten times.
origin:
  project: {project}
  revision: {revision}

buildSystem: my-ci

# Appears as T(u) in the line of the platform.
display:
  groupSymbol: T
  groupName: Tests of my CI
  jobSymbol: u
  jobName: unit-tests

# unscheduled, pending, running or completed. Only a completed job has a
# result: success, fail, exception, retry, canceled, superseded or unknown.
state: completed
result: success

# build, test or other. A failed test is shown as testfailed, a failed build as
# busted.
jobKind: test

# 1 to 3. Treeherder hides tier 3 by default, so it suits a new CI.
tier: 3

# Times with a zone. Without a zone, Treeherder reads them as UTC.
timeScheduled: {scheduled}
timeStarted: {started}
timeCompleted: {completed}

# Required by Treeherder, though not by its schema; at most 50 characters.
owner: {owner}
reason: scheduled
productName: my-product

# Variants of the platform, such as opt, debug or asan.
labels: [opt]

# The machine. The platform selects the line in which the job appears.
runMachine:
  name: runner-1
  platform: linux64
  os: linux
  architecture: x86_64

# Treeherder parses logs that are named live_backing_log or
# errorsummary_json. Other logs are links.
logs:
  - name: live_backing_log
    url: https://ci.example.com/runs/1/live.log

# Shown among the details of the job.
jobInfo:
  links:
    - label: Report
      linkText: all tests
      url: https://ci.example.com/runs/1/report.html

version: 1
"""


def project_text(exchange: str, project: str) -> str:
    """Return a commented `pulsekit.yml`.

    Args:
        exchange: the exchange for jobs.
        project: the name of a repository on Treeherder, such as `autoland`.

    Raises:
        ConfigurationError: Raised when a name is invalid, or YAML cannot represent it.
    """
    _named(project)
    return _PROJECT.format(
        schema=SCHEMA_FILE,
        exchange=_scalar(check_exchange(exchange)),
        destination=_DESTINATION,
        project=_scalar(f"{project}._"),
    )


def job_text(project: str, owner: str, *, task: UUID, now: datetime) -> str:
    """Return a commented job that has just been completed.

    Args:
        project: the name of a repository on Treeherder, such as `autoland`.
        owner: the owner of the job.
        task: the unique id of the job.
        now: the time of its completion, with its zone.

    Raises:
        ConfigurationError: Raised when no project of Treeherder can have this name.
    """
    scheduled, started = now - timedelta(minutes=20), now - timedelta(minutes=15)
    return _JOB.format(
        project=_named(project),
        revision=_REVISION,
        task=task,
        owner=_scalar(owner[:OWNER_MAX]),
        scheduled=_written(scheduled),
        started=_written(started),
        completed=_written(now),
    )


def _named(project: str) -> str:
    if not _REPOSITORY.match(project):
        raise ConfigurationError(
            f"{project!r:.80} is not the name of a repository on Treeherder: at most 50 letters, digits, - and _"
        )
    return _scalar(project)


def _scalar(text: str) -> str:
    if _PLAIN.match(text):
        return text
    if not text.isprintable():
        raise ConfigurationError(f"{text!r:.80} has characters that YAML cannot represent")
    return json.dumps(text, ensure_ascii=False)


def _written(moment: datetime) -> str:
    return moment.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
