"""Which server addresses a connection may have: judged as text when saved, as what a name resolves to at connect."""

from __future__ import annotations

import ipaddress
import re
import socket
from collections.abc import Callable, Collection, Sequence
from urllib.parse import SplitResult, urlsplit

Address = ipaddress.IPv4Address | ipaddress.IPv6Address
Network = ipaddress.IPv4Network | ipaddress.IPv6Network
Resolve = Callable[[str, int], Sequence[str]]
LOOPBACK_NAMES = ("localhost",)
PRIVATE_SUFFIXES = (".local", ".internal", ".localhost", ".localdomain", ".home.arpa", ".lan")
PUBLIC_V6 = ipaddress.ip_network("2000::/3")
CARRIERS = tuple(ipaddress.ip_network(text) for text in ("64:ff9b::/96", "64:ff9b:1::/48", "::/96", "2001::/32"))
# What the standard library calls global and is not for us: protocol assignments, relays, a cloud's own host.
NEVER = tuple(
    ipaddress.ip_network(text) for text in ("192.0.0.0/24", "192.88.99.0/24", "168.63.129.16/32", "3fff::/20")
)
_NUMERIC = re.compile(r"(0x[0-9a-f]*|[0-9]+)", re.IGNORECASE)
_HOST = re.compile(r"[a-z0-9]([a-z0-9.-]{0,251}[a-z0-9])?", re.IGNORECASE)
_BRACKETS = re.compile(r"\[[0-9a-f:.]+\](:[0-9]*)?", re.IGNORECASE)
_STREAM = re.compile(r"(?P<base>.*/sse)/.+")


class UrlNotAllowed(ValueError):
    """The text names the rule that was broken."""


class AddressGuard:
    """The rules of one client. A host is resolved once, every address it has is judged, and the answer is kept for the
    life of the guard, so that nobody can let a name point elsewhere after it was judged (FAULTS D12).

    ``listed`` are the private networks the operator allows; ``loopback_ports`` None allows any port of this machine but
    ``own_ports``.
    """

    def __init__(
        self,
        *,
        loopback: bool = True,
        loopback_ports: Collection[int] | None = None,
        own_ports: Collection[int] = (),
        listed: Collection[Network] = (),
        resolve: Resolve | None = None,
    ) -> None:
        self._loopback = loopback
        self._loopback_ports = loopback_ports
        self._own_ports = own_ports
        self._listed = listed
        self._resolve = resolve or system_addresses
        self._pinned: dict[str, tuple[str, ...]] = {}

    def check(self, url: str) -> str:
        """``url``, trimmed, judged as text. Raises UrlNotAllowed."""
        return check_server_url(
            url,
            loopback_only=False,
            loopback_ports=self._loopback_ports if self._loopback else (),
            own_ports=self._own_ports,
            listed=self._listed,
        )

    def addresses(self, host: str, port: int) -> tuple[str, ...]:
        """The addresses to connect to, in the resolver's order. May wait for the resolver.

        Raises UrlNotAllowed if any of them is not allowed, OSError if there is none.
        """
        if host not in self._pinned:
            self._pinned[host] = self._judged(host, port)
        return self._pinned[host]

    def _judged(self, host: str, port: int) -> tuple[str, ...]:
        name = host.strip("[]").rstrip(".")
        literal = _address(name)
        found = (str(literal),) if literal is not None else tuple(dict.fromkeys(self._resolve(name, port)))
        if not found:
            raise OSError(f"{name} has no address")
        local = _is_loopback(name)
        if local:
            _check_loopback_port(port, self._loopback_ports if self._loopback else (), self._own_ports)
        for text in found:
            address = ipaddress.ip_address(text)
            if not (local and address.is_loopback):
                check_address(address, listed=self._listed)
        return found


def system_addresses(host: str, port: int) -> list[str]:
    """Every A and AAAA the system's resolver has. Raises OSError."""
    return [str(entry[4][0]) for entry in socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)]


def check_server_url(
    url: str,
    *,
    loopback_only: bool,
    loopback_ports: Collection[int] | None,
    own_ports: Collection[int],
    listed: Collection[Network] = (),
) -> str:
    """Returns ``url``, trimmed. ``loopback_ports`` None allows any port of this machine but ``own_ports``.

    Raises UrlNotAllowed (FAULTS D12).
    """
    parts = _split(url.strip())
    host, port = (parts.hostname or "").rstrip("."), _port(parts)
    local = _is_loopback(host)
    _check_shape(parts, host, local=local, listed=listed)
    if local:
        _check_loopback_port(port, loopback_ports, own_ports)
    elif loopback_only:
        raise UrlNotAllowed("The paper exchange runs on this machine: use http://127.0.0.1:PORT/sse.")
    return url.strip()


def is_literal(host: str) -> bool:
    """Whether ``host`` is an address itself, so that nothing has to be resolved."""
    return _address(host.strip("[]")) is not None


def check_address(address: Address, *, listed: Collection[Network] = ()) -> None:
    """Raises UrlNotAllowed for an address that is neither public nor listed."""
    if any(address in network for network in listed):
        return
    if isinstance(address, ipaddress.IPv6Address) and (
        address.ipv4_mapped is not None
        or address.sixtofour is not None
        or any(address in network for network in CARRIERS)
    ):
        raise UrlNotAllowed("An IPv4 address inside an IPv6 one is not allowed.")
    odd = isinstance(address, ipaddress.IPv6Address) and address not in PUBLIC_V6
    if odd or not address.is_global or address.is_multicast or any(address in network for network in NEVER):
        raise UrlNotAllowed("Private, link-local, metadata, shared and multicast addresses are not allowed.")


def _split(url: str) -> SplitResult:
    if (
        not url
        or len(url) > 500
        or not url.isascii()
        or any(character <= " " or character in "\\\x7f" for character in url)
    ):
        raise UrlNotAllowed("An address is up to 500 plain ASCII characters without spaces or backslashes.")
    if "#" in url or "?" in url:
        raise UrlNotAllowed("An address must not carry a query or a fragment.")
    try:
        return urlsplit(url)
    except ValueError as exc:
        raise UrlNotAllowed("This is not an address.") from exc


def _port(parts: SplitResult) -> int:
    try:
        port = parts.port
    except ValueError as exc:
        raise UrlNotAllowed("The port must be a number from 1 to 65535.") from exc
    if port == 0:
        raise UrlNotAllowed("The port must be a number from 1 to 65535.")
    return port or (443 if parts.scheme == "https" else 80)


def _check_shape(parts: SplitResult, host: str, *, local: bool, listed: Collection[Network]) -> None:
    if parts.scheme not in ("https", "http"):
        raise UrlNotAllowed("The scheme must be https (or http on this machine).")
    if not host:
        raise UrlNotAllowed("The address has no host.")
    if parts.username is not None or parts.password is not None or "@" in parts.netloc:
        raise UrlNotAllowed("An address must not carry a user name or password.")
    if "[" in parts.netloc and not _BRACKETS.fullmatch(parts.netloc):
        raise UrlNotAllowed("This is not an address.")
    if parts.scheme == "http" and not local:
        raise UrlNotAllowed("http is for this machine only; use https.")
    if not local:
        _check_public(host, listed)
    stream = _STREAM.fullmatch(parts.path)
    if stream:
        meant = f"{parts.scheme}://{parts.netloc}{stream['base']}"
        raise UrlNotAllowed(f"Nothing follows /sse in a stream's address. Did you mean {meant}?")


def _check_public(host: str, listed: Collection[Network]) -> None:
    address = _address(host)
    if address is not None:
        check_address(address, listed=listed)
    elif _NUMERIC.fullmatch(host.rsplit(".", 1)[-1]):
        raise UrlNotAllowed("An IP address is written as four decimal numbers or in brackets.")
    elif not _HOST.fullmatch(host) or "." not in host or ".." in host or host.lower().endswith(PRIVATE_SUFFIXES):
        raise UrlNotAllowed("The host must be a public name, such as mcp.kite.trade.")


def _check_loopback_port(port: int, allowed: Collection[int] | None, own: Collection[int]) -> None:
    if allowed is not None and port not in allowed:
        raise UrlNotAllowed(f"Port {port} of this machine is not among those the operator allows.")
    if allowed is None and port in own:
        raise UrlNotAllowed(f"Port {port} of this machine belongs to SigmaTrader itself.")


def _is_loopback(host: str) -> bool:
    address = _address(host)
    return host.lower() in LOOPBACK_NAMES or str(address) in ("127.0.0.1", "::1")


def _address(host: str) -> Address | None:
    """The address, if ``host`` is one in its usual form; 127.1, 0x7f000001 and 2130706433 are not."""
    try:
        return ipaddress.ip_address(host)
    except ValueError:
        return None
