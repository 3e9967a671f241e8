"""Scheduled reads: each task looks at every active connection and is safe to run twice."""

from __future__ import annotations

from celery import shared_task
from django.utils import timezone

from broker import cadence
from broker.models import BrokerConnection


@shared_task(name="broker.tasks.take_due_snapshots")
def take_due_snapshots() -> None:
    """Keeps the stored books of open markets no older than ``SNAPSHOT_EVERY_S``."""
    for connection in BrokerConnection.objects.filter(is_active=True):
        cadence.snapshot_if_due(connection, now=timezone.now())


@shared_task(name="broker.tasks.refresh_due_instruments")
def refresh_due_instruments() -> None:
    """Reads the day's list of instruments once somebody is logged in."""
    for connection in BrokerConnection.objects.filter(is_active=True):
        cadence.instruments_if_due(connection, now=timezone.now())
