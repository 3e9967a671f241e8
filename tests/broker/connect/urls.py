"""The product's addresses with those of Kite Connect in their places."""

from __future__ import annotations

from django.urls import include, path

from broker.api import connect
from sigmatrader.audit.api.routes import both
from sigmatrader.urls import handler404, handler500

__all__ = ["handler404", "handler500", "urlpatterns"]
urlpatterns = [
    *both("api/broker/connections/<uuid:connection_id>/postback", connect.postback, "connection-postback"),
    path("broker/kite-connect/return", connect.login_return, name="kite-connect-return"),
    path("", include("sigmatrader.urls")),
]
