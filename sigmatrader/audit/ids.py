"""Correlation ids: 26-character ULIDs that we make, ULIDs or UUIDs that a caller may bring."""

from __future__ import annotations

import re

from ulid import ULID

_ULID = re.compile(r"[0-7][0-9A-HJKMNP-TV-Za-hjkmnp-tv-z]{25}")
_UUID = re.compile(r"[0-9A-Fa-f]{8}(?:-[0-9A-Fa-f]{4}){3}-[0-9A-Fa-f]{12}")


def new_correlation_id() -> str:
    """A fresh id, sortable by the millisecond it was made in."""
    return str(ULID())


def is_correlation_id(text: str) -> bool:
    """Whether ``text`` is an id a caller may give an action: a UUID in its usual form or a ULID."""
    return bool(_ULID.fullmatch(text) or _UUID.fullmatch(text))
