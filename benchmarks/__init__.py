"""Measure pulsekit side by side with its peers: `python -m benchmarks [PART…]`.

A part is a module with `PART`: its cases, and how to measure one of them once. Each measurement is a process of its own
that gets a task and prints a sample, both as a line of JSON, so a client need not be written in Python.
"""
