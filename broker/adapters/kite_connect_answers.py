"""What an answer of Kite Connect's REST API says, and what a refusal proves. Pure.

A refused write is final only by the words of FACTS d1-d3: a status of 400 is no proof of absence, and Zerodha asks to
read the kind broadly and the text closely. What is not on the lists below counts as possibly done.
"""

from __future__ import annotations

import re

from broker.adapters.failures import CallFailed, Fault
from broker.adapters.kite_values import Row, document
from broker.ports import (
    BrokerAuthExpired,
    BrokerError,
    BrokerOutcomeUnknown,
    BrokerRejected,
    BrokerSchemaError,
    BrokerUnavailable,
)

TOKEN = "TokenException"  # noqa: S105  # the kind's name
DEPOSITORY = 428  # consent for the sale is missing at the depository
# Kinds by which Kite refuses before there is an order. OrderException is not among them: it also reports time-outs.
_DEFINITE = frozenset({"InputException", "MarginException", "HoldingException", "PermissionException", "UserException"})
_DEFINITE_STATUSES = frozenset({400, 403, DEPOSITORY})
_MAYBE = re.compile(r"tim(ed?|ing)[ -]?out|before placing again|check the order ?book and confirm", re.IGNORECASE)
_DEAD_TOKEN = re.compile(
    r"(Incorrect `?api_key`? or `?access_token`?|Token is invalid or has expired|Invalid (session|token)\b.*)\.?",
    re.IGNORECASE | re.DOTALL,
)


class Refused(Exception):
    """Kite answered with a refusal: the HTTP status, its ``error_type`` and its text, bounded."""

    def __init__(self, status: int, kind: str, text: str) -> None:
        super().__init__(text[:500])
        self.status = status
        self.kind = kind
        self.text = text[:500]

    @property
    def is_dead_token(self) -> bool:
        """Whether it says that the login is over."""
        return self.kind == TOKEN and self.status in (401, 403)

    @property
    def is_passing(self) -> bool:
        """Whether a read may be asked again at once; a rate limit is left alone: insisting gets an app blocked."""
        return self.status >= 500


def judged(status: int, content_type: str, body: bytes) -> Row | None:
    """The envelope of an answer, numbers exact; None for a CSV, which has none.

    Raises Refused for a refusal and for any status but 2xx, CallFailed(UNREADABLE) for a 2xx that is neither.
    """
    good = 200 <= status < 300
    if good and "csv" in content_type.lower():
        return None
    envelope = _envelope(body)
    if envelope is not None and (envelope.get("status") == "error" or envelope.get("error_type")):
        kind, text = envelope.get("error_type"), envelope.get("message")
        raise Refused(status, kind if isinstance(kind, str) else "", text if isinstance(text, str) else "")
    if not good:
        raise Refused(status, "", f"HTTP {status}")
    if envelope is None or "data" not in envelope:
        raise CallFailed(Fault.UNREADABLE, "the answer is not of Kite Connect's shape")
    return envelope


def write_refused(refusal: Refused) -> BrokerError:
    """The error of a write that was answered with a refusal (FAULTS 0.5)."""
    if refusal.is_dead_token and _DEAD_TOKEN.fullmatch(refusal.text.strip()):
        return BrokerAuthExpired(refusal.text)
    if refusal.status in _DEFINITE_STATUSES and not _MAYBE.search(refusal.text):
        if refusal.kind in _DEFINITE:
            return BrokerRejected(refusal.text)
        if refusal.status == DEPOSITORY:
            return BrokerRejected(refusal.text or "The depository asks for your authorisation of this sale.")
    return BrokerOutcomeUnknown(_named(refusal))


def write_failed(exc: CallFailed) -> BrokerError:
    """The error of a write that was not answered."""
    return BrokerUnavailable(exc.text) if exc.fault is Fault.NOT_SENT else BrokerOutcomeUnknown(exc.text)


def read_refused(refusal: Refused) -> BrokerError:
    """The error of a read that was answered with a refusal."""
    return BrokerAuthExpired(refusal.text) if refusal.is_dead_token else BrokerUnavailable(_named(refusal))


def read_failed(exc: CallFailed) -> BrokerError:
    """The error of a read that got no usable answer."""
    return BrokerSchemaError(exc.text) if exc.fault is Fault.UNREADABLE else BrokerUnavailable(exc.text)


def _named(refusal: Refused) -> str:
    return f"{refusal.kind or refusal.status}: {refusal.text}"


def _envelope(body: bytes) -> Row | None:
    try:
        found = document(body.decode("utf-8"))
    except (BrokerSchemaError, UnicodeDecodeError):
        return None
    return found if isinstance(found, dict) else None
