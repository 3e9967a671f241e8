"""From an Intent to what the trader is told: a card for an order, figures for a question, a question or a refusal."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from ai import answers, explaining
from ai.answers import IST, Answer
from ai.explaining import Evidence
from ai.gathering import AssistantLook
from ai.run import Run
from ai.selectors import latest_denial, latest_intent
from broker.portfolio import portfolio_shape
from execution.domain import Origin
from execution.models import ActionCard
from execution.planning import make_plan
from execution.shapes import card_shape
from execution.translation import NotTranslatable
from execution.wire import IntentInvalid, parse_intent
from risk.shapes import decision_shape
from sigmatrader.audit.api.renderers import json_text
from sigmatrader.audit.vocabulary import TraceOutcome

TRADES = ("order", "orders", "modify", "cancel")
READ_ONLY_MODES = ("analyze", "explain")


@dataclass(slots=True)
class Reply:
    """What is said. ``outcome`` ends the trace; None leaves it to the card's own life."""

    text: str
    outcome: TraceOutcome | None = None
    facts: list[dict[str, object]] = field(default_factory=list)
    details: dict[str, object] = field(default_factory=dict)
    card: dict[str, Any] | None = None


def reply_to(run: Run, intent: Mapping[str, Any], assumed: tuple[str, ...], look: AssistantLook) -> Reply:
    """Writes a plan and a card for an order, nothing otherwise. Raises BrokerError and Problem as planning does."""
    kind = intent["kind"]
    if kind in TRADES:
        return _order(run, intent, assumed)
    if kind == "analyze":
        return _analysis(run, intent, look)
    if kind == "explain":
        return _explanation(run, intent, look)
    if kind == "refuse":
        details = {"code": intent["code"], "link": intent.get("link", "")}
        return Reply(str(intent["reason"]), TraceOutcome.REFUSED, details=details)
    return _clarify(str(intent["question"]), list(intent.get("choices", ())), list(intent.get("missing", ())))


def _clarify(question: str, choices: list[str], missing: list[str], offer: str = "") -> Reply:
    details: dict[str, object] = {"choices": choices, "missing": missing}
    if offer:
        details["offer_mode"] = offer
    return Reply(question, TraceOutcome.CLARIFIED, details=details)


def _order(run: Run, intent: Mapping[str, Any], assumed: tuple[str, ...]) -> Reply:
    if run.question.mode in READ_ONLY_MODES:
        return _clarify(
            f"That is an order, and this is {run.question.mode.title()} mode. Switch to Execute to make its card.",
            [run.question.text], ["order"], offer="execute",
        )  # fmt: skip
    if intent["kind"] == "cancel" and not intent.get("order_ids"):
        return _clarify(
            "GTTs and monitors are not cancelled from the chat; orders are. Cancel a GTT in Kite.", [], ["order"]
        )
    with run.stream.tool("make_plan", {"kind": intent["kind"]}) as row:
        try:
            typed = parse_intent({**intent, "assumed": list(assumed)}, text=run.question.text)
            card = make_plan(
                user=run.user, connection=run.connection, intent=typed, origin=Origin.ASSISTANT,
                correlation_id=run.correlation_id, now=run.clock.now(), message_id=str(run.question.pk),
                source={"thread": str(run.thread.pk), "message": str(run.question.pk), "provider": run.reply.provider},
            )  # fmt: skip
        except NotTranslatable as exc:
            row.result = exc.code
            return _clarify(exc.message, [], [_missing(exc.field)])
        except IntentInvalid as exc:
            row.result = "INTENT_INVALID"
            return _clarify(" ".join(fault.message for fault in exc.faults[:3]), [], ["order"])
        row.ok, row.result = True, card.title
    return _card_reply(card)


def _missing(field_name: str) -> str:
    last = field_name.rpartition(".")[2]
    return {"limit_price": "price", "trigger_price": "price", "quantity_rule": "quantity"}.get(last, last or "order")


def _card_reply(card: ActionCard) -> Reply:
    shape: dict[str, Any] = json.loads(json_text(card_shape(card)))
    risk = shape["risk"] or {}
    if card.state == "denied":
        return Reply(
            f"{card.title}: RiskGate denied it ({', '.join(risk.get('denials', []))}). Nothing was sent.", card=shape
        )
    warned = f" Warnings: {', '.join(risk['warnings'])}." if risk.get("warnings") else ""
    return Reply(f"{card.title}: RiskGate passed it.{warned} Approve or decline it on the card.", card=shape)


def _analysis(run: Run, intent: Mapping[str, Any], look: AssistantLook) -> Reply:
    symbol = str(intent.get("symbol") or "")
    now = run.clock.now()
    portfolio = portfolio_shape(run.connection, look.snapshot, now=now)
    company = look.context.catalog.company(symbol) if symbol else ""
    said = answers.answer(intent, answers.Look(portfolio, now, look.context.quotes, company))
    return _answered(said)


def _explanation(run: Run, intent: Mapping[str, Any], look: AssistantLook) -> Reply:
    return _answered(explaining.explain(intent, _evidence(run, intent, look)))


def _answered(said: Answer) -> Reply:
    details: dict[str, object] = {"table": said.table.shape()} if said.table else {}
    return Reply(said.text, TraceOutcome.ANSWERED, facts=said.facts, details=details)


def _evidence(run: Run, intent: Mapping[str, Any], look: AssistantLook) -> Evidence:
    symbol, ids = str(intent.get("symbol") or ""), list(intent.get("order_ids") or ())
    orders = look.context.orders
    if orders is not None:
        named = [
            o
            for o in orders
            if (not symbol or o.symbol.endswith(f":{symbol}")) and (not ids or o.broker_order_id in ids)
        ]
        orders = tuple(reversed(named))
    found = latest_denial(run.user, symbol)
    made = latest_intent(run.user, symbol=symbol, broker_order_ids=ids)
    return Evidence(
        orders=orders,
        order_source=f"snapshot:{look.snapshot_id}",
        denial=decision_shape(found) if found else None,
        words=str(made.plan.card.source.get("words", "")) if made else "",
        origin={"ticket": "order ticket"}.get(made.origin, made.origin) if made else "",
        made_at=f"{made.created_at.astimezone(IST):%d %b %Y %H:%M:%S}" if made else "",
        trace=made.correlation_id if made else "",
    )
