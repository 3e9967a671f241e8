"""How bodies are read: strictly, so that no two readers can understand one body differently."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from decimal import Decimal
from typing import IO, NoReturn

from rest_framework.parsers import BaseParser

from sigmatrader.audit.api.problems import Problem

MAX_BYTES = 256 * 1024
MAX_DEPTH = 20
MAX_DIGITS = 40


class StrictJSONParser(BaseParser):
    """UTF-8 JSON up to 256 KB and 20 levels. Fractions become Decimal; money never passes through a float."""

    media_type = "application/json"

    def parse(  # type: ignore[override]  # any JSON value; the serializers ask for an object
        self,
        stream: IO[bytes],
        media_type: str | None = None,
        parser_context: Mapping[str, object] | None = None,
    ) -> object:
        """The document. Raises Problem 400 BAD_JSON or 413 BODY_TOO_LARGE."""
        body = stream.read(MAX_BYTES + 1)
        if len(body) > MAX_BYTES:
            raise Problem("BODY_TOO_LARGE", "The body is larger than the allowed 256 KB.", status=413)
        return parse_json(body)


def parse_json(body: bytes) -> object:
    """One strict JSON document. Raises Problem 400 BAD_JSON saying what was wrong and where."""
    try:
        document = json.loads(
            body.decode("utf-8"),
            parse_float=_decimal,
            parse_int=_integer,
            parse_constant=_constant,
            object_pairs_hook=_object,
        )
    except UnicodeDecodeError:
        _bad("the body is not UTF-8")
    except RecursionError:
        _bad(f"it is nested deeper than {MAX_DEPTH} levels")
    except json.JSONDecodeError as exc:
        _bad(f"{exc.msg} at line {exc.lineno} column {exc.colno}")
    _check(document, 0)
    return document


def _check(value: object, depth: int) -> None:
    if isinstance(value, str):
        _check_text(value)
    elif isinstance(value, Mapping):
        _check_depth(depth)
        for key, item in value.items():
            _check_text(key)
            _check(item, depth + 1)
    elif isinstance(value, Sequence):
        _check_depth(depth)
        for item in value:
            _check(item, depth + 1)


def _check_depth(depth: int) -> None:
    if depth >= MAX_DEPTH:
        _bad(f"it is nested deeper than {MAX_DEPTH} levels")


def _check_text(text: str) -> None:
    if "\x00" in text:
        _bad("a string contains a NUL character")
    if not text.isascii() and any("\ud800" <= character <= "\udfff" for character in text):
        _bad("a string contains half of a surrogate pair")


def _object(pairs: list[tuple[str, object]]) -> dict[str, object]:
    document = dict(pairs)
    if len(document) != len(pairs):
        seen: set[str] = set()
        twice = next(key for key, _ in pairs if key in seen or seen.add(key))  # type: ignore[func-returns-value]
        _bad(f"the key {twice[:40]!r} appears twice in one object")
    return document


def _decimal(text: str) -> Decimal:
    number = Decimal(text)
    if len(text) > MAX_DIGITS or (number and abs(number.adjusted()) > MAX_DIGITS) or not _small_exponent(number):
        _bad(f"a number has more than {MAX_DIGITS} digits")
    return number


def _small_exponent(number: Decimal) -> bool:
    exponent = number.as_tuple().exponent
    return isinstance(exponent, int) and abs(exponent) <= MAX_DIGITS


def _integer(text: str) -> int:
    if len(text) > MAX_DIGITS:
        _bad(f"a number has more than {MAX_DIGITS} digits")
    return int(text)


def _constant(text: str) -> NoReturn:
    _bad(f"{text} is not a JSON number")


def _bad(reason: str) -> NoReturn:
    raise Problem("BAD_JSON", f"The body is not acceptable JSON: {reason}.", status=400)
