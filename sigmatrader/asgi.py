"""The ASGI entry point served by uvicorn."""

from __future__ import annotations

import os
import threading

import django

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "sigmatrader.settings")
django.setup()

from django.conf import settings  # noqa: E402  # all below needs the line above
from django.core.handlers.asgi import ASGIHandler  # noqa: E402

from broker import factory  # noqa: E402
from sigmatrader.one_hop import make_synchronous  # noqa: E402
from sigmatrader.request_threads import RequestThreads  # noqa: E402
from sigmatrader.turnstile import Turnstile  # noqa: E402

make_synchronous(settings.MIDDLEWARE)
application = RequestThreads(Turnstile(ASGIHandler()))

_warming = threading.Timer(3.0, factory.warm)
_warming.daemon = True
_warming.start()
