"""The paper exchange's adapter: the Kite MCP client on its loopback address, and its own clock."""

from __future__ import annotations

from datetime import datetime
from urllib.parse import urlsplit, urlunsplit

from broker.adapters.failures import CallFailed
from broker.adapters.kite_mcp import KiteMcpAdapter
from broker.adapters.tool_client import ToolClient
from broker.domain import MarketState, SessionPhase
from broker.ports import BrokerSchemaError, BrokerUnavailable


class PaperAdapter(KiteMcpAdapter):
    """Its login belongs to nobody else, so every process ends its own session."""

    def __init__(self, url: str, *, client: ToolClient | None = None) -> None:
        super().__init__(url, client=client, owns_session=True)

    def market_state(self) -> MarketState:
        """The exchange's own time and phase: practice is always open."""
        try:
            return market_state_of(self._client.get_json(status_url(self.url)))
        except CallFailed as exc:
            raise BrokerUnavailable(exc.text) from exc


def status_url(server_url: str) -> str:
    """``http://host:port/mcp`` -> ``http://host:port/status``."""
    parts = urlsplit(server_url)
    return urlunsplit((parts.scheme, parts.netloc, "/status", "", ""))


def market_state_of(status: object) -> MarketState:
    """Raises BrokerSchemaError for anything but a status of the paper exchange."""
    if not isinstance(status, dict):
        raise BrokerSchemaError("status is not an object")
    try:
        now = datetime.fromisoformat(str(status["now"]))
        phase = SessionPhase(str(status["phase"]))
        practice = status["clock"] == "practice"
    except (KeyError, ValueError) as exc:
        raise BrokerSchemaError(f"status is not of the agreed shape: {exc}") from exc
    if now.tzinfo is None:
        raise BrokerSchemaError("status has a time without its zone")
    return MarketState(now=now, phase=phase, practice=practice, note=str(status.get("note", "")))
