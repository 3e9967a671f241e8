"""The paper exchange as a child of `up`: on the leash, and without Django, which it does not use and would pay for."""

from __future__ import annotations

import sys

from broker.paper.server import main
from sigmatrader.supervisor import leash

if __name__ == "__main__":
    leash.hold()
    sys.exit(main())
