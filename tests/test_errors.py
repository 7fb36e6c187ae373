"""Copies of stored exceptions, for every class of the tree."""

from __future__ import annotations

import traceback
from typing import TYPE_CHECKING

import pytest

from pulsekit import errors
from pulsekit._amqp.outcome import Outcome
from pulsekit.errors import PulsekitError, fresh
from pulsekit.publisher.planning import RefusedJob
from pulsekit.publisher.receipts import PublishError, Receipt
from pulsekit.treeherder import judge
from pulsekit.treeherder.placed import place_verdict

if TYPE_CHECKING:
    from collections.abc import Iterator

RECEIPT = Receipt(0, "id", "exchange/me/x", "a.b", Outcome.RETURNED)


def classes(kind: type[PulsekitError]) -> Iterator[type[PulsekitError]]:
    """Yield a class and all classes below it that the package defines."""
    if kind.__module__.startswith("pulsekit"):
        yield kind
    for below in kind.__subclasses__():
        yield from classes(below)


def example(kind: type[PulsekitError]) -> PulsekitError:
    """Return an exception of the class, with a value in each of its fields."""
    error: PulsekitError
    if issubclass(kind, errors.InvalidName):
        return kind("jobs", "is no name", "exchange/me/jobs")
    if issubclass(kind, errors.DocumentError):
        return kind("no colon", source="jobs.yml", line=3, column=4)
    if issubclass(kind, errors.DamagedRecording):
        return kind("it was cut off", source="jobs.ndjson", line=3, count=2)
    if issubclass(kind, RefusedJob):
        return kind(place_verdict(judge({"state": "pending"}), None, 3))
    if issubclass(kind, errors.InvalidPayload):
        return kind([errors.Problem("/state", "enum", "found 'done'")], "pulse-job")
    if issubclass(kind, PublishError):
        return kind("message id was returned", RECEIPT)
    if issubclass(kind, errors.BrokerRefused):
        error = kind("cannot bind", code=404, text="NOT_FOUND")
        error.binding = ("exchange/me/x", "#")
        return error
    return kind("it failed")


@pytest.mark.parametrize("kind", list(classes(PulsekitError)), ids=lambda kind: kind.__name__)
def test_a_fresh_error_equals_its_original_without_the_traceback(kind: type[PulsekitError]) -> None:
    cause = OSError("connection reset")
    original = example(kind)
    original.add_note("while the test runs")
    try:
        raise original from cause
    except PulsekitError:
        pass
    copy = fresh(original)
    assert copy is not original
    assert type(copy) is kind
    assert (str(copy), copy.args, vars(copy)) == (str(original), original.args, vars(original))
    assert copy.__cause__ is cause
    assert copy.__traceback__ is None
    copy.add_note("of the copy")
    assert original.__notes__ == ["while the test runs"]


def test_a_fresh_error_prints_the_same_chain_of_errors() -> None:
    def chain(error: BaseException) -> list[str]:
        return [line for line in traceback.format_exception(error) if not line.startswith("Traceback")]

    plain, hidden = PulsekitError("plain"), PulsekitError("hidden")
    plain.__context__ = hidden.__context__ = KeyError("inner")
    hidden.__suppress_context__ = True
    assert "inner" in "".join(chain(fresh(plain)))
    assert chain(fresh(plain)) == chain(plain)
    assert chain(fresh(hidden)) == chain(hidden)
