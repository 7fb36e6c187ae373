"""The subjects of `why`."""

from __future__ import annotations

import pytest

from pulsekit.errors import ConfigurationError, InsecureConnection
from pulsekit.why import Target, read_target

SLUG, GROUP = "A35mWTRuQmyj88yMnIF0fA", "XrWNyFwpT2in-wLY9frb-w"
COMMUNITY = "https://community-tc.services.mozilla.com"
FIREFOX = "https://firefox-ci-tc.services.mozilla.com"
TREEHERDER = "https://treeherder.mozilla.org"


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        (SLUG, Target(SLUG)),
        (f" {SLUG}\n", Target(SLUG)),
        (f"{FIREFOX}/tasks/{SLUG}", Target(SLUG)),
        (f"{COMMUNITY}/tasks/{SLUG}/runs/2/logs/live", Target(SLUG, 2, root_url=COMMUNITY)),
        (f"{FIREFOX}/tasks/groups/{GROUP}", Target(group_id=GROUP)),
        (f"{FIREFOX}/tasks/groups/{GROUP}/tasks/{SLUG}/runs/0", Target(SLUG, 0)),
        (f"{FIREFOX}/tasks/groups/{GROUP}?filter=failed", Target(group_id=GROUP)),
        (f"{FIREFOX}/api/queue/v1/task/{SLUG}/runs/1/artifacts/public/x", Target(SLUG, 1)),
        (f"{FIREFOX}/api/queue/v1/task/{SLUG}/status", Target(SLUG)),
        (f"{FIREFOX}/api/queue/v1/task-group/{GROUP}/list", Target(group_id=GROUP)),
        (f"{TREEHERDER}/jobs?repo=try&revision=x&selectedTaskRun={SLUG}.3", Target(SLUG, 3)),
        (f"{TREEHERDER}/jobs?repo=try&selectedTaskRun={SLUG}", Target(SLUG)),
        (f"{TREEHERDER}/#/jobs?repo=try&selectedTaskRun={SLUG}-0", Target(SLUG, 0)),
        (f"{TREEHERDER}/logviewer?job_id=1&repo=try&task={SLUG}.1", Target(SLUG, 1)),
        (f"https://th.example/jobs?selectedTaskRun={SLUG}.0", Target(SLUG, 0, treeherder="https://th.example")),
        (f"http://127.0.0.1:8000/base/tasks/{SLUG}", Target(SLUG, root_url="http://127.0.0.1:8000/base")),
    ],
)
def test_ids_and_urls_of_taskcluster_and_treeherder_are_read(text: str, expected: Target) -> None:
    assert read_target(text) == expected


def test_options_override_the_url() -> None:
    read = read_target(f"{COMMUNITY}/tasks/{SLUG}", root_url="https://tc.example/", treeherder="https://th.example/")
    assert read == Target(SLUG, root_url="https://tc.example", treeherder="https://th.example")


@pytest.mark.parametrize(
    "text",
    [
        *("", "x", SLUG[:-1], f"{SLUG}x", "https://[", f"{TREEHERDER}/jobs?selectedJob=1", f"ftp://x/tasks/{SLUG}"),
        *(f"https://me:hunter2@tc.example/tasks/{SLUG}", f"{FIREFOX}/tasks/{SLUG}x", "\x1b", f"/tasks/{SLUG}"),
        f"{TREEHERDER}/#//[jobs]?selectedTaskRun={SLUG}.0",
    ],
)
def test_any_other_text_is_refused(text: str) -> None:
    with pytest.raises(ConfigurationError) as caught:
        read_target(text)
    assert "\x1b" not in str(caught.value)


def test_clear_text_to_another_machine_is_refused() -> None:
    with pytest.raises(InsecureConnection):
        read_target(f"http://tc.example/tasks/{SLUG}")
