"""Every write to accounts: the first user, tokens and single-use links, re-authentication, flags."""

from __future__ import annotations

import secrets
from collections.abc import Mapping
from datetime import datetime, timedelta

from django.db.models import Q
from django.utils import timezone
from rest_framework.request import Request

from sigmatrader.accounts import sessions
from sigmatrader.accounts.models import ApiToken, FeatureFlag, SignInLink, User
from sigmatrader.accounts.selectors import digest_of, flag_enabled
from sigmatrader.accounts.vocabulary import Flag, Role
from sigmatrader.audit.api.problems import Problem, conflict
from sigmatrader.audit.ids import new_correlation_id
from sigmatrader.audit.recording import Recorder, recording
from sigmatrader.audit.services import record_system_event
from sigmatrader.audit.vocabulary import EventCategory, EventLevel, TraceOutcome

FIRST_USER = "trader"
LINK_LIFETIME = timedelta(minutes=15)


def ensure_first_user(*, now: datetime) -> User:
    """The first user, made if there is none: trader and staff, without a password until one is set."""
    with recording(now) as record:
        found = User.objects.filter(username=FIRST_USER).first()
        if found is not None:
            return found
        user = User(username=FIRST_USER, role=Role.TRADER.value, is_staff=True, is_superuser=True, date_joined=now)
        user.set_unusable_password()
        user.save()
        correlation_id = _settings_trace(record, kind="user", actor="up", owner=str(user.pk))
        record.event(correlation_id, "user.made", {"username": user.username, "role": user.role, "staff": True})
        record.close(correlation_id, TraceOutcome.CHANGED, f"User {user.username} was made.")
    return user


# --- tokens and links --------------------------------------------------------------------------------------------
def make_token(user: User, *, name: str, may_trade_live: bool, now: datetime) -> str:
    """A new token for a program, shown this once. Only its digest is kept."""
    secret = secrets.token_urlsafe(32)
    with recording(now) as record:
        token = ApiToken.objects.create(
            user=user, name=name, digest=digest_of(secret), may_trade_live=may_trade_live, created_at=now
        )
        correlation_id = _settings_trace(record, kind="token", actor=user.get_username(), owner=str(user.pk))
        record.event(correlation_id, "token.made", {"token": token.pk, "name": name, "may_trade_live": may_trade_live})
        record.close(correlation_id, TraceOutcome.CHANGED, f"Token {name} was made for {user.get_username()}.")
        note_security(
            "TOKEN_MADE", f"Token {name} was made.", user=user, now=now, correlation_id=correlation_id,
            details={"token_id": str(token.pk), "may_trade_live": may_trade_live},
        )  # fmt: skip
    return secret


def revoke_token(token: ApiToken, *, actor: str, now: datetime) -> None:
    """Ends a token for good; a second call changes nothing."""
    with recording(now) as record:
        if not ApiToken.objects.filter(pk=token.pk, revoked_at__isnull=True).update(revoked_at=now):
            return
        correlation_id = _settings_trace(record, kind="token", actor=actor, owner=str(token.user_id))
        record.event(correlation_id, "token.revoked", {"token": token.pk, "name": token.name})
        record.close(correlation_id, TraceOutcome.CHANGED, f"Token {token.name} was revoked.")
        note_security("TOKEN_REVOKED", f"Token {token.name} was revoked.", user=token.user, now=now)


def make_sign_in_link(user: User, *, now: datetime, base_url: str) -> str:
    """An address that signs ``user`` in once, within 15 minutes."""
    secret = secrets.token_urlsafe(32)
    SignInLink.objects.create(user=user, digest=digest_of(secret), created_at=now, expires_at=now + LINK_LIFETIME)
    return f"{base_url.rstrip('/')}/sign-in/link/{secret}"


def redeem_sign_in_link(token: str, *, now: datetime) -> User:
    """Uses a link up and returns whom it signs in. Of two at once one wins.

    Raises ``Problem`` 401 LINK_INVALID for a link that is unknown, used or too old, or whose user may not sign in.
    """
    live = Q(digest=digest_of(token), used_at__isnull=True, expires_at__gt=now, user__is_active=True)
    link = SignInLink.objects.select_related("user").filter(live).first()
    if link is None or not SignInLink.objects.filter(pk=link.pk, used_at__isnull=True).update(used_at=now):
        raise Problem(
            "LINK_INVALID",
            "This link was used already or is too old. Make a new one with: manage.py signin_link USER",
            status=401,
        )
    return link.user


def prune_links(*, now: datetime) -> int:
    """Forgets links that ended more than a week ago; returns how many."""
    return SignInLink.objects.filter(expires_at__lt=now - timedelta(days=7)).delete()[0]


# --- who proved it lately -------------------------------------------------------------------------------------------
def require_reauthentication(request: Request, *, now: datetime | None = None) -> None:
    """Passes only a session whose owner proved who they are within 5 minutes; raises ``Problem`` 403 REAUTH_REQUIRED.

    A token never passes: what needs a person needs a person.
    """
    session = getattr(request, "session", None)
    if request.auth is None and session is not None and sessions.is_reauthenticated(session, now=now or timezone.now()):
        return
    raise Problem(
        "REAUTH_REQUIRED",
        "Prove who you are first: POST /api/reauthenticate with your password, or open a fresh link from "
        "manage.py signin_link. It then stays open for 5 minutes, in the browser only.",
        status=403,
    )


def require_live_permission(request: Request) -> None:
    """Passes a session, and a token made with ``--trade``; raises ``Problem`` 403 TOKEN_MAY_NOT_TRADE for others."""
    if isinstance(request.auth, ApiToken) and not request.auth.may_trade_live:
        raise Problem(
            "TOKEN_MAY_NOT_TRADE",
            "This token may not act on a live connection. Make one with: manage.py api_token USER --trade",
            status=403,
        )


def change_password(user: User, *, password: str, now: datetime) -> None:
    """Sets a password that passed the validators; every other session of the user ends with it."""
    with recording(now):
        user.set_password(password)
        user.save(update_fields=["password"])
        note_security("PASSWORD_CHANGED", "The password was changed.", user=user, now=now)


def note_security(
    event_type: str,
    message: str,
    *,
    now: datetime,
    user: User | None = None,
    level: EventLevel = EventLevel.INFO,
    details: Mapping[str, object] | None = None,
    correlation_id: str = "",
) -> None:
    """A SystemEvent of category SECURITY."""
    record_system_event(
        category=EventCategory.SECURITY,
        event_type=event_type,
        message=message,
        now=now,
        level=level,
        details=details,
        actor=user.get_username() if user else "",
        owner=str(user.pk) if user else "",
        correlation_id=correlation_id,
    )


# --- flags -------------------------------------------------------------------------------------------------------
def require_flag(flag: Flag) -> None:
    """Raises ``Problem`` 409 FEATURE_DISABLED naming the flag when it is off."""
    if not flag_enabled(flag):
        raise conflict(
            "FEATURE_DISABLED", f"{flag.value} is off. Staff can turn it on under Settings.", flag=flag.value
        )


def set_flag(
    flag: Flag,
    *,
    enabled: bool,
    actor: str,
    now: datetime,
    expected_version: int | None = None,
    correlation_id: str = "",
) -> FeatureFlag:
    """Sets one flag, with its trace and its SystemEvent; setting it to what it is changes nothing.

    Raises ``Problem`` 409 STALE_VERSION when ``expected_version`` is not the row's (0: never set).
    """
    with recording(now) as record:
        rows = _locked_flags()
        if expected_version is not None and expected_version != (rows[flag].version if flag in rows else 0):
            raise stale_version()
        _change(record, rows, {flag: enabled}, actor=actor, correlation_id=correlation_id)
    return FeatureFlag.objects.get(pk=flag.value)


def set_flags(
    changes: Mapping[Flag, bool], *, actor: str, now: datetime, expected_version: int | None, correlation_id: str = ""
) -> None:
    """Sets several flags together or none; ``expected_version`` is that of ``selectors.flags_version``."""
    with recording(now) as record:
        rows = _locked_flags()
        if expected_version is not None and expected_version != sum(row.version for row in rows.values()):
            raise stale_version()
        _change(record, rows, changes, actor=actor, correlation_id=correlation_id)


def stale_version() -> Problem:
    """409: somebody else wrote in between."""
    return conflict(
        "STALE_VERSION", "The settings changed since you read them. Read them again, then repeat the change."
    )


def _locked_flags() -> dict[Flag, FeatureFlag]:
    return {Flag(row.name): row for row in FeatureFlag.objects.select_for_update().order_by("pk")}


def _change(
    record: Recorder, rows: Mapping[Flag, FeatureFlag], wanted: Mapping[Flag, bool], *, actor: str, correlation_id: str
) -> None:
    """Stores what differs, all under one trace; nothing is written where nothing differs."""
    changes = {flag: on for flag, on in wanted.items() if flag not in rows or rows[flag].enabled != on}
    if not changes:
        return
    correlation_id = correlation_id or new_correlation_id()
    record.open(correlation_id, kind="flag", actor=actor, origin="settings")
    for flag, enabled in changes.items():
        row = _store_flag(flag, rows.get(flag), enabled=enabled, actor=actor, now=record.now)
        _note_flag(record, row, correlation_id)
    words = ", ".join(f"{flag.value} {'on' if enabled else 'off'}" for flag, enabled in changes.items())
    record.close(correlation_id, TraceOutcome.CHANGED, f"Set: {words}.")


def _store_flag(flag: Flag, row: FeatureFlag | None, *, enabled: bool, actor: str, now: datetime) -> FeatureFlag:
    if row is None:
        return FeatureFlag.objects.create(name=flag.value, enabled=enabled, updated_at=now, updated_by=actor)
    row.enabled, row.version, row.updated_at, row.updated_by = enabled, row.version + 1, now, actor
    row.save()
    return row


def _note_flag(record: Recorder, row: FeatureFlag, correlation_id: str) -> None:
    data = {"flag": row.name, "enabled": row.enabled, "version": row.version}
    record.event(correlation_id, "flag.set", data)
    message = f"{row.name} was turned {'on' if row.enabled else 'off'}."
    for category in (EventCategory.AI_SETTINGS, EventCategory.SECURITY):
        record_system_event(
            category=category, event_type="FLAG_CHANGED", message=message, now=record.now, details=data,
            actor=row.updated_by, correlation_id=correlation_id,
        )  # fmt: skip


def _settings_trace(record: Recorder, *, kind: str, actor: str, owner: str) -> str:
    correlation_id = new_correlation_id()
    record.open(correlation_id, kind=kind, actor=actor, origin="settings", owner=owner)
    return correlation_id
