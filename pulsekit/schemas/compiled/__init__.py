"""The shipped schemas as compiled modules, which are generated.

`python -m pulsekit.schemas.compiled` generates them from `schemas/`. A module of another text is not used.
"""

from __future__ import annotations

__all__: list[str] = []
