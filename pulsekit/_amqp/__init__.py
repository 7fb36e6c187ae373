"""The AMQP 0-9-1 client below `pulsekit.pulse`: address, connection, channels and frames.

Nothing here depends on Pulse or Treeherder. aiormq opens, authenticates and declares; `transport` sits below aiormq and
takes the frames of our own channels out of the byte stream.
"""

from __future__ import annotations

__all__: list[str] = []
