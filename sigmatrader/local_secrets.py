"""The keys of a fresh checkout: made once, kept in one private file, never in the repository or the database."""

from __future__ import annotations

import os
import secrets
from pathlib import Path

NAMES = ("SECRET_KEY", "FERNET_KEYS", "AUDIT_KEY")


def load_or_make(path: Path) -> dict[str, str]:
    """The keys in ``path`` (lines NAME=value), made first if missing. The file is created 0600, whole or not at all.

    Two first starts at once agree: the file that was linked first wins and both read it.
    """
    if not path.exists():
        _create(path)
    lines = path.read_text(encoding="ascii").splitlines()
    return dict(line.split("=", 1) for line in lines if "=" in line)


def _create(path: Path) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    draft = path.with_name(f".{path.name}.{os.getpid()}")
    handle = os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    with os.fdopen(handle, "w", encoding="ascii") as file:
        file.writelines(f"{name}={secrets.token_urlsafe(48)}\n" for name in NAMES)
        file.flush()
        os.fsync(file.fileno())
    try:
        os.link(draft, path)
    except FileExistsError:
        pass
    finally:
        draft.unlink()
