from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from support.rabbitmq.home import Home

if TYPE_CHECKING:
    from pathlib import Path


@pytest.mark.parametrize(("user", "reason"), [(0, "there is no RabbitMQ in"), (1000, "only root can")])
def test_a_folder_that_cannot_run_rabbitmq_is_refused_with_the_reason(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, user: int, reason: str
) -> None:
    monkeypatch.setenv("PULSEKIT_TEST_RABBITMQ_ROOT", str(tmp_path))
    monkeypatch.setattr("os.geteuid", lambda: user)
    with pytest.raises(RuntimeError, match=f"{reason}.*{tmp_path}"), Home():
        pass
