"""Who owns a connection's session: one process at a time, by the database's clock, with a number that only rises.

The holder's name tells machine and process, so that the lease of a process that died on this machine is taken at once
instead of after it ran out.
"""

from __future__ import annotations

import hashlib
import os
import secrets
import uuid
from datetime import timedelta
from functools import lru_cache
from pathlib import Path

from django.db import IntegrityError, transaction
from django.db.models import DateTimeField, Expression, ExpressionWrapper, F, Q
from django.db.models.functions import Now

from broker.models import SessionLease

LEASE_S = 10.0


def new_holder() -> str:
    """A name for this process that no other ever has."""
    return f"{_machine()}:{os.getpid()}:{secrets.token_hex(4)}"


def take(connection_id: uuid.UUID, holder: str) -> int | None:
    """The new fencing number if the lease is ours now, else None."""
    rows = SessionLease.objects.filter(pk=connection_id)
    free = Q(expires_at__lte=Now()) | Q(holder=holder)
    owner = rows.values_list("holder", flat=True).first()
    if owner is None:
        return _first(connection_id, holder)
    if is_dead(owner):
        free |= Q(holder=owner)
    with transaction.atomic():
        if not rows.filter(free).update(holder=holder, fence=F("fence") + 1, expires_at=_end()):
            return None
        return rows.values_list("fence", flat=True).get(holder=holder)


def renew(connection_id: uuid.UUID, holder: str, fence: int) -> bool:
    """Whether it still is ours, for ``LEASE_S`` more. One that ran out but that nobody took is ours still."""
    mine = SessionLease.objects.filter(pk=connection_id, holder=holder, fence=fence)
    return bool(mine.update(expires_at=_end()))


def release(connection_id: uuid.UUID, holder: str, fence: int) -> None:
    """Lets the next one have it at once."""
    SessionLease.objects.filter(pk=connection_id, holder=holder, fence=fence).update(expires_at=Now())


def is_dead(holder: str) -> bool:
    """Whether that process is known to be gone: it was one of this machine and does not exist. In doubt it lives."""
    machine, _, rest = holder.partition(":")
    pid = rest.partition(":")[0]
    if not machine or machine != _machine() or not pid.isdigit():
        return False
    try:
        os.kill(int(pid), 0)
    except ProcessLookupError:
        return True
    except (PermissionError, OverflowError):
        return False
    return False


def _first(connection_id: uuid.UUID, holder: str) -> int | None:
    try:
        with transaction.atomic():
            SessionLease.objects.create(connection_id=connection_id, holder=holder, fence=1, expires_at=_end())
    except IntegrityError:  # another was first, or the connection is gone
        return None
    return 1


def _end() -> Expression:
    return ExpressionWrapper(Now() + timedelta(seconds=LEASE_S), output_field=DateTimeField())


@lru_cache
def _machine() -> str:
    """This start of this machine and its space of process numbers; empty where it cannot be told."""
    try:
        boot = Path("/proc/sys/kernel/random/boot_id").read_text(encoding="ascii").strip()
        space = str(Path("/proc/self/ns/pid").readlink())
    except OSError:
        return ""
    return hashlib.sha256(f"{boot} {space}".encode()).hexdigest()[:16]
