"""Let `python -m pulsekit` do what `pulsekit` does."""

from __future__ import annotations

from pulsekit.cli import main

if __name__ == "__main__":
    raise SystemExit(main())
