from __future__ import annotations

from urllib.parse import unquote

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pulsekit.bindings.inspector_link import PAGE, is_link, read_link, write_link
from pulsekit.bindings.registration import Binding
from pulsekit.errors import ConfigurationError, InvalidName, InvalidPattern

JOBS = "exchange/me/v1/jobs"


def bindings() -> st.SearchStrategy[Binding]:
    def build(name: str, pattern: str) -> Binding | None:
        try:
            return Binding(f"exchange/me/{name}", pattern)
        except (InvalidName, InvalidPattern):
            return None

    texts = st.text(max_size=20)
    return st.builds(build, texts, texts).filter(lambda binding: binding is not None)  # type: ignore[return-value] # filtered


@pytest.mark.parametrize(
    "link",
    [
        "https://tc.example/pulse-messages?bindings[0][exchange]=exchange/me/v1/jobs&bindings[0][pattern]=a.#",
        (
            "https://tc.example/pulse-messages"
            "?bindings%5B0%5D%5Bexchange%5D=exchange%2Fme%2Fv1%2Fjobs&bindings%5B0%5D%5Bpattern%5D=a.%23"
        ),
        "?bindings[0][pattern]=a.%23&bindings[0][exchange]=exchange/me/v1/jobs",
    ],
)
def test_a_link_is_read_with_or_without_encoding(link: str) -> None:
    assert is_link(link)
    assert read_link(link).bindings == (Binding(JOBS, "a.#"),)


@pytest.mark.parametrize(
    ("link", "pattern"),
    [
        (f"?bindings[0][exchange]={JOBS}&bindings[0][routingKeyPattern]=primary.a.b", "primary.a.b"),
        (f"https://tools.taskcluster.net/pulse-inspector/#!((exchange:{JOBS},routingKeyPattern:%23))", "#"),
        (
            f"https://tools.taskcluster.net/pulse-inspector/#!((exchange:{JOBS},routingKeyPattern:route.a+b.#))",
            "route.a+b.#",
        ),
        ("https://x/#!%28%28exchange:exchange%2Fme%2Fv1%2Fjobs%2CroutingKeyPattern:%27a,(!%27b!!%27%29%29", "a,('b!"),
        (f"https://x/#!((exchange:{JOBS}))", "#"),
    ],
)
def test_links_of_former_generations_are_read(link: str, pattern: str) -> None:
    assert read_link(link).bindings == (Binding(JOBS, pattern),)


def test_a_former_link_can_have_several_bindings() -> None:
    link = "https://x/#!((exchange:exchange/a/x,routingKeyPattern:a),(exchange:exchange/b/x,routingKeyPattern:'b'))"
    assert read_link(link).bindings == (Binding("exchange/a/x", "a"), Binding("exchange/b/x", "b"))


@pytest.mark.parametrize(
    ("page", "virtual_host", "shown"),
    [
        ("https://community-tc.services.mozilla.com/pulse-messages", "communitytc", None),
        ("https://firefox-ci-tc.services.mozilla.com/pulse-messages", "/", None),
        ("https://tc.example/pulse-messages", None, None),
        ("", None, PAGE),
    ],
)
def test_a_link_has_the_virtual_host_and_the_page_of_its_instance(
    page: str, virtual_host: str | None, shown: str | None
) -> None:
    link = read_link(f"{page}?bindings[0][exchange]={JOBS}")
    assert (link.virtual_host, link.page) == (virtual_host, shown or page)


def test_bindings_are_in_the_order_of_their_numbers_without_duplicates() -> None:
    link = "https://x/?bindings[10][exchange]=exchange/b/x&bindings[2][exchange]=exchange/a/x&bindings[3][exchange]=exchange/a/x"
    assert read_link(link).bindings == (Binding("exchange/a/x"), Binding("exchange/b/x"))


def test_an_empty_pattern_is_not_a_missing_one() -> None:
    assert read_link(f"?bindings[0][exchange]={JOBS}&bindings[0][pattern]=").bindings == (Binding(JOBS, ""),)


@pytest.mark.parametrize(
    ("link", "words"),
    [
        ("https://tc.example/pulse-messages", "not a link of Pulse Inspector"),
        ("https://tc.example/?bindings[0][pattern]=a", r"bindings\[0\] of the link has no exchange"),
        ("https://tc.example/?bindings[1][exchange]=v1/jobs", r"bindings\[1\] of the link: .*exchange/<user>"),
        ("https://tc.example/?bindings[0][exchange]=%ff", "not UTF-8"),
        (f"?bindings[0][exchange]={JOBS}&theme=dark", "unknown part 'theme'"),
        (f"?bindings[0][exchange]={JOBS}&bindings[0][key]=a", "unknown part 'key'"),
        (f"https://x/#!((exchange:{JOBS},key:a))", "unknown part 'key'"),
        (f"https://x/#!((exchange:{JOBS}),b)", "unknown part 'b'"),
        (
            f"?bindings[0][exchange]={JOBS}&bindings[0][pattern]=a&bindings[0][routingKeyPattern]=b",
            "two parts 'pattern'",
        ),
        (f"https://x/#!((exchange:{JOBS},exchange:exchange/me/y))", "two parts 'exchange'"),
        (f"https://[::1?bindings[0][exchange]={JOBS}", "not the address of a page"),
        ("https://x/#!exchange", "not a list of bindings"),
        ("https://x/#!()", "not a link of Pulse Inspector"),
    ],
)
def test_an_invalid_link_is_refused_with_the_part(link: str, words: str) -> None:
    with pytest.raises(ConfigurationError, match=words):
        read_link(link)


@given(st.lists(bindings(), min_size=1, max_size=5, unique=True))
def test_a_written_link_is_read_back(given_bindings: list[Binding]) -> None:
    assert read_link(write_link(given_bindings)).bindings == tuple(given_bindings)


def test_a_link_equals_the_one_that_the_page_writes() -> None:
    link = write_link([Binding(JOBS, "treeherder.#")])
    assert link.endswith(
        "/pulse-messages?bindings%5B0%5D%5Bexchange%5D=exchange%2Fme%2Fv1%2Fjobs&bindings%5B0%5D%5Bpattern%5D=treeherder.%23"
    )
    assert unquote(link).endswith("?bindings[0][exchange]=exchange/me/v1/jobs&bindings[0][pattern]=treeherder.#")
