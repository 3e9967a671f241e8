"""Orders leave through one function of one module. Whoever else could reach a broker's write is found here."""

from __future__ import annotations

import ast

import pytest

from tests.architecture.imports import imports_of, modules

DOOR = "execution.door"
WRITES = {"place_order", "modify_order", "cancel_order"}
# These are the other side of the door, or what it is made of.
BEHIND = ("broker.adapters", "broker.session", "broker.paper", "broker.factory", "broker.ports")

ALL = dict(modules())


def _writers():
    """The modules of broker.adapters that can write: those that define one of the writes, or a client's raw write."""
    made = (ast.FunctionDef, ast.AsyncFunctionDef)
    found = [
        name
        for name, tree in ALL.items()
        if name.startswith("broker.adapters.")
        and any(isinstance(node, made) and node.name in (*WRITES, "call_write") for node in ast.walk(tree))
    ]
    return (*found, "broker.adapters.paper")


WRITERS = _writers()


def _behind(module: str) -> bool:
    return any(module == root or module.startswith(f"{root}.") for root in BEHIND)


def second_doors(module: str, tree: ast.Module) -> list[str]:
    """Where this module takes an adapter that can write, calls a write on something, or names one to call it later."""
    if module == DOOR or _behind(module):
        return []
    found = [
        f"{module}:{item.line} imports {item.target}"
        for item in imports_of(module, tree)
        if item.target == "broker.factory.adapter_for" or _is_writer(item.target)
    ]
    for node in ast.walk(tree):
        if isinstance(node, ast.Attribute) and node.attr == "adapter_for":
            found.append(f"{module}:{node.lineno} takes adapter_for")
        elif (
            isinstance(node, ast.Attribute) and node.attr in (*WRITES, "call_write") and not _is_ours(node.value, tree)
        ):
            found.append(f"{module}:{node.lineno} takes {node.attr}")
        elif isinstance(node, ast.Call) and _gets_by_name(node):
            found.append(f"{module}:{node.lineno} takes a write by its name")
    return found


def _is_writer(target: str) -> bool:
    return any(target == name or target.startswith(f"{name}.") for name in WRITERS)


def _is_ours(value: ast.expr, tree: ast.Module) -> bool:
    """Whether the value is a module of ours that was imported by name: ``cancelling.cancel_order`` asks the door."""
    if not isinstance(value, ast.Name):
        return False
    return any(
        item.target.startswith(("execution.", "broker.services")) and item.target.rpartition(".")[2] == value.id
        for item in imports_of("here", tree)
    )


def _gets_by_name(node: ast.Call) -> bool:
    """``getattr(adapter, "place_order")``, and ``client.call("place_order", ...)`` past the adapter."""
    names = {a.value for a in node.args if isinstance(a, ast.Constant)}
    return bool(names & {*WRITES, "adapter_for"})


def test_there_is_no_second_door():
    assert [door for name, tree in ALL.items() for door in second_doors(name, tree)] == []


def test_the_door_is_there_and_used():
    assert DOOR in ALL
    taken = {item.target for item in imports_of(DOOR, ALL[DOOR])}
    called = {node.attr for node in ast.walk(ALL[DOOR]) if isinstance(node, ast.Attribute)}
    assert "broker.factory.adapter_for" in taken or "adapter_for" in called
    assert called >= {"place_order"}


@pytest.mark.parametrize(
    "source",
    [
        "from broker.factory import adapter_for",
        "from broker import factory\nfactory.adapter_for(connection)",
        "import broker.factory\nbroker.factory.adapter_for(connection)",
        "from broker.factory import adapter_for as a",
        "from broker.adapters.kite_mcp import KiteMcpAdapter",
        "from broker.adapters import paper",
        "from broker.adapters.mcp_client import McpClient",
        "def f(client):\n    client.call('place_order', {})",
        "def f(client):\n    client.call_write(name, {})",
        "def f(adapter):\n    adapter.place_order(ticket)",
        "def f(self):\n    self.adapter.cancel_order(order_id)",
        "def f(adapter):\n    send = adapter.modify_order\n    send(1)",
        "def f(adapter):\n    getattr(adapter, 'place_order')(ticket)",
        "def f():\n    from broker.factory import adapter_for",
    ],
)
@pytest.mark.parametrize(
    "module", ["execution.services", "ai.tools", "sigmatrader.management.commands.demo", "broker.services"]
)
def test_a_second_door_is_found(module, source):
    assert len(second_doors(module, ast.parse(source))) >= 1


@pytest.mark.parametrize(
    "source",
    [
        "from broker.factory import reader_for",
        "from broker.adapters.kite_tools import tool_mode",
        "NAMES = {'place_order', 'cancel_order'}",
        "from execution import cancelling\ncancelling.cancel_order(1)",
        "from execution.cancelling import cancel_order\ncancel_order(1)",
    ],
)
def test_asking_the_door_is_not_a_second_one(source):
    assert second_doors("ai.tools", ast.parse(source)) == []
