"""Loading the object that `pulsekit consume` names, and the message for each mistake."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING

import pytest

import pulsekit
from pulsekit.consume import load

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

LISTENER = """
import json
import pulsekit
from helper_of_tests import BINDING

def on_task(message): ...

class Listener:
    def __call__(self, message): ...
    def method(self, message): ...
    @property
    def broken(self): raise KeyError("setting")

listener = Listener()
worker = pulsekit.Worker(on_task, BINDING)
workers = [worker, pulsekit.Worker(Listener, BINDING)]
mixed = [worker, on_task]
none = []
number = 7
"""


@pytest.fixture
def folder(tmp_path: Path) -> Iterator[Path]:
    """A folder with modules, which are unloaded afterwards."""
    modules, path = set(sys.modules), list(sys.path)
    (tmp_path / "helper_of_tests.py").write_text("BINDING = 'exchange/me/x:#'\n")
    (tmp_path / "listener_of_tests.py").write_text(LISTENER)
    (tmp_path / "queue.py").write_text("def on_task(message): ...\n")
    (tmp_path / "needs_more.py").write_text("import a_module_that_is_not_there\n")
    (tmp_path / "fails.py").write_text("\n1 / 0\n")
    (tmp_path / "exits.py").write_text("import sys\nsys.exit(3)\n")
    (tmp_path / "typo.py").write_text("def on_task(message:\n")
    yield tmp_path
    sys.path[:] = path
    for name in set(sys.modules) - modules:
        del sys.modules[name]


@pytest.mark.parametrize("name", ["listener_of_tests", "listener_of_tests.py"])
def test_a_module_and_a_file_are_loaded_from_their_folder(folder: Path, name: str) -> None:
    assert load(f"{name}:on_task", folder).__name__ == "on_task"
    assert load(f"{name}:listener.method", folder).__name__ == "method"
    assert [worker.title for worker in load(f"{name}:worker", folder)] == ["on_task"]
    assert [worker.title for worker in load(f"{name}:workers", folder)] == ["on_task", "Listener"]


def test_a_file_does_not_replace_a_module_of_its_name(folder: Path) -> None:
    import queue

    assert load(f"{folder}/queue.py:on_task").__name__ == "on_task"
    assert sys.modules["queue"] is queue


@pytest.mark.parametrize(
    ("target", "words"),
    [
        ("listener_of_tests", "such as listener_of_tests:on_message"),
        ("listener_of_tests.py", "such as listener_of_tests:on_message"),
        (":on_task", "write MODULE:OBJECT"),
        ("lib/listener:on_task", "such as lib/listener.py:on_message"),
        ("none_of_tests:on_task", "there is no module none_of_tests in"),
        ("none.py:on_task", "there is no file"),
        ("listener_of_tests:on_tsk", "listener_of_tests has no on_tsk: did you mean on_task?"),
        ("listener_of_tests:zzz", "it has Listener, listener, mixed, none, on_task, worker or workers"),
        ("listener_of_tests:listener.methd", "listener_of_tests:listener has no methd: did you mean method"),
        ("listener_of_tests.py:listener.method.x", "listener_of_tests.py:listener.method has no x"),
        ("listener_of_tests:listener.broken", "broken of .* cannot be imported: KeyError: 'setting' at .*:12"),
        ("listener_of_tests:none", "listener_of_tests:none is an empty list"),
        ("listener_of_tests:number", "of type int, not a handler: name a function"),
        ("listener_of_tests:json", "of type module, not a handler"),
        ("listener_of_tests:mixed", "some items are not workers"),
        ("needs_more:on_task", "No module named 'a_module_that_is_not_there' at .*needs_more.py:1"),
        ("fails:on_task", "ZeroDivisionError: .* at .*fails.py:2"),
        ("fails.py:on_task", "ZeroDivisionError: .* at .*fails.py:2"),
        ("exits:on_task", "exits ended the program while it was imported"),
        ("typo:on_task", "typo cannot be imported: SyntaxError"),
    ],
)
def test_an_error_says_what_to_write(folder: Path, target: str, words: str) -> None:
    with pytest.raises(pulsekit.ConfigurationError, match=words):
        load(target, folder)


def test_a_missing_folder_is_reported(tmp_path: Path) -> None:
    with pytest.raises(pulsekit.ConfigurationError, match="--app-dir"):
        load("listener:on_task", tmp_path / "none")
