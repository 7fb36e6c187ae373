"""The files of the catalogue: they equal their sources, and a change of a source is found."""

from __future__ import annotations

import importlib.util
import json
import shutil
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any, get_type_hints

import pytest

from pulsekit.catalogue import Key, known_exchanges, types

if TYPE_CHECKING:
    from collections.abc import Iterator
    from types import ModuleType

CHECKOUT = Path(__file__).parents[2]


@pytest.fixture(scope="module")
def script() -> Iterator[ModuleType]:
    """The script, as a module."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(sys, "path", [*sys.path])
        spec = importlib.util.spec_from_file_location(
            "refresh_catalogue", CHECKOUT / "schemas" / "refresh_catalogue.py"
        )
        assert spec
        assert spec.loader
        module = importlib.util.module_from_spec(spec)
        spec.loader.exec_module(module)
        yield module


@pytest.fixture
def copy(tmp_path: Path) -> Path:
    """A copy of the files that the script writes."""
    shutil.copytree(CHECKOUT / "schemas", tmp_path / "schemas")
    (tmp_path / "pulsekit" / "catalogue").mkdir(parents=True)
    shutil.copy(CHECKOUT / "pulsekit" / "catalogue" / "types.py", tmp_path / "pulsekit" / "catalogue")
    return tmp_path


def test_the_compiled_catalogue_equals_its_source_files(script: ModuleType) -> None:
    assert script.refresh(None, None, CHECKOUT, write=False) == [], "python schemas/refresh_catalogue.py"


def test_the_catalogue_equals_its_source(script: ModuleType, corpus: Path) -> None:
    assert script.refresh(corpus / "taskcluster", None, CHECKOUT, write=False) == []


def test_the_schemas_contain_no_prose_of_the_source(script: ModuleType, corpus: Path) -> None:
    for path in (CHECKOUT / "schemas" / "messages").rglob("*.json"):
        schema = json.loads(path.read_bytes())
        assert script.without_prose(schema) == schema, path


def test_a_change_of_the_source_is_written_and_printed(script: ModuleType, corpus: Path, copy: Path) -> None:
    source = copy / "source"
    shutil.copytree(corpus / "taskcluster" / "schemas", source / "schemas", copy_function=shutil.copyfile)
    exchanges = json.loads((corpus / "taskcluster" / "exchanges.json").read_bytes())
    failed = next(one for one in exchanges if one["name"] == "taskFailed")
    failed["routing_key"][1]["name"] = "runId"
    failed["routing_key"][2]["name"] = "taskId"
    (source / "exchanges.json").write_text(json.dumps(exchanges))
    path = source / "schemas" / "notify" / "v1" / "notification-message.json"
    schema = json.loads(path.read_bytes())
    schema["properties"]["urgent"] = {"type": "boolean", "description": "prose"}
    path.write_text(json.dumps(schema))

    changes = script.refresh(source, "2027-01", copy, write=True)

    text = "\n".join(changes)
    assert "changed schemas/catalogue/taskcluster-queue.yml" in changes
    assert "+    key: routingKeyKind=primary runId taskId?" in text
    assert '+as_of: "2027-01"' in text
    assert '+    "urgent": {' in text
    assert "+    urgent: NotRequired[bool]" in text
    assert "prose" not in text
    assert script.refresh(source, None, copy, write=False) == []


def test_a_schema_that_the_source_no_longer_has_is_removed(script: ModuleType, corpus: Path, copy: Path) -> None:
    stale = copy / "schemas" / "messages" / "queue" / "v1" / "task-forgotten-message.json"
    stale.write_text("{}")
    changes = script.refresh(corpus / "taskcluster", None, copy, write=True)
    assert changes == ["removed schemas/messages/queue/v1/task-forgotten-message.json"]
    assert not stale.exists()
    assert (copy / "schemas" / "messages" / "hgpushes" / "v1.json").exists()


def test_every_exchange_has_a_title_an_alias_and_fields_with_words() -> None:
    known = known_exchanges()
    assert len({one.alias for one in known}) == len({one.name for one in known}) == len(known) >= 43
    for one in known:
        assert one.title
        assert one.fields
        assert all(field.about for field in one.fields)
        assert not any(field.many for field in one.fields[:-1]), "read_key expects this"
        assert not any(hasattr(Key, field.name) for field in one.fields), "it would hide the field"


def test_the_types_of_messages_have_the_members_of_the_schemas() -> None:
    def members(kind: Any) -> tuple[set[str], set[str]]:
        return set(get_type_hints(kind)), set(kind.__required_keys__)

    folder = CHECKOUT / "schemas" / "messages"
    for name, path in (
        ("TaskFailedMessage", "queue/v1/task-failed-message.json"),
        ("TaskStatus", "queue/v1/task-status.json"),
        ("WorkerRemovedMessage", "worker-manager/v1/pulse-worker-removed-message.json"),
        ("GithubPullRequestMessage", "github/v1/github-pull-request-message.json"),
        ("HgpushesV2Message", "hgpushes/v2.json"),
    ):
        schema = json.loads((folder / path).read_bytes())
        assert members(getattr(types, name)) == (set(schema["properties"]), set(schema["required"]))
