#!/bin/bash
# SPDX-License-Identifier: MIT
# prometheus-redis-exporter scrapes without an error.
. "${BOOKD_SRC:-.}/tests/e2e/lib.sh"
. "$BOOKD_SRC/tests/e2e/clients/lib.sh"
needs redis-cli prometheus-redis-exporter

test_exporter() {
    start_for_clients
    check_with redis_exporter bash "$clients/exporter.sh"
}

run_tests "$@"
