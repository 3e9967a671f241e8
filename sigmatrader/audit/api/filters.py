"""Query parameters, read strictly: a filter that cannot be understood is 422, never ignored."""

from __future__ import annotations

import re
from datetime import datetime, time, timedelta
from enum import StrEnum
from typing import TypeVar
from zoneinfo import ZoneInfo

from django.utils.dateparse import parse_date, parse_datetime
from rest_framework.request import Request

from sigmatrader.audit.api.problems import FieldFault, Problem, unprocessable

IST = ZoneInfo("Asia/Kolkata")
MAX_TEXT = 200
YEARS = range(2000, 2101)
E = TypeVar("E", bound=StrEnum)
_LOST_PLUS = re.compile(r"(T[0-9:.]+) ([0-9]{2}:?[0-9]{2})$")


def time_range(request: Request, *, start: str = "from", end: str = "to") -> tuple[datetime | None, datetime | None]:
    """``?from=&to=`` as aware times, both inclusive; a date is that day in India. Raises Problem 422 BAD_RANGE."""
    first = _time(request, start, end_of_day=False)
    last = _time(request, end, end_of_day=True)
    if first and last and first > last:
        raise _fault("BAD_RANGE", start, f"{start} is later than {end}: swap them.")
    return first, last


def choice(request: Request, name: str, allowed: type[E]) -> E | None:
    """One word of a closed list. Raises Problem 422 BAD_FILTER naming the words."""
    text = request.query_params.get(name, "")
    if not text:
        return None
    try:
        return allowed(text)
    except ValueError:
        words = ", ".join(member.value for member in allowed)
        raise _fault("BAD_FILTER", name, f"{name} must be one of {words}.") from None


def flag(request: Request, name: str) -> bool | None:
    """``true`` or ``false``; None when absent. Raises Problem 422 BAD_FILTER."""
    text = request.query_params.get(name, "")
    if not text:
        return None
    if text not in ("true", "false"):
        raise _fault("BAD_FILTER", name, f"{name} must be true or false.")
    return text == "true"


def words(request: Request, name: str, *, max_length: int = MAX_TEXT) -> str:
    """Free text, trimmed; empty when absent. Raises Problem 422 BAD_FILTER for NUL or too much of it."""
    text = request.query_params.get(name, "").strip()
    if "\x00" in text or len(text) > max_length:
        raise _fault("BAD_FILTER", name, f"{name} takes at most {max_length} characters and no NUL.")
    return text


def number(request: Request, name: str, *, lowest: int, highest: int) -> int | None:
    """A whole number within bounds; None when absent. Raises Problem 422 BAD_FILTER."""
    text = request.query_params.get(name, "")
    if not text:
        return None
    if not re.fullmatch(r"-?[0-9]{1,19}", text) or not lowest <= int(text) <= highest:
        raise _fault("BAD_FILTER", name, f"{name} must be a whole number from {lowest} to {highest}.")
    return int(text)


def _time(request: Request, name: str, *, end_of_day: bool) -> datetime | None:
    text = _LOST_PLUS.sub(r"\1+\2", request.query_params.get(name, ""))
    if not text:
        return None
    try:
        day = parse_date(text)
        moment = None if day else parse_datetime(text)
    except ValueError:
        day = moment = None
    if (day or moment) and (day or moment).year not in YEARS:  # type: ignore[union-attr]
        day = moment = None
    if day:
        midnight = datetime.combine(day, time.min, tzinfo=IST)
        return midnight + timedelta(days=1, microseconds=-1) if end_of_day else midnight
    if moment is None or moment.tzinfo is None:
        raise _fault("BAD_RANGE", name, f"{name} must be a date or an ISO 8601 time with its offset.")
    return moment


def _fault(code: str, field: str, message: str) -> Problem:
    return unprocessable(code, message, [FieldFault(field, code, message)])
