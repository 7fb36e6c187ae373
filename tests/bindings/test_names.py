from __future__ import annotations

import pytest

from pulsekit.bindings.names import check_exchange, check_own_exchange, check_queue, check_user, owner, queue_name
from pulsekit.errors import InvalidName


@pytest.mark.parametrize(
    "name", ["exchange/me/v1/jobs", "exchange/a.b-c_1/x", "exchange/me/v1/a/b.c:d", "exchange/build/", "exchange/me/=b"]
)
def test_an_exchange_of_a_pulse_user_is_accepted(name: str) -> None:
    assert check_exchange(name) == name


@pytest.mark.parametrize(
    ("name", "suggestion"),
    [
        ("v1/jobs", "exchange/me/v1/jobs"),
        ("jobs", "exchange/me/jobs"),
        ("me/v1/jobs", "exchange/me/v1/jobs"),
        ("/exchange/me/v1/jobs", "exchange/me/v1/jobs"),
        ("exchanges/me/v1/jobs", "exchange/me/v1/jobs"),
        ("Exchange/me/v1/jobs", "exchange/me/v1/jobs"),
        ("queue/me/v1/jobs", "exchange/me/v1/jobs"),
        ("taskcluster-foo/v1/bar", "exchange/taskcluster-foo/v1/bar"),
        ("jobs/of/mine", "exchange/me/jobs/of/mine"),
    ],
)
def test_a_nearly_valid_name_gets_a_suggestion(name: str, suggestion: str) -> None:
    with pytest.raises(InvalidName) as caught:
        check_exchange(name, "me")
    assert caught.value.suggestion == suggestion
    assert suggestion in str(caught.value)


@pytest.mark.parametrize("name", ["", "exchange/", "exchange/me", "exchange/1me/x", "amq.topic", "a\0b"])
def test_an_invalid_name_is_refused(name: str) -> None:
    with pytest.raises(InvalidName):
        check_exchange(name)


def test_a_user_may_publish_only_to_own_exchanges() -> None:
    assert check_own_exchange("exchange/a.b/v1/jobs", "a.b") == "exchange/a.b/v1/jobs"
    for name in ("exchange/axb/v1/jobs", "exchange/A.B/v1/jobs", "exchange/a/v1/jobs"):
        with pytest.raises(InvalidName, match=r"permits 'a\.b' to publish only to exchange/a\.b/…") as caught:
            check_own_exchange(name, "a.b")
        assert caught.value.suggestion == "exchange/a.b/v1/jobs"
    with pytest.raises(InvalidName, match="is not a Pulse exchange name"):
        check_own_exchange("v1/jobs", "a.b")


def test_the_limit_of_a_name_counts_bytes() -> None:
    fits = "exchange/me/" + "é" * 121 + "x"
    assert len(fits.encode()) == 255
    assert check_exchange(fits) == fits
    with pytest.raises(InvalidName, match="256 bytes"):
        check_exchange(fits + "x")


def test_text_that_is_not_unicode_is_refused() -> None:
    with pytest.raises(InvalidName, match="Unicode"):
        check_exchange("exchange/me/\ud800")


@pytest.mark.parametrize("name", ["exchange/me/a\nb", "exchange/me/a\r"])
def test_a_line_break_that_rabbitmq_would_remove_is_refused(name: str) -> None:
    with pytest.raises(InvalidName, match="a line break, which RabbitMQ removes"):
        check_exchange(name)


def test_a_name_that_is_no_text_is_refused_with_the_right_form() -> None:
    with pytest.raises(TypeError, match="the name of an exchange is a str, such as 'exchange/me/jobs', not int"):
        check_exchange(5)  # type: ignore[arg-type]


def test_queue_names_have_their_own_prefix() -> None:
    assert queue_name("me", "tail") == "queue/me/tail"
    with pytest.raises(InvalidName):
        check_queue("exchange/me/tail")


def test_the_owner_is_in_the_name() -> None:
    assert owner("exchange/me/v1/jobs") == "me"
    assert owner("queue/you/x") == "you"
    assert owner("amq.topic") is None


@pytest.mark.parametrize("user", ["1a", "", "a b", "a/b", "é", "a\n"])
def test_a_user_that_pulseguardian_would_not_create_is_refused(user: str) -> None:
    with pytest.raises(InvalidName):
        check_user(user)
