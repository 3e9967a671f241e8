"""Named points at which a practice process can be made to die, so that recovery is shown and not only claimed.

``SIGMATRADER_FAULT_POINT=answered`` kills this process with SIGKILL when it gets there. Production never does.
"""

from __future__ import annotations

import os
import signal
from enum import StrEnum

from django.conf import settings


class FaultPoint(StrEnum):
    """Where a kill -9 is interesting (FAULTS section A, 1-4, 9, 10)."""

    BEFORE_COMMIT = "before_commit"
    COMMITTED = "committed"
    SENDING = "sending"
    ANSWERED = "answered"
    ACKED = "acked"


def reach(point: FaultPoint) -> None:
    """Dies here if this point was asked for; else does nothing."""
    if point.value == settings.FAULT_POINT:
        os.kill(os.getpid(), signal.SIGKILL)
