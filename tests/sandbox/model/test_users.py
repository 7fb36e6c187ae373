from __future__ import annotations

import pytest

from pulsekit.sandbox.model.broker import Broker
from pulsekit.sandbox.model.users import User, Users
from pulsekit.sandbox.refusals import Refusal

ME = User("me")


def allowed(user, permission, kind, name) -> bool:
    try:
        user.check(permission, kind, name, Broker().vhosts["/"])
    except Refusal:
        return False
    return True


@pytest.mark.parametrize(
    ("permission", "kind", "name", "expected"),
    [
        ("configure", "queue", "queue/me/x", True),
        ("configure", "exchange", "exchange/me/v1/jobs", True),
        ("configure", "exchange", "exchange/me2/v1/jobs", False),
        ("configure", "queue", "queue/me", False),
        ("write", "exchange", "exchange/other/x", False),
        ("write", "exchange", "", False),
        ("read", "exchange", "exchange/anybody/x", True),
        ("read", "exchange", "amq.topic", False),
        ("read", "queue", "queue/me/x", True),
        ("read", "queue", "queue/other/x", False),
        ("configure", "queue", "amq.gen-x", False),
    ],
)
def test_a_user_has_the_permissions_of_pulseguardian(permission, kind, name, expected) -> None:
    assert allowed(ME, permission, kind, name) is expected


def test_a_dot_in_a_name_matches_only_a_dot() -> None:
    assert not allowed(User("a.b"), "write", "queue", "queue/axb/q")


def test_guest_has_all_permissions() -> None:
    guest = Users().login("guest", "guest")
    assert guest is not None
    assert allowed(guest, "configure", "queue", "amq.gen-x")


def test_a_login_needs_a_name() -> None:
    assert Users().login("", "x") is None


def test_a_listed_guest_has_the_password_of_the_list() -> None:
    users = Users(known={"guest": "changed"})
    assert users.login("guest", "guest") is None
    assert users.login("guest", "changed") is not None
