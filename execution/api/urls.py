"""Paths of the order API (CONTRACTS sections 5-7)."""

from __future__ import annotations

from django.urls import URLPattern

from execution.api import control, orders, plans
from sigmatrader.audit.api.urls import both

urlpatterns: list[URLPattern] = [
    *both("api/plans", plans.PlansView.as_view(), "plans"),
    *both("api/plans/<uuid:plan_id>", plans.PlanView.as_view(), "plan"),
    *both("api/plans/<uuid:plan_id>/execute", plans.ExecuteView.as_view(), "plan-execute"),
    *both("api/risk/evaluate", plans.EvaluateView.as_view(), "risk-evaluate"),
    *both("api/ai/cards", plans.CardsView.as_view(), "cards"),
    *both("api/ai/cards/<uuid:card_id>", plans.CardView.as_view(), "card"),
    *both("api/ai/cards/<uuid:card_id>/approve", plans.ApproveView.as_view(), "card-approve"),
    *both("api/ai/cards/<uuid:card_id>/decline", plans.DeclineView.as_view(), "card-decline"),
    *both("api/orders", orders.OrdersView.as_view(), "orders"),
    *both("api/orders/<uuid:order_id>", orders.OneOrderView.as_view(), "order"),
    *both("api/orders/<uuid:order_id>/cancel", orders.CancelView.as_view(), "order-cancel"),
    *both("api/orders/<uuid:order_id>/send-again", orders.SendAgainView.as_view(), "order-send-again"),
    *both("api/orders/<uuid:order_id>/modify", orders.ModifyView.as_view(), "order-modify"),
    *both("api/kill-switch", control.KillSwitchView.as_view(), "kill-switch"),
    *both("api/reconcile", control.ReconcileView.as_view(), "reconcile"),
    *both("api/reconciliation/runs", control.RunsView.as_view(), "reconciliation-runs"),
    *both("api/reconciliation/runs/<uuid:run_id>", control.RunView.as_view(), "reconciliation-run"),
    *both("api/reconciliation/deltas", control.DeltasView.as_view(), "reconciliation-deltas"),
]
