#!/bin/sh
# `manage.py check --deploy` as in production, with throwaway keys; a warning fails. Called by `make lint`.
set -eu
key() { "$BIN/python" -c 'import secrets; print(secrets.token_urlsafe(48))'; }
SIGMATRADER_ENV=production SECRET_KEY=$(key) AUDIT_KEY=$(key) FERNET_KEYS=$(key) ALLOWED_HOSTS=trade.example.com \
    "$BIN/python" manage.py check --deploy --fail-level WARNING
# Without them it must not start at all.
if SIGMATRADER_ENV=production SECRET_KEY='' AUDIT_KEY='' FERNET_KEYS='' ALLOWED_HOSTS='' "$BIN/python" manage.py check >/dev/null 2>&1; then
    echo "A production start without keys was not refused." >&2
    exit 1
fi
