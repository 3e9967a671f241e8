"""The closed words of the API under the names their components bear in the OpenAPI document (``settings``)."""

from __future__ import annotations

from collections.abc import Iterable

from ai import orchestrator
from ai.api import outputs as ai_outputs
from broker import chain
from broker import domain as broker
from execution import deltas
from execution import domain as execution
from execution.api import outputs as execution_outputs
from risk import domain as risk
from sigmatrader.audit import vocabulary as audit


def _values(words: Iterable[str]) -> list[str]:
    return [str(word) for word in words]


BrokerKind = _values(broker.BrokerKind)
CardKind = _values(execution.CardKind)
CardState = _values(execution.CardState)
CommandKind = execution_outputs.COMMAND_KINDS
CommandState = _values(execution.CommandState)
ConnectionLink = _values(chain.Link)
ConnectionStatus = ["connected", "disconnected", "error", "unknown"]
DecisionOutcome = _values(risk.Outcome)
DeltaCode = _values(deltas.DeltaCode)
ExceptionCode = _values(audit.ExceptionCode)
ExceptionStatus = _values(audit.ExceptionStatus)
IntentKind = _values(execution.IntentKind)
MessageMode = _values(orchestrator.MODES)
MessageState = _values(ai_outputs.MESSAGE_STATES)
OrderState = _values(execution.IntentState)
RunStatus = execution_outputs.RUN_STATUSES
ToolMode = ["read", "write", "login"]
TraceOutcome = _values(audit.TraceOutcome)
TraceStatus = ["open", "closed"]
TradingState = _values(risk.TradingStateName)
