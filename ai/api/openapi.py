"""What the OpenAPI document says of each endpoint of the assistant; the views wear these as decorators."""

from __future__ import annotations

from drf_spectacular.types import OpenApiTypes
from drf_spectacular.utils import OpenApiExample, OpenApiParameter, OpenApiResponse, extend_schema

from ai.api import outputs as out
from ai.api.inputs import MessageInput, ThreadInput
from sigmatrader.audit.api.schema import problems, query

_JSON, _STREAM = "application/json", "text/event-stream"
_FRAME = (
    'id: 41\ndata: {"id":41,"ts":"2026-11-23T05:00:00+00:00","type":"TEXT_MESSAGE_CONTENT","messageId":"5d..."}\n\n'
)
_EITHER = "As JSON; or, for `Accept: text/event-stream`, as a stream: `id:` and one `data:` line, an Event, each."
_EVENT_STREAM = OpenApiResponse(
    OpenApiTypes.STR,
    description="Server-sent events: `id:` and one `data:` line of JSON, an Event, each.",
    examples=[OpenApiExample("One event", value=_FRAME, response_only=True, media_type=_STREAM)],
)
_KEY = OpenApiParameter(
    "Idempotency-Key", str, OpenApiParameter.HEADER,
    description="Where it is sent, the same key gives the same answer: 16 to 255 printable ASCII characters.",
)  # fmt: skip
_LAST_EVENT = OpenApiParameter(
    "Last-Event-ID", int, OpenApiParameter.HEADER, description="Counts where `after` is not given."
)
_BUY = OpenApiExample("An order", value={"text": "buy 10 INFY at 1500", "mode": "execute"}, request_only=True)
_ASK = OpenApiExample(
    "A question about the page one looks at",
    value={"text": "what did I make today", "context": {"page": "/portfolio"}},
    request_only=True,
)

threads_list = extend_schema(
    operation_id="threads_list", responses={(200, _JSON): out.ThreadSerializer(many=True), **problems(422)}
)
threads_create = extend_schema(
    operation_id="threads_create", request=ThreadInput,
    responses={(201, _JSON): out.ThreadDetailSerializer, **problems(400, 422)},
)  # fmt: skip
threads_read = extend_schema(
    operation_id="threads_read", responses={(200, _JSON): out.ThreadDetailSerializer, **problems(404)}
)
threads_delete = extend_schema(operation_id="threads_delete", responses={204: None, **problems(404)})
messages_create = extend_schema(
    operation_id="messages_create", request=MessageInput, parameters=[_KEY], examples=[_BUY, _ASK],
    responses={
        (200, _JSON): OpenApiResponse(out.ReplySerializer, description=_EITHER),
        (200, _STREAM): _EVENT_STREAM,
        **problems(
            400, 404, 409, 422, 429,
            codes={409: "FEATURE_DISABLED, NO_CONNECTION, IN_PROGRESS.", 422: "IDEMPOTENCY_MISMATCH."},
        ),
    },
)  # fmt: skip
events_list = extend_schema(
    operation_id="events_list",
    parameters=[query("after", "The number of the last event you have.", type_=int), _LAST_EVENT],
    responses={
        (200, _JSON): OpenApiResponse(out.EventsSerializer, description=_EITHER),
        (200, _STREAM): _EVENT_STREAM,
        **problems(404, 422, codes={422: "BAD_RANGE."}),
    },
)  # fmt: skip
threads_stop = extend_schema(
    operation_id="threads_stop", request=None, responses={(200, _JSON): out.StoppedSerializer, **problems(404)}
)
