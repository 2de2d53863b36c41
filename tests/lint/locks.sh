#!/bin/bash
# SPDX-License-Identifier: MIT
# Clang's thread safety analysis finds nothing in any source file.
set -euo pipefail

if ! command -v clang >/dev/null; then
    echo "clang is not installed"
    exit 77
fi
# LINT_CPPFLAGS are relative to the build directory, where we are.
# shellcheck disable=SC2086 # several words are meant
find "$BOOKD_SRC"/{common,server,client,tests} -name '*.c' -print0 |
    xargs -0 -n 8 -P "$(nproc)" clang -fsyntax-only -std=c11 -pthread $LINT_CPPFLAGS \
        -UNDEBUG -Wthread-safety -Wthread-safety-beta -Werror
