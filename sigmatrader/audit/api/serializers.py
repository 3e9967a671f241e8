"""Input serializers that take exactly what they name, in exactly the type they name."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from datetime import datetime
from decimal import Decimal
from typing import Any

from django.utils.dateparse import parse_datetime
from rest_framework import serializers
from rest_framework.exceptions import ErrorDetail, ValidationError

from sigmatrader.audit.api.problems import FieldFault, Problem, unprocessable

_DECIMAL = re.compile(r"-?[0-9]{1,20}(?:\.[0-9]{1,20})?")
_CODES = {"invalid_choice": "NOT_ALLOWED", "max_length": "TOO_LONG", "min_length": "TOO_SHORT", "invalid": "INVALID"}
_SKIPPED = (serializers.BaseSerializer, serializers.HiddenField, serializers.JSONField)


class StrictSerializer(serializers.Serializer[Any]):
    """Base of all input serializers. An unknown or read-only field is UNKNOWN_FIELD, a JSON type other than the field's
    is BAD_TYPE (nothing is coerced: ``"1"`` is no number, ``1`` no string), a naive time BAD_RANGE.
    """

    @classmethod
    def parsed(cls, data: object, **kwargs: Any) -> dict[str, Any]:
        """The validated values. Raises Problem 422 with every fault: UNKNOWN_FIELD, BAD_TYPE or else VALIDATION."""
        serializer = cls(data=data, **kwargs)
        if serializer.is_valid():
            return dict(serializer.validated_data)
        raise problem_of_errors(serializer.errors)

    def to_internal_value(self, data: Any) -> Any:
        """Checks names and types before DRF's own validation. Raises ValidationError."""
        if not isinstance(data, Mapping):
            raise ValidationError({"": [ErrorDetail("It must be a JSON object.", code="BAD_TYPE")]})
        faults = dict(self._faults(data))
        if faults:
            raise ValidationError(faults)
        return super().to_internal_value(data)

    def _faults(self, data: Mapping[str, object]) -> Iterator[tuple[str, list[ErrorDetail]]]:
        writable = {name: field for name, field in self.fields.items() if not field.read_only}
        for name in data:
            if name not in writable:
                allowed = ", ".join(writable) or "nothing"
                yield str(name), [ErrorDetail(f"This field is not known here. Known: {allowed}.", code="UNKNOWN_FIELD")]
        for name, field in writable.items():
            fault = type_fault(field, data[name]) if data.get(name) is not None else None
            if fault:
                yield name, [fault]


def type_fault(field: serializers.Field[Any, Any, Any, Any], value: object) -> ErrorDetail | None:
    """What is wrong with the JSON type of ``value`` for ``field``, or None."""
    if isinstance(field, _SKIPPED):
        return None
    if isinstance(field, serializers.DateTimeField):
        return _time_fault(value)
    wanted, fits = _wanted(field, value)
    return None if fits else ErrorDetail(f"It must be {wanted}.", code="BAD_TYPE")


def problem_of_errors(errors: Mapping[str, Any] | Sequence[Any]) -> Problem:
    """DRF's nested errors as one Problem with dotted field paths."""
    faults = list(_flat(errors, ""))
    codes = {fault.code for fault in faults}
    code = next((name for name in ("UNKNOWN_FIELD", "BAD_TYPE") if name in codes), "VALIDATION")
    first = faults[0]
    more = f" (and {len(faults) - 1} more, see errors)" if len(faults) > 1 else ""
    return unprocessable(code, f"{first.field or 'The body'}: {first.message}{more}", faults)


def _wanted(field: serializers.Field[Any, Any, Any, Any], value: object) -> tuple[str, bool]:
    number = isinstance(value, int | Decimal) and not isinstance(value, bool)
    if isinstance(field, serializers.BooleanField):
        return "true or false", isinstance(value, bool)
    if isinstance(field, serializers.IntegerField):
        return "a whole number", isinstance(value, int) and not isinstance(value, bool)
    if isinstance(field, serializers.DecimalField):
        text = isinstance(value, str) and bool(_DECIMAL.fullmatch(value))
        return 'a decimal string such as "1500.05"', number or text
    if isinstance(field, serializers.FloatField):
        return "a number", number
    if isinstance(field, serializers.ListField | serializers.MultipleChoiceField):
        return "a list", isinstance(value, list)
    if isinstance(field, serializers.DictField):
        return "an object", isinstance(value, Mapping)
    return "a string", isinstance(value, str)


def _time_fault(value: object) -> ErrorDetail | None:
    if not isinstance(value, str):
        return ErrorDetail("It must be an ISO 8601 time with its offset.", code="BAD_TYPE")
    try:
        moment: datetime | None = parse_datetime(value)
    except ValueError:
        moment = None
    if moment is None or moment.tzinfo is None or not 2000 <= moment.year <= 2100:
        return ErrorDetail("It must be an ISO 8601 time with its offset.", code="BAD_RANGE")
    return None


def _flat(errors: Any, path: str) -> Iterator[FieldFault]:
    if isinstance(errors, Mapping):
        for name, inner in errors.items():
            part = "" if name == "non_field_errors" else str(name)
            yield from _flat(inner, ".".join(piece for piece in (path, part) if piece))
    elif isinstance(errors, Sequence) and not isinstance(errors, str):
        for index, inner in enumerate(errors):
            nested = isinstance(inner, Mapping | list)
            yield from _flat(inner, f"{path}.{index}" if nested else path)
    else:
        code = str(getattr(errors, "code", "invalid") or "invalid")
        yield FieldFault(path, _CODES.get(code, code.upper()), str(errors))
