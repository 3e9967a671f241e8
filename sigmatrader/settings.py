"""The one settings file: typed by django-environ, safe by default, refusing to start in production half configured."""

from __future__ import annotations

import os
import sys
from pathlib import Path

import django_stubs_ext
import environ
from celery.schedules import crontab
from django.core.exceptions import ImproperlyConfigured

from sigmatrader import local_secrets

django_stubs_ext.monkeypatch()  # so that annotations such as ModelAdmin[Any] also hold at run time
BASE_DIR = Path(__file__).resolve().parent.parent
env = environ.Env()
_before = set(os.environ)
environ.Env.read_env(BASE_DIR / ".env")
ENV_FILE_NAMES = frozenset(set(os.environ) - _before)  # for `doctor`: what is in force from .env

SIGMATRADER_ENV: str = env.str("SIGMATRADER_ENV", default="practice")
if SIGMATRADER_ENV not in ("practice", "production"):
    raise ImproperlyConfigured(f"SIGMATRADER_ENV is {SIGMATRADER_ENV!r}: it must be practice or production.")
PRODUCTION = SIGMATRADER_ENV == "production"
TESTING = "pytest" in sys.modules
SEVERAL_HOSTS: bool = env.bool("SIGMATRADER_SEVERAL_HOSTS", default=False)
DEBUG = False

VAR_DIR = Path(env.str("SIGMATRADER_VAR", default=str(BASE_DIR / "var")))

# --- secrets -----------------------------------------------------------------------------------------------------
_missing = [name for name in (*local_secrets.NAMES, "ALLOWED_HOSTS") if not env.str(name, default="")]
if PRODUCTION and _missing:
    raise ImproperlyConfigured(
        f"Production needs {', '.join(_missing)} in the environment. Make a key with: "
        'python -c "import secrets; print(secrets.token_urlsafe(48))"'
    )
_made = {} if PRODUCTION else local_secrets.load_or_make(VAR_DIR / "secrets.env")
SECRET_KEY: str = env.str("SECRET_KEY", default=_made.get("SECRET_KEY", ""))
AUDIT_KEY: str = env.str("AUDIT_KEY", default=_made.get("AUDIT_KEY", ""))
FERNET_KEYS: list[str] = env.list("FERNET_KEYS", default=[_made["FERNET_KEYS"]] if _made else [])
if PRODUCTION and (len({SECRET_KEY, AUDIT_KEY, *FERNET_KEYS}) != 2 + len(FERNET_KEYS) or len(SECRET_KEY) < 40):
    raise ImproperlyConfigured(
        "SECRET_KEY, AUDIT_KEY and FERNET_KEYS must differ and SECRET_KEY be 40 characters long."
    )
ALLOWED_HOSTS: list[str] = env.list("ALLOWED_HOSTS", default=["127.0.0.1", "localhost", "[::1]"])
CSRF_TRUSTED_ORIGINS: list[str] = env.list("CSRF_TRUSTED_ORIGINS", default=[])

# --- applications ------------------------------------------------------------------------------------------------
INSTALLED_APPS = [
    "django.contrib.admin",
    "django.contrib.auth",
    "django.contrib.contenttypes",
    "django.contrib.sessions",
    "django.contrib.messages",
    "django.contrib.staticfiles",
    "django_htmx",
    "rest_framework",
    "drf_spectacular",
    "sigmatrader.audit",
    "sigmatrader.accounts",
    "broker",
    "risk",
    "execution",
    "monitoring",
    "ai",
    "sigmatrader",
]
MIDDLEWARE = [
    "django.middleware.security.SecurityMiddleware",
    "whitenoise.middleware.WhiteNoiseMiddleware",
    "sigmatrader.audit.api.correlation.CorrelationMiddleware",
    "sigmatrader.middleware.SecurityHeadersMiddleware",
    "django.contrib.sessions.middleware.SessionMiddleware",
    "django.middleware.common.CommonMiddleware",
    "django.middleware.csrf.CsrfViewMiddleware",
    "django.contrib.auth.middleware.AuthenticationMiddleware",
    "sigmatrader.middleware.SessionLifetimeMiddleware",
    "django.contrib.auth.middleware.LoginRequiredMiddleware",
    "django.contrib.messages.middleware.MessageMiddleware",
    "django.middleware.clickjacking.XFrameOptionsMiddleware",
    "django_htmx.middleware.HtmxMiddleware",
]
ROOT_URLCONF = "sigmatrader.urls"
ASGI_APPLICATION = "sigmatrader.asgi.application"
APPEND_SLASH = False
TEMPLATES = [
    {
        "BACKEND": "django.template.backends.django.DjangoTemplates",
        "DIRS": [BASE_DIR / "templates"],
        "APP_DIRS": True,
        "OPTIONS": {
            "context_processors": [
                "django.template.context_processors.request",
                "django.contrib.auth.context_processors.auth",
                "django.contrib.messages.context_processors.messages",
                "sigmatrader.context.shell",
            ],
        },
    },
]
DEFAULT_AUTO_FIELD = "django.db.models.BigAutoField"
FORM_RENDERER = "django.forms.renderers.DjangoTemplates"

# --- database ----------------------------------------------------------------------------------------------------
_database = env.db_url("DATABASE_URL", default=f"sqlite:///{VAR_DIR / 'sigmatrader.sqlite3'}")
if _database["ENGINE"].endswith("sqlite3"):
    # IMMEDIATE: a read that turns into a write must not fail as "locked", against which busy_timeout alone is no help.
    _database["OPTIONS"] = {
        "timeout": 20,
        "transaction_mode": "IMMEDIATE",
        "init_command": "PRAGMA journal_mode=WAL; PRAGMA synchronous=FULL; PRAGMA foreign_keys=ON;",
    }
    _database["TEST"] = {"NAME": str(VAR_DIR / f"test-{env.str('SIGMATRADER_TEST_DB', default='main')}.sqlite3")}
else:
    _database["TEST"] = {"NAME": f"test_sigmatrader_{env.str('SIGMATRADER_TEST_DB', default='main')}"}
    _database["CONN_HEALTH_CHECKS"] = True
_database["CONN_MAX_AGE"] = 600  # kept with the threads that serve requests (request_threads.py) and by the workers
DATABASES = {"default": _database}

# --- people ------------------------------------------------------------------------------------------------------
AUTH_USER_MODEL = "accounts.User"
AUTH_PASSWORD_VALIDATORS = [
    {"NAME": "django.contrib.auth.password_validation.UserAttributeSimilarityValidator"},
    {"NAME": "django.contrib.auth.password_validation.MinimumLengthValidator", "OPTIONS": {"min_length": 12}},
    {"NAME": "django.contrib.auth.password_validation.CommonPasswordValidator"},
]
LOGIN_URL = "/sign-in"
LOGIN_REDIRECT_URL = "/"
SESSION_COOKIE_HTTPONLY = True
SESSION_COOKIE_SAMESITE = "Lax"
SESSION_COOKIE_AGE = 12 * 3600
CSRF_COOKIE_SAMESITE = "Lax"
SESSION_IDLE_S: int = env.int("SESSION_IDLE_S", default=4 * 3600)
REAUTHENTICATION_S = 300

# --- web ---------------------------------------------------------------------------------------------------------
STATIC_URL = "/static/"
STATICFILES_DIRS = [BASE_DIR / "static"]
STATIC_ROOT = VAR_DIR / "static" if PRODUCTION else None
WHITENOISE_USE_FINDERS = not PRODUCTION
SECURE_CONTENT_TYPE_NOSNIFF = True
SECURE_REFERRER_POLICY = "same-origin"
SECURE_CROSS_ORIGIN_OPENER_POLICY = "same-origin"
X_FRAME_OPTIONS = "DENY"
DATA_UPLOAD_MAX_MEMORY_SIZE = 256 * 1024
BEHIND_TLS_PROXY: bool = env.bool("BEHIND_TLS_PROXY", default=False)
if PRODUCTION:
    SESSION_COOKIE_SECURE = True
    CSRF_COOKIE_SECURE = True
    SESSION_COOKIE_NAME = "__Host-sessionid"
    CSRF_COOKIE_NAME = "__Host-csrftoken"
    SECURE_SSL_REDIRECT = True
    SECURE_HSTS_SECONDS = 31_536_000
    SECURE_HSTS_INCLUDE_SUBDOMAINS = True
    SECURE_HSTS_PRELOAD = True
    SECURE_PROXY_SSL_HEADER = ("HTTP_X_FORWARDED_PROTO", "https") if BEHIND_TLS_PROXY else None
LANGUAGE_CODE = "en-in"
TIME_ZONE = "Asia/Kolkata"
USE_TZ = True
USE_I18N = False

REST_FRAMEWORK = {
    "DEFAULT_AUTHENTICATION_CLASSES": [
        "sigmatrader.accounts.api.authentication.TokenAuthentication",
        "sigmatrader.accounts.api.authentication.SessionAuthentication",
    ],
    "DEFAULT_PERMISSION_CLASSES": ["sigmatrader.accounts.api.permissions.RolePermission"],
    "DEFAULT_PARSER_CLASSES": ["sigmatrader.audit.api.parsers.StrictJSONParser"],
    "DEFAULT_RENDERER_CLASSES": ["sigmatrader.audit.api.renderers.CanonicalJSONRenderer"],
    "DEFAULT_PAGINATION_CLASS": "sigmatrader.audit.api.pagination.KeysetPagination",
    "DEFAULT_SCHEMA_CLASS": "drf_spectacular.openapi.AutoSchema",
    "EXCEPTION_HANDLER": "sigmatrader.audit.api.handler.problem_response",
    "UNAUTHENTICATED_USER": "django.contrib.auth.models.AnonymousUser",
    "COERCE_DECIMAL_TO_STRING": True,
}
SPECTACULAR_SETTINGS = {
    "TITLE": "SigmaTrader",
    "DESCRIPTION": "The API of the SigmaTrader trading manager. Errors are problem+json (RFC 9457).",
    "VERSION": "1",
    "OAS_VERSION": "3.1.0",
    "SCHEMA_PATH_PREFIX": "/api",
    "PREPROCESSING_HOOKS": ["sigmatrader.api.openapi.without_slash_twins"],
    "POSTPROCESSING_HOOKS": [
        "drf_spectacular.hooks.postprocess_schema_enums",
        "sigmatrader.api.openapi.add_problems",
        "sigmatrader.api.openapi.add_pages",
        "sigmatrader.api.openapi.name_trace_parts",
    ],
    "SERVE_PERMISSIONS": ["rest_framework.permissions.IsAuthenticated"],
    "ENUM_GENERATE_CHOICE_DESCRIPTION": False,
    "ENUM_NAME_OVERRIDES": {
        name: f"sigmatrader.api.words.{name}"
        for name in (
            "BrokerKind", "CardKind", "CardState", "CommandKind", "CommandState", "ConnectionLink",
            "ConnectionStatus", "DecisionOutcome", "DeltaCode",
            "ExceptionCode", "ExceptionStatus", "IntentKind", "MessageMode", "MessageState", "OrderState", "RunStatus",
            "ToolMode", "TraceOutcome", "TraceStatus", "TradingState",
        )
    },
}  # fmt: skip

# --- background work ---------------------------------------------------------------------------------------------
# A fresh checkout needs no queue server: messages are files. docs/operations.md says what a kill -9 costs each
# transport; nothing a person waits for hangs on the queue, and every task finds its work in the database.
QUEUE_DIR = VAR_DIR / "queue"
CELERY_BROKER_URL: str = env.str("CELERY_BROKER_URL", default="filesystem://")
if CELERY_BROKER_URL.startswith("filesystem"):
    (QUEUE_DIR / "control").mkdir(parents=True, exist_ok=True)
    CELERY_BROKER_TRANSPORT_OPTIONS = {
        "data_folder_in": str(QUEUE_DIR),
        "data_folder_out": str(QUEUE_DIR),
        "control_folder": str(QUEUE_DIR / "control"),
        "polling_interval": 0.5,
    }
REDIS_URL: str = env.str("REDIS_URL", default="")
CELERY_TASK_SERIALIZER = "json"
CELERY_ACCEPT_CONTENT = ["json"]
CELERY_TASK_IGNORE_RESULT = True
CELERY_TASK_ACKS_LATE = True
CELERY_WORKER_HIJACK_ROOT_LOGGER = False
CELERY_WORKER_PREFETCH_MULTIPLIER = 1
CELERY_TASK_TIME_LIMIT = 300
CELERY_TIMEZONE = "UTC"
CELERY_BEAT_SCHEDULE_FILENAME = str(VAR_DIR / "run" / "beat-schedule")
CELERY_BEAT_MAX_LOOP_INTERVAL = 5
CELERY_BEAT_SCHEDULE = {
    "sweep": {"task": "execution.tasks.sweep", "schedule": 2.0, "options": {"expires": 4}},
    "reconcile": {"task": "execution.tasks.reconcile_all", "schedule": 60.0, "options": {"expires": 60}},
    "snapshots": {"task": "broker.tasks.take_due_snapshots", "schedule": 60.0, "options": {"expires": 60}},
    "instruments": {"task": "broker.tasks.refresh_due_instruments", "schedule": 900.0, "options": {"expires": 900}},
    "anchor": {"task": "sigmatrader.audit.tasks.write_anchor", "schedule": 600.0, "options": {"expires": 600}},
    "verify": {"task": "sigmatrader.audit.tasks.verify_chain", "schedule": crontab(hour="20", minute="30")},
    "retention": {"task": "sigmatrader.audit.tasks.prune_records", "schedule": crontab(hour="21", minute="0")},
    "accounts": {"task": "sigmatrader.accounts.tasks.prune", "schedule": crontab(hour="21", minute="15")},
}

# --- the product -------------------------------------------------------------------------------------------------
PAPER_HOST = "127.0.0.1"
PAPER_PORT_IS_SET = bool(env.str("SIGMATRADER_PAPER_PORT", default=""))
PAPER_PORT: int = env.int("SIGMATRADER_PAPER_PORT", default=8765)
HOST: str = env.str("HOST", default="127.0.0.1")
PORT: int | None = env.int("PORT") if env.str("PORT", default="") else None
PAPER_ACCOUNT: str = env.str("SIGMATRADER_PAPER_ACCOUNT", default="")
# The process that owns the broker sessions, and how the others reach it. Off, each process has sessions of its own.
BROKER_SESSION: bool = env.bool("SIGMATRADER_BROKER_SESSION", default=not TESTING)
BROKER_SOCKET = Path(env.str("SIGMATRADER_BROKER_SOCKET", default=str(VAR_DIR / "run" / "broker.sock")))
BROKER_LOGIN_HOSTS: list[str] = env.list("BROKER_LOGIN_HOSTS", default=["kite.zerodha.com"])
PAPER_LOGIN: str = env.str("SIGMATRADER_PAPER_LOGIN", default="auto")  # or manual: a person presses the button
FLAG_DEFAULTS = {
    "ai_assistant_enabled": env.bool("AI_ASSISTANT_ENABLED", default=False),
    "ai_execution_enabled": env.bool("AI_EXECUTION_ENABLED", default=False),
    "kite_mcp_enabled": env.bool("KITE_MCP_ENABLED", default=False),
    "monitoring_enabled": env.bool("MONITORING_ENABLED", default=False),
}
ANCHOR_DIR = Path(env.str("SIGMATRADER_ANCHOR_DIR", default=str(VAR_DIR / "anchors")))
RETENTION_DAYS = {
    "orders": env.int("RETENTION_ORDERS_DAYS", default=5 * 365),
    "traces": env.int("RETENTION_TRACES_DAYS", default=5 * 365),
    "snapshots": env.int("RETENTION_SNAPSHOTS_DAYS", default=90),
    "system_events": env.int("RETENTION_SYSTEM_EVENTS_DAYS", default=365),
    "chat": env.int("RETENTION_CHAT_DAYS", default=365),
    "monitor_runs": env.int("RETENTION_MONITOR_RUNS_DAYS", default=30),
}
CARD_EXPIRY_S = {"limit": 300, "market": 60, "monitor": 120}
QUOTE_AGE_S = 10
SNAPSHOT_AGE_AT_APPROVAL_S = 30
RECONCILIATION_AGE_S = 900
SNAPSHOT_EVERY_S: int = env.int("SNAPSHOT_EVERY_S", default=300)
# What a broker takes of one account, over sliding windows and, for placements, the day in India.
RATE_LIMITS = {
    "orders": {
        "second": env.int("RATE_ORDERS_PER_SECOND", default=10),
        "minute": env.int("RATE_ORDERS_PER_MINUTE", default=400),
        "day": env.int("RATE_ORDERS_PER_DAY", default=5_000),
    },
    "quotes": {"second": env.int("RATE_QUOTES_PER_SECOND", default=1)},
    "history": {"second": env.int("RATE_HISTORY_PER_SECOND", default=3)},
    "reads": {"second": env.int("RATE_READS_PER_SECOND", default=10)},
}
# Of each window of orders so many are for exits and cancels alone.
RATE_RESERVE = {
    "second": env.int("RATE_RESERVE_PER_SECOND", default=2),
    "minute": env.int("RATE_RESERVE_PER_MINUTE", default=20),
    "day": env.int("RATE_RESERVE_PER_DAY", default=200),
}
# Kite Connect: where its API is, the percentage that protects a market order (-1: as Kite sees fit), and whether Kite
# may cut an order that is above the exchange's freeze quantity.
KITE_CONNECT_ROOT: str = env.str("KITE_CONNECT_ROOT", default="https://api.kite.trade")
KITE_CONNECT_TIMEOUT_S: float = env.float("KITE_CONNECT_TIMEOUT_S", default=7.0)
KITE_CONNECT_MARKET_PROTECTION: str = env.str("KITE_CONNECT_MARKET_PROTECTION", default="-1")
KITE_CONNECT_AUTOSLICE: bool = env.bool("KITE_CONNECT_AUTOSLICE", default=False)
RECONCILE_AFTER_START = not TESTING
FOLLOW_ORDERS = not TESTING
FAULT_POINT: str = "" if PRODUCTION else env.str("SIGMATRADER_FAULT_POINT", default="")
CARD_PRICE_TOLERANCE_PERCENT = {"equity": "0.5", "option": "5"}

LOGGING = {
    "version": 1,
    "disable_existing_loggers": False,
    "formatters": {"plain": {"format": "{levelname} {name} {message}", "style": "{"}},
    "handlers": {"console": {"class": "logging.StreamHandler", "formatter": "plain"}},
    "root": {"handlers": ["console"], "level": env.str("LOG_LEVEL", default="INFO")},
    "loggers": {
        "httpx": {"level": "WARNING"}, "httpx2": {"level": "WARNING"}, "mcp": {"level": "WARNING"},
        "httpcore": {"level": "WARNING"}, "httpcore2": {"level": "WARNING"}, "hpack": {"level": "WARNING"},
        "h2": {"level": "WARNING"},
        "kombu": {"level": "ERROR"}, "celery.beat": {"level": "WARNING"},
    },
}  # fmt: skip
