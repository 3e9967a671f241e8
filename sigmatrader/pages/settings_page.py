"""Settings: what may run, the broker, the reader of words, the risk policy and the record of it all under AI; this
screen and the password under Account. Everything changes through the API; nothing here asks the broker.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence

from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect, render
from django.utils import timezone
from django.views.decorators.http import require_GET, require_POST

from broker.chain import failed_link
from broker.kite_settings import (
    KITE_URL,
    MCP_KINDS,
    TRANSPORTS,
    active_kind,
    links_of,
    paper_url,
    shown_connection,
)
from broker.models import BrokerConnection
from broker.selectors import connections_of, latest_snapshot
from broker.shapes import masked_name
from risk.models import RiskPolicy
from sigmatrader.accounts.models import User
from sigmatrader.accounts.selectors import flags_version
from sigmatrader.accounts.vocabulary import Flag
from sigmatrader.api.ai_settings import preconditions
from sigmatrader.audit.selectors import find_system_events
from sigmatrader.audit.vocabulary import EventCategory, EventLevel
from sigmatrader.context import Shell
from sigmatrader.pages.people import user_of

TABS = (("ai", "AI"), ("account", "Account"))
FLAG_WORDS = (
    (Flag.AI_ASSISTANT_ENABLED, "Assistant", "Chat, analysis and explanations on every page."),
    (Flag.KITE_MCP_ENABLED, "Kite MCP",
     "Allows connections to a Kite MCP server. The paper exchange needs no permission."),
    (Flag.MONITORING_ENABLED, "Monitoring", "Evaluates monitors on their cadence."),
    (Flag.AI_EXECUTION_ENABLED, "Execution",
     "Lets an approved card of the assistant or a monitor send its order. Cards stay complete while this is off; "
     "the ticket never needs it."),
)  # fmt: skip
NEED_WORDS = {
    "CONNECTION_NOT_TESTED": ("Connection test passes", "#kite-mcp"),
    "ORDER_TOOLS_MISSING": ("Order tools listed", "#kite-mcp"),
    "TRADING_NOT_ACTIVE": ("Kill switch released, trading ACTIVE", "#kill"),
}
ADAPTER_WORDS = {
    "paper": "Paper exchange (practice)", "kite_mcp": "Kite MCP server (live)", "kite_connect": "Kite Connect (live)",
}  # fmt: skip
TRANSPORT_WORDS = {"auto": "As the address says", "sse": "SSE", "streamable_http": "Streamable HTTP"}
ROWS, ALL_ROWS = 8, 100
OF_SETTINGS = ("AI_SETTINGS", "AI_PROVIDER", "KITE_MCP", "RISK_POLICY")
PARTS: Mapping[str, str] = {"status": "components/kite_status.html", "audit": "components/settings_audit.html"}


@require_GET
def settings_page(request: HttpRequest) -> HttpResponse:
    """A tab with everything's present state, or for a script the part of it that moved (``?part=``)."""
    user = user_of(request)
    shell = Shell(request, now=timezone.now())
    part = request.GET.get("part", "")
    if part in PARTS and getattr(request, "htmx", False):
        facts = _kite(user) if part == "status" else _audit(request, user)
        return render(request, PARTS[part], facts)
    tab = "account" if request.GET.get("tab") == "account" else "ai"
    context: dict[str, object] = {"tab": tab, "tabs": TABS}
    if tab == "ai":
        context |= {
            "switches": _switches(user, shell), "version": flags_version(), **_kite(user), **_form(user), **_policy(),
            **_audit(request, user),
        }  # fmt: skip
    return render(request, f"pages/settings_{tab}.html", context)


@require_POST
def shortcuts(request: HttpRequest) -> HttpResponse:
    """Switches single-letter shortcuts on or off for this user."""
    user = user_of(request)
    User.objects.filter(pk=user.pk).update(single_key_shortcuts=request.POST.get("on") == "true")
    return redirect("/settings?tab=account#shortcuts")


# --- the sections ------------------------------------------------------------------------------------------------
def _switches(user: User, shell: Shell) -> list[dict[str, object]]:
    needs = [
        {"label": NEED_WORDS[code][0], "href": NEED_WORDS[code][1], "met": met}
        for code, _, met in preconditions(user, now=shell.now)
    ]
    return [
        {
            "name": flag.value, "label": label, "text": text, "on": shell.flags[flag.value],
            "needs": needs if flag is Flag.AI_EXECUTION_ENABLED else [],
            "unmet": sum(not need["met"] for need in needs) if flag is Flag.AI_EXECUTION_ENABLED else 0,
        }
        for flag, label, text in FLAG_WORDS
    ]  # fmt: skip


def _kite(user: User) -> dict[str, object]:
    """The connection of the Kite MCP section, its chain, and the newest books read over it."""
    row = shown_connection(user)
    if row is None:
        return {"row": None}
    links = links_of(row)
    return {
        "row": row, "links": links, "broken": failed_link(links), "snapshot": latest_snapshot(row),
        "user_masked": masked_name(row.user_name), "badge": _badge(row), "server": _server(row),
    }  # fmt: skip


def _badge(row: BrokerConnection) -> tuple[str, str]:
    """One word for how it stands, and its tone."""
    if row.last_status == "connected":
        return ("not authorised", "stop") if row.authorized is False else ("connected", "acc")
    return (row.last_status.replace("unknown", "not tested"), "stop" if row.last_status == "error" else "plain")


def _server(row: BrokerConnection) -> str:
    info = row.server_info if isinstance(row.server_info, dict) else {}
    return " ".join(str(info.get(name, ""))[:60] for name in ("name", "version")).strip()


def _form(user: User) -> dict[str, object]:
    kinds = [*MCP_KINDS, *set(connections_of(user).values_list("kind", flat=True)) - set(MCP_KINDS)]
    return {
        "adapters": [(kind, ADAPTER_WORDS[kind]) for kind in kinds], "adapter": active_kind(user) or "",
        "transports": [(word, TRANSPORT_WORDS[word]) for word in TRANSPORTS],
        "kite_url": KITE_URL, "paper_url": paper_url(),
    }  # fmt: skip


def _policy() -> dict[str, object]:
    """The policy in force, figure by figure, to be read."""
    row = RiskPolicy.objects.order_by("-version").first()
    if row is None:
        return {"policy": None}
    limits = json.loads(row.document).get("limits", {})
    return {"policy": row, "limits": [(name.replace("_", " "), value) for name, value in sorted(limits.items())]}


def _audit(request: HttpRequest, user: User) -> dict[str, object]:
    """The newest events of the settings; a filter that is not a word of ours is none."""
    asked = {name: request.GET.get(name, "") for name in ("category", "level")}
    known = {"category": [c.value for c in EventCategory], "level": [level.value for level in EventLevel]}
    filters: dict[str, object] = {name: value for name, value in asked.items() if value in known[name]}
    found = find_system_events(user, filters=filters)
    if "category" not in filters:
        found = found.filter(category__in=OF_SETTINGS)
    limit = ALL_ROWS if filters or request.GET.get("events") == "all" else ROWS
    return {
        "events": list(found[:limit]), "categories": known["category"],
        "levels": known["level"], "asked": filters, "all_events": limit == ALL_ROWS,
    }  # fmt: skip


__all__: Sequence[str] = ("settings_page", "shortcuts")
