#!/bin/bash
# SPDX-License-Identifier: MIT
# Our scripts pass shellcheck.
set -euo pipefail
cd "$BOOKD_SRC"

if ! command -v shellcheck >/dev/null; then
    echo "shellcheck is not installed"
    exit 77
fi
# Below a warning it minds the dollars of RESP, as in '$5|hello|'.
find tests -name '*.sh' -print0 |
    xargs -0 shellcheck --shell=bash --severity=warning quickstart .ci/run tests/run
