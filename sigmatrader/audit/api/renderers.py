"""How answers are written: money as decimal strings, times as ISO 8601 with offset, keys in the order made."""

from __future__ import annotations

import json
import uuid
from collections.abc import Mapping
from datetime import date, datetime
from decimal import Decimal
from enum import Enum

from django.utils.functional import Promise
from rest_framework.renderers import BaseRenderer

from sigmatrader.audit.canonical import decimal_text


def json_text(value: object) -> str:
    """JSON text of a value tree of dicts, lists, Decimals, times, UUIDs and enums. NaN is refused (ValueError)."""
    return json.dumps(value, default=_default, ensure_ascii=False, allow_nan=False, separators=(",", ":"))


def _default(value: object) -> object:
    if isinstance(value, Decimal):
        return decimal_text(value)
    if isinstance(value, datetime):
        if value.tzinfo is None:
            raise TypeError("a naive time does not leave the API: say its zone")
        return value.isoformat()
    if isinstance(value, Enum):
        return value.value
    if isinstance(value, date | uuid.UUID | Promise):
        return str(value)
    if isinstance(value, Mapping):
        return dict(value)
    if isinstance(value, tuple | set | frozenset):
        return list(value)
    raise TypeError(f"{type(value).__name__} has no JSON form")


class CanonicalJSONRenderer(BaseRenderer):
    """The API's one renderer."""

    media_type = "application/json"
    format = "json"
    charset = None

    def render(
        self,
        data: object,
        accepted_media_type: str | None = None,
        renderer_context: Mapping[str, object] | None = None,
    ) -> bytes:
        """UTF-8 JSON; nothing at all for None, so that a 204 has no body. A lone surrogate leaves as U+FFFD."""
        return b"" if data is None else json_text(data).encode("utf-8", "replace")
