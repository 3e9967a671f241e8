"""Orders: list, one, cancel, send again, modify."""

from __future__ import annotations

import uuid
from collections.abc import Sequence
from datetime import datetime
from typing import Any

from django.db.models import Q, QuerySet
from django.utils import timezone
from rest_framework import status
from rest_framework.request import Request
from rest_framework.response import Response

from broker.domain import OrderType
from execution import selectors
from execution.api import openapi
from execution.api.base import OrderView, claim_of, resumed_subject, untranslatable
from execution.api.inputs import CancelInput, ModifyInput, SendAgainInput
from execution.cancelling import cancel_order
from execution.domain import Changes, IntentKind, IntentState, Origin, TradeIntent
from execution.models import Order, OrderIntent
from execution.planning import make_plan
from execution.resending import send_again
from execution.shapes import card_shape, command_shape, order_shape
from execution.translation import NotTranslatable
from sigmatrader.audit.api import filters
from sigmatrader.audit.api.idempotency import idempotent
from sigmatrader.audit.api.pagination import KeysetPagination, Position
from sigmatrader.audit.api.problems import not_found


class _BothKinds(KeysetPagination):
    """One list over our intents and the orders placed elsewhere."""

    def __init__(self, others: QuerySet[Order]) -> None:
        self.others = others

    def fetch(self, queryset: QuerySet[Any], order: Sequence[str], position: Position | None, count: int) -> list[Any]:
        """The next ``count`` of both, merged in the list's order."""
        own = super().fetch(queryset, order, position, count)
        others = super().fetch(self.others, order, position, count)
        newest_first = not (position and position.backwards)
        merged = sorted([*own, *others], key=_time_and_id, reverse=newest_first)
        return merged[:count]


def _time_and_id(row: Any) -> tuple[datetime, str]:
    return row.created_at, str(row.id)


class OrdersView(OrderView):
    """``GET /api/orders``: ours and those placed elsewhere, newest first."""

    ordering = ("-created_at", "-id")
    pagination_class = KeysetPagination

    @openapi.orders_list
    def get(self, request: Request) -> Response:
        """Filters: state, symbol, origin, from, to."""
        own, others = selectors.intents_of(self.user()), selectors.external_orders_of(self.user())
        own, others = self._filtered(request, own, others)
        pages = _BothKinds(others)
        page = pages.paginate_queryset(own, request, view=self)
        return pages.get_paginated_response([order_shape(row) for row in page])

    def _filtered(
        self, request: Request, own: QuerySet[OrderIntent], others: QuerySet[Order]
    ) -> tuple[QuerySet[OrderIntent], QuerySet[Order]]:
        origin, state = filters.choice(request, "origin", Origin), filters.choice(request, "state", IntentState)
        start, end = filters.time_range(request)
        symbol = filters.words(request, "symbol", max_length=60)
        both = Q()
        both &= Q(created_at__gte=start) if start else Q()
        both &= Q(created_at__lte=end) if end else Q()
        both &= Q(symbol=symbol) if symbol else Q()
        own, others = own.filter(both), others.filter(both)
        if origin is Origin.EXTERNAL:
            own = own.none()
        elif origin is not None:
            own, others = own.filter(origin=origin.value), others.none()
        if state is not None:
            own, others = own.filter(state=state.value), others.filter(selectors.external_in(state))
        return own, others


class OneOrderView(OrderView):
    """``GET /api/orders/{id}``."""

    @openapi.orders_read
    def get(self, request: Request, order_id: uuid.UUID) -> Response:
        """The order with its event history."""
        return Response(order_shape(_order(self, order_id), with_events=True))


class CancelView(OrderView):
    """``POST /api/orders/{id}/cancel``: the owner's own request is the authorisation."""

    @openapi.orders_cancel
    @idempotent
    def post(self, request: Request, order_id: uuid.UUID) -> Response:
        """202 with the order and what became of the request."""
        CancelInput.parsed(request.data or {})
        order = _order(self, order_id)
        self.may_trade(order.connection)
        command = None
        if not resumed_subject(request):
            command = cancel_order(
                order, user=self.user(), correlation_id=self.correlation_id, now=timezone.now(),
                claim=claim_of(request),
            )  # fmt: skip
        body = order_shape(_order(self, order_id), with_events=True)
        body["command"] = command_shape(command) if command else None
        return Response(body, status=status.HTTP_202_ACCEPTED)


class SendAgainView(OrderView):
    """``POST /api/orders/{id}/send-again``: one attempt more for an order that provably never left."""

    @openapi.orders_send_again
    @idempotent
    def post(self, request: Request, order_id: uuid.UUID) -> Response:
        """202 with the order and what became of it."""
        SendAgainInput.parsed(request.data or {})
        order = _order(self, order_id)
        self.may_trade(order.connection)
        if not resumed_subject(request):
            send_again(order.id, self.user(), timezone.now(), claim=claim_of(request))
        return Response(order_shape(_order(self, order_id), with_events=True), status=status.HTTP_202_ACCEPTED)


class ModifyView(OrderView):
    """``POST /api/orders/{id}/modify``: a card to approve."""

    @openapi.orders_modify
    @idempotent
    def post(self, request: Request, order_id: uuid.UUID) -> Response:
        """201 with the card."""
        values = ModifyInput.parsed(request.data)
        order = _order(self, order_id)
        self.may_trade(order.connection)
        word = values.get("order_type")
        changes = Changes(
            price=values.get("price"), trigger_price=values.get("trigger_price"), quantity=values.get("quantity"),
            order_type=OrderType(word) if word else None,
        )  # fmt: skip
        intent = TradeIntent(kind=IntentKind.MODIFY, order_ids=(str(order.id),), changes=changes)
        try:
            card = make_plan(
                user=self.user(), connection=order.connection, intent=intent, origin=Origin.TICKET,
                correlation_id=self.correlation_id, now=timezone.now(),
            )  # fmt: skip
        except NotTranslatable as exc:
            raise untranslatable(exc) from None
        return Response(card_shape(card), status=status.HTTP_201_CREATED)


def _order(view: OrderView, order_id: uuid.UUID) -> OrderIntent | Order:
    order = selectors.order_of(view.user(), order_id)
    if order is None:
        raise not_found("order")
    return order
