"""Find out why a connection does not work: the checks behind `pulsekit doctor`."""

from __future__ import annotations

from typing import TYPE_CHECKING

from pulsekit._lazy import lazy_names

if TYPE_CHECKING:
    from pulsekit.diagnosis.checks import CHECKS, CheckResult, Status, run_checks

__all__ = ["CHECKS", "CheckResult", "Status", "run_checks"]

__getattr__, __dir__ = lazy_names(__name__, {"checks": "CHECKS CheckResult Status run_checks"})
