"""A page in the browser that shows the messages of a broker, or of a recording. Needs the extra `inspector`.

    async with pulsekit.connect() as pulse, LiveSource(pulse, [Binding.parse("exchange/me/v1/jobs")]) as source:
        await serve(source, on_address=print)

`sources` receives messages and stores them in a `ring`. `reader` makes rows and details from them. `server` answers the
requests of `page/` that `access` permits.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from pulsekit._lazy import lazy_names

if TYPE_CHECKING:
    from pulsekit.inspector.reader import Reader
    from pulsekit.inspector.server import serve
    from pulsekit.inspector.sources import LiveSource, RecordedSource, Source

__all__ = ["LiveSource", "Reader", "RecordedSource", "Source", "serve"]

__getattr__, __dir__ = lazy_names(
    __name__, {"reader": "Reader", "server": "serve", "sources": "LiveSource RecordedSource Source"}
)
