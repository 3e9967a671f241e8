"""Runs the middleware chain as one piece in the request's thread.

Under ASGI Django runs each middleware asynchronously and hops to the request's thread and back for every hook of
every one: some twenty hops, over ten milliseconds a request. Said to be synchronous, the whole chain is one hop.
"""

from __future__ import annotations

from collections.abc import Sequence

from django.utils.module_loading import import_string


def make_synchronous(middleware: Sequence[str]) -> None:
    """Marks the named middlewares as synchronous, before the handler is built. Streams are served as before."""
    for name in middleware:
        import_string(name).async_capable = False
