"""What a Kite Connect connection is made of: its credentials and how its calls are made. Nothing here can call."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import datetime
from decimal import Decimal

from broker.adapters.kite_connect_orders import AUTOMATIC, check_market_protection
from broker.ports import BrokerUnavailable

INSTALL = "pip install -r requirements-kite.txt"
ROOT = "https://api.kite.trade"


class KiteConnectMissing(BrokerUnavailable):
    """The extra is not installed, so nothing was sent; the text names the command that installs it."""


@dataclass(frozen=True, slots=True)
class Credentials:
    """What a call to Kite Connect bears. Nothing of it is shown by ``repr``."""

    api_key: str = field(repr=False)
    access_token: str = field(repr=False)
    expires_at: datetime | None = None

    def is_usable(self, now: datetime) -> bool:
        """False when there is no token, or when it is past its end (06:00 in India)."""
        return bool(self.api_key and self.access_token) and (self.expires_at is None or now < self.expires_at)


@dataclass(frozen=True, slots=True)
class Options:
    """How this connection's calls are made. ``market_protection`` is a percentage, or -1 for Kite's own;
    ``autoslice`` lets Kite cut an order above the exchange's freeze quantity; ``timeout_s`` bounds one call."""

    root: str = ROOT
    timeout_s: float = 7.0
    market_protection: Decimal = AUTOMATIC
    autoslice: bool = False

    def __post_init__(self) -> None:
        check_market_protection(self.market_protection)
