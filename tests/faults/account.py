"""The books of one run: every message that was handed over, what was said of it, and where it was found.

An account adds up, or `close` says what does not:

- each message handed over has exactly one receipt, or was never sent and the error said so;
- each confirmed message was found, byte for byte, with its key, its id and its persistence, or went with a queue that
  somebody deleted; nothing else was found, except what the receipt leaves open (unknown, timed out);
- each message found more than once was declared: its receipt says that it was sent again, the broker says that it
  delivers it again, or it had been delivered before a gap that the consumer was told of.
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
_OPEN = {Outcome.UNKNOWN, Outcome.TIMEOUT}  # what may be in the queue, or not
_SHOWN = 10


class Unbalanced(AssertionError):
    """Report an account that does not add up."""


@dataclass(frozen=True, slots=True)
class Finding:
    """Say what a queue held, whoever took it out.

    Attributes:
        epoch: of the consumer's connection; 0 for whoever looked afterwards.
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
    """Hold the figures of an account that adds up.

    Attributes:
        sent: handed over to the publisher.
        unsent: of these, answered with an error before anything left.
        resent: of these, sent more than once, as their receipts say.
        deleted: of those confirmed, gone with their queue.
        received: findings, whoever found them.
        distinct: how many messages these are.
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
        """How many were found once more than once, each declared."""
        return self.received - self.distinct


class Account:
    """Keep the books on numbered messages; every tenth has a key that nobody is bound to.

    Args:
        run: what its message ids begin with.
        routed: give every message a key that somebody is bound to.
        padding: bytes that every body has more.
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
        """Hand over the next message."""
        if number != self.sent:
            self._faults.append(f"message {number} was handed over after {self.sent} others")
        self.sent += 1
        return Draft(self.body(number), self.key(number), properties=Properties(message_id=f"{self._run}-{number}"))

    def settle(self, receipt: Receipt, number: int | None = None) -> None:
        """Book what became of a message; its number is the receipt's index unless it is given."""
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
        """Book messages that were handed over, and answered with an error because nothing could be sent."""
        self._unsent += count

    def lose(self, count: int) -> None:
        """Book confirmed messages that were deleted together with their queue, as whoever deleted it was told."""
        self._deleted += count

    def gap(self, gap: Gap) -> None:
        """Book that the consumer was told of a gap: what was delivered before may come again."""
        self._gaps.append(gap.epoch)

    def find(self, finding: Finding) -> int | None:
        """Book a message that a queue held, and return its number."""
        run, _, number = (finding.message_id or "").rpartition("-")
        if run != self._run or not number.isdecimal() or int(number) >= self.sent:
            self._faults.append(f"found what nobody sent: {finding}")
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
        """How many confirmed messages were not found yet."""
        return len(self._awaited)

    @property
    def unanswered(self) -> int:
        """How many messages were handed over and have no receipt."""
        return self.sent - len(self._receipts)

    @property
    def resent(self) -> int:
        """How many messages were sent more than once, as their receipts say."""
        return sum(resent for _, resent in self._receipts.values())

    def close(self) -> Totals:
        """Return the figures.

        Raises:
            Unbalanced: the account does not add up.
        """
        faults = list(self._faults)
        outcomes = Counter(outcome for outcome, _ in self._receipts.values())
        faults += [
            f"message {number} came again, and nobody had said that it might: {finding}"
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
        """Tell whether the consumer learned of a gap between the first time a message was found and this one."""
        first = self._first_epoch[number]
        last = finding.epoch or max(self._gaps, default=0)
        # One that is told of within an epoch: the broker cancelled the consumer, and the connection lived.
        within = first == last and self._gaps.count(first) > (first > 1)
        return within or any(first < epoch <= last for epoch in self._gaps)
