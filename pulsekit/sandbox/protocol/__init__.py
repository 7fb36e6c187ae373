"""AMQP 0-9-1 as the sandbox speaks it: sessions, channels and their methods. No I/O."""

from __future__ import annotations

__all__: list[str] = []
