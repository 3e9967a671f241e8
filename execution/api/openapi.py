"""What the OpenAPI document says of each order endpoint; the views wear these as decorators."""

from __future__ import annotations

from drf_spectacular.utils import extend_schema

from execution.api import outputs as out
from execution.api.inputs import (
    CancelInput,
    DeclineInput,
    HashInput,
    KillSwitchInput,
    ModifyInput,
    PlanInput,
    ReconcileInput,
    SendAgainInput,
)
from execution.api.intent_fields import APPROVE, BUY, CANCEL_EVERYTHING, NEW_PRICE, SELL_HALF
from execution.domain import CardState, IntentState, Origin
from sigmatrader.audit.api.schema import IDEMPOTENCY_KEY, PERIOD, problems, query
from sigmatrader.audit.vocabulary import Severity

_APPROVAL = problems(
    400, 404, 409, 422, 429,
    codes={
        409: (
            "NOT_APPROVED without a hash; CARD_STALE for another hash, a moved price or a changed verdict; "
            "CARD_EXPIRED, ALREADY_DECIDED, RISK_DENIED, CONNECTION_INACTIVE, TRADING_HALTED, FEATURE_DISABLED, "
            "AUTH_REQUIRED, EXECUTION_TOOL_MISSING or TOOL_SCHEMA_CHANGED with the ways out; IN_PROGRESS."
        ),
        422: "IDEMPOTENCY_MISMATCH.",
        503: "BROKER_UNAVAILABLE.",
    },
)  # fmt: skip
_PLANNING = problems(
    400, 404, 409, 422, 429,
    codes={
        409: "NO_CONNECTION; ORDER_FINAL or ORDER_NOT_CONFIRMED for a modify or cancel.",
        422: "INTENT_INVALID, or the code of why no plan can be made of it.",
        503: "BROKER_UNAVAILABLE.",
    },
)  # fmt: skip

plans_create = extend_schema(
    operation_id="plans_create", request=PlanInput, examples=[BUY, SELL_HALF],
    responses={201: out.PlanWithCardSerializer, **_PLANNING},
)  # fmt: skip
plans_read = extend_schema(operation_id="plans_read", responses={200: out.PlanWithCardSerializer, **problems(404)})
plans_execute = extend_schema(
    operation_id="plans_execute", request=HashInput, parameters=[IDEMPOTENCY_KEY], examples=[APPROVE],
    responses={202: out.ApprovalSerializer, **_APPROVAL},
)  # fmt: skip
risk_evaluate = extend_schema(
    operation_id="risk_evaluate", request=PlanInput, examples=[BUY, SELL_HALF],
    responses={200: out.EvaluationSerializer, **_PLANNING},
)  # fmt: skip

cards_list = extend_schema(
    operation_id="cards_list", parameters=[query("state", "", enum=[state.value for state in CardState])],
    responses={200: out.CardSerializer(many=True), **problems(422)},
)  # fmt: skip
cards_read = extend_schema(operation_id="cards_read", responses={200: out.CardSerializer, **problems(404)})
cards_approve = extend_schema(
    operation_id="cards_approve", request=HashInput, parameters=[IDEMPOTENCY_KEY], examples=[APPROVE],
    responses={202: out.ApprovalSerializer, **_APPROVAL},
)  # fmt: skip
cards_decline = extend_schema(
    operation_id="cards_decline", request=DeclineInput,
    responses={
        200: out.CardSerializer, **problems(400, 404, 409, 422, codes={409: "CARD_EXPIRED, ALREADY_DECIDED."})
    },
)  # fmt: skip

orders_list = extend_schema(
    operation_id="orders_list",
    parameters=[
        query("state", "", enum=[state.value for state in IntentState]),
        query("symbol", "Exactly this one, as NSE:INFY."),
        query("origin", "", enum=[origin.value for origin in Origin]),
        *PERIOD,
    ],
    responses={200: out.OrderSerializer(many=True), **problems(422)},
)
orders_read = extend_schema(operation_id="orders_read", responses={200: out.OrderDetailSerializer, **problems(404)})
orders_cancel = extend_schema(
    operation_id="orders_cancel", request=CancelInput, parameters=[IDEMPOTENCY_KEY],
    responses={
        202: out.CancelAnswerSerializer,
        **problems(
            400, 404, 409, 422, codes={409: "ORDER_FINAL, ORDER_UNSETTLED, IN_PROGRESS.", 422: "IDEMPOTENCY_MISMATCH."}
        ),
    },
)  # fmt: skip
orders_send_again = extend_schema(
    operation_id="orders_send_again", request=SendAgainInput, parameters=[IDEMPOTENCY_KEY],
    responses={
        202: out.OrderDetailSerializer,
        **problems(
            400, 404, 409, 422,
            codes={
                409: (
                    "NOT_RESENDABLE for an order that is not NOT_SENT; CARD_EXPIRED, CARD_STALE, RISK_DENIED, "
                    "TRADING_HALTED, FEATURE_DISABLED, CONNECTION_INACTIVE; AUTH_REQUIRED, EXECUTION_TOOL_MISSING or "
                    "TOOL_SCHEMA_CHANGED with the ways out; IN_PROGRESS."
                ),
                422: "IDEMPOTENCY_MISMATCH.",
                503: "NOT_RECONCILED.",
            },
        ),
    },
)  # fmt: skip
orders_modify = extend_schema(
    operation_id="orders_modify", request=ModifyInput, parameters=[IDEMPOTENCY_KEY], examples=[NEW_PRICE],
    responses={201: out.CardSerializer, **_PLANNING},
)  # fmt: skip

kill_switch = extend_schema(
    operation_id="kill_switch", request=KillSwitchInput, examples=[CANCEL_EVERYTHING],
    responses={
        200: out.KillSwitchAnswerSerializer,
        **problems(400, 422, codes={403: "Only a release asks for it.", 422: "REASON_REQUIRED to release."}),
    },
)  # fmt: skip
reconcile = extend_schema(
    operation_id="reconcile", request=ReconcileInput,
    responses={201: out.RunSerializer, **problems(400, 404, 409, 422, codes={409: "NO_CONNECTION."})},
)  # fmt: skip
runs_list = extend_schema(
    operation_id="reconciliation_runs_list", responses={200: out.RunSerializer(many=True), **problems(422)}
)
runs_read = extend_schema(
    operation_id="reconciliation_runs_read", responses={200: out.RunSerializer, **problems(404)}
)  # fmt: skip
deltas_list = extend_schema(
    operation_id="reconciliation_deltas_list",
    parameters=[query("severity", "", enum=[severity.value for severity in Severity])],
    responses={200: out.DeltaPageSerializer, **problems(422)},
)
