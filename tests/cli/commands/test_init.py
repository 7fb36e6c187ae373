from __future__ import annotations

import json
from typing import TYPE_CHECKING

import pytest
from jsonschema import Draft7Validator

import pulsekit as library
from pulsekit._config.file_schema import read_schema
from pulsekit._documents.document import parse_yaml

if TYPE_CHECKING:
    from support.rabbitmq.broker import RabbitMQ

    from cli.conftest import Spawn


def test_it_writes_files_that_every_command_can_use(call, folder) -> None:
    result = call("init")
    assert (result.code, result.out) == (0, "")
    assert result.err.startswith(
        "wrote pulsekit.yml\nwrote pulsekit.schema.json\nwrote job.yml\nnext, run 'pulsekit sandbox'"
    )
    assert sorted(path.name for path in folder.iterdir()) == ["job.yml", "pulsekit.schema.json", "pulsekit.yml"]
    assert call("validate", "job.yml").code == 0
    assert call("bindings", "--lint").code == 0
    dry = json.loads(call("publish", "job.yml", "--dry-run").out)
    assert (dry["valid"], dry["routing_key"], dry["bindings"]) == (
        True,
        "treeherder.autoland._",
        ["treeherder.autoland._"],
    )


def test_the_configuration_names_its_schema(call, folder) -> None:
    assert call("init").code == 0
    first, *_ = (folder / "pulsekit.yml").read_text().splitlines()
    name = first.removeprefix("# yaml-language-server: $schema=")
    schema = json.loads((folder / name).read_text())
    assert json.loads(call("help", "config-schema").out) == schema == read_schema(user=False)
    assert json.loads(call("help", "config-schema", "config.yml").out) == read_schema(user=True)
    assert Draft7Validator(schema).is_valid(parse_yaml((folder / "pulsekit.yml").read_text()).value)
    wrong = call("help", "config-schema", "settings.yml")
    assert (wrong.code, wrong.out) == (2, "")
    assert "the files are pulsekit.yml and config.yml" in wrong.err


async def test_the_example_job_can_be_published_unchanged(broker: RabbitMQ, spawn: Spawn) -> None:
    user = broker.user()
    login = {"PULSE_URL": user.url}
    assert spawn("init", env=login).code == 0
    async with library.connect(user.url) as pulse:
        await pulse.create_exchange(f"exchange/{user.name}/v1/jobs")
        async with pulse.subscribe(f"exchange/{user.name}/v1/jobs:treeherder.autoland._") as messages:
            done = spawn("publish", "job.yml", "--require-route", env=login)
            assert done.code == 0, done.err
            assert json.loads(done.out)["outcome"] == "confirmed"
            message = await anext(messages)
            await message.ack()
            assert message.payload["owner"] == user.name


def test_each_job_is_new(call, folder) -> None:
    call("init")
    first = (folder / "job.yml").read_text()
    call("init", "--force")
    assert first != (folder / "job.yml").read_text()


def test_names_are_those_given(call, folder) -> None:
    assert call("init", "--exchange", "exchange/team/ci", "--project", "try").code == 0
    [binding] = call("bindings", "--target", "production").out.splitlines()
    assert json.loads(binding) == {"exchange": "exchange/team/ci", "pattern": "treeherder.try._"}
    assert "owner: team\n" in (folder / "job.yml").read_text()


def test_the_exchange_is_that_of_the_logged_in_user(call, folder, monkeypatch) -> None:
    monkeypatch.setenv("PULSE_URL", "amqps://some.one:secret@pulse.mozilla.org/")
    call("init")
    text = (folder / "pulsekit.yml").read_text()
    assert "exchange: exchange/some.one/v1/jobs\n" in text
    assert "secret" not in text


@pytest.mark.parametrize("name", ["pulsekit.yml", "pulsekit.schema.json", "job.yml"])
def test_existing_files_are_overwritten_only_with_force(call, folder, name) -> None:
    (folder / name).write_text("mine: [")
    result = call("init")
    assert (result.code, result.err) == (2, f"error: {name} already exists: add --force to overwrite\n")
    assert [path.name for path in folder.iterdir()] == [name]
    assert (folder / name).read_text() == "mine: ["
    assert call("init", "--force").code == 0
    assert "mine" not in (folder / name).read_text()
    assert (
        call("init").err
        == "error: pulsekit.yml, pulsekit.schema.json, job.yml already exist: add --force to overwrite\n"
    )


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["--exchange", "v1/jobs"], "'v1/jobs' is not a Pulse exchange name"),
        (["--project", "autoland._"], "'autoland._' is not the name of a repository on Treeherder"),
        (["here"], "unexpected extra argument"),
    ],
)
def test_invalid_names_write_nothing(call, folder, arguments, words) -> None:
    result = call("init", *arguments)
    assert result.code == 2
    assert words in result.err
    assert list(folder.iterdir()) == []


def test_a_folder_that_is_not_writable_is_an_error(call, folder) -> None:
    (folder / "job.yml").mkdir()
    result = call("init", "--force")
    assert result.code == 74
    assert "job.yml" in result.err
