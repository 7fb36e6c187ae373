"""An inconsistent account must fail. Otherwise, the tests of faults would prove nothing."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime
from typing import TYPE_CHECKING

import pytest

from faults.account import Account, Finding, Unbalanced
from pulsekit import Gap, Outcome, Receipt

if TYPE_CHECKING:
    from collections.abc import Callable


def receipt(number: int, outcome: Outcome = Outcome.CONFIRMED, *, resent: bool = False) -> Receipt:
    return Receipt(number, f"run-{number}", "exchange/me/x", "k", outcome, resent)


def finding(account: Account, number: int, *, redelivered: bool = False, epoch: int = 1) -> Finding:
    return Finding(f"run-{number}", account.key(number), account.body(number), 2, redelivered, epoch)


def gap(epoch: int) -> Gap:
    return Gap(datetime.now(UTC), datetime.now(UTC), epoch, lossy=False)


def balanced() -> Account:
    """Record 20 messages: two with an unbound key, one of each outcome, and one sent twice."""
    account = Account()
    outcomes = {5: Outcome.REFUSED, 6: Outcome.UNKNOWN, 7: Outcome.TIMEOUT, 0: Outcome.RETURNED, 10: Outcome.RETURNED}
    for number in range(20):
        account.draft(number)
        if number < 18:
            account.settle(receipt(number, outcomes.get(number, Outcome.CONFIRMED), resent=number == 9))
        if number < 18 and number not in {0, 5, 7, 10}:
            account.find(finding(account, number))
    account.find(finding(account, 9))
    account.never_sent(2)
    return account


def test_a_consistent_account_gives_its_figures() -> None:
    totals = balanced().close()
    assert (totals.sent, totals.confirmed, totals.returned, totals.refused) == (20, 13, 2, 1)
    assert (totals.unknown, totals.timeout, totals.unsent) == (1, 1, 2)
    assert (totals.received, totals.distinct, totals.duplicates) == (15, 14, 1)


@pytest.mark.parametrize(
    ("spoil", "words"),
    [
        (lambda account: account.draft(20), "receipts"),
        (lambda account: account.draft(21), "handed over after"),
        (lambda account: account.settle(receipt(3)), "two receipts"),
        (lambda account: account.never_sent(1), "never sent"),
        (lambda account: (account.draft(20), account.settle(replace(receipt(20), message_id="run-2"))), "is for run-2"),
        (lambda account: (account.draft(20), account.settle(receipt(20, Outcome.INVALID))), "invalid"),
        (lambda account: (account.draft(20), account.settle(receipt(20))), "lost"),
        (lambda account: account.lose(1), "1 of them were deleted"),
        (lambda account: (account.draft(20), account.settle(receipt(20)), account.lose(2)), "2 of them were deleted"),
        (lambda account: account.find(finding(account, 5)), "though it was refused"),
        (lambda account: account.find(finding(account, 0)), "though it was returned"),
        (lambda account: account.find(finding(account, 19)), "never sent"),
        (lambda account: account.find(finding(account, 20)), "was not sent"),
        (lambda account: account.find(replace(finding(account, 1), message_id="other-1")), "was not sent"),
        (lambda account: account.find(replace(finding(account, 1), message_id=None)), "was not sent"),
        (lambda account: account.find(replace(finding(account, 7), body=b"{}")), "not as it was sent"),
        (lambda account: account.find(replace(finding(account, 7), routing_key="bound.1")), "not as it was sent"),
        (lambda account: account.find(replace(finding(account, 7), delivery_mode=1)), "not as it was sent"),
        (lambda account: account.find(finding(account, 1)), "undeclared duplicate"),
        (lambda account: account.find(finding(account, 1, epoch=2)), "undeclared duplicate"),
    ],
)
def test_an_inconsistent_account_fails(spoil: Callable[[Account], object], words: str) -> None:
    account = balanced()
    spoil(account)
    with pytest.raises(Unbalanced, match=words):
        account.close()


@pytest.mark.parametrize(
    "declare",
    [
        lambda account: account.find(finding(account, 1, redelivered=True)),
        lambda account: (account.gap(gap(2)), account.find(finding(account, 1, epoch=2))),
    ],
    ids=["by the broker", "by a gap"],
)
def test_a_declared_duplicate_is_counted(declare: Callable[[Account], object]) -> None:
    account = balanced()
    declare(account)
    assert account.close().duplicates == 2


def test_messages_deleted_with_their_queue_are_counted() -> None:
    account = balanced()
    account.draft(20)
    account.settle(receipt(20))
    account.lose(1)
    assert account.close().deleted == 1


def test_only_confirmed_messages_that_were_not_received_are_awaited() -> None:
    account = Account(routed=True)
    for number in range(3):
        account.draft(number)
    account.settle(receipt(0))
    account.settle(receipt(1))
    account.settle(receipt(2, Outcome.UNKNOWN))
    account.find(finding(account, 1))
    assert account.awaited == 1
    assert account.unanswered == 0
    assert account.has_found(1)
    assert not account.has_found(0)
