"""Scheduled work on the records. Each finds what to do in the database and may run twice."""

from __future__ import annotations

from celery import shared_task
from django.utils import timezone

from sigmatrader.audit import anchors, retention, verification


@shared_task
def write_anchor() -> None:
    """Every five minutes: where the chain stands, outside the database."""
    anchors.write_anchor(now=timezone.now())


@shared_task
def verify_chain() -> None:
    """Every night: the whole chain; what is wrong becomes an exception."""
    verification.verify_and_report(now=timezone.now())


@shared_task
def prune_records() -> None:
    """Every night: applies the retention settings."""
    retention.prune(now=timezone.now())
