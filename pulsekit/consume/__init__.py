"""Run handlers as a service: describe a consumer, load it from a module, and run it until a signal."""

from __future__ import annotations

from typing import TYPE_CHECKING

from pulsekit._lazy import lazy_names

if TYPE_CHECKING:
    from pulsekit.consume.health import serve_health
    from pulsekit.consume.loading import load
    from pulsekit.consume.worker import Worker
    from pulsekit.consume.workers import Workers

__all__ = ["Worker", "Workers", "load", "serve_health"]

__getattr__, __dir__ = lazy_names(
    __name__, {"health": "serve_health", "loading": "load", "worker": "Worker", "workers": "Workers"}
)
