"""The memory that the code under test has allocated, without the rest of the process."""

from __future__ import annotations

import gc
import tracemalloc

__all__ = ["held_by"]


def held_by(*files: str) -> int:
    """Return the bytes that code in these files has allocated since tracemalloc was started, and that are not freed.

    Other threads, such as that of the sandbox, and finalizers allocate at any time; those bytes do not count.

    Args:
        files: paths of source files, in which `*` stands for anything.
    """
    gc.collect()
    snapshot = tracemalloc.take_snapshot()
    return sum(
        trace.size for trace in snapshot.filter_traces([tracemalloc.Filter(True, file) for file in files]).traces
    )
