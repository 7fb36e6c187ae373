"""The option that chooses between staging and production."""

from __future__ import annotations

from typing import Annotated

import typer

from pulsekit._config.targets import Target

__all__ = ["TargetOption"]

TargetOption = Annotated[
    Target | None,
    typer.Option(
        metavar="TARGET",
        help=f"{' or '.join(Target)}: exchange and destinations as pulsekit.yml has them there.",
        show_default=False,
    ),
]
