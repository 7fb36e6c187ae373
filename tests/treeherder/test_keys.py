from __future__ import annotations

import re
from base64 import urlsafe_b64decode
from typing import Any
from uuid import UUID

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pulsekit.errors import ConfigurationError, InvalidMessage
from pulsekit.treeherder import routing_key
from pulsekit.treeherder.keys import key_follows, task_of

JOB: dict[str, Any] = {"origin": {"project": "mozilla-inbound"}}


def test_a_job_is_published_under_destination_and_project() -> None:
    assert routing_key(JOB, "treeherder") == "treeherder.mozilla-inbound._"


@pytest.mark.parametrize("job", [{}, [], None, {"origin": []}, {"origin": {"project": 1}}, {"origin": {"project": ""}}])
def test_a_payload_without_a_project_needs_an_explicit_key(job: Any) -> None:
    with pytest.raises(InvalidMessage, match="--routing-key"):
        routing_key(job, "treeherder")


@pytest.mark.parametrize(
    ("key", "follows"),
    [
        ("treeherder.try._", True),
        ("treeherder.try", True),
        ("our.staging.try._", True),
        ("try.treeherder", False),
        ("try", False),
        ("", False),
        ("treeherder.try-comm-central._", False),
        ("treeherder.mozilla-central._", False),
    ],
)
def test_a_key_follows_from_a_job_if_its_project_follows_a_destination(key: str, *, follows: bool) -> None:
    assert key_follows(key, "try") is follows


def test_the_task_is_the_slug_of_the_uuid() -> None:
    assert task_of("1d2e3f40-5a6b-4c7d-8e9f-0a1b2c3d4e5f/1") == ("HS4_QFprTH2OnwobLD1OXw", 1)  # by xxd and base64
    assert task_of("fbefbefb-efbe-4bef-befb-efbefbefbefb/12") == ("--------S------------w", 12)


@given(st.uuids(), st.integers(0, 10**6))
def test_a_slug_is_url_safe_and_converts_back_to_the_uuid(uuid: UUID, retry: int) -> None:
    found = task_of(f"{uuid}/{retry}")
    assert found is not None
    slug, number = found
    assert re.fullmatch(r"[A-Za-z0-9_-]{22}", slug)
    assert UUID(bytes=urlsafe_b64decode(f"{slug}==")) == uuid
    assert number == retry


@pytest.mark.parametrize(
    "task_id",
    [
        "",
        "/",
        "build-7",
        "build-7/0",
        "1d2e3f40-5a6b-4c7d-8e9f-0a1b2c3d4e5f",
        "1d2e3f40-5a6b-4c7d-8e9f-0a1b2c3d4e5f/",
        "1d2e3f40-5a6b-4c7d-8e9f-0a1b2c3d4e5f/x",
        "1d2e3f40-5a6b-4c7d-8e9f-0a1b2c3d4e5f/1/1",
        "1d2e3f40-5a6b-4c7d-8e9f-0a1b2c3d4e/1",
        "0/1d2e3f40-5a6b-4c7d-8e9f-0a1b2c3d4e5f",
    ],
)
def test_a_task_id_of_another_form_names_no_task(task_id: str) -> None:
    assert task_of(task_id) is None


@pytest.mark.parametrize(
    ("destination", "words"),
    [("t,u", "a comma"), ("t u", "white space"), (" t", "white space"), ("t;u", "a semicolon"), ("t\n", "white space")],
)
def test_a_destination_that_looks_like_several_is_refused(destination: str, words: str) -> None:
    with pytest.raises(ConfigurationError, match=f"^destination: .* has {words}, but is one name"):
        routing_key({"origin": {"project": "try"}}, destination)
