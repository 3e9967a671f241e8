"""Plans, dry runs and cards."""

from __future__ import annotations

import uuid

from django.utils import timezone
from rest_framework import status
from rest_framework.request import Request
from rest_framework.response import Response

from execution import approval
from execution.api import openapi
from execution.api.base import OrderView, claim_of, intent_of, resumed_subject, untranslatable
from execution.api.inputs import DeclineInput, HashInput, PlanInput
from execution.domain import CardState, Origin
from execution.models import ActionCard
from execution.planning import make_plan, preview
from execution.selectors import cards_of, plans_of
from execution.shapes import card_shape, command_shape, order_shape, plan_shape, preview_shape
from execution.translation import NotTranslatable
from risk.domain import Actor
from risk.shapes import decision_document
from sigmatrader.audit.api import filters
from sigmatrader.audit.api.idempotency import idempotent
from sigmatrader.audit.api.pagination import KeysetPagination
from sigmatrader.audit.api.problems import not_found


class PlansView(OrderView):
    """``POST /api/plans``: an intent becomes a plan with its risk preview and its card."""

    @openapi.plans_create
    def post(self, request: Request) -> Response:
        """201 with the plan and ``card_id``; a denied one too, its card is a veto."""
        values = PlanInput.parsed(request.data)
        intent = intent_of(values["intent"])
        connection = self.connection(values.get("connection"))
        try:
            card = make_plan(
                user=self.user(), connection=connection, intent=intent, origin=Origin.TICKET,
                correlation_id=self.correlation_id, now=timezone.now(),
                supersedes=self._superseded(values.get("supersedes")),
                client_correlation_id=self.client_correlation_id,
            )  # fmt: skip
        except NotTranslatable as exc:
            raise untranslatable(exc) from None
        assert card.plan is not None
        return Response({**plan_shape(card.plan), "card_id": str(card.id)}, status=status.HTTP_201_CREATED)

    def _superseded(self, card_id: uuid.UUID | None) -> ActionCard | None:
        return approval.owned_card(card_id, self.user()) if card_id else None


class PlanView(OrderView):
    """``GET /api/plans/{id}``."""

    @openapi.plans_read
    def get(self, request: Request, plan_id: uuid.UUID) -> Response:
        """The plan as it was made."""
        plan = plans_of(self.user()).filter(pk=plan_id).first()
        if plan is None:
            raise not_found("plan")
        card = ActionCard.objects.filter(plan=plan).first()
        return Response({**plan_shape(plan), "card_id": str(card.id) if card else None})


class ExecuteView(OrderView):
    """``POST /api/plans/{id}/execute``: the same act as approving the plan's card."""

    @openapi.plans_execute
    @idempotent
    def post(self, request: Request, plan_id: uuid.UUID) -> Response:
        """202 ``{correlation_id, intents}``."""
        values = HashInput.parsed(request.data)
        card = (
            ActionCard.objects.filter(owner=self.user(), plan_id=plan_id).select_related("plan", "connection").first()
        )
        if card is None:
            raise not_found("plan")
        return _approve(self, request, card, values["content_hash"])


class CardsView(OrderView):
    """``GET /api/ai/cards?state=``."""

    ordering = ("-created_at", "-id")
    pagination_class = KeysetPagination

    @openapi.cards_list
    def get(self, request: Request) -> Response:
        """The user's cards, newest first."""
        rows = cards_of(self.user())
        state = filters.choice(request, "state", CardState)
        if state is not None:
            rows = rows.filter(state=state.value)
        pages = KeysetPagination()
        page = pages.paginate_queryset(rows, request, view=self)
        return pages.get_paginated_response([card_shape(card) for card in page])


class CardView(OrderView):
    """``GET /api/ai/cards/{id}``."""

    @openapi.cards_read
    def get(self, request: Request, card_id: uuid.UUID) -> Response:
        """The card."""
        return Response(card_shape(approval.owned_card(card_id, self.user())))


class ApproveView(OrderView):
    """``POST /api/ai/cards/{id}/approve``."""

    @openapi.cards_approve
    @idempotent
    def post(self, request: Request, card_id: uuid.UUID) -> Response:
        """202 ``{correlation_id, intents}``."""
        values = HashInput.parsed(request.data)
        return _approve(self, request, approval.owned_card(card_id, self.user()), values["content_hash"])


class DeclineView(OrderView):
    """``POST /api/ai/cards/{id}/decline``."""

    @openapi.cards_decline
    def post(self, request: Request, card_id: uuid.UUID) -> Response:
        """200 with the declined card."""
        values = DeclineInput.parsed(request.data)
        card = approval.decline_card(card_id, user=self.user(), reason=values["reason"], now=timezone.now())
        return Response(card_shape(card))


class EvaluateView(OrderView):
    """``POST /api/risk/evaluate``: a dry run; stores nothing and reserves nothing."""

    @openapi.risk_evaluate
    def post(self, request: Request) -> Response:
        """200 with the decision, and the plan it would be made on."""
        values = PlanInput.parsed(request.data)
        connection = self.connection(values.get("connection"))
        try:
            found = preview(intent_of(values["intent"]), connection=connection, actor=Actor.TRADER, now=timezone.now())
        except NotTranslatable as exc:
            raise untranslatable(exc) from None
        return Response({**decision_document(found.decision), "plan": preview_shape(found.document)})


def _approve(view: OrderView, request: Request, card: ActionCard, content_hash: str) -> Response:
    view.may_trade(card.connection)
    if resumed_subject(request):
        done = approval.approval_of(card)
    else:
        done = approval.approve_card(
            card, user=view.user(), content_hash=content_hash, now=timezone.now(), claim=claim_of(request)
        )
    body = {
        "correlation_id": done.card.correlation_id,
        "intents": [order_shape(intent) for intent in done.intents],
        "commands": [command_shape(command) for command in done.commands],
        "card": card_shape(done.card),
    }
    return Response(body, status=status.HTTP_202_ACCEPTED)
