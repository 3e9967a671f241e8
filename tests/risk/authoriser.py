"""Approves cards in a process of its own: ``python -m tests.risk.authoriser CONNECTION_ID FIRST STEP``.

Writes READY, waits for a line, then approves every STEP-th open card from the FIRST on, up to the commit that
authorises it. Nothing is sent. Writes how many were allowed.
"""

from __future__ import annotations

import os
import sys


def main(connection_id: str, first: int, step: int) -> None:
    os.environ.setdefault("DJANGO_SETTINGS_MODULE", "sigmatrader.settings")
    import django

    django.setup()
    from django.utils import timezone

    from broker.models import BrokerConnection
    from execution import approval
    from execution.models import ActionCard
    from tests.risk.race import seen_by_all

    connection = BrokerConnection.objects.get(pk=connection_id)
    cards = list(ActionCard.objects.select_related("plan", "connection", "owner").order_by("created_at", "id"))
    sys.stdout.write("READY\n")
    sys.stdout.flush()
    sys.stdin.readline()
    allowed = 0
    for card in cards[first::step]:
        plan = card.plan
        document = approval.plan_from_json(plan.document)
        view = seen_by_all(connection, now=timezone.now())
        _, decision = approval._authorize(card, plan, document, view, user=card.owner, claim=None)
        allowed += decision.allowed
    sys.stdout.write(f"{allowed}\n")


if __name__ == "__main__":
    main(sys.argv[1], int(sys.argv[2]), int(sys.argv[3]))
