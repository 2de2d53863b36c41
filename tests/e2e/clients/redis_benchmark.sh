#!/bin/bash
# SPDX-License-Identifier: MIT
# shellcheck disable=SC2317 # check calls them
# redis-benchmark against a bookd on PORT: every test ends, without a warning
# and without an error reply.
. "${0%/*}/check.sh"

tls() {
    [ -n "$TLS_PORT" ] || return 77
    redis-benchmark --help 2>&1 | grep -q -- --cacert || return 77
    PORT=$TLS_PORT bench --tls --cacert "$CA_FILE" -t set,get
}

# bench WORD...: nothing but results is printed.
bench() {
    local line n=0
    redis-benchmark -p "$PORT" -n 2000 -c 20 -q "$@" >said 2>&1 || { cat said; return 1; }
    while IFS= read -r line; do
        case ${line##*$'\r'} in
        *'requests per second'*) n=$((n + 1)) ;;
        '') ;;
        *)
            printf '%s\n' "$line"
            return 1
            ;;
        esac
    done <said
    [ $n -gt 0 ]
}

check strings bench -t ping,set,get,incr,mset
check hashes bench -t hset
check pipeline bench -P 16 -t set,get
check threads bench --threads 2 -t set,get
check tracking bench --enable-tracking -t set,get
check large bench -d 100000 -t set,get
check tls tls
