#!/bin/sh
# All tests on SQLite, then on PostgreSQL where one answers. Called by `make test`.
set -u
REQUIRE=${SIGMATRADER_REQUIRE_SERVICES:-0}
POSTGRES=${SIGMATRADER_TEST_DATABASE_URL:-${DATABASE_URL:-postgres://postgres@127.0.0.1:5432/postgres}}
# Tests that start whole products have both cores to themselves; the others share them.
# shellcheck disable=SC2086  # TESTS may name several paths
pass() {
    "$BIN/python" -m pytest -q -n "${WORKERS:-2}" --dist loadgroup -m "not e2e" $TESTS "$@" &&
        { products $TESTS "$@" || [ $? = 5 ] || products --last-failed $TESTS "$@"; }
}
# A browser beside five processes on two cores is now and then starved past its patience: what failed gets one more try.
products() { "$BIN/python" -m pytest -q -m "e2e and ${PRODUCTS:-e2e}" "$@"; }

echo "== SQLite"
(unset DATABASE_URL; export SIGMATRADER_TEST_DB="make-$$"; pass "$@") || exit 1
rm -f "${SIGMATRADER_VAR:-var}/test-make-$$"*.sqlite3*

if reason=$("$BIN/python" -c '
import sys, psycopg
url = sys.argv[1].replace("postgres://", "postgresql://", 1)
try:
    psycopg.connect(url, connect_timeout=2).close()
except psycopg.Error as exc:
    print(str(exc).strip().splitlines()[0]); sys.exit(1)
' "$POSTGRES"); then
    echo "== PostgreSQL"
    # What has no database in it, or starts a product of its own, is not run a second time.
    again="--ignore=tests/broker/paper --ignore=tests/broker/wire --ignore=tests/broker/session/test_processes.py"
    again="$again --ignore=tests/up --ignore=tests/architecture --ignore=tests/web --ignore=tests/execution/test_outcome_texts.py"
    # shellcheck disable=SC2086
    DATABASE_URL="$POSTGRES" SIGMATRADER_TEST_DB="make_$$" PRODUCTS="not browser" pass $again "$@" || exit 1
elif [ "$REQUIRE" = 1 ]; then
    echo "PostgreSQL is required and does not answer: $reason" >&2
    exit 1
else
    echo "== PostgreSQL: skipped, none answers at the default address or DATABASE_URL ($reason)"
fi
