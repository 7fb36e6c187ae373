"""The AMQP 0-9-1 client below `pulsekit.pulse`: address, connection, channels and frames.

Nothing here depends on Pulse or Treeherder. aiormq opens connections and channels, logs in, and declares.
`frame_router` is below aiormq: it dispatches the frames of published and delivered messages to pulsekit's channels
(`publishing`, `consuming`, `getting`), and all other frames to aiormq.
"""

from __future__ import annotations

__all__: list[str] = []
