#!/bin/bash
# SPDX-License-Identifier: MIT
# hiredis, synchronous and on libevent.
. "${BOOKD_SRC:-.}/tests/e2e/lib.sh"
. "$BOOKD_SRC/tests/e2e/clients/lib.sh"

test_hiredis() {
    start_for_clients
    check_with hiredis "$BOOKD_BUILD/out/tests/e2e/clients/hiredis"
    check_with "hiredis on libevent" "$BOOKD_BUILD/out/tests/e2e/clients/hiredis_libevent"
}

run_tests "$@"
