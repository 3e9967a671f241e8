"""The policy and stored decisions over HTTP."""

from __future__ import annotations

import uuid

from django.utils import timezone
from drf_spectacular.utils import extend_schema
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.views import APIView

from risk.api.serializers import (
    DecisionSerializer,
    PolicyInput,
    PolicyPreviewInput,
    PolicyPreviewSerializer,
    PolicySerializer,
)
from risk.documents import differences
from risk.models import RiskDecision, RiskPolicy
from risk.policy import policy_document
from risk.preview import preview
from risk.selectors import active_policy, decision_of
from risk.services import checked_policy, publish_policy
from risk.shapes import decision_shape, policy_shape
from sigmatrader.accounts.models import User
from sigmatrader.accounts.services import require_reauthentication
from sigmatrader.audit.api.pagination import KeysetPagination
from sigmatrader.audit.api.problems import not_found
from sigmatrader.audit.api.schema import problems


class PolicyView(APIView):
    """``GET|PUT /api/risk/policy``."""

    staff_writes = True

    @extend_schema(operation_id="risk_policy_read", responses={200: PolicySerializer, **problems(404)})
    def get(self, request: Request) -> Response:
        """The policy in force."""
        row = RiskPolicy.objects.first()
        if row is None:
            raise not_found("risk policy")
        return Response(policy_shape(row))

    @extend_schema(
        operation_id="risk_policy_publish",
        request=PolicyInput,
        responses={
            200: PolicySerializer,
            **problems(400, 409, 422, codes={409: "STALE_VERSION.", 422: "POLICY_INVALID."}),
        },
    )
    def put(self, request: Request) -> Response:
        """Publishes a new version. Staff with recent re-authentication; 422 POLICY_INVALID names every fault."""
        require_reauthentication(request)
        values = PolicyInput.parsed(request.data)
        user = _user(request)
        row = publish_policy(
            values["policy"], note=values["note"], actor=user.get_username(), now=timezone.now(),
            expected_version=values.get("version"), owner=str(user.pk),
            correlation_id=getattr(request, "correlation_id", ""),
        )  # fmt: skip
        return Response(policy_shape(row))


class PolicyVersionsView(APIView):
    """``GET /api/risk/policy/versions``."""

    ordering = ("-version",)
    pagination_class = KeysetPagination

    @extend_schema(
        operation_id="risk_policy_versions_list", responses={200: PolicySerializer(many=True), **problems(422)}
    )
    def get(self, request: Request) -> Response:
        """All versions, newest first."""
        pages = KeysetPagination()
        page = pages.paginate_queryset(RiskPolicy.objects.all(), request, view=self)
        return pages.get_paginated_response([policy_shape(row) for row in page])


class PolicyPreviewView(APIView):
    """``POST /api/risk/policy/preview``."""

    @extend_schema(
        operation_id="risk_policy_preview",
        request=PolicyPreviewInput,
        responses={200: PolicyPreviewSerializer, **problems(400, 422, 503, codes={422: "POLICY_INVALID."})},
    )
    def post(self, request: Request) -> Response:
        """Which of your last decisions another policy would have changed. Stores nothing."""
        values = PolicyPreviewInput.parsed(request.data)
        policy = checked_policy(values["policy"])
        rows = RiskDecision.objects.filter(owner=str(_user(request).pk)).order_by("-evaluated_at", "-id")
        found = preview(policy, rows[: values["last"]])
        return Response(
            {
                "hash": policy.hash,
                "differences": differences(policy_document(active_policy()), policy_document(policy)),
                "checked": found.checked,
                "skipped": found.skipped,
                "changed": found.changed,
            }
        )


class DecisionView(APIView):
    """``GET /api/risk/decisions/{id}``."""

    @extend_schema(operation_id="risk_decisions_read", responses={200: DecisionSerializer, **problems(404)})
    def get(self, request: Request, decision_id: uuid.UUID) -> Response:
        """One decision of the user's own, with every control that ran."""
        row = decision_of(decision_id, owner=str(_user(request).pk))
        if row is None:
            raise not_found("risk decision")
        return Response(decision_shape(row))


def _user(request: Request) -> User:
    user = request.user
    assert isinstance(user, User), "the permission lets nobody else in"
    return user
