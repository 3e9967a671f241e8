"""The little of HTTP that the exchange's server needs, on ASGI: one request in, one answer out, who may ask."""

from __future__ import annotations

import ipaddress
from collections.abc import Awaitable, Callable, Iterable, Mapping, MutableMapping
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import parse_qs

Scope = MutableMapping[str, Any]
Event = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[Event]]
Send = Callable[[Event], Awaitable[None]]
App = Callable[[Scope, Receive, Send], Awaitable[None]]

MAX_BODY = 1_000_000
ABORT = "sigmatrader.abort"
JSON = "application/json"
TEXT = "text/plain; charset=utf-8"
HTML = "text/html; charset=utf-8"
_LOCAL_NAMES = ("localhost",)
_ANY = ("0.0.0.0", "::", "")  # noqa: S104  # compared with, not bound


class BodyTooLarge(Exception):
    """Nobody needs a request this large."""


class ClientGone(Exception):
    """It left before its request was whole."""


@dataclass(frozen=True, slots=True)
class Answer:
    """``content_type`` None sends none."""

    status: int
    body: bytes = b""
    content_type: str | None = None
    headers: Mapping[str, str] = field(default_factory=dict)

    async def send(self, send: Send) -> None:
        headers = {**({"content-type": self.content_type} if self.content_type else {}), **self.headers}
        headers["content-length"] = str(len(self.body))
        await start(send, self.status, headers.items())
        await send({"type": "http.response.body", "body": self.body, "more_body": False})


def plain(status: int, text: str) -> Answer:
    """As Go's http.Error: the text and a line end."""
    return Answer(status, f"{text}\n".encode(), TEXT, {"x-content-type-options": "nosniff"})


async def start(send: Send, status: int, headers: Iterable[tuple[str, str]]) -> None:
    pairs = [(name.encode("latin-1"), value.encode("latin-1")) for name, value in headers]
    await send({"type": "http.response.start", "status": status, "headers": pairs})


async def body_of(receive: Receive) -> bytes:
    """Raises BodyTooLarge, ClientGone."""
    chunks, size = [], 0
    while True:
        event = await receive()
        if event["type"] == "http.disconnect":
            raise ClientGone
        chunk = event.get("body", b"")
        size += len(chunk)
        if size > MAX_BODY:
            raise BodyTooLarge
        chunks.append(chunk)
        if not event.get("more_body", False):
            return b"".join(chunks)


async def gone(receive: Receive) -> None:
    """Returns when the client has left."""
    while (await receive())["type"] != "http.disconnect":
        pass


def header(scope: Scope, name: bytes) -> str:
    return next((value.decode("latin-1") for found, value in scope["headers"] if found.lower() == name), "")


def query(scope: Scope) -> dict[str, str]:
    """The first value of each name."""
    found = parse_qs(scope["query_string"].decode("latin-1"), keep_blank_values=True)
    return {name: values[0] for name, values in found.items()}


def form(body: bytes) -> dict[str, str]:
    found = parse_qs(body.decode("utf-8", "replace"), keep_blank_values=True)
    return {name: values[0] for name, values in found.items()}


def origin(scope: Scope) -> str:
    """Scheme and host as the client named them."""
    return f"{scope['scheme']}://{header(scope, b'host')}"


def is_meant_for(scope: Scope, host: str) -> bool:
    """Does the request name this server, and not come from a foreign page in a browser?"""
    named, asking = header(scope, b"host"), header(scope, b"origin")
    if asking and asking.partition("://")[2] != named:
        return False
    name = _host_name(named)
    return host in _ANY or name in (*_LOCAL_NAMES, host) or _is_loopback(name)


def is_local(scope: Scope) -> bool:
    """Does the request come from this machine?"""
    client = scope.get("client")
    return client is not None and _is_loopback(str(client[0]))


def abort_of(scope: Scope) -> Callable[[], None]:
    """Breaks the client's connection at once."""
    found: Callable[[], None] = scope["extensions"][ABORT]
    return found


def _host_name(value: str) -> str:
    if value.startswith("["):
        return value[1:].partition("]")[0]
    return value.partition(":")[0]


def _is_loopback(text: str) -> bool:
    try:
        return ipaddress.ip_address(text).is_loopback
    except ValueError:
        return False
