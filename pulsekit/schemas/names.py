"""The names of the schemas of jobs."""

from __future__ import annotations

__all__ = ["FORMER", "TODAY"]

TODAY = "pulse-job"
FORMER = "pulse-job-2020"
