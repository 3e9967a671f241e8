"""What the gate takes and gives, as documents and back: so that a stored decision can be recomputed.

Encoding is generic over the frozen values of ``domain``; a field that an older document lacks takes its default. The
brokers' raw rows are left out: no control reads them.
"""

from __future__ import annotations

import dataclasses
import hashlib
import json
import types
from collections.abc import Callable, Mapping, Sequence
from datetime import UTC, datetime
from decimal import Decimal
from enum import Enum
from functools import cache
from typing import Any, TypeVar, Union, get_args, get_origin, get_type_hints

from risk.domain import Book, Decision, OrderRequest
from risk.policy import Policy, parse_policy, policy_document
from sigmatrader.audit.canonical import decimal_text

T = TypeVar("T")
LEFT_OUT = frozenset({"raw"})


class CodecError(ValueError):
    """The document does not describe what it should; the text names the place."""


@dataclasses.dataclass(frozen=True, slots=True)
class Inputs:
    """Everything ``evaluate`` was given."""

    orders: tuple[OrderRequest, ...]
    book: Book
    policy: Policy
    now: datetime


def inputs_document(orders: Sequence[OrderRequest], *, book: Book, policy: Policy, now: datetime) -> dict[str, Any]:
    """A JSON-able document of one evaluation's inputs."""
    return {
        "schema_version": 1,
        "orders": encode(tuple(orders)),
        "book": encode(book),
        "policy": policy_document(policy),
        "policy_version": policy.version,
        "now": encode(now),
    }


def inputs_of(document: Mapping[str, Any]) -> Inputs:
    """The typed inputs again. Raises CodecError or PolicyInvalid."""
    try:
        return Inputs(
            orders=decode(tuple[OrderRequest, ...], document["orders"]),
            book=decode(Book, document["book"]),
            policy=parse_policy(document["policy"], version=document["policy_version"]),
            now=decode(datetime, document["now"]),
        )
    except KeyError as exc:
        raise CodecError(f"the inputs have no {exc}") from exc


def encode_inputs(orders: Sequence[OrderRequest], *, book: Book, policy: Policy, now: datetime) -> str:
    """The inputs as canonical text, as a decision's row keeps them."""
    return text_of(inputs_document(orders, book=book, policy=policy, now=now))


def decode_inputs(text: str) -> Inputs:
    """The typed inputs of a stored decision. Raises CodecError or PolicyInvalid for a text that holds none."""
    try:
        document = json.loads(text)
    except json.JSONDecodeError as exc:
        raise CodecError(f"the inputs are no JSON: {exc}") from exc
    return inputs_of(_expect(dict, document))


def input_hash(orders: Sequence[OrderRequest], *, book: Book, policy: Policy, now: datetime) -> str:
    """SHA-256, in hex, of everything a decision depends on; the policy counts by its hash."""
    return hash_of(inputs_document(orders, book=book, policy=policy, now=now), policy=policy)


def hash_of(inputs: Mapping[str, Any], *, policy: Policy) -> str:
    """``input_hash`` of inputs that are a document already."""
    document = {"orders": inputs["orders"], "book": inputs["book"], "policy": policy.hash, "now": inputs["now"]}
    return hashlib.sha256(text_of(document).encode("utf-8", "surrogatepass")).hexdigest()


def encode_decision(decision: Decision) -> str:
    """A decision as canonical text."""
    return text_of(encode(decision))


def decode_decision(text: str) -> Decision:
    """The decision again. Raises CodecError."""
    return decode(Decision, json.loads(text))


def text_of(document: object) -> str:
    """A document's canonical text."""
    return json.dumps(document, sort_keys=True, separators=(",", ":"), ensure_ascii=False, allow_nan=False)


def encode(value: Any) -> Any:
    """The JSON-able form of a value tree: Decimals as plain text, times in UTC, keys as text."""
    writer = _WRITERS.get(type(value))
    if writer is not None:
        return writer(value)
    if isinstance(value, Enum):
        return value.value
    if isinstance(value, Mapping):
        return {_key_text(key): encode(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [encode(item) for item in value]
    if dataclasses.is_dataclass(value):
        kind: Any = type(value)
        return {name: encode(getattr(value, name)) for name in _names(kind)}
    raise CodecError(f"{type(value).__name__} has no document form")


def decode(kind: type[T], data: Any) -> T:
    """The value of type ``kind`` that ``encode`` made ``data`` of. Raises CodecError naming what does not fit."""
    wanted: Any = kind
    result: T = _reader(wanted)(data)
    return result


def _time_text(value: datetime) -> str:
    if value.tzinfo is None:
        raise CodecError("a naive time has no document form")
    return value.astimezone(UTC).isoformat(timespec="microseconds").replace("+00:00", "Z")


def _same(value: Any) -> Any:
    return value


_WRITERS: Mapping[type, Callable[[Any], Any]] = {
    type(None): _same,
    str: _same,
    int: _same,
    bool: _same,
    Decimal: decimal_text,
    datetime: _time_text,
}


def _key_text(key: object) -> str:
    return str(key.value) if isinstance(key, Enum) else str(key)


@cache
def _names(kind: Any) -> tuple[str, ...]:
    return tuple(item.name for item in dataclasses.fields(kind) if item.name not in LEFT_OUT)


Reader = Callable[[Any], Any]


@cache
def _reader(kind: Any) -> Reader:
    """The function that reads one type; made once per type."""
    origin = get_origin(kind)
    if origin in (Union, types.UnionType):
        inner = _reader(next(arg for arg in get_args(kind) if arg is not type(None)))
        return lambda data: None if data is None else inner(data)
    if origin is tuple:
        item = _reader(get_args(kind)[0])
        return lambda data: tuple(item(each) for each in _expect(list, data))
    if origin is not None and issubclass(origin, Mapping):
        key, item = (_reader(arg) for arg in get_args(kind))
        named = int if get_args(kind)[0] is int else str
        return lambda data: {key(_key_of(name, named)): item(each) for name, each in _expect(dict, data).items()}
    if dataclasses.is_dataclass(kind):
        return _dataclass_reader(kind)
    return _SCALARS.get(kind) or _enum_reader(kind)


def _key_of(name: str, kind: type) -> Any:
    return int(name) if kind is int and name.isdecimal() else name


def _expect(kind: type, data: Any) -> Any:
    if not isinstance(data, kind) or isinstance(data, bool) is not (kind is bool):
        raise CodecError(f"{kind.__name__} expected, not {type(data).__name__}")
    return data


def _decimal(data: Any) -> Decimal:
    try:
        return Decimal(_expect(str, data))
    except ArithmeticError:
        raise CodecError(f"{data!r} is not a decimal") from None


def _time(data: Any) -> datetime:
    try:
        return datetime.fromisoformat(_expect(str, data))
    except ValueError as exc:
        raise CodecError(str(exc)) from exc


_SCALARS: Mapping[Any, Reader] = {
    str: lambda data: _expect(str, data),
    int: lambda data: _expect(int, data),
    bool: lambda data: _expect(bool, data),
    Decimal: _decimal,
    datetime: _time,
}


def _enum_reader(kind: Any) -> Reader:
    def read(data: Any) -> Any:
        try:
            return kind(data)
        except ValueError as exc:
            raise CodecError(str(exc)) from exc

    return read


def _dataclass_reader(kind: Any) -> Reader:
    hints = get_type_hints(kind)
    items = [(item, _reader(hints[item.name])) for item in dataclasses.fields(kind) if item.name not in LEFT_OUT]

    def read(data: Any) -> Any:
        rows = _expect(dict, data)
        values = {}
        for item, reader in items:
            if item.name in rows:
                values[item.name] = reader(rows[item.name])
            elif item.default is dataclasses.MISSING and item.default_factory is dataclasses.MISSING:
                raise CodecError(f"{kind.__name__} needs {item.name}")
        return kind(**values)

    return read
