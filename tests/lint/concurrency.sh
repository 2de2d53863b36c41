#!/bin/bash
# SPDX-License-Identifier: MIT
# docs/concurrency.md lists every lock, wait, atomic and thread-local variable
# of the sources, in a row of its file, and none that is not there; and every
# rank of a lock.
set -euo pipefail
cd "$BOOKD_SRC"

readonly page=docs/concurrency.md

# "file name" of each declaration.  common/lock.h is what locks are made of.
find common server client -name '*.[ch]' ! -path common/lock.h -print0 |
    xargs -0 awk -f tests/lint/concurrency.awk | sort -u >"$TMPDIR/declared"

# The same of each row "| `file` | `name`, `name` … |".
awk -F '|' '$2 ~ /^ `[a-z]+\/[a-z_\/]+\.[ch]` $/ {
    file = $2
    gsub(/[ `]/, "", file)
    n = split($3, part, "`")
    for (i = 2; i <= n; i += 2) {
        print file, part[i]
    }
}' "$page" | sort -u >"$TMPDIR/listed"

status=0
# report TEXT <LINES
report() {
    local file name
    while read -r file name; do
        echo "$page: $file: $name $1"
        status=1
    done
}
report 'is missing' < <(comm -23 "$TMPDIR/declared" "$TMPDIR/listed")
report 'is listed but not there' < <(comm -13 "$TMPDIR/declared" "$TMPDIR/listed")
if [ ! -s "$TMPDIR/declared" ]; then
    echo "no declarations found"
    status=1
fi

ranks=$(sed -n 's/^    \(LOCK_[A-Z]*\),.*/\1/p' common/lock.h)
for rank in ${ranks:?}; do
    if ! grep -q "| $rank |" "$page"; then
        echo "$page: the rank $rank is missing"
        status=1
    fi
done
exit $status
