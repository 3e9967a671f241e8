"""Paths of the broker app."""

from __future__ import annotations

from django.urls import path

from broker.api import connect, connections, views
from sigmatrader.audit.api.routes import both

ONE = "api/broker/connections/<str:connection_id>"
urlpatterns = [
    *both("api/broker/connections", connections.ConnectionsView.as_view(), "connections"),
    *both(ONE, connections.ConnectionView.as_view(), "connection"),
    *both(f"{ONE}/authorize", connections.AuthorizeView.as_view(), "connection-authorize"),
    *both(f"{ONE}/status", connections.StatusView.as_view(), "connection-status"),
    *both(f"{ONE}/reconnect", connections.ReconnectView.as_view(), "connection-reconnect"),
    *both(f"{ONE}/disconnect", connections.DisconnectView.as_view(), "connection-disconnect"),
    *both(f"{ONE}/tools", connections.ToolsView.as_view(), "connection-tools"),
    *both(f"{ONE}/tools/<str:name>", connections.ToolView.as_view(), "connection-tool"),
    *both("api/broker/connections/<uuid:connection_id>/postback", connect.postback, "connection-postback"),
    path("broker/kite-connect/return", connect.login_return, name="kite-connect-return"),
    *both(f"{ONE}/snapshot", views.SnapshotView.as_view(), "connection-snapshot"),
    *both("api/snapshots", views.SnapshotsView.as_view(), "snapshots"),
    *both("api/snapshots/<str:snapshot_id>", views.SnapshotDetailView.as_view(), "snapshot"),
    *both("api/snapshots/<str:snapshot_id>/diff", views.SnapshotDiffView.as_view(), "snapshot-diff"),
    *both("api/portfolio", views.PortfolioView.as_view(), "portfolio"),
    *both("api/instruments", views.InstrumentsView.as_view(), "instruments"),
    *both("api/quotes", views.QuotesView.as_view(), "quotes"),
    *both("api/candles", views.CandlesView.as_view(), "candles"),
]
