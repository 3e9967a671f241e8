"""Housekeeping of accounts."""

from __future__ import annotations

from celery import shared_task
from django.core.management import call_command
from django.utils import timezone

from sigmatrader.accounts import rate
from sigmatrader.accounts.services import prune_links


@shared_task
def prune() -> None:
    """Forgets old rate windows, ended links and expired sessions."""
    now = timezone.now()
    rate.prune(now=now)
    prune_links(now=now)
    call_command("clearsessions")
