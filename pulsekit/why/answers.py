"""Read values from the answers of Taskcluster and Treeherder, which may have any content."""

from __future__ import annotations

from typing import Any

__all__ = ["are_objects", "jobs_in", "name_of", "shown_as"]


def name_of(task: Any) -> str:
    """Return the name of a task, or an empty text if the definition has none."""
    metadata = task.get("metadata") if isinstance(task, dict) else None
    name = metadata.get("name") if isinstance(metadata, dict) else None
    return name if isinstance(name, str) else ""


def jobs_in(value: Any) -> list[dict[str, Any]] | None:
    """Return the jobs in an answer of Treeherder. Rows are lists, and a separate list has the names of columns."""
    rows = value.get("results") if isinstance(value, dict) else None
    if not isinstance(rows, list):
        return None
    names = value.get("job_property_names")
    if isinstance(names, list) and all(isinstance(name, str) for name in names):
        rows = [dict(zip(names, row, strict=False)) if isinstance(row, list) else row for row in rows]
    return rows if are_objects(rows) else None


def are_objects(value: Any) -> bool:
    """Return whether a value is a list of objects."""
    return isinstance(value, list) and all(isinstance(one, dict) for one in value)


def shown_as(job: dict[str, Any]) -> str:
    """Return a job in one line: group, symbol, state and result. Fields are named as in the loader or the API."""

    def text(*names: str) -> str:
        return next((str(job[name]) for name in names if isinstance(job.get(name), str)), "")

    symbol, group = text("job_symbol", "job_type_symbol"), text("group_symbol", "job_group_symbol")
    shown = symbol if group in {"", "?"} else f"{group}({symbol})"
    state, result = text("state"), text("result")
    return f"{shown or 'without a symbol'}, {result if state == 'completed' else state}"
