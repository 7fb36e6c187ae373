"""Run `pulsekit` by `python -m pulsekit`."""

from __future__ import annotations

from pulsekit.cli import main

if __name__ == "__main__":
    raise SystemExit(main())
