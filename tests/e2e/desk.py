"""A trader's desk at the product, over its API, and the same account in another app; for the acceptance examples."""

from __future__ import annotations

import json
import sys
import threading
import time
import urllib.request
from collections.abc import Callable
from decimal import ROUND_FLOOR, Decimal
from pathlib import Path
from typing import Any

from django.utils import timezone
from rest_framework.test import APIClient

from broker.adapters.paper import PaperAdapter
from broker.domain import OrderType, PlaceOrder, Product, Side, Validity, Variety
from broker.ingestion import load_instruments
from broker.services import ensure_paper_connection
from execution import recovery
from risk.services import ensure_default_policy
from tests.support.paper import PaperProcess

SETTLED = {"FILLED", "CANCELLED", "REJECTED", "DENIED", "NOT_PLACED", "EXPIRED", "NEEDS_REVIEW", "NOT_SENT"}


class Desk:
    """A trader at the product, and what the exchange itself says."""

    def __init__(self, api: APIClient, paper: PaperProcess) -> None:
        self.api, self.paper = api, paper

    def at_exchange(self) -> int:
        with urllib.request.urlopen(f"http://127.0.0.1:{self.paper.port}/status", timeout=5) as answer:
            return int(json.load(answer)["orders"])

    def quote(self, symbol: str = "INFY") -> dict[str, Any]:
        return dict(self.api.get(f"/api/quotes?symbols=NSE:{symbol}").json()["quotes"][f"NSE:{symbol}"])

    def marketable(self, symbol: str = "INFY") -> str:
        """A limit a little above the last price, in whole rupees: it fills at once."""
        last = Decimal(self.quote(symbol)["last_price"])
        return str((last * Decimal("1.003")).quantize(Decimal(1), ROUND_FLOOR) + 1)

    def order(self, order_id: str) -> dict[str, Any]:
        return dict(self.api.get(f"/api/orders/{order_id}").json())

    def until(self, done: Callable[[], bool], *, within_s: float = 20.0) -> None:
        """Sweeps, as the worker does, until ``done``."""
        pause, deadline = threading.Event(), time.monotonic() + within_s
        while not done():
            assert time.monotonic() < deadline, "it did not come to its end"
            pause.wait(0.05)
            recovery.sweep(settle_now=True)

    def pass_time(self, seconds: float = 0.1) -> None:
        """Waits a little and sweeps once."""
        threading.Event().wait(seconds)
        recovery.sweep(settle_now=True)

    def settled(self, order_id: str, *, within_s: float = 20.0) -> dict[str, Any]:
        self.until(lambda: self.order(order_id)["state"] in SETTLED, within_s=within_s)
        return self.order(order_id)

    def trace(self, correlation_id: str) -> dict[str, Any]:
        """The story, closed."""
        self.until(lambda: self.api.get(f"/api/traces/{correlation_id}").json()["status"] == "closed")
        return dict(self.api.get(f"/api/traces/{correlation_id}").json())


def open_desk(trader: Any, api: APIClient, exchange: PaperProcess) -> Desk:
    """A desk on this exchange: instruments, policy and an active connection."""
    now = timezone.now()
    load_instruments("paper", now=now)
    ensure_default_policy(now=now)
    ensure_paper_connection(trader, server_url=exchange.url, now=now)
    return Desk(api, exchange)


def elsewhere(desk: Desk, symbol: str, quantity: int, price: str) -> str:
    """The same account's owner at work in another app."""
    app = PaperAdapter(desk.paper.url)
    try:
        order_id = app.place_order(
            PlaceOrder(symbol, Side.BUY, quantity, OrderType.LIMIT, Product.CNC, Validity.DAY, Variety.REGULAR, "",
                       Decimal(price))
        )  # fmt: skip
        deadline = time.monotonic() + 10
        while not any(row.broker_order_id == order_id and row.is_final for row in app.orders()):
            assert time.monotonic() < deadline
        return order_id
    finally:
        app.close()


def spend(desk: Desk, symbol: str, quantity: int, price: str) -> None:
    """Spends the account's money in another app, until under a lakh is free."""
    app = PaperAdapter(desk.paper.url)
    try:
        app.place_order(
            PlaceOrder(symbol, Side.BUY, quantity, OrderType.LIMIT, Product.CNC, Validity.DAY, Variety.REGULAR, "",
                       Decimal(price))
        )  # fmt: skip
        deadline, start = time.monotonic() + 10, Decimal(100_000)
        while app.margins()["equity"].net > start:
            assert time.monotonic() < deadline
    finally:
        app.close()


class calls_into:  # noqa: N801  # used like a function
    """The functions of some folders that this thread enters while it is open."""

    def __init__(self, *folders: Path) -> None:
        self.folders = tuple(str(folder) + "/" for folder in folders)
        self.seen: set[str] = set()

    def __enter__(self) -> set[str]:
        sys.setprofile(self._note)
        return self.seen

    def __exit__(self, *exc: object) -> None:
        sys.setprofile(None)

    def _note(self, frame: Any, event: str, arg: object) -> None:
        if event == "call" and frame.f_code.co_filename.startswith(self.folders):
            self.seen.add(f"{frame.f_code.co_filename}:{frame.f_code.co_name}")
