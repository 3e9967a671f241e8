"""Reads what modules import, without running them."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
APPS = ("broker", "risk", "execution", "monitoring", "ai")
ORDER = ("sigmatrader.audit", "sigmatrader.accounts", *APPS)
WIRING = "sigmatrader"


@dataclass(frozen=True)
class Import:
    """``module`` (dotted, of ours) imports ``target`` (dotted, a name in it included) at ``line``."""

    module: str
    target: str
    line: int


def modules(root: Path = ROOT) -> Iterator[tuple[str, ast.Module]]:
    """Every product module, migrations left out, with its syntax tree."""
    for package in (WIRING, *APPS):
        for path in sorted((root / package).rglob("*.py")):
            if "migrations" not in path.parts:
                yield name_of(path, root), ast.parse(path.read_text(encoding="utf-8"), str(path))


def name_of(path: Path, root: Path) -> str:
    parts = path.relative_to(root).with_suffix("").parts
    return ".".join(parts[:-1] if parts[-1] == "__init__" else parts)


def imports_of(module: str, tree: ast.Module, *, is_package: bool = False) -> Iterator[Import]:
    """Imports anywhere in the module, inside functions and ``if TYPE_CHECKING`` too, and by a written-out name."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            yield from (Import(module, alias.name, node.lineno) for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            base = _base(module, node, is_package=is_package)
            yield from (Import(module, f"{base}.{alias.name}", node.lineno) for alias in node.names)
        elif isinstance(node, ast.Call) and _is_import_call(node.func):
            for argument in node.args[:1]:
                if isinstance(argument, ast.Constant) and isinstance(argument.value, str):
                    yield Import(module, argument.value, node.lineno)


def _base(module: str, node: ast.ImportFrom, *, is_package: bool) -> str:
    if not node.level:
        return node.module or ""
    parts = module.split(".")
    kept = parts[: len(parts) - node.level + (1 if is_package else 0)]
    return ".".join([*kept, node.module] if node.module else kept)


def _is_import_call(func: ast.expr) -> bool:
    return (isinstance(func, ast.Name) and func.id in ("__import__", "import_module", "import_string")) or (
        isinstance(func, ast.Attribute) and func.attr in ("import_module", "import_string")
    )


def room_of(dotted: str) -> str | None:
    """The app a module belongs to, ``sigmatrader`` for the wiring, None for what is not ours."""
    for room in (*ORDER, WIRING):
        if dotted == room or dotted.startswith(f"{room}."):
            return room
    return None


def wrong_arrows(module: str, tree: ast.Module) -> list[str]:
    """The imports of this module that point to the right, or from an app to the wiring."""
    room = room_of(module)
    if room is None or room == WIRING:
        return []
    found = []
    for item in imports_of(module, tree):
        target = room_of(item.target)
        if target is None or target == room or item.target == WIRING:
            continue
        if target == WIRING or ORDER.index(target) > ORDER.index(room):
            found.append(f"{module}:{item.line} imports {item.target}")
    return found
