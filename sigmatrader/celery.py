"""The Celery application. Queues are hints: every task finds its work in the database and is safe to run twice."""

from __future__ import annotations

import os
import warnings

from celery import Celery
from celery.platforms import SecurityWarning  # type: ignore[attr-defined]  # missing in the stubs
from celery.signals import worker_ready

from sigmatrader.supervisor import leash

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "sigmatrader.settings")
app = Celery("sigmatrader")
app.config_from_object("django.conf:settings", namespace="CELERY")
app.autodiscover_tasks()
leash.hold()
warnings.simplefilter("ignore", SecurityWarning)  # ten lines about root at each start; doctor says it in one


@worker_ready.connect(weak=False)
def _ready(**_: object) -> None:
    leash.report_ready()
