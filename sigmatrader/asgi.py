"""The ASGI entry point served by uvicorn."""

from __future__ import annotations

import os
import threading

from django.core.asgi import get_asgi_application

from sigmatrader.turnstile import Turnstile

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "sigmatrader.settings")
application = Turnstile(get_asgi_application())

from broker import factory  # noqa: E402  # its models need the line above

_warming = threading.Timer(3.0, factory.warm)
_warming.daemon = True
_warming.start()
