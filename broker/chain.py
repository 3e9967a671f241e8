"""The chain a connection stands on, link by link: which hold, which one failed and what to do, which were not reached.

URL valid, reachable, initialised, authorised, tools listed, snapshot. Pure.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from enum import StrEnum


class Link(StrEnum):
    """In their order."""

    URL = "url"
    REACHABLE = "reachable"
    INITIALISED = "initialised"
    AUTHORISED = "authorised"
    TOOLS = "tools"
    SNAPSHOT = "snapshot"


class LinkState(StrEnum):
    OK = "ok"
    FAILED = "failed"
    WAITING = "waiting"  # not reached, or not asked yet


LABELS = {
    Link.URL: "URL valid",
    Link.REACHABLE: "Reachable",
    Link.INITIALISED: "Initialised",
    Link.AUTHORISED: "Authorised",
    Link.TOOLS: "Tools listed",
    Link.SNAPSHOT: "Snapshot",
}
_GREETING = ("MCP", "greeting", "HTTP/1.1")


@dataclass(frozen=True, slots=True)
class Standing:
    """What is known of a connection. ``status`` is its last one; ``authorized`` None is not known."""

    url_fault: str = ""
    status: str = "unknown"
    error: str = ""
    authorized: bool | None = None
    tools: int = 0
    has_snapshot: bool = False


@dataclass(frozen=True, slots=True)
class ChainLink:
    """One link as it is shown; ``reason`` only where it failed."""

    link: Link
    state: LinkState
    reason: str = ""

    @property
    def label(self) -> str:
        return LABELS[self.link]


def chain_of(standing: Standing) -> tuple[ChainLink, ...]:
    """All six links: those before the first failed or open one hold, those behind it wait."""
    held = _held(standing)
    failed, reason = _failure(standing)
    links: list[ChainLink] = []
    for link in Link:
        if link is failed:
            links.append(ChainLink(link, LinkState.FAILED, reason))
        elif any(found.state is not LinkState.OK for found in links) or not held[link]:
            links.append(ChainLink(link, LinkState.WAITING))
        else:
            links.append(ChainLink(link, LinkState.OK))
    return tuple(links)


def failed_link(links: Sequence[ChainLink]) -> ChainLink | None:
    """The link to mend first."""
    return next((link for link in links if link.state is LinkState.FAILED), None)


def link_of_error(text: str) -> Link:
    """Which link the words of a failed connection speak of."""
    return Link.INITIALISED if any(word in text for word in _GREETING) else Link.REACHABLE


def _held(standing: Standing) -> dict[Link, bool]:
    connected = standing.status == "connected"
    return {
        Link.URL: not standing.url_fault,
        Link.REACHABLE: connected or (standing.status == "error" and link_of_error(standing.error) is Link.INITIALISED),
        Link.INITIALISED: connected,
        Link.AUTHORISED: standing.authorized is True,
        Link.TOOLS: standing.tools > 0,
        Link.SNAPSHOT: standing.has_snapshot,
    }


def _failure(standing: Standing) -> tuple[Link | None, str]:
    if standing.url_fault:
        return Link.URL, standing.url_fault
    if standing.status == "error":
        return link_of_error(standing.error), standing.error or "The server does not answer."
    if standing.status == "connected" and standing.authorized is False:
        return Link.AUTHORISED, "The broker asks for a log-in. Press Authorize; your drafts stay."
    if standing.status == "connected" and standing.authorized and not standing.tools:
        return Link.TOOLS, "The server lists no tools. Press List tools to ask again."
    return None, ""
