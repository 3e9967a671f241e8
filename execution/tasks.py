"""Scheduled work: each task finds its work in the database and is safe to run twice."""

from __future__ import annotations

import uuid

from celery import shared_task
from django.utils import timezone

from execution import reconciler, recovery
from sigmatrader.audit.ids import new_correlation_id


@shared_task(name="execution.tasks.sweep")
def sweep() -> None:
    """Takes the next safe step with all unfinished work."""
    recovery.sweep(now=timezone.now())


@shared_task(name="execution.tasks.reconcile_all")
def reconcile_all() -> None:
    """Compares what we expect with the broker's books, for every active connection."""
    for connection in recovery.connections_in_use():
        # Reading on a schedule is no action: a run, and exceptions if any, but no story of its own.
        reconciler.reconcile(connection, trigger="schedule", correlation_id="", now=timezone.now())


@shared_task(name="execution.tasks.reconcile_one")
def reconcile_one(connection_id: str) -> None:
    """One comparison, asked for by id."""
    connection = next((c for c in recovery.connections_in_use() if c.id == uuid.UUID(connection_id)), None)
    if connection is not None:
        reconciler.reconcile(connection, trigger="request", correlation_id=new_correlation_id(), now=timezone.now())
