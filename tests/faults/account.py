"""The account of one run: every message that was passed to the publisher, its receipt, and where it was received.

`close` reports each violation of these rules:

- Each message has exactly one receipt, or was never sent and caused an error.
- Each confirmed message was received byte for byte, with its key, id and persistence, or its queue was deleted. No
  other message was received, except those with the outcome unknown or timeout.
- Each message that was received more than once was declared as a possible duplicate: by its receipt (`resent`), by the
  broker (`redelivered`), or by a gap that the consumer reported after the first delivery.
"""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass
from typing import TYPE_CHECKING

from pulsekit import Draft, Outcome, Properties

if TYPE_CHECKING:
    from pulsekit import Gap, Message, Receipt

__all__ = ["Account", "Finding", "Totals", "Unbalanced"]

_TEXT = "pulse é 日本 🦊 " * 40
_OPEN = {Outcome.UNKNOWN, Outcome.TIMEOUT}  # outcomes of messages that may or may not be in the queue
_SHOWN = 10


class Unbalanced(AssertionError):
    """Raised when an account is inconsistent."""


@dataclass(frozen=True, slots=True)
class Finding:
    """A message found in a queue, by any consumer.

    Attributes:
        epoch: the epoch of the consumer's connection. 0 if the queue was read afterwards.
    """

    message_id: str | None
    routing_key: str
    body: bytes
    delivery_mode: int | None
    redelivered: bool = False
    epoch: int = 0

    @classmethod
    def of(cls, message: Message) -> Finding:
        properties = message.properties
        return cls(
            properties.message_id,
            message.routing_key,
            message.body,
            properties.delivery_mode,
            message.redelivered,
            message.epoch,
        )


@dataclass(frozen=True, slots=True)
class Totals:
    """The figures of a consistent account.

    Attributes:
        sent: messages that were passed to the publisher.
        unsent: of these, messages that were refused with an error before they were sent.
        resent: of these, messages that were sent more than once, by their receipts.
        deleted: confirmed messages that were deleted with their queue.
        received: deliveries to any consumer.
        distinct: the number of different messages among them.
    """

    sent: int
    confirmed: int
    returned: int
    refused: int
    unknown: int
    timeout: int
    unsent: int
    resent: int
    deleted: int
    received: int
    distinct: int

    @property
    def duplicates(self) -> int:
        """How many messages were received more than once. All of them were declared."""
        return self.received - self.distinct


class Account:
    """An account of numbered messages. Every tenth message has a key without a binding.

    Args:
        run: the prefix of the message ids.
        routed: whether a queue is bound to the key of every message.
        padding: additional bytes of every body.
    """

    def __init__(self, run: str = "run", *, routed: bool = False, padding: int = 0) -> None:
        self._run = run
        self._routed = routed
        self._padding = "x" * padding
        self._receipts: dict[int, tuple[Outcome, bool]] = {}  # with whether it was sent again
        self._unsent = 0
        self._deleted = 0
        self._found: Counter[int] = Counter()
        self._awaited: set[int] = set()
        self._first_epoch: dict[int, int] = {}
        self._gaps: list[int] = []  # the epochs that began with one, in order
        self._again: list[tuple[int, Finding]] = []
        self._faults: list[str] = []
        self.sent = 0

    def key(self, number: int) -> str:
        return f"bound.{number % 7}" if self._routed or number % 10 else "nobody"

    def body(self, number: int) -> bytes:
        return f'{{"number": {number}, "text": "{_TEXT[: 100 + number % 400]}{self._padding}"}}'.encode()

    def draft(self, number: int) -> Draft:
        """Return the next message."""
        if number != self.sent:
            self._faults.append(f"message {number} was handed over after {self.sent} others")
        self.sent += 1
        return Draft(self.body(number), self.key(number), properties=Properties(message_id=f"{self._run}-{number}"))

    def settle(self, receipt: Receipt, number: int | None = None) -> None:
        """Record the outcome of a message; its number is the index of the receipt unless it is given."""
        number = receipt.index if number is None else number
        if number in self._receipts:
            self._faults.append(f"message {number} has two receipts: {self._receipts[number][0]} and {receipt.outcome}")
        if receipt.message_id != f"{self._run}-{number}":
            self._faults.append(f"the receipt of message {number} is for {receipt.message_id}")
        if receipt.outcome is Outcome.INVALID:
            self._faults.append(f"message {number} was called invalid: {receipt.detail}")
        self._receipts[number] = (receipt.outcome, receipt.resent)
        if receipt.outcome is Outcome.CONFIRMED and number not in self._found:
            self._awaited.add(number)

    def never_sent(self, count: int) -> None:
        """Record messages that were refused with an error before anything could be sent."""
        self._unsent += count

    def lose(self, count: int) -> None:
        """Record confirmed messages that were deleted with their queue."""
        self._deleted += count

    def gap(self, gap: Gap) -> None:
        """Record a gap that the consumer reported: messages delivered before it may be delivered again."""
        self._gaps.append(gap.epoch)

    def find(self, finding: Finding) -> int | None:
        """Record a message of a queue, and return its number."""
        run, _, number = (finding.message_id or "").rpartition("-")
        if run != self._run or not number.isdecimal() or int(number) >= self.sent:
            self._faults.append(f"received a message that was not sent: {finding}")
            return None
        found = int(number)
        expected = (self.key(found), self.body(found), 2)
        if (finding.routing_key, finding.body, finding.delivery_mode) != expected:
            self._faults.append(f"message {found} is not as it was sent: {finding}")
        self._found[found] += 1
        self._awaited.discard(found)
        if self._found[found] == 1:
            self._first_epoch[found] = finding.epoch
        elif not finding.redelivered:
            self._again.append((found, finding))
        return found

    def has_found(self, number: int) -> bool:
        return number in self._found

    @property
    def awaited(self) -> int:
        """How many confirmed messages were not received yet."""
        return len(self._awaited)

    @property
    def unanswered(self) -> int:
        """How many messages have no receipt yet."""
        return self.sent - len(self._receipts)

    @property
    def resent(self) -> int:
        """How many messages were sent more than once, by their receipts."""
        return sum(resent for _, resent in self._receipts.values())

    def close(self) -> Totals:
        """Return the figures.

        Raises:
            Unbalanced: Raised when the account violates a rule.
        """
        faults = list(self._faults)
        outcomes = Counter(outcome for outcome, _ in self._receipts.values())
        faults += [
            f"message {number} is an undeclared duplicate: {finding}"
            for number, finding in self._again
            if not (self._was_resent(number) or self._was_before_a_gap(number, finding))
        ]
        if self.sent != len(self._receipts) + self._unsent:
            faults.append(f"{self.sent} handed over, but {len(self._receipts)} receipts and {self._unsent} never sent")
        lost = len(self._awaited)
        if lost != self._deleted:
            faults.append(f"{lost} messages were confirmed and not found; {self._deleted} of them were deleted")
        for number in range(self.sent):
            outcome, _ = self._receipts.get(number, (None, False))
            count = self._found[number]
            if outcome is Outcome.CONFIRMED and not count and not self._deleted:
                faults.append(f"message {number} was confirmed, and is lost")
            if outcome is Outcome.RETURNED and self._was_resent(number):
                continue  # an earlier copy may have arrived, as the receipt says
            if count and outcome is not Outcome.CONFIRMED and outcome not in _OPEN:
                faults.append(f"message {number} was found, though it was {outcome or 'never sent'}")
        if faults:
            more = f"\n… and {len(faults) - _SHOWN} more" if len(faults) > _SHOWN else ""
            raise Unbalanced("\n".join(faults[:_SHOWN]) + more)
        return Totals(
            sent=self.sent,
            confirmed=outcomes[Outcome.CONFIRMED],
            returned=outcomes[Outcome.RETURNED],
            refused=outcomes[Outcome.REFUSED],
            unknown=outcomes[Outcome.UNKNOWN],
            timeout=outcomes[Outcome.TIMEOUT],
            unsent=self._unsent,
            resent=self.resent,
            deleted=self._deleted,
            received=self._found.total(),
            distinct=len(+self._found),
        )

    def _was_resent(self, number: int) -> bool:
        return number in self._receipts and self._receipts[number][1]

    def _was_before_a_gap(self, number: int, finding: Finding) -> bool:
        """Return whether the consumer reported a gap between the first delivery of a message and this one."""
        first = self._first_epoch[number]
        last = finding.epoch or max(self._gaps, default=0)
        # A gap within an epoch: the broker cancelled the consumer, and the connection stayed open.
        within = first == last and self._gaps.count(first) > (first > 1)
        return within or any(first < epoch <= last for epoch in self._gaps)
