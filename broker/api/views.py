"""Snapshots, portfolio and market data."""

from __future__ import annotations

from datetime import timedelta

from drf_spectacular.utils import OpenApiParameter, extend_schema
from rest_framework.request import Request
from rest_framework.response import Response

from broker import ingestion, instrument_refresh, selectors
from broker.api.base import BrokerView, bad_symbol, check_symbol, correlation_of, symbols_of
from broker.api.errors import broker_problems
from broker.api.serializers import (
    CandlesOutput,
    DiffOutput,
    InstrumentsOutput,
    PortfolioOutput,
    QuotesOutput,
    SnapshotOutput,
    SnapshotRequest,
    SnapshotSummaryOutput,
)
from broker.domain import CandleInterval
from broker.factory import reader_for
from broker.portfolio import portfolio_shape
from broker.shapes import candle_shape, instrument_shape, quote_shape, snapshot_shape, snapshot_summary
from broker.snapshot_diff import diff
from sigmatrader.audit.api import filters
from sigmatrader.audit.api.pagination import KeysetPagination, read_limit
from sigmatrader.audit.api.problems import unprocessable
from sigmatrader.audit.api.schema import PERIOD, problems

CONNECTION = OpenApiParameter("connection", str, description="A connection's id; the active one when absent.")
DEFAULT_SPAN = timedelta(days=1)


class SnapshotView(BrokerView):
    """Reads the broker's books now and keeps them."""

    @extend_schema(
        operation_id="connections_snapshot",
        request=SnapshotRequest,
        responses={201: SnapshotOutput, **problems(400, 404, 409, 422)},
    )
    def post(self, request: Request, connection_id: str) -> Response:
        connection, values = self.connection(connection_id), SnapshotRequest.parsed(request.data or {})
        symbols = values.get("symbols") or []
        for symbol in symbols:
            check_symbol(symbol, "symbols")
        with broker_problems():
            snapshot, _ = ingestion.take_snapshot(
                connection, correlation_id=correlation_of(request), now=self.now, symbols=symbols
            )
        return Response(snapshot_shape(snapshot), status=201)


class SnapshotsView(BrokerView):
    """Stored snapshots, newest first."""

    ordering = ("-taken_at", "-id")
    pagination_class = KeysetPagination

    @extend_schema(
        operation_id="snapshots_list",
        parameters=[CONNECTION, *PERIOD],
        responses={200: SnapshotSummaryOutput(many=True), **problems(404, 409, 422)},
    )
    def get(self, request: Request) -> Response:
        rows, pages = selectors.user_snapshots(self.user), KeysetPagination()
        if request.query_params.get("connection"):
            rows = rows.filter(account=self.connection().account)
        start, end = filters.time_range(request)
        if start is not None:
            rows = rows.filter(taken_at__gte=start)
        if end is not None:
            rows = rows.filter(taken_at__lte=end)
        found = pages.paginate_queryset(rows, request, self)
        return pages.get_paginated_response([snapshot_summary(row) for row in found])


class SnapshotDetailView(BrokerView):
    """One snapshot, whole."""

    @extend_schema(operation_id="snapshots_read", responses={200: SnapshotOutput, **problems(404, 409, 422)})
    def get(self, request: Request, snapshot_id: str) -> Response:
        return Response(snapshot_shape(selectors.owned_snapshot(self.user, snapshot_id)))


class SnapshotDiffView(BrokerView):
    """What changed from the snapshot named by ``against`` to this one."""

    @extend_schema(
        operation_id="snapshots_diff",
        parameters=[OpenApiParameter("against", str, required=True, description="The earlier snapshot's id.")],
        responses={200: DiffOutput, **problems(404, 409, 422)},
    )
    def get(self, request: Request, snapshot_id: str) -> Response:
        after = selectors.owned_snapshot(self.user, snapshot_id)
        before = selectors.owned_snapshot(self.user, request.query_params.get("against", ""))
        if before.account != after.account:
            raise unprocessable("VALIDATION", "Only snapshots of one connection can be compared.")
        found = diff(selectors.snapshot_document(before), selectors.snapshot_document(after))
        return Response({"snapshot": str(after.pk), "against": str(before.pk), **found})


class PortfolioView(BrokerView):
    """The portfolio by the newest snapshot; take one first for fresh figures."""

    @extend_schema(
        operation_id="portfolio_read",
        parameters=[CONNECTION],
        responses={200: PortfolioOutput, **problems(404, 409, 422)},
    )
    def get(self, request: Request) -> Response:
        connection = self.connection()
        return Response(portfolio_shape(connection, selectors.latest_snapshot(connection), now=self.now))


class InstrumentsView(BrokerView):
    """Instruments by symbol, name or a derivative's phrase (``nifty 24500 ce``), best match first."""

    @extend_schema(
        operation_id="instruments_search",
        parameters=[CONNECTION, OpenApiParameter("q", str, required=True), OpenApiParameter("limit", int)],
        responses={200: InstrumentsOutput, **problems(404, 409, 422)},
    )
    def get(self, request: Request) -> Response:
        query, limit = filters.words(request, "q", max_length=60), read_limit(request)
        with broker_problems():
            found = instrument_refresh.find(self.connection(), query, limit, now=self.now)
        return Response({"results": [instrument_shape(info) for info in found]})


class QuotesView(BrokerView):
    """Quotes from the broker now."""

    @extend_schema(
        operation_id="quotes_read",
        parameters=[CONNECTION, OpenApiParameter("symbols", str, required=True, description="NSE:INFY,NSE:TCS")],
        responses={200: QuotesOutput, **problems(404, 409, 422)},
    )
    def get(self, request: Request) -> Response:
        symbols, connection = symbols_of(request.query_params.get("symbols", "")), self.connection()
        with broker_problems():
            found = reader_for(connection).quotes(symbols)
        quotes = {symbol: quote_shape(quote) for symbol, quote in found.items()}
        missing = [symbol for symbol in symbols if symbol not in found]
        return Response({"connection": connection.account, "quotes": quotes, "missing": missing})


class CandlesView(BrokerView):
    """Candles of one instrument, the last day when no range is given."""

    @extend_schema(
        operation_id="candles_read",
        parameters=[
            CONNECTION,
            OpenApiParameter("symbol", str, required=True),
            OpenApiParameter("interval", str, enum=[interval.value for interval in CandleInterval]),
            OpenApiParameter("from", str, description="Date or ISO 8601 time with offset."),
            OpenApiParameter("to", str, description="Date or ISO 8601 time with offset."),
        ],
        responses={200: CandlesOutput, **problems(404, 409, 422)},
    )
    def get(self, request: Request) -> Response:
        connection, symbol = self.connection(), request.query_params.get("symbol", "").strip().upper()
        check_symbol(symbol, "symbol")
        interval = filters.choice(request, "interval", CandleInterval) or CandleInterval.MINUTE
        start, end = filters.time_range(request)
        end = end or self.now
        with broker_problems():
            info = instrument_refresh.known(connection, [symbol], now=self.now).get(symbol)
        if info is None:
            raise bad_symbol("symbol", f"{symbol} is not in this market's list of instruments.")
        with broker_problems():
            found = reader_for(connection).candles(info.instrument_token, interval, start or end - DEFAULT_SPAN, end)
        shown = [candle_shape(candle) for candle in found]
        return Response({"symbol": symbol, "interval": interval.value, "candles": shown})
