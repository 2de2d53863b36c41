#!/bin/bash
# SPDX-License-Identifier: MIT
# Every directive, counter and command of the tables is spoken of in docs/.
set -euo pipefail
cd "$BOOKD_SRC"

# names TABLE FIELD: that argument (1, 2, ...) of each row, without quotes.
names() {
    awk -v field="$2" '/^[A-Z][A-Z_]*\(/ {
        sub(/^[A-Z_]*\(/, "")
        split($0, argument, /[ \t]*,[ \t]*/)
        name = argument[field]
        gsub(/"/, "", name)
        print name
    }' "$1"
}

# A man page writes a hyphen that is a minus as \-.
sed 's/\\-/-/g' docs/* >"$TMPDIR/docs"
missing=0
# require TABLE FIELD: its names stand in docs/ as words of their own.
require() {
    local name pattern n_names=0

    while read -r name; do
        n_names=$((n_names + 1))
        pattern="(^|[^[:alnum:]_.-])${name//./\\.}($|[^[:alnum:]_-])"
        if ! grep -qiE -- "$pattern" "$TMPDIR/docs"; then
            echo "$1: docs/ does not mention $name"
            missing=1
        fi
    done < <(names "$1" "$2")
    if [ "$n_names" -eq 0 ]; then
        echo "$1: no names found; has the form of its rows changed?"
        missing=1
    fi
}

require server/admin/config.def 2
require server/admin/stats.def 1
require server/command/commands.def 1
require client/subcommands.def 1
exit $missing
