"""Faults of networks and brokers, caused on purpose, with an account of every message."""
