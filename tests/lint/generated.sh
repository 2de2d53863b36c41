#!/bin/bash
# SPDX-License-Identifier: MIT
# The committed manuals, completions and sample configuration are those that
# the programs print.
set -euo pipefail

mkdir "$TMPDIR/conf" "$TMPDIR/docs"
make -s -C "$BOOKD_BUILD" docs PRINT_TO="$TMPDIR" >/dev/null
cd "$TMPDIR"
status=0
for file in */*; do
    if ! diff -u "$BOOKD_SRC/$file" "$file"; then
        echo "$file is out of date: run make docs and commit it"
        status=1
    fi
done
exit $status
