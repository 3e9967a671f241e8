from django.urls import path

from sigmatrader.pages import cards, exceptions, live, orders, portfolio, settings_page, traces

urlpatterns = [
    path("", portfolio.portfolio, name="portfolio"),
    path("live", live.live, name="live"),
    path("orders", orders.orders, name="orders"),
    path("cards/<uuid:card_id>", cards.card, name="card"),
    path("traces", traces.traces, name="traces"),
    path("traces/<str:correlation_id>", traces.trace, name="trace"),
    path("exceptions", exceptions.exceptions, name="exceptions"),
    path("settings", settings_page.settings_page, name="settings"),
    path("settings/shortcuts", settings_page.shortcuts, name="shortcuts"),
]
