#!/bin/bash
# SPDX-License-Identifier: MIT
# Every file looks as `make fmt` leaves it.
set -euo pipefail
cd "$BOOKD_SRC"

: "${CLANG_FORMAT:=clang-format}"
if ! command -v "$CLANG_FORMAT" >/dev/null; then
    echo "clang-format is not installed"
    exit 77
fi
ugly=$(find common server client tests -name '*.[ch]' -print0 |
    xargs -0 "$CLANG_FORMAT" --dry-run 2>&1 |
    sed -n 's/^\([^: ]*\):[0-9]*:[0-9]*: .*-Wclang-format.*/\1/p' | sort -u)
if [ -n "$ugly" ]; then
    echo "make fmt would change:"
    echo "$ugly"
    exit 1
fi
