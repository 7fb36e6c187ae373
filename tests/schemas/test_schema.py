from __future__ import annotations

import json
import os
import subprocess
import sys
from copy import deepcopy
from typing import TYPE_CHECKING, Any

import pytest
from support.samples import COMPLETED, JOBS, PENDING, SCHEMA

from pulsekit._documents.document import parse_json
from pulsekit.errors import InvalidPayload, SchemaError
from pulsekit.schemas.names import FORMER
from pulsekit.schemas.profiles import PROFILES
from pulsekit.schemas.schema import load_schema, schema_names

if TYPE_CHECKING:
    from pathlib import Path


@pytest.mark.parametrize("profile", PROFILES)
@pytest.mark.parametrize("job", JOBS, ids=lambda job: job["state"])
def test_our_sample_jobs_are_valid(job: dict[str, Any], profile: Any) -> None:
    before = deepcopy(job)
    load_schema("pulse-job").check(job, profile)
    assert load_schema("pulse-job").problems(job, profile) == ()
    assert job == before


def test_real_jobs_are_valid(corpus: Path) -> None:
    schema = load_schema("pulse-job")
    for job in json.loads((corpus / "treeherder-jobs.json").read_bytes()):
        schema.check(job, "strict")
        schema.check(job, "treeherder")


@pytest.mark.parametrize(
    ("members", "treeherder", "strict"),
    [
        ({"timeStarted": "now"}, True, False),
        ({"logs": [{"url": "no uri", "name": "x"}]}, True, False),
        ({"retryId": 1.0}, True, True),
        ({"retryId": True}, False, False),
        ({"version": 1.0}, True, True),
        ({"version": True}, False, False),
        ({"taskId": "a\n"}, True, True),
        ({"taskId": "a\n\n"}, False, False),
        ({"taskId": "é"}, False, False),
        ({"buildSystem": "é٣Ⅷ"}, True, True),
        ({"owner": "😀" * 50}, True, True),
        ({"owner": "\ud800"}, True, True),
        ({"retryId": 10**400}, True, True),
        ({"retryId": float("nan")}, False, False),
        ({"display": COMPLETED["display"] | {"jobSymbol": ""}}, True, True),
    ],
)
def test_the_profiles_differ_only_in_formats(members: dict[str, Any], treeherder: bool, strict: bool) -> None:
    schema = load_schema("pulse-job")
    job = PENDING | members
    assert schema.is_valid(job, "treeherder") is treeherder
    assert schema.is_valid(job, "strict") is strict
    assert schema.is_valid(job) is strict


def test_an_unknown_profile_is_refused_with_a_message() -> None:
    with pytest.raises(SchemaError, match="unknown profile 'lax'; use one of strict, treeherder"):
        load_schema("pulse-job").check({}, "lax")  # type: ignore[arg-type] # that is the point


def test_one_schema_is_compiled_once_for_the_process(tmp_path: Path) -> None:
    (tmp_path / "a.json").write_text('{"type": "integer"}')
    assert load_schema("pulse-job") is load_schema("pulse-job")
    assert load_schema({"type": "integer"}) is load_schema({"type": "integer"})
    assert load_schema(tmp_path / "a.json") is load_schema(str(tmp_path / "a.json"))
    (tmp_path / "a.json").write_text('{"type": "string"}')
    assert load_schema(tmp_path / "a.json").is_valid("x")


def test_a_schema_can_be_yaml_json_or_a_mapping(tmp_path: Path) -> None:
    (tmp_path / "a.yml").write_text("title: Ours\ntype: integer\n")
    (tmp_path / "a.json").write_text('{"title": "Ours", "type": "integer"}')
    for source, name in [
        (tmp_path / "a.yml", str(tmp_path / "a.yml")),
        (str(tmp_path / "a.json"), str(tmp_path / "a.json")),
        ({"title": "Ours", "type": "integer"}, "Ours"),
        ({"type": "integer"}, "schema"),
    ]:
        schema = load_schema(source)
        assert schema.name == name
        assert schema.is_valid(1)
        assert not schema.is_valid("1")


def test_changing_a_mapping_afterwards_changes_nothing() -> None:
    given: dict[str, Any] = {"type": "integer"}
    schema = load_schema(given)
    given["type"] = "string"
    assert schema.is_valid(1)


def test_an_unknown_schema_is_reported_with_the_known_ones(tmp_path: Path) -> None:
    for missing in ("pulse-jobs", tmp_path / "schema.yml"):
        with pytest.raises(
            SchemaError, match=f"{missing}.*use the path of a file, or one of pulse-job, pulse-job-2020, registration"
        ):
            load_schema(missing)


def test_a_file_that_is_not_a_schema_is_reported_with_its_name(tmp_path: Path) -> None:
    (tmp_path / "bad.yml").write_text("type: integer\ntype: string\n")
    with pytest.raises(SchemaError, match=r"bad\.yml:2:1: .*occurs twice"):
        load_schema(tmp_path / "bad.yml")
    (tmp_path / "wrong.yml").write_text("type: text\n")
    with pytest.raises(SchemaError, match=r"wrong\.yml: the schema is invalid at /type"):
        load_schema(tmp_path / "wrong.yml")
    (tmp_path / "list.json").write_text("[]")
    with pytest.raises(SchemaError, match=r"list\.json: a schema must be an object"):
        load_schema(tmp_path / "list.json")
    with pytest.raises(SchemaError, match="cannot be read"):
        load_schema(tmp_path)
    with pytest.raises(SchemaError, match="cannot be read"):
        load_schema("a\0b")


def test_a_mapping_that_is_not_json_is_refused() -> None:
    loop: dict[str, Any] = {}
    loop["not"] = loop
    for given in ({"enum": [{1}]}, loop):
        with pytest.raises(SchemaError, match="a schema must be plain JSON"):
            load_schema(given)


def test_only_problems_of_a_document_have_a_position() -> None:
    schema = load_schema({"items": {"type": "integer"}})
    (placed,) = schema.problems(parse_json('[1,\n "x"]', source="a.json"))
    assert (placed.line, placed.column) == (2, 2)
    (bare,) = schema.problems([1, "x"])
    assert (bare.line, bare.column) == (None, None)
    with pytest.raises(InvalidPayload) as caught:
        schema.check(parse_json('[1,\n "x"]'))
    assert caught.value.problems == (placed,)


REGISTRATION = {"exchange": "exchange/me/v1/jobs", "destinations": ["treeherder"], "projects": ["mozilla-inbound._"]}


@pytest.mark.parametrize(
    "given",
    [
        REGISTRATION,
        [REGISTRATION, REGISTRATION],
        {"exchange": "exchange/me/v1/jobs", "projects": ["*"]},
        REGISTRATION | {"destinations": ["#", "a.b"]},
    ],
)
def test_a_registration_is_one_object_or_a_list_of_them(given: Any) -> None:
    load_schema("registration").check(given)


@pytest.mark.parametrize(
    "given",
    [
        {},
        [],
        "exchange/me/v1/jobs",
        REGISTRATION | {"exchange": "me/v1/jobs"},
        REGISTRATION | {"projects": []},
        REGISTRATION | {"projects": "autoland"},
        REGISTRATION | {"project": ["autoland"]},
        REGISTRATION | {"destinations": [""]},
    ],
)
def test_a_value_that_is_not_a_registration_is_refused(given: Any) -> None:
    assert not load_schema("registration").is_valid(given)


def test_the_shipped_schemas_have_names() -> None:
    assert {"pulse-job", "registration"} <= set(schema_names())
    for name in schema_names():
        assert load_schema(name).name == name
        assert repr(load_schema(name)) == f"<Schema {name!r}>"
        for profile in PROFILES:
            assert not load_schema(name).is_valid(None, profile)


def test_an_invalid_payload_has_the_same_problems_after_many_others() -> None:
    job = COMPLETED | {"version": 2, "origin": {"project": "", "id": "1"}, "labels": ["a", 7]}
    schema = load_schema(SCHEMA)
    first = schema.problems(job)
    assert {problem.pointer for problem in first} == {
        "/origin",
        "/origin/project",
        "/origin/id",
        "/labels/1",
        "/version",
    }
    assert [schema.problems(job) for _ in range(300)] == [first] * 300


# the cache for later processes


def in_another_process(script: str, cache: Path, *arguments: object) -> str:
    """Run a script that may use `loaded`, the loaded slow modules, and return its output."""
    heavy = ("fastjsonschema", "ruamel.yaml", "pulsekit.schemas.drafts", "pulsekit.schemas.compiler", "decimal")
    prelude = (
        "import sys; from pulsekit.schemas.schema import load_schema\n"
        f"def loaded(): return [name for name in {heavy} if name in sys.modules]\n"
    )
    environment = os.environ | {"XDG_CACHE_HOME": str(cache), "PYTHONPATH": os.pathsep.join(sys.path)}
    done = subprocess.run(
        [sys.executable, "-c", prelude + script, *map(str, arguments)],
        env=environment, capture_output=True, text=True, timeout=30, check=True,
    )  # fmt: skip
    return done.stdout.strip()


CHECK = "schema = load_schema(sys.argv[1]); print(schema.is_valid(7), schema.is_valid('7', 'treeherder'), *loaded())"


@pytest.mark.parametrize("name", [name for name in schema_names() if name != FORMER])
@pytest.mark.parametrize("profile", PROFILES)
def test_judging_by_a_shipped_schema_compiles_nothing(name: str, profile: str, tmp_path: Path) -> None:
    script = "schema = load_schema(sys.argv[1]); print(schema.is_valid({}, sys.argv[2]), *loaded())"
    assert in_another_process(script, tmp_path, name, profile) == "False"
    assert not list(tmp_path.iterdir())


def test_the_schema_of_former_jobs_is_compiled_once_for_all_processes(tmp_path: Path) -> None:
    script = "schema = load_schema(sys.argv[1]); print(schema.is_valid({}), len(loaded()) > 0)"
    assert [in_another_process(script, tmp_path, FORMER) for _ in range(2)] == ["False True", "False False"]


def test_explaining_by_a_shipped_schema_reads_no_yaml(tmp_path: Path) -> None:
    script = "print(len(load_schema('pulse-job').problems({})), *loaded())"
    assert in_another_process(script, tmp_path) == "7 pulsekit.schemas.drafts"


@pytest.mark.parametrize(("suffix", "text"), [(".yml", "type: integer\n"), (".json", '{"type": "integer"}')])
def test_a_custom_schema_is_compiled_once_for_all_processes(tmp_path: Path, suffix: str, text: str) -> None:
    path, cache = (tmp_path / "own").with_suffix(suffix), tmp_path / "cache"
    path.write_text(text)
    first = in_another_process(CHECK, cache, path)
    assert first.startswith("True False fastjsonschema")
    assert in_another_process(CHECK, cache, path) == "True False"
    (tmp_path / "moved.x").write_text(text)  # another suffix, so it may mean something else
    assert "pulsekit.schemas.drafts" in in_another_process(CHECK, cache, tmp_path / "moved.x")
    path.write_text(text.replace("integer", "string"))
    assert in_another_process(CHECK, cache, path).startswith("False True fastjsonschema")
    path.write_text(text)
    assert in_another_process(CHECK, cache, path) == "True False"


def test_an_error_in_a_custom_schema_is_reported_each_time(tmp_path: Path) -> None:
    (tmp_path / "wrong.yml").write_text("type: text\n")
    script = (
        "from pulsekit.errors import SchemaError\n"
        "try: load_schema(sys.argv[1])\n"
        "except SchemaError as error: print(error)"
    )
    for _ in range(2):
        output = in_another_process(script, tmp_path, tmp_path / "wrong.yml")
        assert output.startswith(f"{tmp_path / 'wrong.yml'}: the schema is invalid at /type")


def test_code_that_another_user_could_have_written_is_not_run(tmp_path: Path) -> None:
    path, cache = tmp_path / "own.yml", tmp_path / "cache"
    path.write_text("type: integer\n")
    in_another_process(CHECK, cache, path)
    evil = f"open({str(tmp_path / 'run')!r}, 'w'); validate = print"
    plant = (
        "import marshal, pathlib; from pulsekit.schemas.cache import _digest\n"
        "for path in pathlib.Path(sys.argv[1], 'pulsekit').iterdir():\n"
        "    content = marshal.dumps(compile(sys.argv[2], 'evil', 'exec'))\n"
        "    path.write_bytes(_digest(path.name.encode(), content) + content)\n"
    )
    in_another_process(plant, cache, cache, evil)
    (cache / "pulsekit").chmod(0o722)
    assert in_another_process(CHECK, cache, path).startswith("True False fastjsonschema")
    assert not (tmp_path / "run").exists()
    # In a folder of the user, the same code would run. The folder protects against this.
    (cache / "pulsekit").chmod(0o700)
    with pytest.raises(subprocess.CalledProcessError):
        in_another_process(CHECK, cache, path)


@pytest.mark.parametrize("part", ["version of Python", "fastjsonschema", "pulsekit"])
def test_other_software_compiles_anew(part: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from pulsekit.schemas import schema as schemas

    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    made = []

    def compiled() -> int:
        schemas._software.cache_clear()
        schemas._remembered(lambda: made.append(1) or b"x", b"key")
        return len(made)

    try:
        assert [compiled(), compiled()] == [1, 1]
        if part == "version of Python":
            monkeypatch.setattr(sys, "version", "4.0")
        else:
            other = tmp_path / "installed"
            other.mkdir()
            for name in ("version.py", "__init__.py", *schemas._OURS):
                (other / name).parent.mkdir(exist_ok=True)
                (other / name).write_text(f"# another {part}")
            if part == "fastjsonschema":
                monkeypatch.setattr(schemas, "_origin", lambda _: other / "x")
            else:
                monkeypatch.setattr(schemas, "__file__", str(other / "schemas" / "schema.py"))
        assert [compiled(), compiled()] == [2, 2]
        monkeypatch.setattr(schemas, "_origin", lambda _: tmp_path / "nowhere" / "x")  # such as a zip
        assert [compiled(), compiled()] == [3, 4]
    finally:
        schemas._software.cache_clear()


def test_a_pattern_with_future_syntax_causes_no_warning() -> None:
    schema = load_schema({"properties": {"a": {"pattern": "[[a]$"}}, "patternProperties": {"[[c]": {}}})
    assert [schema.is_valid({"a": text}) for text in ("[", "b")] == [True, False]  # a warning is an error in tests
    assert [problem.pointer for problem in schema.problems({"a": "b"})] == ["/a"]
