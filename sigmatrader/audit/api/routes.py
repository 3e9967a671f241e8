"""How paths below /api are written: each answers with and without its trailing slash."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from django.urls import URLPattern, path


def both(route: str, view: Callable[..., Any], name: str) -> list[URLPattern]:
    """``route`` (no slash at its end) twice, so that no POST needs a redirect. Splice it: ``[*both(...), ...]``."""
    return [path(route, view, name=name), path(f"{route}/", view, name=f"{name}-slash")]
