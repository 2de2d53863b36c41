#!/bin/bash
# SPDX-License-Identifier: MIT
# redis-py.
. "${BOOKD_SRC:-.}/tests/e2e/lib.sh"
. "$BOOKD_SRC/tests/e2e/clients/lib.sh"
needs sqlite3
# Whatever python3 is first on the PATH: the one of the system has the package.
python=/usr/bin/python3
"$python" -c "import redis" 2>/dev/null || skip "redis-py is not installed (python3-redis)"

test_redis_py() {
    start_for_clients
    check_with redis-py "$python" "$clients/redis_py.py"
}

run_tests "$@"
