from __future__ import annotations

from pulsekit.records.rates import Rates


def test_messages_are_counted_by_exchange_and_prefix() -> None:
    rates = Rates(0.0, words=2)
    for key, times in (("a.b.c", 6), ("a.b.d", 2), ("a", 1), ("", 1)):
        for _ in range(times):
            rates.add("exchange/me/x", key, 100)
    rates.add("exchange/me/y", "a.b", 50)
    look = rates.look(2.0)
    assert (look.seconds, look.messages, look.size, look.rate) == (2.0, 11, 1050, 5.5)
    assert [(one.exchange, one.messages, one.rate) for one in look.exchanges] == [
        ("exchange/me/x", 10, 5.0),
        ("exchange/me/y", 1, 0.5),
    ]
    assert [(row.exchange[-1], row.prefix, row.messages, row.rate) for row in look.rows] == [
        ("x", "a.b", 8, 4.0),
        ("x", "", 1, 0.5),
        ("x", "a", 1, 0.5),
        ("y", "a.b", 1, 0.5),
    ]


def test_a_rate_covers_the_time_since_the_previous_look() -> None:
    rates = Rates(10.0)
    rates.add("x", "a", 1)
    rates.look(11.0)
    quiet = rates.look(12.0)
    assert (quiet.messages, quiet.rate, quiet.rows[0].rate) == (1, 0.0, 0.0)


def test_unique_keys_do_not_increase_memory_and_all_are_counted() -> None:
    rates = Rates(0.0, most=100)
    for number in range(10_000):
        rates.add("exchange/me/x", f"{number}.x", 1)
        rates.add("exchange/me/x", "often", 1)
    look = rates.look(1.0)
    assert len(look.rows) <= 101
    assert look.messages == 20_000
    assert (look.rows[0].prefix, look.rows[0].messages) == ("often", 10_000)
    assert sum(row.messages for row in look.rows if row.prefix is None) > 9_000
    assert look.rate == 20_000


def test_many_exchanges_use_limited_memory() -> None:
    rates = Rates(0.0, most=10)
    for number in range(1000):
        rates.add(f"exchange/me/{number % 20}", f"{number}", 1)
    assert len(rates.look(1.0).rows) <= 10 + 20
