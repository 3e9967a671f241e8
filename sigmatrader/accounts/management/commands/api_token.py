"""Makes a token for a program."""

from __future__ import annotations

from typing import Any

from django.core.management.base import BaseCommand, CommandError, CommandParser
from django.utils import timezone

from sigmatrader.accounts.models import User
from sigmatrader.accounts.services import make_token


class Command(BaseCommand):
    help = "Print a new API token of USER, alone on one line. It is shown this once: only its digest is kept."
    requires_system_checks: list[str] = []

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("username", metavar="USER")
        parser.add_argument("--name", default="command line", help="what the token is for")
        parser.add_argument("--trade", action="store_true", help="it may act on a live connection too")

    def handle(self, *args: Any, **options: Any) -> None:
        user = User.objects.filter(username=options["username"], is_active=True).first()
        if user is None:
            raise CommandError(f"There is no active user {options['username']}.")
        token = make_token(user, name=options["name"][:80], may_trade_live=options["trade"], now=timezone.now())
        self.stdout.write(token)
