#!/bin/bash
# SPDX-License-Identifier: MIT
# nutcracker in front of two bookds.
. "${BOOKD_SRC:-.}/tests/e2e/lib.sh"
. "$BOOKD_SRC/tests/e2e/clients/lib.sh"
needs redis-cli nutcracker

test_nutcracker() {
    start_for_clients
    check_with nutcracker bash "$clients/nutcracker.sh"
}

run_tests "$@"
