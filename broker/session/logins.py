"""Reading the login tool's answer, and how long a login lasts. Pure."""

from __future__ import annotations

import re
from collections.abc import Collection
from datetime import datetime, time, timedelta
from urllib.parse import urlsplit

from broker.adapters.kite_values import IST

LINK_LIFE = timedelta(minutes=30)
SESSION_LIFE = timedelta(hours=12)
TOKEN_DEATH = time(6, 0)
LOOPBACK = ("127.0.0.1", "localhost", "::1")
_URL = re.compile(r"https?://[^\s<>\"'`\\)\]]+", re.IGNORECASE)
_ALREADY = re.compile(r"\s*You are already logged in as (?P<name>[^\r\n]{0,150})")


class BadLoginAddress(ValueError):
    """The answer holds no address that a person may be sent to; the text does not repeat what it held."""


def login_address(text: str, *, hosts: Collection[str], paper_url: str = "") -> str:
    """The address in the tool's text: https at a host on the list; with ``paper_url``, that exchange's own.

    All addresses in the text are judged, so that none can hide behind a good one. Raises BadLoginAddress.
    """
    found = [str(match[0]).rstrip(".,;") for match in _URL.finditer(text)]
    if not found:
        raise BadLoginAddress("The broker's answer holds no login address.")
    if len(set(found)) != 1 or not _is_allowed(found[0], hosts, paper_url):
        raise BadLoginAddress("The broker's login address is not at a host we know, so it is not shown.")
    return found[0]


def already_logged_in(text: str) -> str | None:
    """The user's name if the tool says that no login is needed."""
    found = _ALREADY.match(text)
    return str(found["name"]).strip().rstrip(".") if found else None


def expiry(began: datetime, *, logged_in: datetime) -> datetime:
    """When a login ends at the latest: twelve hours after its session ``began``, or when tokens die at 06:00 IST."""
    local = logged_in.astimezone(IST)
    death = datetime.combine(local.date(), TOKEN_DEATH, tzinfo=IST)
    if death <= local:
        death += timedelta(days=1)
    return min(began + SESSION_LIFE, death.astimezone(began.tzinfo))


def _is_allowed(url: str, hosts: Collection[str], paper_url: str) -> bool:
    try:
        parts, paper = urlsplit(url), urlsplit(paper_url)
        port, paper_port = parts.port, paper.port
    except ValueError:
        return False
    if len(url) > 2000 or not url.isascii() or parts.username is not None or parts.password is not None:
        return False
    host = (parts.hostname or "").lower()
    if paper_url:
        same = (parts.scheme, port) == (paper.scheme, paper_port)
        return same and parts.scheme in ("http", "https") and host in LOOPBACK
    return parts.scheme == "https" and host in hosts and port in (None, 443)
