"""The small settings page: switches, kill switch, connection as read, theme, shortcuts. It changes through the API."""

from __future__ import annotations

from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect, render
from django.utils import timezone
from django.views.decorators.http import require_GET, require_POST

from sigmatrader.accounts.models import User
from sigmatrader.accounts.selectors import flags_version
from sigmatrader.accounts.vocabulary import Flag
from sigmatrader.context import Shell
from sigmatrader.pages.people import user_of

FLAG_WORDS = (
    (Flag.AI_ASSISTANT_ENABLED, "Assistant", "Chat, analysis and explanations on every page."),
    (Flag.AI_EXECUTION_ENABLED, "Execution",
     "Lets an approved card of the assistant or a monitor send its order. Cards stay complete while this is "
     "off; "
     "the ticket never needs it."),
    (Flag.KITE_MCP_ENABLED, "Kite MCP",
     "Allows connections to a Kite MCP server. The paper exchange needs no permission."),
    (Flag.MONITORING_ENABLED, "Monitoring", "Evaluates monitors on their cadence."),
)  # fmt: skip


@require_GET
def settings_page(request: HttpRequest) -> HttpResponse:
    """Everything with its present state."""
    user_of(request)
    shell = Shell(request, now=timezone.now())
    switches = [
        {"name": flag.value, "label": label, "text": text, "on": shell.flags[flag.value]}
        for flag, label, text in FLAG_WORDS
    ]
    return render(
        request, "pages/settings.html", {"switches": switches, "version": flags_version(), "row": shell.connection_row}
    )


@require_POST
def shortcuts(request: HttpRequest) -> HttpResponse:
    """Switches single-letter shortcuts on or off for this user."""
    user = user_of(request)
    User.objects.filter(pk=user.pk).update(single_key_shortcuts=request.POST.get("on") == "true")
    return redirect("/settings#shortcuts")
