#!/bin/bash
# SPDX-License-Identifier: MIT
# redis-benchmark runs without a warning.
. "${BOOKD_SRC:-.}/tests/e2e/lib.sh"
. "$BOOKD_SRC/tests/e2e/clients/lib.sh"
needs redis-benchmark

test_redis_benchmark() {
    start_for_clients
    check_with redis-benchmark bash "$clients/redis_benchmark.sh"
}

run_tests "$@"
