"""What the broker views share: the user, the connection meant, and the time."""

from __future__ import annotations

from datetime import datetime

from django.utils import timezone
from rest_framework.request import Request
from rest_framework.views import APIView

from broker.domain import split_symbol
from broker.models import BrokerConnection
from broker.selectors import active_connection, owned_connection
from sigmatrader.accounts.models import User
from sigmatrader.audit.api.problems import FieldFault, unprocessable

MAX_SYMBOLS = 500


class BrokerView(APIView):
    """Owner-scoped: whatever is not the user's is not there."""

    @property
    def user(self) -> User:
        user = self.request.user
        assert isinstance(user, User)  # the permission let nobody else in
        return user

    @property
    def now(self) -> datetime:
        return timezone.now()

    def connection(self, connection_id: object = "") -> BrokerConnection:
        """The connection of the path, of ``?connection=``, or the active one. Raises Problem 404 or 409."""
        wanted = str(connection_id or self.request.query_params.get("connection", ""))
        return owned_connection(self.user, wanted) if wanted else active_connection(self.user)


def correlation_of(request: Request) -> str:
    """The id of this request's action."""
    return str(getattr(request, "correlation_id", ""))


def symbols_of(text: str) -> list[str]:
    """``NSE:INFY,NSE:TCS`` as a list. Raises Problem 422 BAD_SYMBOL for one that is none, or for too many."""
    found = list(dict.fromkeys(part.strip().upper() for part in text.split(",") if part.strip()))
    if not 1 <= len(found) <= MAX_SYMBOLS:
        raise bad_symbol("symbols", f"Name 1 to {MAX_SYMBOLS} symbols, such as NSE:INFY, divided by commas.")
    for symbol in found:
        check_symbol(symbol, "symbols")
    return found


def check_symbol(symbol: str, field: str) -> None:
    """Raises Problem 422 BAD_SYMBOL."""
    try:
        exchange, tradingsymbol = split_symbol(symbol)
    except ValueError:
        exchange = tradingsymbol = ""
    if not exchange.isalpha() or not symbol.isascii() or not symbol.isprintable() or not 0 < len(tradingsymbol) <= 50:
        raise bad_symbol(field, f"{symbol[:60]!r} is not EXCHANGE:TRADINGSYMBOL, such as NSE:INFY.")


def bad_symbol(field: str, message: str) -> Exception:
    return unprocessable("BAD_SYMBOL", message, [FieldFault(field, "BAD_SYMBOL", message)])
