"""How often a child that dies is started again, and when it is dead for good. Pure: the time comes in."""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass, field


@dataclass(slots=True)
class Restarts:
    """Waits 0.5, 1, 2 ... seconds between starts; ``limit`` deaths within ``window_s`` seconds are the end."""

    limit: int = 5
    window_s: float = 60.0
    first_delay_s: float = 0.5
    longest_delay_s: float = 10.0
    _deaths: deque[float] = field(default_factory=deque)

    def after_death(self, now: float) -> float | None:
        """Seconds to wait before the next start, or None when there is to be none. ``now`` is monotonic seconds."""
        self._deaths.append(now)
        while now - self._deaths[0] > self.window_s:
            self._deaths.popleft()
        if len(self._deaths) >= self.limit:
            return None
        return min(self.first_delay_s * float(2 ** (len(self._deaths) - 1)), self.longest_delay_s)
