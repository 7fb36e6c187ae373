"""What the sandbox's broker holds: exchanges, queues, bindings, messages and users. No I/O and no frames."""

from __future__ import annotations

__all__: list[str] = []
