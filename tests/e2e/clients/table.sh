#!/bin/bash
# SPDX-License-Identifier: MIT
#
# Tries every client that is installed here and prints a table: a line for each
# check, a column for each client, as Markdown.  `make clients` calls it.
#
#     ok    the client did that
#     -     not tried with this client
#     FAIL  see below the table
#
# Environment: BOOKD_BUILD, BOOKD_SRC.
set -u

: "${BOOKD_BUILD:=.}" "${BOOKD_SRC:=.}"
export BOOKD_BUILD BOOKD_SRC
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
export CLIENT_RESULTS=$work/results
: >"$CLIENT_RESULTS"

for script in "$BOOKD_SRC"/tests/e2e/test_with_*.sh; do
    TMPDIR=$work timeout 300 bash "$script" >"$work/output" 2>&1
    case $? in
    0) ;;
    77) printf 'skipped: %s: %s\n' "${script##*/test_with_}" "$(tail -n 1 "$work/output")" ;;
    *) sed "s/^/${script##*/test_with_}: /" "$work/output" >>"$work/failures" ;;
    esac
done

awk -F '\t' '
    { if (!($1 in seen)) { seen[$1] = 1; client[++n] = $1 }
      if (!($3 in known)) { known[$3] = 1; check[++m] = $3 }
      verdict[$1, $3] = $2 == "ok" ? "ok" : $2 == "skip" ? "-" : "FAIL"
      count[$2]++ }
    END {
        printf "| |"; for (i = 1; i <= n; i++) printf " %s |", client[i]
        printf "\n|---|"; for (i = 1; i <= n; i++) printf "---|"; print ""
        for (j = 1; j <= m; j++) {
            printf "| %s |", check[j]
            for (i = 1; i <= n; i++) {
                v = verdict[client[i], check[j]]
                printf " %s |", v == "" ? "-" : v
            }
            print ""
        }
        printf "\n%d ok, %d skipped, %d failed\n", count["ok"], count["skip"], count["FAILED"]
    }' "$CLIENT_RESULTS"
if [ -s "$work/failures" ]; then
    cat "$work/failures"
    exit 1
fi
