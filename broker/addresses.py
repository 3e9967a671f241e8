"""Which server addresses a connection may have. Judged as text here; what a name resolves to is judged at connect."""

from __future__ import annotations

import ipaddress
import re
from collections.abc import Collection
from urllib.parse import SplitResult, urlsplit

Address = ipaddress.IPv4Address | ipaddress.IPv6Address
LOOPBACK_NAMES = ("localhost",)
PRIVATE_SUFFIXES = (".local", ".internal", ".localhost", ".localdomain", ".home.arpa", ".lan")
NAT64 = ipaddress.ip_network("64:ff9b::/96")
_NUMERIC = re.compile(r"(0x[0-9a-f]*|[0-9]+)", re.IGNORECASE)
_HOST = re.compile(r"[a-z0-9]([a-z0-9.-]{0,251}[a-z0-9])?", re.IGNORECASE)
_STREAM = re.compile(r"(?P<base>.*/sse)/.+")


class UrlNotAllowed(ValueError):
    """The text names the rule that was broken."""


def check_server_url(
    url: str, *, loopback_only: bool, loopback_ports: Collection[int] | None, own_ports: Collection[int]
) -> str:
    """Returns ``url``, trimmed. ``loopback_ports`` None allows any port of this machine but ``own_ports``.

    Raises UrlNotAllowed (FAULTS D12).
    """
    parts = _split(url.strip())
    host, port = (parts.hostname or "").rstrip("."), _port(parts)
    local = _is_loopback(host)
    _check_shape(parts, host, local=local)
    if local:
        _check_loopback_port(port, loopback_ports, own_ports)
    elif loopback_only:
        raise UrlNotAllowed("The paper exchange runs on this machine: use http://127.0.0.1:PORT/mcp.")
    return url.strip()


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


def _check_shape(parts: SplitResult, host: str, *, local: bool) -> None:
    if parts.scheme not in ("https", "http"):
        raise UrlNotAllowed("The scheme must be https (or http on this machine).")
    if not host:
        raise UrlNotAllowed("The address has no host.")
    if parts.username is not None or parts.password is not None or "@" in parts.netloc:
        raise UrlNotAllowed("An address must not carry a user name or password.")
    if parts.scheme == "http" and not local:
        raise UrlNotAllowed("http is for this machine only; use https.")
    if not local:
        _check_public(host)
    stream = _STREAM.fullmatch(parts.path)
    if stream:
        meant = f"{parts.scheme}://{parts.netloc}{stream['base']}"
        raise UrlNotAllowed(f"Nothing follows /sse in a stream's address. Did you mean {meant}?")


def _check_public(host: str) -> None:
    address = _address(host)
    if address is not None:
        _check_address(address)
    elif _NUMERIC.fullmatch(host.rsplit(".", 1)[-1]):
        raise UrlNotAllowed("An IP address is written as four decimal numbers or in brackets.")
    elif not _HOST.fullmatch(host) or "." not in host or ".." in host or host.lower().endswith(PRIVATE_SUFFIXES):
        raise UrlNotAllowed("The host must be a public name, such as mcp.kite.trade.")


def _check_address(address: Address) -> None:
    if isinstance(address, ipaddress.IPv6Address) and (
        address.ipv4_mapped is not None or address.sixtofour is not None or address in NAT64
    ):
        raise UrlNotAllowed("An IPv4 address inside an IPv6 one is not allowed.")
    if not address.is_global or address.is_multicast:
        raise UrlNotAllowed("Private, link-local, metadata, shared and multicast addresses are not allowed.")


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
