"""``manage.py risk_check``: what RiskGate says of a plan or intent document. Nothing is sent, nothing is stored."""

from __future__ import annotations

import json
import sys
from argparse import ArgumentParser
from collections.abc import Callable, Iterator
from datetime import datetime
from pathlib import Path
from typing import Any

from django.core.management.base import BaseCommand, CommandError
from django.utils import timezone

from ai.context_files import ContextInvalid
from broker.models import BrokerConnection
from execution import planning
from execution.sizing import NotTranslatable
from execution.wire import IntentInvalid, parse_intent
from risk.documents import PolicyFileInvalid, read_policy_file
from risk.domain import Actor, Decision, Verdict
from risk.policy import Policy, PolicyInvalid, default_policy, parse_policy
from risk.shapes import decision_document
from sigmatrader.audit import canonical
from sigmatrader.audit.api.problems import Problem
from sigmatrader.management.offline import intent_of, load_desk

Judge = Callable[[object], Decision]


class Command(BaseCommand):
    help = "Evaluates plan or intent documents with RiskGate. Nothing is sent, stored or counted."
    requires_system_checks: list[str] = []

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument("file", nargs="?", type=Path, help="a plan or intent as JSON; leave it out with --in")
        parser.add_argument("--context", type=Path, help="a folder of Kite-shaped files instead of the active account")
        parser.add_argument("--in", dest="source", type=Path, help='lines {"id", "intent"}; needs --context')
        parser.add_argument("--out", type=Path, help='lines {"id", "decision"}; default: standard output')
        parser.add_argument("--policy", type=Path, help="a policy as YAML or JSON; only with --context")
        parser.add_argument("--connection", default="", help="a connection's id; default: the active one")
        parser.add_argument("--json", action="store_true", help="one line of JSON instead of words")

    def handle(self, *args: Any, **options: Any) -> None:
        judge = _judge(options)
        if (options["file"] is None) == (options["source"] is None):
            raise CommandError("Give a file, or --context DIR --in FILE: manage.py risk_check intent.json")
        if options["file"] is not None:
            decision = judge(_document(options["file"]))
            self.stdout.write(canonical.dumps(decision_document(decision)) if options["json"] else _in_words(decision))
            return
        if options["context"] is None:
            raise CommandError("--in needs --context: many documents are judged offline.")
        lines = (f"{_answer(row, judge)}\n" for row in _questions(options["source"]))
        if options["out"] is None:
            sys.stdout.writelines(lines)
            return
        text = "".join(lines)
        try:
            options["out"].write_text(text, encoding="utf-8")
        except OSError as exc:
            raise CommandError(f"{options['out']} cannot be written: {exc.strerror}") from exc


def _judge(options: dict[str, Any]) -> Judge:
    if options["context"] is None:
        if options["policy"] is not None:
            raise CommandError("--policy needs --context: the account is judged by the policy in force.")
        return lambda payload: _judged_now(payload, options["connection"], now=timezone.now())
    try:
        return load_desk(options["context"], _policy(options["policy"])).judge
    except ContextInvalid as exc:
        raise CommandError(str(exc)) from exc


def _policy(path: Path | None) -> Policy:
    if path is None:
        return default_policy()
    try:
        return parse_policy(read_policy_file(path))
    except PolicyFileInvalid as exc:
        raise CommandError(str(exc)) from exc
    except PolicyInvalid as exc:
        faults = "\n".join(f"  {fault.field}: {fault.message}" for fault in exc.faults)
        raise CommandError(f"{path} is not a policy:\n{faults}") from exc


def _judged_now(payload: object, connection_id: str, *, now: datetime) -> Decision:
    """Against the account as it is, by the policy in force. Reads, stores nothing."""
    connection = _connection(connection_id)
    try:
        intent = parse_intent(intent_of(payload))
        return planning.preview(intent, connection=connection, actor=Actor.TRADER, now=now).decision
    except IntentInvalid as exc:
        raise CommandError(f"This is no order: {exc}") from exc
    except (NotTranslatable, Problem) as exc:
        raise CommandError(exc.text if isinstance(exc, Problem) else exc.message) from exc


def _connection(connection_id: str) -> BrokerConnection:
    rows = BrokerConnection.objects.order_by("created_at", "id")
    wanted = [row for row in rows if (str(row.id) == connection_id if connection_id else row.is_active)]
    if len(wanted) != 1:
        many = "There are several active connections" if wanted else "There is no such active connection"
        raise CommandError(f"{many}: name one with --connection, or give --context DIR.")
    return wanted[0]


def _document(path: Path) -> object:
    try:
        document: object = json.loads(path.read_text(encoding="utf-8"))
    except OSError as exc:
        raise CommandError(f"{path} cannot be read: {exc.strerror}") from exc
    except ValueError as exc:
        raise CommandError(f"{path} is not JSON: {exc}") from exc
    return document


def _questions(path: Path) -> Iterator[dict[str, object]]:
    try:
        text = path.read_text(encoding="utf-8")
    except OSError as exc:
        raise CommandError(f"{path} cannot be read: {exc.strerror}") from exc
    for number, line in enumerate(text.split("\n"), 1):
        if not line.strip():
            continue
        try:
            row = json.loads(line)
        except ValueError as exc:
            raise CommandError(f"{path}, line {number}: not JSON") from exc
        if not isinstance(row, dict) or "id" not in row or "intent" not in row:
            raise CommandError(f'{path}, line {number}: each line is {{"id", "intent"}}')
        yield row


def _answer(row: dict[str, object], judge: Judge) -> str:
    return canonical.dumps({"id": row["id"], "decision": decision_document(judge(row["intent"]))})


def _in_words(decision: Decision) -> str:
    """The verdict, what denies and warns, and what would pass instead."""
    told = [row for row in decision.controls if row.verdict is not Verdict.PASS]
    lines = [f"{decision.outcome.value.upper()}  {', '.join(decision.denials)}".rstrip()]
    lines += [f"  {row.verdict.value}  {row.code}  {row.message}" for row in told]
    lines += [f"  instead  {found.change}" for found in decision.alternatives]
    return "\n".join([*lines, f"  {len(decision.controls)} checks, policy {decision.policy_hash[:8]}"])
