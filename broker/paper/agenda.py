"""What is due when: steps in order of time, and of planning where the time is the same."""

from __future__ import annotations

import heapq
from collections.abc import Callable
from datetime import datetime, timedelta

Step = Callable[[datetime], None]


class Agenda:
    """A step is called with the moment it was planned for, whenever that moment is worked off."""

    def __init__(self) -> None:
        self._due: list[tuple[datetime, int, Step]] = []
        self._planned = 0

    def at(self, moment: datetime, step: Step) -> None:
        self._planned += 1
        heapq.heappush(self._due, (moment, self._planned, step))

    def after(self, now: datetime, milliseconds: int, step: Step) -> None:
        self.at(now + timedelta(milliseconds=milliseconds), step)

    def next_due(self, until: datetime) -> datetime:
        """The moment of the next step, or ``until`` if that comes first."""
        return min(self._due[0][0], until) if self._due else until

    def run_next(self, until: datetime) -> bool:
        """Takes the next step if it is due by ``until``; False if none is."""
        if not self._due or self._due[0][0] > until:
            return False
        moment, _, step = heapq.heappop(self._due)
        step(moment)
        return True
