"""The Celery app of beat: it sends names of tasks at their times, so it loads neither tasks nor models."""

from __future__ import annotations

import os

from celery import Celery
from celery.signals import beat_init

from sigmatrader.supervisor import leash

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "sigmatrader.settings")
app = Celery("sigmatrader", fixups=[])
app.config_from_object("django.conf:settings", namespace="CELERY")
leash.hold()


@beat_init.connect(weak=False)
def _ready(**_: object) -> None:
    leash.report_ready()
