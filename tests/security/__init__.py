"""What attackers would try, and what must not get out: see docs/security.md for what is promised."""
