"""Is it up, can it work: the two endpoints that need no sign-in, and give nothing away."""

from __future__ import annotations

import time
from threading import Lock

from drf_spectacular.utils import extend_schema
from rest_framework import serializers
from rest_framework.permissions import AllowAny
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.views import APIView

from sigmatrader import readiness

_CACHE_S = 1.0
_lock = Lock()
_last: tuple[float, tuple[readiness.Part, ...]] | None = None


class HealthSerializer(serializers.Serializer[dict[str, object]]):
    status = serializers.ChoiceField(choices=["ok"])


class PartSerializer(serializers.Serializer[dict[str, object]]):
    ok = serializers.BooleanField()
    detail = serializers.CharField()


class PartsSerializer(serializers.Serializer[dict[str, object]]):
    database = PartSerializer()
    migrations = PartSerializer()
    queue = PartSerializer()
    broker = PartSerializer()


class ReadySerializer(serializers.Serializer[dict[str, object]]):
    ready = serializers.BooleanField()
    parts = PartsSerializer()


class HealthView(APIView):
    """The process is up."""

    authentication_classes = ()
    permission_classes = (AllowAny,)

    @extend_schema(responses=HealthSerializer, operation_id="health", auth=[])
    def get(self, request: Request) -> Response:
        return Response({"status": "ok"})


class ReadyView(APIView):
    """The database, its migrations, the queue and the paper or live broker session, each named; 503 if one is down."""

    authentication_classes = ()
    permission_classes = (AllowAny,)

    @extend_schema(responses={200: ReadySerializer, 503: ReadySerializer}, operation_id="ready", auth=[])
    def get(self, request: Request) -> Response:
        parts = _parts()
        ready = all(part.ok for part in parts)
        body = {"ready": ready, "parts": {part.name: {"ok": part.ok, "detail": part.detail} for part in parts}}
        return Response(body, status=200 if ready else 503)


def _parts() -> tuple[readiness.Part, ...]:
    """Asked at most once a second: the endpoint is public, and asking costs."""
    global _last  # a cache of one value per process
    with _lock:
        if _last is None or time.monotonic() - _last[0] > _CACHE_S:
            _last = (time.monotonic(), readiness.parts())
        return _last[1]
