"""What every order endpoint does alike: who asks, for which connection, and errors of meaning as 422."""

from __future__ import annotations

import uuid
from collections.abc import Mapping
from typing import Any

from rest_framework.request import Request
from rest_framework.views import APIView

from broker.models import BrokerConnection
from broker.selectors import active_connection
from execution.approval import Claim
from execution.domain import TradeIntent
from execution.translation import NotTranslatable
from execution.wire import IntentInvalid, parse_intent
from sigmatrader.accounts.models import User
from sigmatrader.accounts.services import require_live_permission
from sigmatrader.audit.api.problems import FieldFault, Problem, conflict, not_found, unprocessable


class OrderView(APIView):
    """Base of the order endpoints."""

    def user(self) -> User:
        """The signed-in person; permission classes let nobody else in."""
        assert isinstance(self.request.user, User)
        return self.request.user

    def connection(self, connection_id: uuid.UUID | None = None) -> BrokerConnection:
        """The named connection of the user, or the active one. Raises Problem 404 or 409 NO_CONNECTION."""
        if connection_id is None:
            return active_connection(self.user())
        found = BrokerConnection.objects.filter(pk=connection_id, owner=self.user()).first()
        if found is None:
            raise not_found("connection")
        return found

    @property
    def correlation_id(self) -> str:
        """The id of the story this request starts."""
        return str(self.request.correlation_id)  # type: ignore[attr-defined]  # set by the middleware

    @property
    def client_correlation_id(self) -> str:
        """The id the client sent that could not be the story's."""
        return str(self.request.client_correlation_id)  # type: ignore[attr-defined]

    def may_trade(self, connection: BrokerConnection) -> None:
        """A token approves on paper; on a live connection only if it was made to trade. Raises Problem 403."""
        if connection.is_live:
            require_live_permission(self.request)


def claim_of(request: Request) -> Claim:
    """The idempotency claim the decorator left on the request."""
    claim: Claim = request.idempotency  # type: ignore[attr-defined]
    return claim


def resumed_subject(request: Request) -> str:
    """What an earlier run of this very request committed before it died, or an empty string."""
    return str(request.idempotency.resumed_subject)  # type: ignore[attr-defined]


def intent_of(payload: object, *, text: str = "") -> TradeIntent:
    """The typed intent. Raises Problem 422 INTENT_INVALID naming every field at fault."""
    try:
        return parse_intent(payload, text=text)
    except IntentInvalid as exc:
        faults = [FieldFault(f"intent.{f.field}" if f.field else "intent", f.code, f.message) for f in exc.faults]
        words = "; ".join(f"{fault.field}: {fault.message}" for fault in faults[:5])
        raise unprocessable("INTENT_INVALID", words, faults) from None


def untranslatable(exc: NotTranslatable) -> Problem:
    """The problem of an intent that cannot become a plan; 409 where it is the order's state that forbids it."""
    if exc.code in ("ORDER_FINAL", "ORDER_NOT_CONFIRMED"):
        return conflict(exc.code, exc.message)
    return unprocessable(exc.code, exc.message, [FieldFault(f"intent.{exc.field}", exc.code, exc.message)])


def words_of(payload: object) -> str:
    """The trader's words that may come with an intent, for the trace."""
    text = payload.get("text") if isinstance(payload, Mapping) else None
    return text if isinstance(text, str) else ""


Document = dict[str, Any]
