"""The chain of a connection: which links hold, which failed, which were not reached."""

from __future__ import annotations

import pytest

from broker.chain import Standing, chain_of, failed_link, link_of_error


def states(standing: Standing) -> str:
    """One letter a link: k holds, x failed, - not reached."""
    return "".join({"ok": "k", "failed": "x", "waiting": "-"}[link.state.value] for link in chain_of(standing))


@pytest.mark.parametrize(
    ("standing", "expected"),
    [
        (Standing(), "k-----"),
        (Standing(url_fault="The scheme must be https."), "x-----"),
        (Standing(status="error", error="mcp.kite.trade refuses connections on port 443."), "kx----"),
        (Standing(status="error", error="It answers, but /x is not an MCP endpoint."), "kkx---"),
        (Standing(status="error"), "kx----"),
        (Standing(status="connected"), "kkk---"),
        (Standing(status="connected", authorized=False, tools=22), "kkkx--"),
        (Standing(status="connected", authorized=True), "kkkkx-"),
        (Standing(status="connected", authorized=True, tools=22), "kkkkk-"),
        (Standing(status="connected", authorized=True, tools=22, has_snapshot=True), "kkkkkk"),
        (Standing(status="disconnected", tools=22, has_snapshot=True), "k-----"),
    ],
)
def test_links_hold_up_to_the_first_that_fails_and_none_behind_it(standing: Standing, expected: str) -> None:
    assert states(standing) == expected


def test_the_failed_link_is_named_with_its_reason() -> None:
    found = failed_link(chain_of(Standing(status="connected", authorized=False)))
    assert found is not None
    assert (found.label, found.reason) == (
        "Authorised", "The broker asks for a log-in. Press Authorize; your drafts stay.",
    )  # fmt: skip
    assert failed_link(chain_of(Standing(status="connected"))) is None


@pytest.mark.parametrize(
    ("text", "link"),
    [("cannot connect: refused", "reachable"), ("the server's greeting is not of MCP's shape", "initialised"),
     ("It speaks HTTP/1.1 only", "initialised")],
)  # fmt: skip
def test_an_error_says_which_link_it_is_of(text: str, link: str) -> None:
    assert link_of_error(text) == link
