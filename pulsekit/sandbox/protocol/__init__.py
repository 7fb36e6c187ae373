"""AMQP 0-9-1 for the sandbox: sessions, channels and their methods. No I/O."""

from __future__ import annotations

__all__: list[str] = []
