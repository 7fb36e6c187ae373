"""The shipped schemas, compiled ahead: the modules beside this one, which are not written by hand.

`python -m pulsekit.schemas.compiled` writes them anew from `schemas/`. One that was made from another text is not used.
"""

from __future__ import annotations

__all__: list[str] = []
