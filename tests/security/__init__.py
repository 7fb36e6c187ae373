"""Attacks, and secrets that must not leak: see docs/security.md for the promises."""
