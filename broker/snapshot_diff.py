"""What changed between two snapshot documents, row by row. Pure."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

Row = Mapping[str, Any]
KEYS: Mapping[str, tuple[str, ...]] = {
    "holdings": ("symbol", "product"),
    "positions.net": ("symbol", "product"),
    "positions.day": ("symbol", "product"),
    "orders": ("broker_order_id",),
    "trades": ("trade_id", "broker_order_id"),
}


def diff(before: Mapping[str, Any], after: Mapping[str, Any]) -> dict[str, object]:
    """Per part ``{comparable, added, removed, changed}``; a part that one of the two lacks is not comparable."""
    parts: dict[str, object] = {
        name: _part(_rows(before, name), _rows(after, name), keys) for name, keys in KEYS.items()
    }
    parts["margins"] = _part(_segments(before), _segments(after), ("segment",))
    same = all(isinstance(part, dict) and part["comparable"] and not _touched(part) for part in parts.values())
    return {"same": same, "parts": parts}


def _touched(part: Mapping[str, Any]) -> bool:
    return bool(part["added"] or part["removed"] or part["changed"])


def _part(before: Sequence[Row] | None, after: Sequence[Row] | None, keys: Sequence[str]) -> dict[str, object]:
    if before is None or after is None:
        return {"comparable": False, "added": [], "removed": [], "changed": []}
    old, new = _by_key(before, keys), _by_key(after, keys)
    return {
        "comparable": True,
        "added": [new[key] for key in new if key not in old],
        "removed": [old[key] for key in old if key not in new],
        "changed": [_change(old[key], new[key], keys) for key in new if key in old and new[key] != old[key]],
    }


def _change(old: Row, new: Row, keys: Sequence[str]) -> dict[str, object]:
    changes = {name: {"from": old.get(name), "to": new[name]} for name in new if new[name] != old.get(name)}
    return {**{name: new[name] for name in keys}, "changes": changes}


def _by_key(rows: Sequence[Row], keys: Sequence[str]) -> dict[tuple[object, ...], Row]:
    """Rows by key; the same key again (imported books have such) gets a number beside it, so that none is lost."""
    found: dict[tuple[object, ...], Row] = {}
    for row in rows:
        key: tuple[object, ...] = tuple(row[name] for name in keys)
        while key in found:
            key = (*key, "again")
        found[key] = row
    return found


def _rows(document: Mapping[str, Any], path: str) -> Sequence[Row] | None:
    value: Any = document
    for name in path.split("."):
        value = value[name]
    return value  # type: ignore[no-any-return]


def _segments(document: Mapping[str, Any]) -> list[Row] | None:
    margins = document["margins"]
    if margins is None:
        return None
    return [{"segment": name, **{k: v for k, v in row.items() if k != "raw"}} for name, row in margins.items()]
