"""What RiskGate costs: all controls on an account with 200 holdings and 100 open orders, inputs prepared.

Prints one JSON line. ``order_us`` is one order judged by every control, its facts included, sentences not rendered;
``basket_ms`` a plan of 20 legs; ``prepare_us`` indexing the books; ``decision_ms`` a whole decision as it is stored.
"""

from __future__ import annotations

import gc
import json
import os
import statistics
import sys
import time
from collections.abc import Callable
from dataclasses import replace
from decimal import Decimal
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT))
os.environ.setdefault("DJANGO_SETTINGS_MODULE", "sigmatrader.settings")

import django  # noqa: E402

django.setup()

from risk import gate  # noqa: E402
from risk.account import prepare  # noqa: E402
from risk.controls.registry import CONTROLS  # noqa: E402
from risk.domain import UNTOUCHED, Book, OrderRequest  # noqa: E402
from risk.legs import leg_facts  # noqa: E402
from risk.policy import default_policy  # noqa: E402
from tests.risk.build import NOW, book, holding, info, open_order, order, purse, quote  # noqa: E402

HOLDINGS, OPEN_ORDERS, LEGS = 200, 100, 20
ROUNDS = int(os.environ.get("ROUNDS", "2000"))


def main() -> None:
    account_book, policy = _book(), default_policy()
    policy = replace(policy, limits=replace(policy.limits, open_orders_max=OPEN_ORDERS + LEGS))
    account = prepare(account_book)
    one = (order(symbol="NSE:S0", limit_price=Decimal(100)),)
    basket = tuple(_leg(n) for n in range(1, LEGS + 1))

    def judged(orders: tuple[OrderRequest, ...]) -> Callable[[], object]:
        return lambda: gate.judge(leg_facts(orders, account=account, policy=policy, now=NOW))

    decision = gate.evaluate(one, book=account_book, policy=policy, now=NOW)
    print(json.dumps({
        "controls": len(CONTROLS), "holdings": HOLDINGS, "open_orders": OPEN_ORDERS, "cores": os.cpu_count(),
        "outcome": decision.outcome.value, "denials": list(decision.denials),
        "order_us": _spread(judged(one), ROUNDS, 1e6), "basket_ms": _spread(judged(basket), ROUNDS // 10, 1e3),
        "prepare_us": _spread(lambda: prepare(account_book), ROUNDS // 20, 1e6),
        "decision_ms": _spread(
            lambda: gate.evaluate(one, book=account_book, policy=policy, now=NOW), ROUNDS // 20, 1e3),
    }))  # fmt: skip


def _book() -> Book:
    names = [f"NSE:S{n}" for n in range(HOLDINGS)]
    return book(
        instruments={name: info(name, isin=f"INE{n:09d}") for n, name in enumerate(names)},
        quotes={name: quote(name, "100") for name in names},
        holdings=tuple(holding(name, 10, isin=f"INE{n:09d}", last_price=Decimal(100)) for n, name in enumerate(names)),
        open_orders=tuple(
            open_order(f"b{n}", side="BUY", quantity=1, symbol=names[n % HOLDINGS], price=Decimal(95))
            for n in range(OPEN_ORDERS)
        ),
        margins={"equity": purse("10000000")},
        margin_required={n: Decimal(1100) for n in range(1, LEGS + 1)},
        standing=replace(UNTOUCHED, sectors={name: f"sector {n % 12}" for n, name in enumerate(names)}),
    )


def _leg(n: int) -> OrderRequest:
    return order(leg=n, symbol=f"NSE:S{n}", limit_price=Decimal(100))


def _spread(call: Callable[[], object], rounds: int, scale: float) -> dict[str, float]:
    for _ in range(max(10, rounds // 20)):
        call()
    gc.collect()
    took = []
    for _ in range(max(20, rounds)):
        start = time.perf_counter()
        call()
        took.append((time.perf_counter() - start) * scale)
    cuts = statistics.quantiles(took, n=100)
    return {"p50": round(cuts[49], 2), "p95": round(cuts[94], 2), "p99": round(cuts[98], 2)}


if __name__ == "__main__":
    main()
