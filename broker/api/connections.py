"""/api/broker/connections: broker connections, their status, and the read-only tool console."""

from __future__ import annotations

import time
from decimal import Decimal
from typing import Any

from drf_spectacular.utils import extend_schema
from rest_framework.request import Request
from rest_framework.response import Response

from broker import logins, services
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
from broker.factory import reader_for, require_available
from broker.selectors import connections_of
from broker.shapes import connection_shape, status_shape, tool_shape
from sigmatrader.accounts import rate
from sigmatrader.audit.api import filters
from sigmatrader.audit.api.pagination import KeysetPagination
from sigmatrader.audit.api.problems import Problem, unprocessable
from sigmatrader.audit.api.schema import problems, query
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
    """Starts a login at the broker: where the person goes, or that no login is needed. Never a health check."""

    @extend_schema(
        operation_id="connections_authorize", request=Empty, responses={200: AuthorizeOutput, **problems(404, 409, 422)}
    )
    def post(self, request: Request, connection_id: str) -> Response:
        Empty.parsed(request.data or {})
        connection = self.connection(connection_id)
        require_available(connection.kind)
        rate.hit(f"authorize:{self.user.pk}", limit=10, window_s=60, now=self.now)
        offer = logins.offer_of(connection, user=self.user, now=self.now)
        logins.note_offer(connection, offer, actor=self.user.get_username(), now=self.now,
                          correlation_id=correlation_of(request))  # fmt: skip
        return Response(
            {"login_url": offer.url or None, "expires_at": offer.expires_at if offer.url else None,
             "authorized": offer.already}
        )  # fmt: skip


class StatusView(BrokerView):
    """Asks the broker now and says how the connection stands; with ``?poll=true`` as a page that waits for a login."""

    @extend_schema(
        operation_id="connections_status",
        parameters=[query("poll", "true: what the session's owner knows, for a page that waits.", type_=bool)],
        responses={200: StatusOutput, **problems(404, 409, 422)},
    )
    def get(self, request: Request, connection_id: str) -> Response:
        connection = self.connection(connection_id)
        if filters.flag(request, "poll"):
            logins.look(connection, now=self.now)
        else:
            services.test_connection(connection, now=self.now)
        return Response(status_shape(connection))


class ReconnectView(BrokerView):
    """A new session instead of the one there is. Over a stream that ends its login."""

    @extend_schema(
        operation_id="connections_reconnect", request=Empty, responses={200: StatusOutput, **problems(404, 409, 422)}
    )
    def post(self, request: Request, connection_id: str) -> Response:
        Empty.parsed(request.data or {})
        connection = self.connection(connection_id)
        require_available(connection.kind)
        logins.reconnect(connection, now=self.now)
        return Response(status_shape(connection))


class DisconnectView(BrokerView):
    """Ends the session."""

    @extend_schema(
        operation_id="connections_disconnect", request=Empty, responses={200: StatusOutput, **problems(404, 409, 422)}
    )
    def post(self, request: Request, connection_id: str) -> Response:
        Empty.parsed(request.data or {})
        connection = self.connection(connection_id)
        logins.end(connection, now=self.now, actor=self.user.get_username(), correlation_id=correlation_of(request))
        return Response(status_shape(connection))


class ToolsView(BrokerView):
    """The broker's tools, each with our own word for what it does."""

    @extend_schema(operation_id="connections_tools", responses={200: ToolOutput(many=True), **problems(404, 409, 422)})
    def get(self, request: Request, connection_id: str) -> Response:
        connection = self.connection(connection_id)
        reader = reader_for(connection)
        with broker_problems():
            tools = reader.tools()
        services.note_tools(connection, [str(tool.get("name", "")) for tool in tools])
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
    """Arguments as JSON numbers: our parser reads fractions as Decimal, and the server takes whole ones as integers."""
    return {name: _json_value(value) for name, value in arguments.items()}


def _json_value(value: object) -> object:
    if isinstance(value, Decimal):
        return int(value) if value == value.to_integral_value() else float(value)
    if isinstance(value, dict):
        return {name: _json_value(item) for name, item in value.items()}
    return [_json_value(item) for item in value] if isinstance(value, list) else value
