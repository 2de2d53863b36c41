# shellcheck shell=bash
# SPDX-License-Identifier: MIT
#
# For the programs of clients that are shell commands; lib.sh says what they
# print.
set -u

# check NAME FUNCTION...: the function fails by its status, and what it printed
# says why; by 77 if it cannot run here.
check() {
    local output status
    output=$("${@:2}" 2>&1)
    status=$?
    if [ $status -eq 0 ]; then
        printf 'ok %s\n' "$1"
    elif [ $status -eq 77 ]; then
        printf 'skip %s it cannot, or there is no openssl\n' "$1"
    else
        printf 'FAILED %s %s\n' "$1" "$(printf %s "$output" | tr '\n' ' ' | cut -c 1-300)"
    fi
}

# same EXPECTED ACTUAL
same() {
    [ "$1" = "$2" ] || {
        printf 'expected %q, got %q\n' "$1" "$2"
        return 1
    }
}
