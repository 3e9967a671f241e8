"""Runs the process that owns the broker sessions."""

from __future__ import annotations

from typing import Any

from django.core.management.base import BaseCommand, CommandError

from broker.session import process
from broker.session.server import SocketProblem


class Command(BaseCommand):
    help = "Own the sessions with the brokers and serve them to the other processes of this machine."
    requires_system_checks: list[str] = []

    def handle(self, *args: Any, **options: Any) -> None:
        try:
            process.serve(announce=self._say)
        except SocketProblem as exc:
            raise CommandError(str(exc)) from exc

    def _say(self, text: str) -> None:
        self.stdout.write(text)
        self.stdout.flush()
