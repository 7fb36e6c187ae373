"""The two files a project starts with: `pulsekit.yml`, and a valid job with a comment for each field."""

from __future__ import annotations

import json
import re
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING

from pulsekit.bindings.names import check_exchange
from pulsekit.errors import ConfigurationError
from pulsekit.treeherder.rules import OWNER_MAX

if TYPE_CHECKING:
    from uuid import UUID

__all__ = ["job_text", "project_text"]

# What YAML reads as this very text without quotes; `yes` and `1` are not among it.
_PLAIN = re.compile(r"(?!(?:true|false|null|yes|no|on|off)\Z)[A-Za-z_][\w/._-]*\Z", re.IGNORECASE | re.ASCII)

_REPOSITORY = re.compile(r"[\w-]{1,50}\Z")  # as the job schema has `origin.project`
_DESTINATION = "treeherder"
_REVISION = "0123456789abcdef0123456789abcdef01234567"

_PROJECT = """\
# What this project publishes, for pulsekit. Who logs in, and where, does not
# belong here: set PULSE_USER and PULSE_PASSWORD, or PULSE_URL.

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

# What `--target staging` and `--target production` change: exchange,
# destinations and, where it binds others, projects. See `pulsekit register`.
targets:
  staging:
    destinations: [{destination}-staging]
    projects: [{project}]
  production:
    destinations: [{destination}]
"""

_JOB = """\
# A job as Treeherder takes it. Send the same taskId again to report progress:
# first with `state: pending`, then `running`, at last `completed`.

# One job, one UUID; the number behind the slash counts its runs from 0.
taskId: {task}/0

# The push the job belongs to. Treeherder must know the repository; for a push
# that it does not know yet, it tries again up to ten times.
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

# build, test or other: a failed test is shown otherwise than a failed build.
jobKind: test

# 1 matters most; 3 is hidden at first, and right for a new CI.
tier: 3

# With a zone: without one, Treeherder takes them as UTC.
timeScheduled: {scheduled}
timeStarted: {started}
timeCompleted: {completed}

# Required by Treeherder, though not by its schema; at most 50 characters.
owner: {owner}
reason: scheduled
productName: my-product

# Variants of the platform, such as opt, debug or asan.
labels: [opt]

# Where it ran. The platform names the line that the job appears in.
runMachine:
  name: runner-1
  platform: linux64
  os: linux
  architecture: x86_64

# Treeherder parses those named live_backing_log or errorsummary_json; any
# other is a link.
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
        exchange: where jobs are published.
        project: a repository as Treeherder names it, such as `autoland`.

    Raises:
        ConfigurationError: Raised when one of the names cannot be, or YAML cannot hold it.
    """
    _named(project)
    return _PROJECT.format(
        exchange=_scalar(check_exchange(exchange)), destination=_DESTINATION, project=_scalar(f"{project}._")
    )


def job_text(project: str, owner: str, *, task: UUID, now: datetime) -> str:
    """Return a commented job that has just been completed.

    Args:
        project: a repository as Treeherder names it, such as `autoland`.
        owner: who is answerable for the job.
        task: what tells it from all other jobs.
        now: when it was completed, with its zone.

    Raises:
        ConfigurationError: Raised when the project cannot be one of Treeherder's.
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
            f"{project!r:.80} is no repository as Treeherder names them: letters, digits, - and _, 50 at most"
        )
    return _scalar(project)


def _scalar(text: str) -> str:
    if _PLAIN.match(text):
        return text
    if not text.isprintable():
        raise ConfigurationError(f"{text!r:.80} has characters that YAML cannot hold")
    return json.dumps(text, ensure_ascii=False)


def _written(moment: datetime) -> str:
    return moment.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
