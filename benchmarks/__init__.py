"""Measure pulsekit side by side with its peers: `python -m benchmarks [PART…]`, or `nox -s bench` on the wheel.

A part is a module with `PART`: its cases, and how to measure one of them once; `ON_SANDBOX` is the same with the
sandbox as the broker. Each measurement is a process of its own that gets a task and prints a sample, both as a line of
JSON, so a client need not be written in Python: the limit is one in C.

`run` measures, `report` sums up, `goals` judges, and `page` with `chart` draws `docs/performance.md` from the figures
of one run and the words of `notes.md`. Apart from all that, `sandbox.py` asks how much the sandbox takes from clients
that do next to nothing.
"""
