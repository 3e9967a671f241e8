"""Imports go one way; cores stay pure; few modules reach the network; nothing is evaluated or swallowed."""

from __future__ import annotations

import ast

import pytest

from tests.architecture.imports import imports_of, modules, room_of, wrong_arrows

NETWORK = (
    "httpx", "httpx2", "httpcore2", "mcp", "openai", "ollama", "requests", "kiteconnect", "aiohttp", "urllib.request",
    "websockets",
)  # fmt: skip
MAY_REACH_OUT = (
    "broker.adapters", "broker.outbound", "broker.session", "broker.paper.server", "ai.providers",
    "sigmatrader.demo.stage",
)  # fmt: skip
PURE = (
    "broker.domain", "broker.ports", "broker.rounding", "broker.charges", "broker.calendar", "broker.paper.market",
    "broker.paper.prices", "risk.domain",
    "risk.gate", "risk.policy", "risk.margins", "risk.controls", "execution.domain", "execution.lifecycle",
    "execution.translation", "execution.reconciliation", "execution.wire", "ai.interpreter",
    "ai.ports", "sigmatrader.audit.canonical", "sigmatrader.audit.vocabulary", "sigmatrader.accounts.vocabulary",
    "sigmatrader.supervisor.restarts",
)  # fmt: skip
NOT_PURE = ("django", "rest_framework", "celery", "random", "secrets", "socket", "http", "subprocess", *NETWORK)

ALL = dict(modules())


def _under(name: str, roots: tuple[str, ...]) -> bool:
    return any(name == root or name.startswith(f"{root}.") for root in roots)


def test_there_is_something_to_look_at():
    assert len(ALL) > 60


def test_imports_go_one_way():
    assert [arrow for name, tree in ALL.items() for arrow in wrong_arrows(name, tree)] == []


@pytest.mark.parametrize(
    ("module", "source"),
    [
        ("broker.selectors", "from execution.models import Order"),
        ("broker.selectors", "import ai"),
        ("risk.gate", "def f():\n    from execution import services"),
        ("sigmatrader.audit.services", "from sigmatrader.accounts.models import User"),
        ("sigmatrader.accounts.services", "from broker import models"),
        ("execution.services", "from sigmatrader.urls import urlpatterns"),
        ("execution.services", "import sigmatrader.celery"),
        ("execution.services", "from sigmatrader import readiness"),
        ("monitoring.tasks", "import_module('ai.orchestrator')"),
        ("execution.planning", "if TYPE_CHECKING:\n    from ai.models import ChatThread"),
        ("execution.api.plans", "from ...monitoring import models"),
    ],
)
def test_an_arrow_that_points_back_is_found(module, source):
    assert len(wrong_arrows(module, ast.parse(source))) == 1


@pytest.mark.parametrize(
    ("module", "source"),
    [
        ("ai.orchestrator", "from execution.planning import make_plan"),
        ("execution.services", "from sigmatrader.audit.recording import recording"),
        ("execution.services", "from . import domain"),
        ("sigmatrader.urls", "import ai.api.urls"),
        ("broker.models", "from sigmatrader.audit import fields"),
    ],
)
def test_an_arrow_that_points_left_is_not(module, source):
    assert wrong_arrows(module, ast.parse(source)) == []


def test_the_project_package_itself_is_empty():
    assert ALL["sigmatrader"].body == []


def _forbidden(module: str, tree: ast.Module, names: tuple[str, ...]) -> list[str]:
    return [f"{module}:{item.line} {item.target}" for item in imports_of(module, tree) if _under(item.target, names)]


def test_only_adapters_reach_the_network():
    others = {name: tree for name, tree in ALL.items() if not _under(name, MAY_REACH_OUT)}
    assert [found for name, tree in others.items() for found in _forbidden(name, tree, NETWORK)] == []


def test_a_network_import_elsewhere_is_found():
    assert _forbidden("risk.gate", ast.parse("import httpx2"), NETWORK) == ["risk.gate:1 httpx2"]


def test_pure_cores_know_no_framework_network_chance_or_clock():
    cores = {name: tree for name, tree in ALL.items() if _under(name, PURE)}
    assert [found for name, tree in cores.items() for found in _forbidden(name, tree, NOT_PURE)] == []
    assert {name: _clock_calls(tree) for name, tree in cores.items() if _clock_calls(tree)} == {}


def test_every_core_named_here_exists():
    assert [core for core in PURE if not any(_under(name, (core,)) for name in ALL)] == []


def _clock_calls(tree: ast.Module) -> list[int]:
    """Where ``datetime.now()``, ``date.today()``, ``time.time()`` and their like are called."""
    asks = {"now", "today", "utcnow", "time", "monotonic", "perf_counter", "time_ns"}
    owners = {"datetime", "date", "time", "timezone"}
    return [
        node.lineno
        for node in ast.walk(tree)
        if isinstance(node, ast.Call)
        and isinstance(node.func, ast.Attribute)
        and node.func.attr in asks
        and isinstance(node.func.value, ast.Name | ast.Attribute)
        and (node.func.value.id if isinstance(node.func.value, ast.Name) else node.func.value.attr) in owners
    ]


def test_a_pure_core_that_reads_the_clock_is_found():
    assert _clock_calls(ast.parse("from datetime import datetime\nx = datetime.now(tz=UTC)")) == [2]


def _dangers(tree: ast.Module) -> list[str]:
    found = []
    for node in ast.walk(tree):
        if isinstance(node, ast.ExceptHandler) and not _raises_again(node):
            caught = node.type.elts if isinstance(node.type, ast.Tuple) else [node.type]
            if any(c is None or (isinstance(c, ast.Name) and c.id in ("Exception", "BaseException")) for c in caught):
                found.append(f"{node.lineno} catches everything")
        if isinstance(node, ast.Call) and _called(node.func) in _EVALUATES:
            found.append(f"{node.lineno} {_called(node.func)}")
        if isinstance(node, ast.Import | ast.ImportFrom):
            names = [alias.name for alias in node.names] if isinstance(node, ast.Import) else [node.module or ""]
            found += [
                f"{node.lineno} {name}" for name in names if name.split(".")[0] in ("pickle", "marshal", "shelve")
            ]
    return found


def _raises_again(handler: ast.ExceptHandler) -> bool:
    """Cleaning up and passing the error on swallows nothing."""
    return isinstance(handler.body[-1], ast.Raise) and handler.body[-1].exc is None


_EVALUATES = {"eval", "exec", "compile", "yaml.load", "yaml.unsafe_load", "os.system", "mark_safe"}


def _called(func: ast.expr) -> str:
    if isinstance(func, ast.Name):
        return func.id
    if isinstance(func, ast.Attribute) and isinstance(func.value, ast.Name) and func.value.id in ("yaml", "os"):
        return f"{func.value.id}.{func.attr}"
    return ""


# Each with its reason.
MAY_CATCH_ALL: dict[str, str] = {"risk.gate": "an erring control is a denial, whatever it raised"}


def test_nothing_is_evaluated_or_swallowed():
    found = {name: _dangers(tree) for name, tree in ALL.items()}
    excused = {
        name: [d for d in dangers if "catches" not in d] if name in MAY_CATCH_ALL else dangers
        for name, dangers in found.items()
    }
    assert {name: dangers for name, dangers in excused.items() if dangers} == {}


@pytest.mark.parametrize(
    "source",
    [
        "try:\n    f()\nexcept Exception:\n    pass", "try:\n    f()\nexcept:\n    pass",
        "try:\n    f()\nexcept (ValueError, Exception):\n    pass", "eval('1')", "import yaml\nyaml.load(x)",
        "import pickle", "from pickle import loads", "exec(text)",
    ],
)  # fmt: skip
def test_a_danger_is_found(source):
    assert len(_dangers(ast.parse(source))) == 1


def test_every_module_belongs_to_a_room():
    assert [name for name in ALL if room_of(name) is None] == []
