"""Makes a single-use sign-in link."""

from __future__ import annotations

from typing import Any

from django.conf import settings
from django.core.management.base import BaseCommand, CommandError, CommandParser
from django.utils import timezone

from sigmatrader.accounts.models import User
from sigmatrader.accounts.services import make_sign_in_link


class Command(BaseCommand):
    help = "Print an address that signs USER in once within 15 minutes, or opens re-authentication if signed in."
    requires_system_checks: list[str] = []

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("username", metavar="USER")
        parser.add_argument("--base-url", default="", help="where the product is served; default http://HOST:PORT")

    def handle(self, *args: Any, **options: Any) -> None:
        user = User.objects.filter(username=options["username"], is_active=True).first()
        if user is None:
            raise CommandError(f"There is no active user {options['username']}.")
        self.stdout.write(make_sign_in_link(user, now=timezone.now(), base_url=options["base_url"] or served_at()))


def served_at() -> str:
    """Where `up` said it serves, or where it would."""
    told = settings.VAR_DIR / "run" / "base_url"
    return (
        told.read_text(encoding="ascii").strip() if told.exists() else f"http://{settings.HOST}:{settings.PORT or 8000}"
    )
