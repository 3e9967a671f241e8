"""What a failed write proves: only a few texts say that nothing was sent (FAULTS 0.5)."""

from __future__ import annotations

import pytest

from broker.adapters.failures import CallFailed, Fault, read_refusal, write_failure, write_refusal
from broker.ports import BrokerAuthExpired, BrokerOutcomeUnknown, BrokerUnavailable


@pytest.mark.parametrize(
    ("text", "error"),
    [
        ("Please log in first using the login tool", BrokerAuthExpired),
        ("Failed to establish a session. Please try again.", BrokerUnavailable),
        ("parameter 'variety': is required", BrokerUnavailable),
        ("parameter 'tag': cannot be empty", BrokerUnavailable),
        ("Failed to place order", BrokerOutcomeUnknown),
        ("Failed to process response data", BrokerOutcomeUnknown),
        ("Order request timed out. Please log in first", BrokerOutcomeUnknown),
        ("note: parameter 'variety': is required", BrokerOutcomeUnknown),
        ("parameter 'variety': is required, but the order was placed", BrokerOutcomeUnknown),
        ("", BrokerOutcomeUnknown),
    ],
)
def test_texts_of_a_failed_write(text: str, error: type) -> None:
    assert type(write_refusal(text)) is error


@pytest.mark.parametrize(
    ("failure", "error"),
    [
        (CallFailed(Fault.NOT_SENT, "refused"), BrokerUnavailable),
        (CallFailed(Fault.PROTOCOL, "tool 'place_order' not found: tool not found", -32602), BrokerUnavailable),
        (CallFailed(Fault.PROTOCOL, "tool 'place_order' not found: tool not found", -32603), BrokerOutcomeUnknown),
        (CallFailed(Fault.PROTOCOL, "Invalid params", -32602), BrokerOutcomeUnknown),
        (CallFailed(Fault.SESSION_LOST, "gone"), BrokerOutcomeUnknown),
        (CallFailed(Fault.LOST, "cut"), BrokerOutcomeUnknown),
        (CallFailed(Fault.UNREADABLE, "html"), BrokerOutcomeUnknown),
    ],
)
def test_failures_below_the_tool(failure: CallFailed, error: type) -> None:
    assert type(write_failure(failure)) is error


def test_only_a_failed_profile_asks_for_a_login() -> None:
    assert type(read_refusal("get_profile", "Failed to execute get_profile")) is BrokerAuthExpired
    assert type(read_refusal("get_orders", "Failed to execute get_orders")) is BrokerUnavailable
    assert type(read_refusal("get_orders", "Please log in first using the login tool")) is BrokerAuthExpired
