"""What anybody who runs pulsekit may rely on, whichever command it is: statuses, pipes, signals, terminals, help.

Each command is a process of its own, at a pipe or at a terminal, with the sandbox as its broker. What `tail` does with
RabbitMQ besides is in `test_tail.py`, and that no password is shown, written or handed on in `tests/security/`.
"""
