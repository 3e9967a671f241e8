"""``manage.py interpret``: what is read in a message. No network, no writes."""

from __future__ import annotations

import json
import sys
from argparse import ArgumentParser
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from django.core.management.base import BaseCommand, CommandError
from django.utils import timezone

from ai.context import Context, make_context
from ai.context_files import ContextInvalid, load_context
from ai.factory import BUILTIN, PROVIDERS, provider_for
from ai.ports import ChatRole, ChatTurn, Limits
from ai.tools import SUBMIT_INTENT_TOOL
from broker.paper.instruments import default_instruments
from sigmatrader.audit.canonical import dumps


class Command(BaseCommand):
    help = "Reads a message, or a file of them, into an Intent. Nothing is sent, nothing is stored."
    requires_system_checks: list[str] = []

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument("text", nargs="?", help="the message; leave it out with --in")
        parser.add_argument(
            "--context", type=Path, help="a folder of Kite-shaped files; default: the paper market, empty books"
        )
        parser.add_argument("--in", dest="source", type=Path, help='lines {"id", "text"}')
        parser.add_argument("--out", type=Path, help='lines {"id", "intent"}; default: standard output')
        parser.add_argument("--provider", choices=PROVIDERS, default=BUILTIN)
        parser.add_argument("--json", action="store_true", help="one line of JSON instead of indented text")

    def handle(self, *args: Any, **options: Any) -> None:
        context = _context(options["context"])
        if (options["text"] is None) == (options["source"] is None):
            raise CommandError('Give a message, or --in FILE: manage.py interpret "buy 10 INFY at 1500"')
        if options["text"] is not None:
            intent = _read(options["text"], context, options["provider"])
            line = dumps(intent) if options["json"] else json.dumps(intent, indent=2, ensure_ascii=False)
            self.stdout.write(line)
            return
        lines = [f"{_answer(row, context, options['provider'])}\n" for row in _questions(options["source"])]
        if options["out"]:
            options["out"].write_text("".join(lines), encoding="utf-8")
        else:
            sys.stdout.writelines(lines)


def _context(folder: Path | None) -> Context:
    if folder is None:
        return make_context(now=timezone.now(), instruments=[row.info for row in default_instruments()])
    try:
        return load_context(folder)
    except ContextInvalid as exc:
        raise CommandError(str(exc)) from exc


def _questions(path: Path) -> Iterator[dict[str, object]]:
    try:
        text = path.read_text(encoding="utf-8")
    except OSError as exc:
        raise CommandError(f"{path} cannot be read: {exc.strerror}") from exc
    for number, line in enumerate(text.splitlines(), 1):
        if not line.strip():
            continue
        try:
            row = json.loads(line)
        except ValueError as exc:
            raise CommandError(f"{path}, line {number}: not JSON") from exc
        if not isinstance(row, dict) or "id" not in row or not isinstance(row.get("text"), str):
            raise CommandError(f'{path}, line {number}: each line is {{"id", "text"}}')
        yield row


def _answer(row: dict[str, object], context: Context, provider: str) -> str:
    return dumps({"id": row["id"], "intent": _read(str(row["text"]), context, provider)})


def _read(text: str, context: Context, provider: str) -> object:
    turn = provider_for(provider, context=context).turn([ChatTurn(ChatRole.USER, text)], [SUBMIT_INTENT_TOOL], Limits())
    return turn.tool_calls[0].arguments["intent"]
