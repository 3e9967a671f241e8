"""What `up` writes: each line says which process it is from, in its colour where there is a terminal."""

from __future__ import annotations

import os
import re
import sys
from typing import TextIO

_CONTROL = re.compile(r"[\x00-\x08\x0b-\x1f\x7f]")
COLOURS = {"web": 36, "worker": 35, "beat": 33, "paper": 32, "broker": 34, "up": 1}
WIDTH = 6


class Console:
    """Prefixes lines. Control characters of a child's output are dropped: a log line must not move the cursor."""

    def __init__(self, out: TextIO | None = None) -> None:
        self.out = out or sys.stdout
        self.coloured = self.out.isatty() and not os.environ.get("NO_COLOR")

    def line(self, name: str, text: str) -> None:
        prefix = f"{name:<{WIDTH}} |"
        if self.coloured:
            prefix = f"\x1b[{COLOURS.get(name, 0)}m{prefix}\x1b[0m"
        self.out.write(f"{prefix} {_CONTROL.sub('', text)}\n")
        self.out.flush()

    def say(self, text: str) -> None:
        """A line of `up` itself."""
        self.line("up", text)
