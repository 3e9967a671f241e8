"""Serves the paper exchange as a Kite MCP server."""

from __future__ import annotations

import os
from typing import Any

from django.conf import settings
from django.core.management.base import BaseCommand, CommandError, CommandParser

from broker.paper import server


class Command(BaseCommand):
    help = "Serve the paper exchange as a Kite MCP server on the loopback address."
    requires_system_checks: list[str] = []

    def add_arguments(self, parser: CommandParser) -> None:
        server.add_arguments(parser)

    def handle(self, *args: Any, **options: Any) -> None:
        os.environ.setdefault("SIGMATRADER_VAR", str(settings.VAR_DIR))
        try:
            server.serve(server.options_from(options), announce=self._say)
        except server.ServerProblem as exc:
            raise CommandError(str(exc)) from exc

    def _say(self, text: str) -> None:
        self.stdout.write(text)
        self.stdout.flush()
