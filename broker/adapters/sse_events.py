"""Server-sent events out of bytes, as they arrive. Pure; what is too large is dropped without being kept."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass

HEAD = 400  # of an event that is too large this much is kept, to see whom it answers
_LINE_END = re.compile(rb"\r\n|\n|\r")


@dataclass(frozen=True, slots=True)
class Event:
    """One event; ``cut`` says that it was too large and ``data`` is only its beginning."""

    name: str
    data: bytes
    cut: bool = False


class EventReader:
    """Lines end with LF, CR LF or CR, mixed; ``data:`` may be followed by a space or not (FACTS a2, a5)."""

    def __init__(self, limit: int) -> None:
        self._limit = limit
        self._rest = b""
        self._pending: list[bytes] = []  # pieces of a line whose end has not come
        self._pending_size = 0
        self._name = ""
        self._data: list[bytes] = []
        self._size = 0
        self._cut = False

    def feed(self, chunk: bytes) -> Iterator[Event]:
        """The events that ``chunk`` completes."""
        chunk, self._rest = self._rest + chunk, b""
        if chunk.endswith(b"\r"):  # half of a CR LF, perhaps
            chunk, self._rest = chunk[:-1], b"\r"
        *lines, last = _LINE_END.split(chunk)
        for line in lines:
            found = self._line(self._whole(line))
            if found is not None:
                yield found
        self._keep(last)

    def _keep(self, piece: bytes) -> None:
        """Holds the beginning of a line; of one beyond the limit no more than its head."""
        if not piece:
            return
        self._pending_size += len(piece)
        if self._pending_size > self._limit:
            self._pending = [b"".join([*self._pending, piece])[:HEAD]]
            self._cut = True
        else:
            self._pending.append(piece)

    def _whole(self, end: bytes) -> bytes:
        if not self._pending:
            return end
        line = b"".join([*self._pending, end])
        self._pending, self._pending_size = [], 0
        return line[:HEAD] if self._cut else line

    def _line(self, line: bytes) -> Event | None:
        if not line:
            return self._event()
        field, _, value = line.partition(b":")
        value = value.removeprefix(b" ")
        if field == b"event":
            self._name = value.decode("utf-8", "replace")
        elif field == b"data":
            self._add(value)
        return None

    def _add(self, value: bytes) -> None:
        self._size += len(value)
        if self._size > self._limit:
            self._data = [b"\n".join([*self._data, value])[:HEAD]]
            self._cut = True
        elif not self._cut or not self._data:
            self._data.append(value)

    def _event(self) -> Event | None:
        data, name, cut = b"\n".join(self._data), self._name or "message", self._cut
        any_data = bool(self._data)
        self._data, self._name, self._size, self._cut = [], "", 0, False
        return Event(name, data, cut) if any_data else None
