"""The channels of one publisher, on which its exchange is declared or checked.

An exchange of the user is declared, an exchange of another user must exist. After a reconnect, the user's exchange is
checked first: if it was deleted meanwhile, it is created again without its bindings, and this is reported.
"""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING, Generic

from pulsekit._amqp.callbacks import call_safely
from pulsekit._amqp.publishing import OutgoingMessageT, PublishChannel
from pulsekit.bindings.names import owner
from pulsekit.errors import NotFound

if TYPE_CHECKING:
    from collections.abc import Callable

    from pulsekit._amqp.link import Link
    from pulsekit._amqp.publishing import OnOutcome

__all__ = ["ChannelOpener"]

log = logging.getLogger("pulsekit")


class ChannelOpener(Generic[OutgoingMessageT]):
    """An opener of channels for one publisher. It declares or checks the exchange once on each connection.

    Attributes:
        recreated: how many times the exchange was created again after it had been deleted.
    """

    def __init__(self, exchange: str, on_recreated: Callable[[str], None] | None = None) -> None:
        self.recreated = 0
        self._exchange = exchange
        self._on_recreated = on_recreated
        self._missing = False  # whether the user's exchange was deleted, and not yet created again
        self._epoch = 0  # the last epoch in which the exchange was declared or checked

    async def open(
        self, link: Link, on_outcome: OnOutcome[OutgoingMessageT], on_writable: Callable[[], None]
    ) -> PublishChannel[OutgoingMessageT]:
        """Open a channel in confirm mode; see `PublishChannel.open`.

        Raises:
            BrokerRefused: Raised when the exchange does not exist, belongs to another user, or has another type.
            ConfigurationError: Raised when the connection has as many channels as the broker allows.
            ConnectionLost: Raised when the connection is lost, or the broker does not answer in time.
        """
        own, existed = owner(self._exchange) == link.user, self._epoch > 0
        channel = await PublishChannel.open(link, on_outcome, on_writable)
        try:
            if self._epoch != link.epoch:
                if not own or (existed and not self._missing):
                    await channel.declare_exchange(self._exchange, passive=True)
                if own:  # declared even if it exists, because its type may have changed
                    await channel.declare_exchange(self._exchange, passive=False)
        except BaseException as error:
            await channel.close()
            if not (isinstance(error, NotFound) and own and existed):
                raise
            self._missing = True
            return await self.open(link, on_outcome, on_writable)
        self._epoch = link.epoch
        if self._missing:
            self._missing = False
            self._report()
        return channel

    def _report(self) -> None:
        self.recreated += 1
        log.warning(
            "%s was deleted, and is created again without its bindings: until queues are bound to it again, the broker "
            "discards each message, and confirms it unless it is mandatory",
            self._exchange,
        )
        call_safely(self._on_recreated, self._exchange)
