"""Reading single values out of a broker's rows: each is checked, nothing is guessed, a fault is a schema error."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from zoneinfo import ZoneInfo

from broker.ports import BrokerSchemaError

IST = ZoneInfo("Asia/Kolkata")
MAX_TEXT = 5_000_000
FUTURE = timedelta(days=1)
WHOLE_DIGITS = 14  # what a column of money holds before the point
_UNSTORABLE_ESCAPE = re.compile(r"\\u(?:0000|[dD][89a-fA-F])")
Row = Mapping[str, object]


def document(text: str) -> object:
    """The JSON of a tool's text, numbers exact. Raises BrokerSchemaError for anything else (FAULTS B, Broker reply)."""
    if len(text) > MAX_TEXT:
        raise BrokerSchemaError(f"answer of {len(text)} characters is too large")
    try:
        found: object = json.loads(text, parse_float=Decimal, parse_constant=_no_constant)
        return _storable(found) if _UNSTORABLE_ESCAPE.search(text) else found
    except (ValueError, RecursionError) as exc:
        raise BrokerSchemaError(f"answer is not JSON: {text[:80]!r}") from exc


def _storable(value: object) -> object:
    """The same without NUL and lone surrogates: valid in JSON, but no database stores them."""
    if isinstance(value, str):
        return value.replace("\x00", "\ufffd").encode("utf-16", "surrogatepass").decode("utf-16", "replace")
    if isinstance(value, dict):
        return {_storable(name): _storable(item) for name, item in value.items()}
    return [_storable(item) for item in value] if isinstance(value, list) else value


def rows_of(value: object) -> list[Row]:
    """A list of objects; null is an empty list, as the server's language writes it."""
    if value is None:
        return []
    if not isinstance(value, list) or not all(isinstance(row, dict) for row in value):
        raise BrokerSchemaError(f"expected a list of rows, got {type(value).__name__}")
    return value


def mapping(value: object, what: str) -> Row:
    if not isinstance(value, dict):
        raise BrokerSchemaError(f"{what} is not an object")
    return value


def part(row: Row, name: str) -> Row:
    """An inner object; absent or null is an empty one."""
    value = row.get(name)
    return {} if value is None else mapping(value, name)


def text(row: Row, name: str) -> str:
    """Text; absent or null is empty, a number (an id, say) is taken by its digits."""
    value = row.get(name)
    if value is None:
        return ""
    if isinstance(value, int) and not isinstance(value, bool):
        return str(value)
    if not isinstance(value, str):
        raise BrokerSchemaError(f"{name} is {type(value).__name__}, not text")
    return value


def required(row: Row, name: str) -> str:
    value = text(row, name)
    if not value:
        raise BrokerSchemaError(f"{name} is missing")
    return value


def identifier(row: Row, name: str, *, longest: int) -> str:
    """A required text that names something, no longer than its column."""
    value = required(row, name)
    if len(value) > longest:
        raise BrokerSchemaError(f"{name} {value[:40]!r} is longer than {longest} characters")
    return value


def amount(row: Row, name: str) -> Decimal:
    """A number as it was written; absent or null is 0."""
    value = row.get(name)
    if value is None:
        return Decimal(0)
    if isinstance(value, bool) or not isinstance(value, int | Decimal):
        raise BrokerSchemaError(f"{name} is {value!r}, not a number"[:120])
    found = Decimal(value)
    if found and not -WHOLE_DIGITS <= found.adjusted() < WHOLE_DIGITS:
        raise BrokerSchemaError(f"{name} is {str(value)[:30]}, out of all proportion")
    return found


def optional(row: Row, name: str) -> Decimal | None:
    """A number where 0 means unknown."""
    return amount(row, name) or None


def whole(row: Row, name: str) -> int:
    value = amount(row, name)
    if not value.is_finite() or value.adjusted() > 18 or value != value.to_integral_value():
        raise BrokerSchemaError(f"{name} is {str(value)[:30]}, not a whole number")
    return int(value)


def count(row: Row, name: str) -> int:
    """A whole number that cannot be negative."""
    value = whole(row, name)
    if value < 0:
        raise BrokerSchemaError(f"{name} is {value}")
    return value


def flag(row: Row, name: str) -> bool:
    value = row.get(name, False)
    if value is not None and not isinstance(value, bool):
        raise BrokerSchemaError(f"{name} is {value!r}, not true or false"[:120])
    return bool(value)


def moment(row: Row, name: str, *, read_at: datetime) -> datetime | None:
    """A time in UTC. No zone means Asia/Kolkata, the zero time means none; one a day ahead of us is a fault."""
    written = text(row, name)
    if not written or written.startswith("0001-01-01"):
        return None
    try:
        parsed = datetime.fromisoformat(written)
        found = (parsed if parsed.tzinfo else parsed.replace(tzinfo=IST)).astimezone(UTC)
    except (ValueError, OverflowError) as exc:
        raise BrokerSchemaError(f"{name} is {written[:40]!r}, not a time") from exc
    if found > read_at + FUTURE:
        raise BrokerSchemaError(f"{name} {written[:40]!r} lies in the future")
    return found


def _no_constant(name: str) -> object:
    raise ValueError(f"{name} is not JSON")
