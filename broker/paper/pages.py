"""What the exchange's server has beside MCP: its status, the authorize page, and the control of faults."""

from __future__ import annotations

import hmac
import html
import json
from collections.abc import Awaitable, Callable, Mapping

from broker.paper.desk import Desk
from broker.paper.faults import Fault, FaultKind, FaultProblem, parse_fault
from broker.paper.sessions import LinkRefused, LoginMode
from broker.paper.tools import tool_list
from broker.paper.web import HTML, JSON, Answer, Scope, form, header, is_local, plain, query

TOOL_NAMES = frozenset(str(tool["name"]) for tool in tool_list())
SAFE = {
    "cache-control": "no-store",
    "content-security-policy": "default-src 'none'; style-src 'unsafe-inline'; form-action 'self'; "
    "frame-ancestors 'none'; base-uri 'none'",
    "referrer-policy": "same-origin",
    "x-content-type-options": "nosniff",
}
PAGE = """<!doctype html>
<html lang="en"><head><meta charset="utf-8"><meta name="viewport" content="width=device-width, initial-scale=1">
<title>Paper exchange</title><style>
body {{ font: 16px/1.5 system-ui, sans-serif; max-width: 32rem; margin: 4rem auto; padding: 0 1rem;
  color-scheme: light dark }}
button {{ font: inherit; padding: .5rem 1.5rem; cursor: pointer }}
</style></head><body><main><h1>Paper exchange</h1>{body}</main></body></html>
"""
ASKING = (
    "<p>A program asks to use the practice account <strong>{name}</strong>. Its orders go to the paper exchange only; "
    "no real money is involved.</p><p>The login lasts until 06:00 (India), 12 hours at most.</p>"
    '<form method="post"><input type="hidden" name="token" value="{token}"><button>Authorize</button></form>'
)
DONE = "<p>Login done. You can close this page and go back to the program.</p>"
Status = Callable[[Scope], Awaitable[dict[str, object]]]
Cut = Callable[[FaultKind | None], None]


class Pages:
    """``control`` is the token that commands faults; without one there is no such endpoint."""

    def __init__(self, desk: Desk, status: Status, cut: Cut, *, control: str) -> None:
        self._desk = desk
        self._status = status
        self._cut = cut
        self._control = control

    async def answer(self, scope: Scope, body: bytes) -> Answer:
        path, method = scope["path"], scope["method"]
        if path == "/status" and method in ("GET", "HEAD"):
            return _json(200, await self._status(scope))
        if path == "/authorize" and method == "GET":
            return await self._ask(scope)
        if path == "/authorize" and method == "POST":
            return await self._log_in(scope, body)
        if path == "/control/faults":
            return self._faults(scope, body)
        return plain(404, "404 page not found")

    # login

    async def _ask(self, scope: Scope) -> Answer:
        link, desk = _link(scope), self._desk
        now = desk.clock()
        try:
            desk.sessions.desk.session_of(link, now)
        except LinkRefused as exc:
            return _refused(exc)
        profile = await desk.run(lambda: desk.exchange.read(lambda e: e.profile(now)))
        name, token = html.escape(str(profile["user_name"])), desk.sessions.desk.form_token(link)
        return _page(200, ASKING.format(name=name, token=token))

    async def _log_in(self, scope: Scope, body: bytes) -> Answer:
        link, sessions = _link(scope), self._desk.sessions
        now = self._desk.clock()
        if sessions.mode is LoginMode.MANUAL and not self._is_from_page(link, form(body).get("token", "")):
            return _refused(LinkRefused("This login takes a person: open the link in a browser and press the button."))
        try:
            await self._desk.run(lambda: sessions.log_in(link, now))
        except LinkRefused as exc:
            return _refused(exc)
        return _page(200, DONE)

    def _is_from_page(self, link: str, token: str) -> bool:
        return hmac.compare_digest(self._desk.sessions.desk.form_token(link).encode(), token.encode())

    # control

    def _faults(self, scope: Scope, body: bytes) -> Answer:
        if not self._control or not is_local(scope):
            return plain(404, "404 page not found")
        given = header(scope, b"authorization")
        if not hmac.compare_digest(given.encode(), f"Bearer {self._control}".encode()):
            return _json(401, {"error": "the control token is missing or wrong"})
        if scope["method"] == "POST":
            try:
                self._add(body)
            except FaultProblem as exc:
                return _json(400, {"error": str(exc)})
        elif scope["method"] == "DELETE":
            self._desk.faults.clear()
        elif scope["method"] != "GET":
            return plain(405, "Method not allowed")
        return _json(200, {"faults": [str(fault) for fault in self._desk.faults.waiting]})

    def _add(self, body: bytes) -> None:
        """All of them or none. Raises FaultProblem."""
        try:
            wanted = json.loads(body)["faults"]
        except (ValueError, KeyError, TypeError) as exc:
            raise FaultProblem('expected {"faults": ["TOOL:KIND[:COUNT[:SECONDS]]", ...]}') from exc
        if not isinstance(wanted, list):
            raise FaultProblem("faults must be a list")
        for fault in checked_faults([str(text) for text in wanted], self._desk.sessions.mode):
            self._cut(self._desk.add_fault(fault))


def checked_faults(texts: list[str], mode: LoginMode) -> list[Fault]:
    """Raises FaultProblem."""
    faults = [parse_fault(text, TOOL_NAMES) for text in texts]
    if mode is LoginMode.OFF and any(fault.kind is FaultKind.TOKEN_DEATH for fault in faults):
        raise FaultProblem("token_death needs --login auto or manual: without logins there is no token")
    return faults


def _link(scope: Scope) -> str:
    return query(scope).get("redirect_params", "").removeprefix("session_id=")


def _refused(problem: LinkRefused) -> Answer:
    return _page(400, f"<p>{html.escape(str(problem))}</p>")


def _page(status: int, body: str) -> Answer:
    return Answer(status, PAGE.format(body=body).encode(), HTML, SAFE)


def _json(status: int, value: Mapping[str, object]) -> Answer:
    return Answer(status, json.dumps(value).encode(), JSON)
