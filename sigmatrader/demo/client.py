"""A small client of our own API, over loopback only: what a program of the trader's would do."""

from __future__ import annotations

import http.client
import json
import secrets
from collections.abc import Mapping
from dataclasses import dataclass
from decimal import Decimal
from typing import Any

TIMEOUT_S = 30.0


@dataclass(frozen=True, slots=True)
class Answer:
    """One response: its status, its JSON body, and whether it was a replay of an earlier one."""

    status: int
    body: Any
    replayed: bool = False

    @property
    def code(self) -> str:
        """The problem's code, empty for a success."""
        return str(self.body.get("code", "")) if isinstance(self.body, dict) else ""


class Api:
    """Calls one server with one token."""

    def __init__(self, port: int, token: str) -> None:
        self.port = port
        self.token = token

    def get(self, path: str) -> Any:
        """The body of a GET that must succeed. Raises RuntimeError otherwise."""
        return self._checked(self.call("GET", path))

    def post(self, path: str, body: Mapping[str, object] | None = None, *, key: str = "") -> Any:
        """The body of a POST that must succeed. Raises RuntimeError otherwise."""
        return self._checked(self.call("POST", path, body, key=key))

    def call(self, method: str, path: str, body: Mapping[str, object] | None = None, *, key: str = "") -> Answer:
        """One request, whatever its status. Raises OSError or http.client.HTTPException if the server goes away."""
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=TIMEOUT_S)
        headers = {"Authorization": f"Token {self.token}", "Content-Type": "application/json"}
        if method == "POST":
            headers["Idempotency-Key"] = key or new_key()
        try:
            connection.request(method, path, json.dumps(body or {}) if method == "POST" else None, headers)
            response = connection.getresponse()
            text = response.read()
            replayed = response.headers.get("Idempotent-Replayed") == "true"
            return Answer(response.status, json.loads(text, parse_float=Decimal) if text else None, replayed)
        finally:
            connection.close()

    def _checked(self, answer: Answer) -> Any:
        if answer.status >= 400:
            raise RuntimeError(f"HTTP {answer.status}: {answer.body}")
        return answer.body


def new_key() -> str:
    """A fresh Idempotency-Key."""
    return secrets.token_hex(16)
