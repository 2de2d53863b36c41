#!/bin/bash
# SPDX-License-Identifier: MIT
# Includes point down the layers, and each library is used by its owner only.
set -euo pipefail
cd "$BOOKD_SRC"

find common server client tests -name '*.[ch]' -print0 |
    sort -z | xargs -0 awk -f tests/lint/layers.awk
