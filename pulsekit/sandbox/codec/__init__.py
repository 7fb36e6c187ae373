"""The bytes of the sandbox: frames, field tables and message properties.

The client has another codec, in `pulsekit._amqp`. The two are separate, because the sandbox tests the client, and a
shared bug would stay hidden.
"""

from __future__ import annotations

__all__: list[str] = []
