#!/bin/bash
# SPDX-License-Identifier: MIT
# systemd accepts the units without a remark.
set -euo pipefail

if ! command -v systemd-analyze >/dev/null; then
    echo "systemd-analyze is not installed"
    exit 77
fi
# verify wants a program that exists: the one just built.
sed "s|^ExecStart=[^ ]*|ExecStart=$BOOKD_BUILD/bookd|" \
    "$BOOKD_BUILD/out/systemd/bookd.service" >"$TMPDIR/bookd.service"
cp "$BOOKD_SRC/systemd/bookd.socket" "$TMPDIR"
cd "$TMPDIR"

# What verify says about other units of this machine is not about ours.
systemd-analyze verify --man=no --recursive-errors=no \
    ./bookd.service ./bookd.socket >verify.log 2>&1 || true
if grep bookd verify.log; then
    exit 1
fi
