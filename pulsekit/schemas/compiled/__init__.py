"""Shipped schemas compiled ahead of time: the modules beside this one, which are generated.

`python -m pulsekit.schemas.compiled` writes them anew from `schemas/`. A module made from another text is not used.
"""

from __future__ import annotations

__all__: list[str] = []
