"""One owner for the sessions of every connection that wants one."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import time
from urllib.parse import urlsplit

import httpx2

from broker.adapters.failures import CallFailed, Fault
from broker.session.keeper import Keeper
from broker.session.records import Facts, Records, RecordsDown
from broker.session.terms import Dial, Pace, Rules

log = logging.getLogger("broker.session")
SCAN_S = 2.0
ASKED_S = 600.0  # a connection that is not active keeps its session for so long after it was last asked for


class Owner:
    """Keeps a ``Keeper`` per connection that is active or was asked for lately."""

    def __init__(
        self, *, records: Records, dial: Dial, rules: Rules, plain: httpx2.AsyncClient, pace: Pace | None = None
    ) -> None:
        self._records = records
        self._dial = dial
        self._rules = rules
        self._plain = plain
        self._pace = pace or Pace()
        self._keepers: dict[str, tuple[Keeper, asyncio.Task[None]]] = {}
        self._asked: dict[str, float] = {}
        self._changed = asyncio.Event()
        self.ending = asyncio.Event()

    async def run(self) -> None:
        """Until ``ending``; then every session is closed and every lease let go. Raises what a keeper died of."""
        try:
            while not self.ending.is_set():
                self._changed.clear()
                await self._scan()
                self._raise_what_died()
                await self._nap()
        finally:
            await asyncio.gather(*(self._end(account) for account in list(self._keepers)))

    def reload(self) -> None:
        self._changed.set()

    def end(self) -> None:
        self.ending.set()
        self._changed.set()

    async def keeper(self, account: str) -> Keeper:
        """Raises CallFailed for a connection that can have no session."""
        self._asked[account] = time.monotonic()
        found = self._keepers.get(account)
        if found is None and not self.ending.is_set():
            await self._start_asked(account)
            found = self._keepers.get(account)
        if found is None:
            raise CallFailed(Fault.LOST, "there is no session for this connection")
        return found[0]

    async def get_json(self, account: str, url: str) -> object:
        """A GET of the connection's own server, beside MCP. Raises CallFailed."""
        keeper = await self.keeper(account)
        if not keeper.facts.is_paper or _origin(url) != _origin(keeper.facts.url):
            raise CallFailed(Fault.NOT_SENT, "this is not an address of the connection's server")
        try:
            response = await self._plain.get(url)
            response.raise_for_status()
            return response.json()
        except (httpx2.HTTPError, ValueError) as exc:
            raise CallFailed(Fault.LOST, f"{type(exc).__name__} at {urlsplit(url).path}") from exc

    async def _nap(self) -> None:
        with contextlib.suppress(TimeoutError):
            await asyncio.wait_for(self._changed.wait(), SCAN_S)

    async def _scan(self) -> None:
        """Starts and ends keepers as the connections want it; one whose address changed begins anew."""
        try:
            wanted = {facts.account: facts for facts in await self._records.active()}
            for account in self._lately_asked():
                if account not in wanted and (facts := await self._records.find(account)) is not None:
                    wanted[account] = facts
        except RecordsDown as exc:
            log.warning("the connections could not be read: %s", exc)
            return
        for account, (keeper, _) in list(self._keepers.items()):
            if wanted.get(account) != keeper.facts:
                await self._end(account)
        for account, facts in wanted.items():
            self._start(account, facts)

    def _lately_asked(self) -> list[str]:
        for account, (keeper, _) in self._keepers.items():
            if keeper.login_open:
                self._asked[account] = time.monotonic()
        since = time.monotonic() - ASKED_S
        self._asked = {account: at for account, at in self._asked.items() if at > since}
        return list(self._asked)

    async def _start_asked(self, account: str) -> None:
        try:
            facts = await self._records.find(account)
        except RecordsDown as exc:
            raise CallFailed(Fault.LOST, "the database does not answer") from exc
        if facts is None:
            self._asked.pop(account, None)
        else:
            self._start(account, facts)

    def _start(self, account: str, facts: Facts) -> None:
        if account not in self._keepers and not self.ending.is_set():
            keeper = Keeper(facts, records=self._records, dial=self._dial, rules=self._rules, pace=self._pace)
            self._keepers[account] = (keeper, asyncio.create_task(keeper.run()))

    async def _end(self, account: str) -> None:
        keeper, task = self._keepers.pop(account)
        keeper.stop()
        await asyncio.wait({task})
        if not task.cancelled() and (problem := task.exception()) is not None:
            log.error("the keeper of %s died: %s", account, type(problem).__name__)

    def _raise_what_died(self) -> None:
        for _, task in self._keepers.values():
            if task.done():
                task.result()


def _origin(url: str) -> tuple[str, str]:
    parts = urlsplit(url)
    return parts.scheme, parts.netloc
