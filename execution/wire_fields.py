"""Reading single fields of an untrusted document, every fault collected instead of only the first one."""

from __future__ import annotations

import re
from collections.abc import Collection, Mapping
from dataclasses import dataclass, field
from decimal import Decimal, InvalidOperation
from enum import StrEnum
from typing import TypeVar

MAX_QUANTITY = 10_000_000
MAX_AMOUNT = Decimal(10) ** 12
MAX_SCALE = 4  # decimals of a rupee amount as stored
_DECIMAL = re.compile(r"-?\d{1,13}(\.\d{1,8})?")
_SYMBOL = re.compile(r"[A-Z0-9][A-Z0-9&\-_. ]{0,49}")
_ID = re.compile(r"[A-Za-z0-9\-_]{1,64}")
_SHOWN = 40

WordT = TypeVar("WordT", bound=StrEnum)


@dataclass(frozen=True, slots=True)
class FieldFault:
    """One field at fault: its dotted path, a code, and what is allowed."""

    field: str
    code: str
    message: str


@dataclass(slots=True)
class Reader:
    """Reads fields of mappings; a fault is noted under its path and the value read is None."""

    faults: list[FieldFault] = field(default_factory=list)

    def fault(self, path: str, code: str, message: str) -> None:
        """Notes one fault."""
        self.faults.append(FieldFault(path, code, message))

    def only(
        self,
        document: Mapping[object, object],
        *,
        allowed: Collection[str],
        tolerated: Collection[str],
        what: str,
        at: str = "",
    ) -> None:
        """Faults every field not ``allowed``; a ``tolerated`` one may be there as null."""
        for name in document:
            if name in allowed or (name in tolerated and document[name] is None):
                continue
            self.fault(_join(at, _shown(name)), "UNKNOWN_FIELD", f"{what.capitalize()} has no such field.")

    def word(self, document: Mapping[object, object], name: str, words: type[WordT], *, at: str = "") -> WordT | None:
        """One of a closed set of words, exactly as it is written there; None if absent."""
        value = document.get(name)
        if value is None:
            return None
        allowed = ", ".join(words)
        if not isinstance(value, str):
            self.fault(_join(at, name), "BAD_TYPE", f"This is one of the words {allowed}.")
            return None
        try:
            return words(value)
        except ValueError:
            self.fault(_join(at, name), "BAD_VALUE", f"{_shown(value)} is not one of {allowed}.")
            return None

    def symbol(self, document: Mapping[object, object], name: str, *, at: str = "") -> str | None:
        """A trading symbol as Kite writes it, without its exchange."""
        value = document.get(name)
        path = _join(at, name)
        if value is None:
            self.fault(path, "REQUIRED", "Say the trading symbol, for example INFY.")
        elif not isinstance(value, str):
            self.fault(path, "BAD_TYPE", "A trading symbol is text, for example INFY.")
        elif ":" in value:
            self.fault(path, "BAD_VALUE", "The exchange has a field of its own: exchange NSE, symbol INFY.")
        elif not _SYMBOL.fullmatch(value):
            self.fault(path, "BAD_VALUE", f"{_shown(value)} is no trading symbol: capital letters and digits, as INFY.")
        else:
            return value
        return None

    def whole(
        self, document: Mapping[object, object], name: str, *, at: str = "", least: int = 1, most: int = MAX_QUANTITY
    ) -> int | None:
        """A JSON integer within ``least`` and ``most``; 10.0, "10" and true are not integers."""
        value = document.get(name)
        path = _join(at, name)
        if value is None:
            return None
        if isinstance(value, bool) or not isinstance(value, int):
            self.fault(path, "BAD_TYPE", "This is a whole number, written without quotes or decimals.")
            return None
        if not least <= value <= most:
            self.fault(path, "OUT_OF_RANGE", f"This must be from {least} to {most}.")
            return None
        return value

    def money(
        self, document: Mapping[object, object], name: str, *, at: str = "", most: Decimal = MAX_AMOUNT
    ) -> Decimal | None:
        """A positive decimal string such as "1500.05", with at most four decimals; a JSON number is a fault."""
        value = document.get(name)
        path = _join(at, name)
        if value is None:
            return None
        if not isinstance(value, str):
            self.fault(path, "BAD_TYPE", 'This is a decimal string, for example "1500.05".')
            return None
        number = _decimal(value)
        if number is None:
            self.fault(path, "BAD_VALUE", f"{_shown(value)} is not a decimal number such as 1500.05.")
            return None
        return self._in_range(number, path, most)

    def _in_range(self, number: Decimal, path: str, most: Decimal) -> Decimal | None:
        if number <= 0 or number > most:
            self.fault(path, "OUT_OF_RANGE", f"This must be above 0 and at most {most:f}.")
            return None
        exponent = number.normalize().as_tuple().exponent
        if isinstance(exponent, int) and -exponent > MAX_SCALE:
            self.fault(path, "BAD_VALUE", f"At most {MAX_SCALE} decimals can be kept.")
            return None
        return number

    def words(self, document: Mapping[object, object], name: str, *, at_most: int = 40) -> tuple[str, ...]:
        """A list of short plain names; empty if absent."""
        value = document.get(name)
        if value is None:
            return ()
        if not isinstance(value, list | tuple) or not all(isinstance(word, str) for word in value):
            self.fault(name, "BAD_TYPE", "This is a list of field names.")
            return ()
        if len(value) > at_most or not all(_ID.fullmatch(word) for word in value):
            self.fault(name, "BAD_VALUE", f"This is a list of at most {at_most} field names.")
            return ()
        return tuple(value)

    def ids(self, document: Mapping[object, object], name: str, *, at_most: int) -> tuple[str, ...]:
        """A list of one to ``at_most`` different ids, each a string (an order id as a number loses digits)."""
        value = document.get(name)
        if value is None:
            self.fault(name, "REQUIRED", "Name at least one order.")
            return ()
        if not isinstance(value, list | tuple):
            self.fault(name, "BAD_TYPE", "This is a list of order ids.")
            return ()
        if not 1 <= len(value) <= at_most:
            self.fault(name, "OUT_OF_RANGE", f"Name from 1 to {at_most} orders.")
            return ()
        return self._each_id(value, name)

    def _each_id(self, values: list[object] | tuple[object, ...], name: str) -> tuple[str, ...]:
        good: list[str] = []
        for n, value in enumerate(values):
            if not isinstance(value, str):
                self.fault(f"{name}.{n}", "BAD_TYPE", "An order id is a string.")
            elif not _ID.fullmatch(value):
                self.fault(f"{name}.{n}", "BAD_VALUE", f"{_shown(value)} is no order id.")
            elif value in good:
                self.fault(f"{name}.{n}", "DUPLICATE", "This order is named twice.")
            else:
                good.append(value)
        return tuple(good)


def _decimal(text: str) -> Decimal | None:
    if not _DECIMAL.fullmatch(text) or not text.isascii():
        return None
    try:
        return Decimal(text)
    except InvalidOperation:
        return None


def _join(at: str, name: str) -> str:
    return f"{at}.{name}" if at else name


def _shown(value: object) -> str:
    """Untrusted text as an error may repeat it: short and printable."""
    text = "".join(c if c.isprintable() else "?" for c in str(value)[:_SHOWN])
    return text.encode("utf-8", "replace").decode("utf-8") or "an empty text"
