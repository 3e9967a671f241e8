"""One message being worked on."""

from __future__ import annotations

from dataclasses import dataclass

from ai.models import ChatMessage, ChatThread
from ai.stream import Clock, Stream
from broker.models import BrokerConnection
from sigmatrader.accounts.models import User


@dataclass(slots=True)
class Run:
    """What every step of a run needs. ``reply`` is written as it goes; ``question`` is what the trader said."""

    thread: ChatThread
    user: User
    connection: BrokerConnection
    question: ChatMessage
    reply: ChatMessage
    stream: Stream
    clock: Clock

    @property
    def correlation_id(self) -> str:
        return self.question.correlation_id

    @property
    def was_stopped(self) -> bool:
        return ChatMessage.objects.filter(pk=self.reply.pk, state="stopped").exists()
