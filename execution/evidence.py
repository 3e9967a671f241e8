"""What the order path adds to the audit app: sections of a trace, remedies for its exceptions, holds on retention."""

from __future__ import annotations

from collections.abc import Iterable

from django.db.models import Q

from execution import remediation
from execution.domain import CardState
from execution.models import ActionCard, Authorization, OrderCommand, OrderIntent, ReconciliationRun, TradePlan
from execution.shapes import authorization_shape, command_shape, order_shape, plan_shape, run_shape
from sigmatrader.audit import registry, retention

Shape = dict[str, object]


def register() -> None:
    """Called once, when the app is ready."""
    registry.register_section("plan", plan_section)
    registry.register_section("authorization", authorization_section)
    registry.register_section("orders", orders_section)
    registry.register_section("commands", commands_section)
    registry.register_section("reconciliation", reconciliation_section)
    retention.register_hold(in_flight)
    remediation.register()


def plan_section(correlation_id: str) -> Shape | None:
    """The plan of the story, if it came to one."""
    plan = TradePlan.objects.select_related("decision").filter(correlation_id=correlation_id).first()
    return plan_shape(plan) if plan else None


def authorization_section(correlation_id: str) -> Shape | None:
    """Who authorised it."""
    row = Authorization.objects.filter(plan__correlation_id=correlation_id).first()
    return authorization_shape(row) if row else None


def orders_section(correlation_id: str) -> list[Shape]:
    """The orders it led to."""
    rows = OrderIntent.objects.filter(correlation_id=correlation_id).order_by("leg_n")
    return [order_shape(row) for row in rows]


def commands_section(correlation_id: str) -> list[Shape]:
    """The modifies and cancels it led to."""
    rows = OrderCommand.objects.filter(correlation_id=correlation_id).select_related("order").order_by("leg_n")
    return [command_shape(row) for row in rows]


def reconciliation_section(correlation_id: str) -> Shape | None:
    """How the books compared afterwards."""
    run = ReconciliationRun.objects.filter(correlation_id=correlation_id).first()
    return run_shape(run) if run else None


def in_flight(correlation_ids: Iterable[str]) -> set[str]:
    """Of these stories, those whose records must stay: an order or card is still open (FAULTS A50)."""
    wanted = list(correlation_ids)
    orders = OrderIntent.objects.filter(correlation_id__in=wanted).exclude(
        state__in=["FILLED", "CANCELLED", "REJECTED", "DENIED", "NOT_PLACED", "EXPIRED"]
    )
    moving = Q(state__in=[CardState.OPEN.value, CardState.APPROVED.value, CardState.EXECUTING.value])
    cards = ActionCard.objects.filter(moving, correlation_id__in=wanted)
    held = set(orders.values_list("correlation_id", flat=True)) | set(cards.values_list("correlation_id", flat=True))
    commands = OrderCommand.objects.filter(correlation_id__in=wanted).exclude(
        state__in=["DONE", "FAILED", "TOO_LATE", "DENIED"]
    )
    return held | set(commands.values_list("correlation_id", flat=True))
