"""Canonical JSON: the one byte form of a document, so that equal documents have equal hashes.

Keys sorted (a whole number as a key becomes text), no spaces, no floats: a Decimal becomes its plain decimal string
without trailing zeros, a time ISO 8601 in UTC with microseconds, an Enum its value, a set is refused. DESIGN section 4.
"""

from __future__ import annotations

import dataclasses
import hashlib
import json
import re
import uuid
from collections.abc import Mapping
from datetime import UTC, date, datetime
from decimal import Decimal
from enum import Enum

MAX_EXPONENT = 100
_SURROGATE = re.compile("[\ud800-\udfff]")


def decimal_text(value: Decimal) -> str:
    """``Decimal('10.500')`` -> ``'10.5'``; never an exponent, never ``-0``, never rounded.

    Raises ValueError for what is not finite or has an exponent that would be written out as a page of zeros.
    """
    exponent = value.as_tuple().exponent
    if not isinstance(exponent, int) or abs(exponent) > MAX_EXPONENT:
        raise ValueError(f"{value} has no canonical form: only finite numbers of a sane size are documents")
    text = format(value, "f")
    if "." in text:
        text = text.rstrip("0").rstrip(".")
    return "0" if value == 0 else text


def plain(value: object) -> object:
    """The JSON-able form of a value tree. Raises TypeError for what has no canonical form, floats among them."""
    if value is None or (isinstance(value, bool | str) and not isinstance(value, Enum)):
        return value
    if isinstance(value, Enum):
        return plain(value.value)
    if isinstance(value, int):
        return value
    if isinstance(value, Decimal):
        return decimal_text(value)
    if isinstance(value, datetime):
        return _time_text(value)
    if isinstance(value, date | uuid.UUID):
        return str(value)
    if isinstance(value, Mapping):
        return {_key(key): plain(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [plain(item) for item in value]
    if dataclasses.is_dataclass(value) and not isinstance(value, type):
        return {field.name: plain(getattr(value, field.name)) for field in dataclasses.fields(value)}
    raise TypeError(f"{type(value).__name__} has no canonical form")


def dumps(value: object) -> str:
    """The canonical text of ``value``; half a surrogate pair, which no database stores, is written as its escape."""
    text = json.dumps(plain(value), sort_keys=True, separators=(",", ":"), ensure_ascii=False, allow_nan=False)
    return text if text.isascii() else _SURROGATE.sub(lambda found: f"\\u{ord(found[0]):04x}", text)


def digest(value: object) -> str:
    """SHA-256 of the canonical text, in hex."""
    return text_digest(dumps(value))


def text_digest(text: str) -> str:
    """SHA-256 of a canonical text that is already written, in hex."""
    return hashlib.sha256(text.encode()).hexdigest()


def _time_text(value: datetime) -> str:
    if value.tzinfo is None:
        raise TypeError("a naive time has no canonical form: say its zone")
    return value.astimezone(UTC).isoformat(timespec="microseconds").replace("+00:00", "Z")


def _key(key: object) -> str:
    if isinstance(key, Enum):
        return str(key.value)
    if isinstance(key, int) and not isinstance(key, bool):
        return str(key)
    if not isinstance(key, str):
        raise TypeError(f"a document's keys are strings, not {type(key).__name__}")
    return key
