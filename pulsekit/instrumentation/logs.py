"""An instrumentation that writes to a logger of Python's `logging`."""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING

from pulsekit._amqp.outcome import Outcome
from pulsekit.instrumentation.protocol import Instrumentation

if TYPE_CHECKING:
    from pulsekit.instrumentation.protocol import (
        DeliveryDetails,
        GapDetails,
        OutcomeDetails,
        SettlementDetails,
        StateDetails,
    )

__all__ = ["Logging"]


class Logging(Instrumentation):
    """One log record for each event. The attribute `pulsekit` of the record is the object with its details.

    Confirmed messages, deliveries and settlements have the level `level`. Changes of the state have INFO. Messages that
    were not confirmed, and gaps, have WARNING.

    Args:
        logger: the logger. The default is `pulsekit.events`.
        level: the level of the events of each message.
    """

    def __init__(self, logger: logging.Logger | None = None, *, level: int = logging.DEBUG) -> None:
        self._logger = logger or logging.getLogger("pulsekit.events")
        self._level = level

    def on_outcome(self, details: OutcomeDetails) -> None:
        """Log the outcome of a message."""
        to, outcome = details.publish, details.outcome or "not sent"
        level = self._level if outcome is Outcome.CONFIRMED else logging.WARNING
        text = "%s after %.1f ms: message %s to %s with key %r%s%s"
        notes = " (resent)" if details.resent else "", f": {details.detail}" if details.detail else ""
        values = (outcome, details.seconds * 1000, details.message_id, to.exchange, to.routing_key, *notes)
        self._log(level, details, text, *values)

    def on_deliver(self, details: DeliveryDetails) -> None:
        """Log the arrival of a message."""
        again = ", again" if details.message.redelivered else ""
        self._log(self._level, details, "delivered from %s%s: %r", details.queue, again, details.message)

    def on_settle(self, details: SettlementDetails) -> None:
        """Log the settlement of a message."""
        late = ", after its connection was lost" if details.stale else ""
        self._log(self._level, details, "%s%s: %r", details.settlement.value, late, details.delivery.message)

    def on_state(self, details: StateDetails) -> None:
        """Log the state of a connection."""
        broker = details.broker
        text = "the connection %s of %s to %s:%d is %s"
        self._log(logging.INFO, details, text, details.connection, broker.user, broker.host, broker.port, details.state)

    def on_gap(self, details: GapDetails) -> None:
        """Log a gap."""
        gap, effect = details.gap, "messages are lost" if details.gap.lossy else "no message is lost"
        self._log(
            logging.WARNING, details, "%s had no consumer from %s to %s: %s", details.queue, gap.start, gap.end, effect
        )

    def _log(self, level: int, details: object, text: str, *values: object) -> None:
        self._logger.log(level, text, *values, extra={"pulsekit": details})
