"""JSON-RPC as Kite's MCP server speaks it: what it takes for a request, and its errors (FACTS a4, a9, a19).

Pure: bytes and values in, bytes and values out.
"""

from __future__ import annotations

import json
import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import NoReturn

VERSION = "2.0"
PARSE_ERROR, INVALID_REQUEST, NOT_FOUND, INVALID_PARAMS, INTERNAL = -32700, -32600, -32601, -32602, -32603
MAX_DIGITS = 300
PROTOCOLS = ("2024-11-05", "2025-03-26")
SERVER = {"name": "SigmaTrader paper exchange", "version": "1"}
# Go's encoder writes these so, and a client may meet them
_ESCAPES = (("&", "\\u0026"), ("<", "\\u003c"), (">", "\\u003e"), ("\u2028", "\\u2028"), ("\u2029", "\\u2029"))


class RpcProblem(Exception):
    """A protocol error: goes to the client as it is."""

    def __init__(self, code: int, text: str, request_id: object = None) -> None:
        super().__init__(text)
        self.code = code
        self.text = text
        self.request_id = request_id


@dataclass(frozen=True, slots=True)
class Message:
    """``is_request`` is False for what gets no answer: a notification, or a reply to our own ping."""

    method: str
    params: Mapping[str, object]
    request_id: object
    is_request: bool

    @property
    def tool(self) -> str:
        """The tool called, or empty."""
        return str(self.params.get("name", "")) if self.is_request and self.method == "tools/call" else ""


def parse(raw: bytes) -> object:
    """The JSON value. Raises ValueError, for what Go's parser refuses too: NaN, and numbers no double can hold."""
    try:
        return json.loads(raw, parse_constant=_no_constant, parse_float=_double, parse_int=_whole)
    except RecursionError:
        raise ValueError("nested too deeply") from None


def read(value: object) -> Message:
    """Raises RpcProblem."""
    if not isinstance(value, dict):
        raise RpcProblem(PARSE_ERROR, "Failed to parse message")
    request_id, method = value.get("id"), value.get("method", "")
    if value.get("jsonrpc") != VERSION:
        raise RpcProblem(INVALID_REQUEST, "Invalid JSON-RPC version", request_id)
    params = value.get("params") or {}
    if not isinstance(params, dict) or not isinstance(method, str):
        raise RpcProblem(INVALID_REQUEST, "Invalid request", request_id)
    return Message(method, params, request_id, is_request=request_id is not None and "result" not in value)


def call_arguments(message: Message) -> tuple[str, Mapping[str, object]]:
    """Name and arguments of a tools/call. Raises RpcProblem."""
    name, arguments = message.params.get("name", ""), message.params.get("arguments")
    if not isinstance(name, str):
        raise RpcProblem(INVALID_REQUEST, "unparseable tools/call request", message.request_id)
    return name, arguments if isinstance(arguments, dict) else {}


def initialized(message: Message) -> dict[str, object]:
    """The answer to initialize: an old protocol is echoed, any other is answered with the newest known here."""
    asked = message.params.get("protocolVersion")
    return {
        "protocolVersion": asked if asked in PROTOCOLS else PROTOCOLS[-1],
        "capabilities": {"tools": {"listChanged": True}},
        "serverInfo": SERVER,
    }


def tool_result(text: str, *, is_error: bool) -> dict[str, object]:
    """One text; ``isError`` is there only when it is true."""
    found: dict[str, object] = {"content": [{"type": "text", "text": text}]}
    return found | {"isError": True} if is_error else found


def answer(request_id: object, result: object) -> dict[str, object]:
    return {"jsonrpc": VERSION, "id": request_id, "result": result}


def error(problem: RpcProblem) -> dict[str, object]:
    return {
        "jsonrpc": VERSION,
        "id": problem.request_id,
        "error": {"code": problem.code, "message": problem.text},
    }


def ping(request_id: int) -> dict[str, object]:
    return {"jsonrpc": VERSION, "id": request_id, "method": "ping"}


def encode(value: object) -> bytes:
    """Compact, UTF-8, with the escapes of Go's encoder."""
    text = json.dumps(value, separators=(",", ":"), ensure_ascii=False)
    for plain, escaped in _ESCAPES:
        if plain in text:
            text = text.replace(plain, escaped)
    return text.encode("utf-8", "replace")


def _double(text: str) -> float:
    value = float(text)
    if math.isinf(value):
        raise ValueError("a number out of range")
    return value


def _whole(text: str) -> int:
    if len(text) > MAX_DIGITS:
        raise ValueError("a number out of range")
    return int(text)


def _no_constant(name: str) -> NoReturn:
    raise ValueError(f"{name} is not JSON")
