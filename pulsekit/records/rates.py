"""Count messages per second, by exchange and by the first words of their keys, in bounded memory.

rates = Rates(words=2)
rates.add(message.exchange, message.routing_key, len(message.body))
for one in rates.look(time.monotonic()).rows: ...
"""

from __future__ import annotations

from dataclasses import dataclass

__all__ = ["Look", "Rate", "Rates"]

MOST = 1000  # key prefixes that are counted separately


@dataclass(frozen=True, slots=True)
class Rate:
    """The count of the messages of one exchange whose keys begin with the same words.

    Attributes:
        exchange: the exchange.
        prefix: the first words of the keys. None for the sum of all prefixes that are not counted separately.
        messages: the number of messages.
        size: the bytes of their bodies.
        rate: messages per second since the previous `look`.
    """

    exchange: str
    prefix: str | None
    messages: int
    size: int
    rate: float


@dataclass(frozen=True, slots=True)
class Look:
    """All counts at one moment.

    Attributes:
        seconds: seconds since the previous `look`.
        messages: the number of messages.
        size: the bytes of their bodies.
        rate: messages per second since the previous `look`.
        exchanges: the rate of each exchange, busiest first.
        rows: the rate of each exchange and prefix, busiest first.
    """

    seconds: float
    messages: int
    size: int
    rate: float
    exchanges: tuple[Rate, ...]
    rows: tuple[Rate, ...]


class Rates:
    """A counter of messages.

    Its memory is bounded, even if every key is different: if there are more than `most` prefixes, the half with the
    fewest messages is merged into one count for each exchange.
    """

    def __init__(self, began: float, *, words: int = 1, most: int = MOST) -> None:
        """Create a counter.

        Args:
            began: the start, in seconds of a monotonic clock.
            words: the number of words of a key that form its prefix.
            most: the maximum number of prefixes that are counted separately.
        """
        self._words = words
        self._most = most
        self._then = began
        self._counts: dict[tuple[str, str | None], list[int]] = {}  # messages, bytes, messages at the last `look`

    def add(self, exchange: str, key: str, size: int) -> None:
        """Count a message with a body of `size` bytes."""
        place = (exchange, ".".join(key.split(".", self._words)[: self._words]))
        count = self._counts.get(place)
        if count is None:
            if len(self._counts) >= self._most:
                self._join()
            count = self._counts[place] = [0, 0, 0]
        count[0] += 1
        count[1] += size

    def look(self, now: float) -> Look:
        """Return all counts, and begin the next interval."""
        seconds, self._then = max(now - self._then, 1e-9), now
        exchanges: dict[str, list[int]] = {}
        rows = []
        for (exchange, prefix), count in self._counts.items():
            messages, size, before = count
            rows.append(Rate(exchange, prefix, messages, size, (messages - before) / seconds))
            whole = exchanges.setdefault(exchange, [0, 0, 0])
            for index, part in enumerate(count):
                whole[index] += part
            count[2] = messages
        sums = [
            Rate(exchange, None, some, size, (some - old) / seconds)
            for exchange, (some, size, old) in exchanges.items()
        ]
        return Look(
            seconds,
            sum(one.messages for one in sums),
            sum(one.size for one in sums),
            sum(one.rate for one in sums),
            tuple(sorted(sums, key=_busiest)),
            tuple(sorted(rows, key=_busiest)),
        )

    def _join(self) -> None:
        """Merge the half of the prefixes with the fewest messages into one count for each exchange."""
        apart = sorted(
            (place for place in self._counts if place[1] is not None), key=lambda place: self._counts[place][0]
        )
        for place in apart[: max(1, len(apart) // 2)]:
            count = self._counts.pop(place)
            others = self._counts.setdefault((place[0], None), [0, 0, 0])
            for index, part in enumerate(count):
                others[index] += part


def _busiest(rate: Rate) -> tuple[float, int, str, str]:
    return -rate.rate, -rate.messages, rate.exchange, rate.prefix or ""
