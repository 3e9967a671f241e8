"""Connections, snapshots and market data as the API shows them. No secret is among them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict

from broker.adapters.kite_tools import tool_mode
from broker.domain import Candle, InstrumentInfo, Quote
from broker.models import BrokerConnection
from broker.selectors import snapshot_document
from sigmatrader.audit.models import Snapshot

Shape = dict[str, object]


def connection_shape(connection: BrokerConnection) -> Shape:
    return {
        "id": connection.account,
        "name": connection.name,
        "kind": connection.kind,
        "practice": not connection.is_live,
        "server_url": connection.server_url,
        "transport": connection.transport,
        "is_active": connection.is_active,
        "has_session": bool(connection.mcp_session),
        "last_status": connection.last_status,
        "authorized": connection.authorized,
        "user_name_masked": masked_name(connection.user_name),
        "session_expires_at": connection.session_expires_at,
        "last_checked_at": connection.last_checked_at,
        "last_connected_at": connection.last_connected_at,
        "last_error": connection.last_error,
        "tools_available_count": len(connection.tools),
        "created_at": connection.created_at,
        "version": connection.version,
    }


def status_shape(connection: BrokerConnection) -> Shape:
    return {
        "connected": connection.last_status == "connected",
        "authorized": connection.authorized,
        "user_name_masked": masked_name(connection.user_name),
        "session_expires_at": connection.session_expires_at,
        "last_error": connection.last_error or None,
        "last_checked_at": connection.last_checked_at,
    }


def masked_name(name: str) -> str:
    """``Practice Trader`` -> ``P******* T*****``."""
    return " ".join(word[0] + "*" * (len(word) - 1) for word in name.split())


def tool_shape(tool: Mapping[str, object]) -> Shape:
    name = str(tool.get("name", ""))
    return {
        "name": name,
        "mode": tool_mode(name),
        "description": str(tool.get("description") or ""),
        "input_schema": tool.get("inputSchema") or {},
    }


def snapshot_summary(snapshot: Snapshot) -> Shape:
    return {
        "id": str(snapshot.pk),
        "connection": snapshot.account,
        "source": snapshot.source,
        "correlation_id": snapshot.correlation_id or None,
        "as_of": snapshot.as_of,
        "taken_at": snapshot.taken_at,
        "hash": snapshot.hash,
        "complete": snapshot.complete,
    }


def snapshot_shape(snapshot: Snapshot) -> Shape:
    """The whole snapshot; a part that could not be read is null."""
    document = snapshot_document(snapshot)
    parts = ("holdings", "positions", "orders", "trades", "margins", "quotes", "faults")
    return snapshot_summary(snapshot) | {name: document[name] for name in parts}


def instrument_shape(info: InstrumentInfo) -> Shape:
    return {
        "symbol": info.symbol,
        "exchange": info.exchange,
        "tradingsymbol": info.tradingsymbol,
        "name": info.name,
        "instrument_token": info.instrument_token,
        "tick_size": info.tick_size,
        "lot_size": info.lot_size,
        "segment": info.segment,
        "instrument_type": info.instrument_type,
        "isin": info.isin,
        "sector": info.sector,
        "expiry": info.expiry or None,
        "strike": info.strike,
        "freeze_quantity": info.freeze_quantity,
    }


def quote_shape(quote: Quote) -> Shape:
    """A quote with the levels of its book; unknown values are null."""
    return {**asdict(quote), "bids": _levels(quote, "bids"), "asks": _levels(quote, "asks")}


def candle_shape(candle: Candle) -> Shape:
    return asdict(candle)


def _levels(quote: Quote, side: str) -> list[Shape]:
    return [asdict(level) for level in getattr(quote, side)]
