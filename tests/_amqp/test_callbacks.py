"""Calls of a user's callbacks."""

from __future__ import annotations

from typing import TYPE_CHECKING

from pulsekit._amqp.callbacks import call_safely

if TYPE_CHECKING:
    import pytest


def test_a_failed_callback_is_logged(caplog: pytest.LogCaptureFixture) -> None:
    call_safely(lambda number: 1 / number, 0)
    assert "a callback failed" in caplog.text
    assert "ZeroDivisionError" in caplog.text


def test_a_callback_that_returns_a_coroutine_is_logged(caplog: pytest.LogCaptureFixture) -> None:
    async def note(_: int) -> None:
        raise AssertionError

    call_safely(note, 1)
    assert "note, which is not awaited" in caplog.text
