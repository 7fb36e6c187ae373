"""The sources of settings: environment variables, `pulsekit.yml`, the user's own file, targets, a running sandbox."""

from __future__ import annotations

__all__: list[str] = []
