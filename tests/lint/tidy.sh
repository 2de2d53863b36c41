#!/bin/bash
# SPDX-License-Identifier: MIT
# clang-tidy, with the checks chosen in .clang-tidy, finds nothing.
set -euo pipefail

if ! command -v clang-tidy >/dev/null; then
    echo "clang-tidy is not installed"
    exit 77
fi
# What it counts on stderr is what it kept to itself; that is no finding.
# shellcheck disable=SC2086,SC2016 # several words are meant; bash -c expands
find "$BOOKD_SRC"/{common,server,client,tests} -name '*.c' -print0 |
    xargs -0 -n 4 -P "$(nproc)" bash -c 'clang-tidy --quiet "$@" -- \
        -std=c11 -pthread $LINT_CPPFLAGS -UNDEBUG \
        2> >(grep -v "warnings\? \(generated\.\|treated as\)" >&2)' tidy
