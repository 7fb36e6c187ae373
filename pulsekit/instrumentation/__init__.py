"""Observe a connection: logs, spans of OpenTelemetry, and metrics in the format of OpenMetrics.

Pass one or several instrumentations to `pulsekit.connect`, `pulsekit.sync.connect` or `pulsekit.Worker`:

    metrics = OpenMetrics()
    async with pulsekit.connect(instrumentation=[Logging(), metrics]) as pulse:
        ...
        print(metrics.text())

`Instrumentation` is the base class of your own instrumentations. Its methods get frozen objects. If a method raises
exceptions, the first one is logged.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from pulsekit._lazy import lazy_names

if TYPE_CHECKING:
    from pulsekit.instrumentation.logs import Logging
    from pulsekit.instrumentation.openmetrics import OpenMetrics
    from pulsekit.instrumentation.opentelemetry import OpenTelemetry
    from pulsekit.instrumentation.protocol import (
        DeliveryDetails,
        Endpoint,
        GapDetails,
        Instrumentation,
        OutcomeDetails,
        PublishDetails,
        SettlementDetails,
        StateDetails,
    )

__all__ = [
    "DeliveryDetails", "Endpoint", "GapDetails", "Instrumentation", "Logging", "OpenMetrics", "OpenTelemetry",
    "OutcomeDetails", "PublishDetails", "SettlementDetails", "StateDetails",
]  # fmt: skip

__getattr__, __dir__ = lazy_names(
    __name__,
    {
        "logs": "Logging",
        "openmetrics": "OpenMetrics",
        "opentelemetry": "OpenTelemetry",
        "protocol": (
            "DeliveryDetails Endpoint GapDetails Instrumentation OutcomeDetails PublishDetails SettlementDetails "
            "StateDetails"
        ),
    },
)
