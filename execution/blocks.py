"""What stands between a connection and sending on it: order tools that are missing or changed, a login that is due.

Each is known before anything is approved, says what to do about it, and is asked again at the door (FAULTS A33, A36).
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from broker.adapters.kite_tools import ORDER_TOOLS
from broker.domain import BrokerKind
from broker.models import BrokerConnection
from sigmatrader.audit.models import ExceptionNote
from sigmatrader.audit.services import fingerprint_digest

TOOL_MISSING = "EXECUTION_TOOL_MISSING"
SCHEMA_CHANGED = "TOOL_SCHEMA_CHANGED"
AUTH_REQUIRED = "AUTH_REQUIRED"
ACCEPT_TOOLS = "accept_tools"

WAYS_OUT = (
    "Run your own Kite MCP server with your own API key and set its address in Settings.",
    "Use a Kite Connect connection instead.",
)
LOGIN_WAY = "Authorize the connection in Settings; what waits goes on by itself after the login."
_ACCEPT_WAY = "Have an administrator look at the changed tools and accept them in the Exceptions Center."
_WITH_TOOLS = (BrokerKind.PAPER.value, BrokerKind.KITE_MCP.value)
_MISSING_WORDS = ("missing", "absent", "not offered", "not listed")


@dataclass(frozen=True, slots=True)
class Block:
    """Why nothing can be sent on a connection now, as a code and a sentence, and what a person can do."""

    code: str
    text: str
    ways_out: tuple[str, ...]

    @property
    def sentence(self) -> str:
        """The reason and the ways out as one text."""
        return " ".join((self.text, *self.ways_out))

    def document(self) -> dict[str, object]:
        """The block as the API shows it."""
        return {"code": self.code, "text": self.text, "ways_out": list(self.ways_out)}


def block_of(connection: BrokerConnection) -> Block | None:
    """The first thing that keeps this connection from sending new orders or changes; None if nothing does.

    A cancel is tried whatever this says: no list of tools and no state of ours holds one back (FAULTS 0.7).
    """
    return tools_block(connection) or login_block(connection)


def login_block(connection: BrokerConnection) -> Block | None:
    """The broker wants a person to log in; None where it is authorised or nobody knows."""
    if connection.authorized is not False:
        return None
    return Block(AUTH_REQUIRED, "The broker session needs a login, so sends are paused.", (LOGIN_WAY,))


def tools_block(connection: BrokerConnection) -> Block | None:
    """Order tools the server does not offer, or offers in another shape than we know and nobody accepted."""
    if connection.kind not in _WITH_TOOLS:
        return None
    missing = missing_order_tools(connection)
    if missing:
        text = f"This broker connection cannot execute: its server offers no {_listed(missing)}."
        return Block(TOOL_MISSING, text, WAYS_OUT)
    changed = changed_order_tools(connection)
    if changed and not is_accepted(connection, changed):
        text = f"The broker's server changed {_listed(changed)}, so nothing is sent through it for now."
        return Block(SCHEMA_CHANGED, text, (_ACCEPT_WAY,))
    return None


def missing_order_tools(connection: BrokerConnection) -> tuple[str, ...]:
    """Order tools a known list lacks, or that a comparison of the lists names as missing."""
    listed = set(connection.tools)
    lacking = {tool for tool in ORDER_TOOLS if listed and tool not in listed}
    named = {tool for tool, what in _order_faults(connection) if tool not in listed and _says_missing(what)}
    return tuple(sorted(lacking | named))


def changed_order_tools(connection: BrokerConnection) -> dict[str, str]:
    """Order tools that are there in another shape than we know, and what differs."""
    missing = missing_order_tools(connection)
    faults: dict[str, list[str]] = {}
    for tool, what in _order_faults(connection):
        if tool not in missing:
            faults.setdefault(tool, []).append(what)
    return {tool: "; ".join(sorted(whats)) for tool, whats in sorted(faults.items())}


def tools_fingerprint(connection: BrokerConnection, changed: Mapping[str, str]) -> tuple[str, ...]:
    """What makes two reports of one changed tool list the same exception; another change is another one."""
    return ("tools", connection.account, *(f"{tool}: {what}" for tool, what in sorted(changed.items())))


def is_accepted(connection: BrokerConnection, changed: Mapping[str, str]) -> bool:
    """Whether a person accepted exactly these changes."""
    digest = fingerprint_digest(tools_fingerprint(connection, changed))
    return ExceptionNote.objects.filter(exception__fingerprint=digest, action=ACCEPT_TOOLS).exists()


def _order_faults(connection: BrokerConnection) -> Iterable[tuple[str, str]]:
    for fault in connection.tool_faults:
        tool = str(fault.get("tool", "")) if isinstance(fault, Mapping) else ""
        if tool in ORDER_TOOLS:
            yield tool, str(fault.get("what", ""))[:200]


def _says_missing(what: str) -> bool:
    return any(word in what.lower() for word in _MISSING_WORDS)


def _listed(tools: Iterable[str]) -> str:
    names = [tool.replace("_", " ") for tool in tools]
    return " and ".join(filter(None, (", ".join(names[:-1]), names[-1])))
