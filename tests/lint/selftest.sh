#!/bin/bash
# SPDX-License-Identifier: MIT
# The layer check reports each kind of fault it is there for.
set -euo pipefail

cd "$TMPDIR"
mkdir -p common server/cache server/lookup client

readonly spdx='/* SPDX-License-Identifier: MIT */'
status=0

# reports FILE REPORT LINE...: the file of these lines is reported so.
reports() {
    local output
    printf '%s\n' "${@:3}" >"$1"
    output=$(awk -f "$BOOKD_SRC/tests/lint/layers.awk" "$1") || true
    if [[ $output != "$1:"*": $2"* ]]; then
        printf 'expected "%s" of:\n%s\ngot: %s\n' "$2" "$(<"$1")" "$output"
        status=1
    fi
}

# is_fine FILE LINE...: the file of these lines is not reported.
is_fine() {
    printf '%s\n' "${@:2}" >"$1"
    awk -f "$BOOKD_SRC/tests/lint/layers.awk" "$1" || status=1
}

reports server/cache/a.c 'cache includes lookup' \
    "$spdx" '#include "server/lookup/lookup.h"'
reports server/cache/a.c 'cache includes store' \
    "$spdx" '#include "server/store/store.h"'
reports common/a.c 'common includes admin' \
    "$spdx" '#include "server/admin/config.def"'
reports client/a.c 'client includes main' \
    "$spdx" '#include "server/server.h"'
reports server/lookup/a.c '<sqlite3.h> belongs' "$spdx" '# include <sqlite3.h>'
reports server/lookup/a.c '<event2/event.h> belongs' \
    "$spdx" '#include <event2/event.h>'
reports common/a.c '"chan.h" is not spelled' "$spdx" '#include "chan.h"'
reports common/a.c 'line 1' '#include "common/chan.h"'
reports common/a.h 'the guard is A_H' "$spdx" '#ifndef A_H'

is_fine server/lookup/a.c "$spdx" '#include "server/cache/cache.h"' \
    '#include "common/chan.h"' '#include <stdio.h>'
is_fine common/a.h "$spdx" '#ifndef COMMON_A_H'
exit $status
