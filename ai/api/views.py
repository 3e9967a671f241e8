"""Conversations and their messages (CONTRACTS section 7)."""

from __future__ import annotations

import uuid
from collections.abc import Callable, Iterator

from django.http.response import HttpResponseBase
from django.utils import timezone
from rest_framework import status
from rest_framework.negotiation import DefaultContentNegotiation
from rest_framework.renderers import BaseRenderer
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.views import APIView

from ai import services
from ai.api import events, openapi
from ai.api.inputs import MessageInput, ThreadInput
from ai.models import ChatMessage, StreamEvent
from ai.orchestrator import run_message
from ai.selectors import events_after, is_running, owned_thread, threads_of
from ai.shapes import event_shape, message_shapes, thread_shape, thread_with_messages
from ai.stream import STATE_SNAPSHOT
from sigmatrader.accounts import rate
from sigmatrader.accounts.models import User
from sigmatrader.accounts.services import require_flag
from sigmatrader.accounts.vocabulary import Flag
from sigmatrader.audit.api.handler import correlation_of
from sigmatrader.audit.api.idempotency import HEADER, idempotent
from sigmatrader.audit.api.pagination import KeysetPagination
from sigmatrader.audit.api.problems import FieldFault, unprocessable
from sigmatrader.audit.api.renderers import CanonicalJSONRenderer

MESSAGES_A_MINUTE = 60


class EventStreamRenderer(BaseRenderer):
    """Lets ``Accept: text/event-stream`` through negotiation; the stream itself is written by the view."""

    media_type = events.CONTENT_TYPE
    format = "events"

    def render(self, data: object, *args: object, **kwargs: object) -> bytes:
        return CanonicalJSONRenderer().render(data)


class AssistantView(APIView):
    """Base of the assistant's endpoints."""

    renderer_classes = [CanonicalJSONRenderer, EventStreamRenderer]
    content_negotiation_class = DefaultContentNegotiation

    def user(self) -> User:
        """The signed-in person; permission classes let nobody else in."""
        assert isinstance(self.request.user, User)
        return self.request.user

    def wants_stream(self) -> bool:
        return events.CONTENT_TYPE in self.request.headers.get("Accept", "")


class ThreadsView(AssistantView):
    """``GET`` and ``POST /api/ai/threads``."""

    ordering = ("-updated_at", "-id")
    pagination_class = KeysetPagination

    @openapi.threads_list
    def get(self, request: Request) -> Response:
        """The user's conversations, newest first."""
        pages = KeysetPagination()
        rows = pages.paginate_queryset(threads_of(self.user()), request, self)
        return pages.get_paginated_response([thread_shape(row) for row in rows])

    @openapi.threads_create
    def post(self, request: Request) -> Response:
        """201 with an empty conversation."""
        values = ThreadInput.parsed(request.data)
        thread = services.start_thread(self.user(), title=values.get("title", ""), now=timezone.now())
        return Response(thread_with_messages(thread, self.user()), status=status.HTTP_201_CREATED)


class ThreadView(AssistantView):
    """``GET`` and ``DELETE /api/ai/threads/{id}``."""

    @openapi.threads_read
    def get(self, request: Request, thread_id: uuid.UUID) -> Response:
        """The conversation with its messages; cards as they stand now."""
        return Response(thread_with_messages(owned_thread(thread_id, self.user()), self.user()))

    @openapi.threads_delete
    def delete(self, request: Request, thread_id: uuid.UUID) -> Response:
        """204; the traces of what was done stay."""
        services.delete_thread(owned_thread(thread_id, self.user()), now=timezone.now())
        return Response(status=status.HTTP_204_NO_CONTENT)


class MessagesView(AssistantView):
    """``POST /api/ai/threads/{id}/messages``: JSON, or a stream for ``Accept: text/event-stream``."""

    @openapi.messages_create
    def post(self, request: Request, thread_id: uuid.UUID) -> HttpResponseBase:
        """200 with the reply. An ``Idempotency-Key`` is honoured where one is sent."""
        return self._keyed(request, thread_id) if request.headers.get(HEADER) else self._say(request, thread_id)

    @idempotent
    def _keyed(self, request: Request, thread_id: uuid.UUID) -> HttpResponseBase:
        return self._say(request, thread_id)

    def _say(self, request: Request, thread_id: uuid.UUID) -> HttpResponseBase:
        now = timezone.now()
        require_flag(Flag.AI_ASSISTANT_ENABLED)
        thread = owned_thread(thread_id, self.user())
        values = MessageInput.parsed(request.data)
        rate.hit(f"chat:{self.user().pk}", limit=MESSAGES_A_MINUTE, window_s=60, now=now)
        run = run_message(
            thread, values["text"], values.get("mode", "auto"),
            page=values.get("context"), user=self.user(), now=now,
            correlation_id=correlation_of(request), client_correlation_id=_asked_for(request),
        )  # fmt: skip
        if self.wants_stream():
            frames = events.live(run, done=self._done(request))
            return events.streamed(frames, correlation_id=correlation_of(request))
        return Response(self._answer(run))

    def _answer(self, run: Iterator[StreamEvent]) -> dict[str, object]:
        """Runs to the end; the answer is the reply as it was stored, with the message it answers."""
        told = list(run)
        state = next((event for event in told if event.type == STATE_SNAPSHOT), None)
        reply = told[-1].message
        said = state.data["snapshot"]["message"] if state else message_shapes([reply], self.user())[0]
        asked = ChatMessage.objects.get(thread=reply.thread_id, correlation_id=reply.correlation_id, role="user")
        return {**said, "question": message_shapes([asked], self.user())[0], "last_event_id": told[-1].pk}

    def _done(self, request: Request) -> Callable[[str], None]:
        """Keeps the whole stream for a retry with the same key, and marks a run that died."""
        claim = getattr(request, "idempotency", None)
        correlation_id = correlation_of(request)

        def done(text: str) -> None:
            for reply in ChatMessage.objects.filter(correlation_id=correlation_id, role="assistant", finished_at=None):
                services.abandon(reply, now=timezone.now())
            if claim is not None:
                claim.store(status=200, body=text, content_type=events.CONTENT_TYPE, correlation_id=correlation_id)

        return done


class EventsView(AssistantView):
    """``GET /api/ai/threads/{id}/events?after=``: stored events as JSON, or the stream taken up again."""

    @openapi.events_list
    def get(self, request: Request, thread_id: uuid.UUID) -> HttpResponseBase:
        """``{events, last_event_id, running}``; ``Last-Event-ID`` counts where ``after`` is not given."""
        thread = owned_thread(thread_id, self.user())
        after = self._after(request)
        if self.wants_stream():
            return events.streamed(events.replay(thread, after), correlation_id=correlation_of(request))
        rows = events_after(thread, after)
        return Response(
            {
                "events": [event_shape(row) for row in rows],
                "last_event_id": rows[-1].pk if rows else after,
                "running": is_running(thread),
            }
        )

    def _after(self, request: Request) -> int:
        text = request.query_params.get("after") or request.headers.get("Last-Event-ID") or "0"
        if not (text.isascii() and text.isdigit() and len(text) <= 18):
            fault = FieldFault("after", "BAD_RANGE", "It is the number of the last event you have.")
            raise unprocessable("BAD_RANGE", "after: the number of the last event you have, or nothing.", [fault])
        return int(text)


class StopView(AssistantView):
    """``POST /api/ai/threads/{id}/stop``."""

    @openapi.threads_stop
    def post(self, request: Request, thread_id: uuid.UUID) -> Response:
        """200 ``{stopped}``: how many runs were asked to stop. What is already a card stays a card."""
        return Response({"stopped": services.stop_runs(owned_thread(thread_id, self.user()))})


def _asked_for(request: Request) -> str:
    """The correlation id the client asked for and could not have."""
    return str(getattr(request, "client_correlation_id", ""))
