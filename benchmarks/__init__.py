"""Measure pulsekit and other clients: `python -m benchmarks [PART…]`, or `nox -s bench` on the wheel.

A part is a module with `PART`: its cases, and a function that measures one case once. `ON_SANDBOX` is the same with the
sandbox as the broker. Each measurement is a separate process, which reads a task and prints a sample, both as a line of
JSON. A client can therefore have another language: the limit is a client in C.

`run` measures, `report` computes medians and ratios, and `goals` compares them with the goals. `page` and `chart` draw
`docs/performance.md` from the figures of one run and the text of `notes.md`. The separate `sandbox.py` measures the
sandbox with clients that do as little as possible.
"""
