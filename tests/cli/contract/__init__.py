"""The contract of every command: exit codes, pipes, signals, terminals, help.

Each command is a separate process, with pipes or a terminal, and with the sandbox as its broker. `test_tail.py` runs
`tail` on RabbitMQ too. `tests/security/` tests that no password is shown, written or passed on.
"""
