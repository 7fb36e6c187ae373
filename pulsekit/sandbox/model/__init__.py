"""The state of the sandbox's broker: exchanges, queues, bindings, messages and users. No I/O."""

from __future__ import annotations

__all__: list[str] = []
