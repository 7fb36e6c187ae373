"""The description of a worker: what it accepts as a handler, and which fields contradict each other."""

from __future__ import annotations

import functools
from contextlib import asynccontextmanager, contextmanager
from typing import TYPE_CHECKING, Any

import pytest

import pulsekit
from pulsekit import OnFailure, Policy, Worker
from pulsekit.consume import Workers

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Iterator


def function(message: pulsekit.Message) -> None: ...


async def coroutine(message: pulsekit.Message) -> None: ...


def with_two(message: pulsekit.Message, database: object) -> None: ...


def without_parameters() -> None: ...


def generator(message: pulsekit.Message) -> Iterator[int]:
    yield 1


def not_decorated() -> Iterator[Any]:
    yield function


@contextmanager
def opened() -> Iterator[Any]:
    yield function


@contextmanager
def opened_with(name: str) -> Iterator[Any]:
    yield name


@asynccontextmanager
async def async_opened() -> AsyncIterator[Any]:
    yield function


class Callable:
    def __call__(self, message: pulsekit.Message) -> None: ...


class Entered:
    def __enter__(self) -> Any: ...
    def __exit__(self, *_: object) -> None: ...


class WithArguments(Callable):
    def __init__(self, name: str) -> None: ...


class Plain: ...


@pytest.mark.parametrize(
    "handler",
    [
        function, coroutine, opened, async_opened, Callable, Callable(), Entered, Entered(), opened(),
        functools.partial(with_two, database=None), lambda message: None, print, WithArguments("x"),
    ],
)  # fmt: skip
def test_a_handler_can_be_a_function_a_class_or_a_context_manager(handler: Any) -> None:
    Worker(handler, "exchange/me/x:#")


@pytest.mark.parametrize(
    ("handler", "words"),
    [
        (Plain, "write the method __call__"),
        (WithArguments, "give each parameter a default"),
        (opened_with, "give each parameter a default"),
        (with_two, "write def with_two"),
        (without_parameters, "write def without_parameters"),
        (generator, "cannot contain `yield`"),
        (not_decorated, "decorate it with contextlib.contextmanager"),
        (Plain(), "not Plain"),
        (None, "not NoneType"),
    ],
)
def test_a_handler_with_a_wrong_signature_is_refused_with_a_correction(handler: Any, words: str) -> None:
    with pytest.raises(TypeError, match=words):
        Worker(handler, "exchange/me/x:#")


@pytest.mark.parametrize(
    "fields",
    [
        {"concurrency": 0},
        {"prefetch": 0},
        {"prefetch": 70_000},
        {"concurrency": 2, "order": "strict"},
        {"prefetch": 5, "order": "strict"},
        {"order": "random"},
        {"ack": "never"},
        {"ack": "before", "policy": Policy(failure=OnFailure.REQUEUE)},
        {"ack": "before", "policy": Policy(failure=OnFailure.REJECT)},
        {"queue": "jobs"},
        {"bindings": "jobs:#"},
    ],
)
def test_fields_that_contradict_each_other_are_refused(fields: dict[str, Any]) -> None:
    with pytest.raises(pulsekit.ConfigurationError):
        Worker(function, **{"bindings": "exchange/me/x:#", **fields})


@pytest.mark.parametrize(
    "fields",
    [
        {"concurrency": 2.5},
        {"concurrency": None},
        {"prefetch": 2.5},
        {"policy": None},
        {"policy": "raise"},
        {"queue": 5},
    ],
)
def test_a_field_of_a_wrong_type_is_refused(fields: dict[str, Any]) -> None:
    with pytest.raises(TypeError, match=f"{next(iter(fields))} is of type"):
        Worker(function, **fields)


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"workers": [function]}, "each worker is of type Worker, not <function"),
        ({"count": 2.5}, "count is of type int"),
        ({"duration": "5"}, "duration is a number"),
        ({"shutdown_timeout": "5"}, "shutdown_timeout is a number"),
        ({"count": -1}, "count is 0 or more"),
    ],
)
def test_wrong_options_of_workers_are_refused(options: dict[str, Any], words: str) -> None:
    with pytest.raises((TypeError, pulsekit.ConfigurationError), match=words):
        Workers(**{"workers": [Worker(function)], **options})


def test_the_order_is_strict_unless_several_messages_are_handled_at_once() -> None:
    assert Worker(function).is_strict
    assert not Worker(function, concurrency=2).is_strict
    assert not Worker(function, prefetch=10).is_strict
    assert not Worker(function, order="any").is_strict


def test_bindings_can_have_short_names_of_known_exchanges() -> None:
    worker = Worker(function, ["task-failed:primary.#", "hgpushes"])
    assert [str(one) for one in worker.all_bindings] == [
        "exchange/taskcluster-queue/v1/task-failed:primary.#",
        "exchange/hgpushes/v1:#",
    ]
    with pytest.raises(pulsekit.InvalidName, match="did you mean 'hgpushes'"):
        Worker(function, "hgpushs")
