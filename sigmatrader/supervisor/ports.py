"""Where a process may listen."""

from __future__ import annotations

import errno
import socket

TRIES = 50


class PortTaken(Exception):
    """The port that was asked for is in use; the text is a sentence for the person who asked."""


def choose(host: str, wanted: int | None, *, default: int, variable: str) -> int:
    """``wanted`` if it is free, else ``PortTaken``; unset, ``default`` or the next free one after it."""
    if wanted is not None:
        if not is_free(host, wanted):
            raise PortTaken(
                f"Port {wanted} on {host} is in use. Stop what runs there, or choose another with {variable}; "
                f"without {variable} the next free port is taken."
            )
        return wanted
    free = next((port for port in range(default, default + TRIES) if is_free(host, port)), None)
    if free is None:
        raise PortTaken(
            f"No port from {default} to {default + TRIES - 1} on {host} is free. Choose one with {variable}."
        )
    return free


def is_free(host: str, port: int) -> bool:
    """Whether a server could listen there now. Raises OSError for an address that is not this machine's."""
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    with socket.socket(family, socket.SOCK_STREAM) as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((host, port))
        except OSError as exc:
            if exc.errno in (errno.EADDRINUSE, errno.EACCES):
                return False
            raise
    return True
