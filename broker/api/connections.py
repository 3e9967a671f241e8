"""/api/broker/connections: broker connections, their status, and the read-only tool console."""

from __future__ import annotations

import time
from typing import Any

from drf_spectacular.utils import extend_schema
from rest_framework.request import Request
from rest_framework.response import Response

from broker import services
from broker.adapters.kite_tools import READ_TOOLS
from broker.api.base import BrokerView, correlation_of
from broker.api.errors import broker_problems
from broker.api.serializers import (
    AuthorizeOutput,
    ConnectionChange,
    ConnectionInput,
    ConnectionOutput,
    Empty,
    StatusOutput,
    ToolCall,
    ToolOutput,
    ToolResultOutput,
)
from broker.domain import BrokerKind
from broker.factory import reader_for, require_available
from broker.selectors import connections_of
from broker.shapes import connection_shape, status_shape, tool_shape
from sigmatrader.audit.api.pagination import KeysetPagination
from sigmatrader.audit.api.problems import Problem, conflict, unprocessable
from sigmatrader.audit.api.schema import problems
from sigmatrader.audit.redaction import without_secrets


class ConnectionsView(BrokerView):
    """Your connections."""

    staff_writes = True
    ordering = ("-created_at", "id")
    pagination_class = KeysetPagination

    @extend_schema(
        operation_id="connections_list", responses={200: ConnectionOutput(many=True), **problems(404, 409, 422)}
    )
    def get(self, request: Request) -> Response:
        pages = KeysetPagination()
        rows = pages.paginate_queryset(connections_of(self.user), request, self)
        return pages.get_paginated_response([connection_shape(row) for row in rows])

    @extend_schema(
        operation_id="connections_create",
        request=ConnectionInput,
        responses={201: ConnectionOutput, **problems(400, 404, 409, 422)},
    )
    def post(self, request: Request) -> Response:
        values = ConnectionInput.parsed(request.data)
        made = services.create_connection(self.user, **values, now=self.now, correlation_id=correlation_of(request))
        return Response(connection_shape(made), status=201)


class ConnectionView(BrokerView):
    """One connection."""

    staff_writes = True

    @extend_schema(operation_id="connections_read", responses={200: ConnectionOutput, **problems(404, 409, 422)})
    def get(self, request: Request, connection_id: str) -> Response:
        return Response(connection_shape(self.connection(connection_id)))

    @extend_schema(
        operation_id="connections_change",
        request=ConnectionChange,
        responses={200: ConnectionOutput, **problems(404, 409, 422)},
    )
    def patch(self, request: Request, connection_id: str) -> Response:
        connection, values = self.connection(connection_id), ConnectionChange.parsed(request.data)
        version = values.pop("version", None)
        if not values:
            raise unprocessable("VALIDATION", "Name at least one of name, server_url, transport, is_active.")
        changed = services.change_connection(
            connection, values, now=self.now, actor=self.user.get_username(), expected_version=version,
            correlation_id=correlation_of(request),
        )  # fmt: skip
        return Response(connection_shape(changed))

    @extend_schema(operation_id="connections_delete", responses={204: None, **problems(404, 409)})
    def delete(self, request: Request, connection_id: str) -> Response:
        services.delete_connection(
            self.connection(connection_id), now=self.now, actor=self.user.get_username(),
            correlation_id=correlation_of(request),
        )  # fmt: skip
        return Response(status=204)


class AuthorizeView(BrokerView):
    """Starts a login at the broker. The paper exchange needs none."""

    @extend_schema(
        operation_id="connections_authorize", request=Empty, responses={200: AuthorizeOutput, **problems(404, 409, 422)}
    )
    def post(self, request: Request, connection_id: str) -> Response:
        Empty.parsed(request.data or {})
        connection = self.connection(connection_id)
        require_available(connection.kind)
        if connection.kind != BrokerKind.PAPER.value:
            raise conflict(
                "AUTHORIZATION_UNAVAILABLE", "Logging in to a live broker is not part of this release; use paper."
            )
        found = services.test_connection(connection, now=self.now)
        if found["authorized"] is not True:
            raise Problem(
                "BROKER_UNAVAILABLE", "The paper exchange does not answer. Start it, then try again.", status=503
            )
        return Response({"login_url": None, "expires_at": None, "authorized": True})


class StatusView(BrokerView):
    """Asks the broker now and says how the connection stands."""

    @extend_schema(operation_id="connections_status", responses={200: StatusOutput, **problems(404, 409, 422)})
    def get(self, request: Request, connection_id: str) -> Response:
        connection = self.connection(connection_id)
        services.test_connection(connection, now=self.now)
        return Response(status_shape(connection))


class DisconnectView(BrokerView):
    """Ends the session."""

    @extend_schema(
        operation_id="connections_disconnect", request=Empty, responses={200: StatusOutput, **problems(404, 409, 422)}
    )
    def post(self, request: Request, connection_id: str) -> Response:
        Empty.parsed(request.data or {})
        connection = self.connection(connection_id)
        services.disconnect(
            connection, now=self.now, actor=self.user.get_username(), correlation_id=correlation_of(request)
        )
        return Response(status_shape(connection))


class ToolsView(BrokerView):
    """The broker's tools, each with our own word for what it does."""

    @extend_schema(operation_id="connections_tools", responses={200: ToolOutput(many=True), **problems(404, 409, 422)})
    def get(self, request: Request, connection_id: str) -> Response:
        reader = reader_for(self.connection(connection_id))
        with broker_problems():
            tools = reader.tools()
        return Response([tool_shape(tool) for tool in tools])


class ToolView(BrokerView):
    """The console: read tools only, whoever asks."""

    viewer_writes = True

    @extend_schema(
        operation_id="connections_tool_call",
        request=ToolCall,
        responses={200: ToolResultOutput, **problems(404, 409, 422)},
    )
    def post(self, request: Request, connection_id: str, name: str) -> Response:
        connection, values = self.connection(connection_id), ToolCall.parsed(request.data or {})
        if name not in READ_TOOLS:
            raise Problem(
                "WRITE_TOOL_NOT_ALLOWED",
                f"{name[:60]} is not a read tool. The console only reads; orders go through a plan and its approval.",
                status=403,
            )
        reader, started = reader_for(connection), time.monotonic()
        with broker_problems():
            result = reader.call_read_tool(name, _json_arguments(values["arguments"]))
        took = round((time.monotonic() - started) * 1000)
        return Response({"name": name, "result": without_secrets(result), "duration_ms": took})


def _json_arguments(arguments: dict[str, Any]) -> dict[str, Any]:
    """Arguments as JSON numbers: our parser reads fractions as Decimal."""
    return {name: float(value) if hasattr(value, "as_tuple") else value for name, value in arguments.items()}
