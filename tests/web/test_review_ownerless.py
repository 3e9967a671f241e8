"""What belongs to nobody in particular is the staff's to see, on pages as in the API."""

from __future__ import annotations

import pytest
from django.test import Client

from sigmatrader.audit.services import raise_exception
from sigmatrader.audit.vocabulary import ExceptionCode, Severity

pytestmark = pytest.mark.django_db


def test_exceptions_of_nobody(trader_client, staff, now):
    raise_exception(
        code=ExceptionCode.AUDIT_CHAIN_BROKEN, type_="audit", severity=Severity.CRITICAL, now=now,
        summary="the chain is broken", fingerprint=("chain",),
    )  # fmt: skip
    assert b"the chain is broken" not in trader_client.get("/exceptions").content
    client = Client()
    client.force_login(staff)
    assert b"the chain is broken" in client.get("/exceptions").content
