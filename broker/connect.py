"""The session of a Kite Connect connection: its keys, the daily login of a person, and its end.

Keys and tokens are stored encrypted and never told: no trace, log, answer or page bears one. Every network call is
outside a transaction.
"""

from __future__ import annotations

import hashlib
import hmac
import re
import secrets
from collections.abc import Mapping
from datetime import datetime, time, timedelta
from decimal import Decimal, InvalidOperation
from types import MappingProxyType
from urllib.parse import urlsplit
from uuid import UUID

from django.conf import settings
from django.core import signing
from django.core.exceptions import ImproperlyConfigured
from django.db import IntegrityError, transaction
from django.db.models import F
from django.utils.crypto import salted_hmac

from broker.adapters import kite_connect_login
from broker.adapters.kite_connect_terms import Credentials, KiteConnectMissing, Options
from broker.calendar import IST
from broker.domain import BrokerKind
from broker.models import BrokerConnection
from broker.ports import BrokerAuthExpired, BrokerError
from broker.session.messages import LoginOffer
from sigmatrader.accounts.models import User
from sigmatrader.audit.api.problems import FieldFault, Problem, conflict, not_found, unprocessable
from sigmatrader.audit.ids import new_correlation_id
from sigmatrader.audit.models import IdempotencyRecord
from sigmatrader.audit.recording import recording
from sigmatrader.audit.services import record_system_event
from sigmatrader.audit.vocabulary import EventCategory, RecoveryPoint, TraceOutcome

TOKEN_DIES = time(6, 0)  # Indian time, every day
LOGIN_LIFE = timedelta(minutes=10)
STATE_SALT = "broker.connect.login"
USED_SCOPE = "broker.connect.login"
LOST = "Kite Connect has no login for today. Authorize the connection again."
_KEY = re.compile(r"[A-Za-z0-9_-]{4,128}")
_REQUEST_TOKEN = re.compile(r"[A-Za-z0-9_-]{4,128}")
_CHECKSUM = re.compile(r"[0-9a-f]{64}")
LOOPBACK = ("127.0.0.1", "::1", "localhost")
LOGIN_DONE = "DONE"
_LOGIN_TEXTS: Mapping[str, str] = MappingProxyType(
    {
        LOGIN_DONE: "Kite Connect is authorized until 06:00 in the morning.",
        "LOGIN_STATE_INVALID": "This way back from Kite was used already, is too old, or belongs to somebody else. "
        "Press Authorize again.",
        "LOGIN_CANCELLED": "The login at Kite was not finished. Press Authorize again.",
        "LOGIN_REFUSED": "Kite did not accept the login. Check the API key and secret, then press Authorize again.",
        "ACCOUNT_CHANGED": "This connection belongs to another Kite account, and books of two accounts must not mix. "
        "Log in with the first account, or add a connection for this one.",
        "BROKER_UNAVAILABLE": "Kite Connect could not be asked for the login. Press Authorize again in a moment.",
        "RATE_LIMITED": "Too many returns from Kite in a short time. Wait five minutes, then press Authorize again.",
        "FORBIDDEN": "Your role does not allow this: ask a trader.",
    }
)


# --- what an adapter is made of ------------------------------------------------------------------------------------
def credentials_of(connection: BrokerConnection) -> Credentials:
    """The key and token of this connection as they stand, for its adapter alone."""
    return Credentials(connection.api_key, connection.access_token, connection.session_expires_at)


def options() -> Options:
    """What the operator set for Kite Connect. Raises ImproperlyConfigured for a value that is not allowed."""
    root = urlsplit(settings.KITE_CONNECT_ROOT)
    local = root.scheme == "http" and root.hostname in LOOPBACK
    if (not local and (root.scheme != "https" or not root.hostname)) or root.username or root.query or root.fragment:
        raise ImproperlyConfigured("KITE_CONNECT_ROOT must be an https address (or http on this machine).")
    try:
        return Options(
            root=settings.KITE_CONNECT_ROOT,
            timeout_s=settings.KITE_CONNECT_TIMEOUT_S,
            market_protection=Decimal(settings.KITE_CONNECT_MARKET_PROTECTION),
            autoslice=settings.KITE_CONNECT_AUTOSLICE,
        )
    except (InvalidOperation, ValueError) as exc:
        raise ImproperlyConfigured(f"KITE_CONNECT_MARKET_PROTECTION: {exc}") from exc


def note_login_lost(connection_id: UUID, epoch: int) -> None:
    """Kite said that the login of this epoch is over; a later login is left alone. For adapters, from any thread."""
    rows = BrokerConnection.objects.filter(pk=connection_id, epoch=epoch).exclude(authorized=False)
    rows.update(authorized=False, last_error=LOST)


# --- keys ----------------------------------------------------------------------------------------------------------
def save_keys(
    connection: BrokerConnection, *, api_key: str, api_secret: str, now: datetime, actor: str, correlation_id: str = ""
) -> None:
    """Stores the app's key and secret, encrypted and traced without them; a login by other keys ends.

    Raises Problem 409 for a connection of another kind, 422 BAD_KEY.
    """
    _require_kite_connect(connection)
    for name, value in (("api_key", api_key), ("api_secret", api_secret)):
        if not _KEY.fullmatch(value):
            text = "A key is 4 to 128 letters, digits, hyphens and underscores."
            raise unprocessable("BAD_KEY", text, [FieldFault(name, "BAD_KEY", text)])
    with recording(now):
        _store(connection, {**_logged_out(), "api_key": api_key, "api_secret": api_secret})
        _note(connection, "connection.keys_set", {}, actor=actor, now=now, correlation_id=correlation_id,
              explanation=f"The keys of connection {connection.name} were set.")  # fmt: skip


# --- login ---------------------------------------------------------------------------------------------------------
def login_url(connection: BrokerConnection, *, user: User, now: datetime) -> LoginOffer:
    """Where the person logs in at Kite. Its way back is good once, for this user and connection, for ten minutes.

    Raises Problem 409: another kind, no keys, or the client is not installed; 404 for another user's connection.
    """
    _require_kite_connect(connection)
    _require_owner(connection, user)
    if not connection.api_key or not connection.api_secret:
        raise conflict("KEYS_MISSING", "Set the API key and the API secret of your Kite Connect app first.")
    expires_at = now + LOGIN_LIFE
    state = signing.dumps(
        {"c": connection.account, "u": str(user.pk), "e": int(expires_at.timestamp()), "n": secrets.token_urlsafe(12)},
        salt=STATE_SALT,
    )
    try:
        url = kite_connect_login.login_page(connection.api_key, state=state)
    except KiteConnectMissing as exc:
        raise conflict("KITE_CONNECT_MISSING", exc.text) from exc
    return LoginOffer(url, expires_at, False, "")


def finish_login(
    user: User, *, state: str, request_token: str, now: datetime, correlation_id: str = ""
) -> BrokerConnection:
    """The way back from Kite: checks and uses up ``state``, exchanges the token, stores the login, traced.

    Raises Problem 403 LOGIN_STATE_INVALID (also used or too old), 409 LOGIN_REFUSED or ACCOUNT_CHANGED,
    503 BROKER_UNAVAILABLE; nothing is stored then.
    """
    connection = _connection_of(user, state, now=now)
    if not _REQUEST_TOKEN.fullmatch(request_token):
        raise conflict("LOGIN_REFUSED", login_text("LOGIN_REFUSED"))
    _use_up(state, now=now)
    found = _exchanged(connection, request_token)
    mark = salted_hmac(STATE_SALT, found.user_id).hexdigest()
    known = connection.server_info.get("account")
    if known is not None and known != mark:
        kite_connect_login.end(Credentials(connection.api_key, found.access_token), root=options().root)
        raise conflict("ACCOUNT_CHANGED", login_text("ACCOUNT_CHANGED"))
    with recording(now):
        _store(connection, _logged_in(connection, found, mark, now=now))
        facts = {"expires_at": connection.session_expires_at, "epoch": connection.epoch}
        _note(connection, "connection.authorized", facts, actor=user.get_username(), now=now,
              correlation_id=correlation_id, explanation=f"Connection {connection.name} was authorized.")  # fmt: skip
    return connection


def login_text(code: str) -> str:
    """The sentence for what became of a login, by the ``login`` of the settings page's address; empty if unknown."""
    return _LOGIN_TEXTS.get(code, "")


def forget_login(connection: BrokerConnection, *, now: datetime, actor: str, correlation_id: str = "") -> None:
    """Drops the token, traced, and asks Kite to end it; that Kite cannot be asked holds nothing up."""
    _require_kite_connect(connection)
    connection.refresh_from_db()  # the token to end is the one that is stored, not one that was read a while ago
    credentials = credentials_of(connection)
    with recording(now):
        _store(connection, {**_logged_out(), "last_status": "disconnected", "last_checked_at": now})
        _note(connection, "connection.disconnected", {}, actor=actor, now=now, correlation_id=correlation_id,
              explanation=f"Connection {connection.name} was disconnected.")  # fmt: skip
    if credentials.is_usable(now):
        try:
            kite_connect_login.end(credentials, root=options().root)
        except KiteConnectMissing:
            return  # it dies by itself at 06:00


def token_end(now: datetime) -> datetime:
    """When a token that was made now dies: the next 06:00 in India."""
    local = now.astimezone(IST)
    day = local.date() if local.time() < TOKEN_DIES else local.date() + timedelta(days=1)
    return datetime.combine(day, TOKEN_DIES, tzinfo=IST)


# --- postbacks -------------------------------------------------------------------------------------------------------
def is_postback(connection_id: UUID, *, order_id: str, order_timestamp: str, checksum: str) -> bool:
    """Whether a postback was signed with this connection's secret. Takes as long for a connection that is not there."""
    connection = BrokerConnection.objects.filter(pk=connection_id, kind=BrokerKind.KITE_CONNECT.value).first()
    secret = connection.api_secret if connection is not None else ""
    signed = hashlib.sha256(f"{order_id}{order_timestamp}{secret or secrets.token_hex(16)}".encode()).hexdigest()
    return bool(_CHECKSUM.fullmatch(checksum)) and hmac.compare_digest(signed, checksum)


# --- inside ------------------------------------------------------------------------------------------------------
def _connection_of(user: User, state: str, *, now: datetime) -> BrokerConnection:
    """The connection a state was made for. Raises Problem 403 LOGIN_STATE_INVALID."""
    try:
        found = signing.loads(state, salt=STATE_SALT)
        expires, owner, connection_id = int(found["e"]), str(found["u"]), UUID(str(found["c"]))
    except (signing.BadSignature, KeyError, TypeError, ValueError) as exc:
        raise _invalid_state() from exc
    if owner != str(user.pk) or now.timestamp() >= expires:
        raise _invalid_state()
    connection = BrokerConnection.objects.filter(
        pk=connection_id, owner=user, kind=BrokerKind.KITE_CONNECT.value
    ).first()
    if connection is None:
        raise _invalid_state()
    return connection


def _use_up(state: str, *, now: datetime) -> None:
    """Of two returns with one state the first wins. Raises Problem 403 LOGIN_STATE_INVALID for the other."""
    try:
        with transaction.atomic():
            IdempotencyRecord.objects.create(
                scope=USED_SCOPE, key=hashlib.sha256(state.encode()).hexdigest(), request_digest="",
                recovery_point=RecoveryPoint.STARTED.value, claimed_at=now, expires_at=now + 2 * LOGIN_LIFE,
            )  # fmt: skip
    except IntegrityError as exc:
        raise _invalid_state() from exc


def _invalid_state() -> Problem:
    return Problem("LOGIN_STATE_INVALID", login_text("LOGIN_STATE_INVALID"), status=403)


def _exchanged(connection: BrokerConnection, request_token: str) -> kite_connect_login.Login:
    try:
        return kite_connect_login.exchange(
            connection.api_key, connection.api_secret, request_token, root=options().root
        )
    except BrokerAuthExpired as exc:
        raise conflict("LOGIN_REFUSED", login_text("LOGIN_REFUSED")) from exc
    except BrokerError as exc:
        raise Problem(
            "BROKER_UNAVAILABLE", login_text("BROKER_UNAVAILABLE"),
            status=503, headers={"Retry-After": "5"}, extra={"part": "broker"},
        ) from exc  # fmt: skip


def _require_kite_connect(connection: BrokerConnection) -> None:
    if connection.kind != BrokerKind.KITE_CONNECT.value:
        raise conflict("NOT_KITE_CONNECT", "Only a connection of kind kite_connect has API keys and this login.")


def _require_owner(connection: BrokerConnection, user: User) -> None:
    if connection.owner_id != user.pk:
        raise not_found("connection")


def _logged_in(
    connection: BrokerConnection, found: kite_connect_login.Login, mark: str, *, now: datetime
) -> dict[str, object]:
    return {
        "access_token": found.access_token, "authorized": True, "user_name": found.user_name[:150],
        "session_expires_at": token_end(now), "last_status": "connected", "last_error": "", "last_checked_at": now,
        "last_connected_at": now,
        "server_info": {**connection.server_info, "account": mark, "demat_consent": found.demat_consent[:20]},
    }  # fmt: skip


def _logged_out() -> dict[str, object]:
    return {
        "access_token": "", "authorized": False, "user_name": "", "session_expires_at": None, "last_status": "unknown",
        "last_error": "",
    }  # fmt: skip


def _store(connection: BrokerConnection, values: Mapping[str, object]) -> None:
    """Writes the fields and counts the epoch, by which every process knows that its adapter is of an old session."""
    for name, value in values.items():
        setattr(connection, name, value)
    connection.save(update_fields=list(values))
    BrokerConnection.objects.filter(pk=connection.pk).update(epoch=F("epoch") + 1)
    connection.refresh_from_db(fields=["epoch"])


def _note(
    connection: BrokerConnection,
    event: str,
    facts: Mapping[str, object],
    *,
    actor: str,
    now: datetime,
    correlation_id: str,
    explanation: str,
) -> None:
    trace_id, owner = correlation_id or new_correlation_id(), str(connection.owner_id)
    with recording(now) as record:
        record.open(
            trace_id, kind="connection", actor=actor, origin="settings", account=connection.account, owner=owner
        )
        record.event(trace_id, event, {"connection": connection.account, **facts})
        record.close(trace_id, TraceOutcome.CHANGED, explanation)
        record_system_event(
            category=EventCategory.KITE_MCP, event_type=event.upper().replace(".", "_"), message=explanation, now=now,
            actor=actor, owner=owner, account=connection.account, correlation_id=trace_id,
        )  # fmt: skip
