#!/bin/bash
# SPDX-License-Identifier: MIT
# shellcheck disable=SC2317 # check calls them
# prometheus-redis-exporter in front of a bookd on PORT: what it scrapes.
. "${0%/*}/check.sh"

listen=127.0.0.1:$((12000 + SRANDOM % 20000))
prometheus-redis-exporter --redis.addr "redis://127.0.0.1:$PORT" \
    --web.listen-address "$listen" >exporter.log 2>&1 &
exporter=$!
trap 'kill $exporter' EXIT

# Prints the page; the first time it may have to start.
fetch() {
    local fd
    exec {fd}<>"/dev/tcp/${listen%:*}/${listen#*:}" || return
    printf 'GET /metrics HTTP/1.0\r\n\r\n' >&"$fd"
    cat <&"$fd"
    exec {fd}>&-
}
until fetch >/dev/null 2>&1; do
    kill -0 $exporter || { cat exporter.log; exit 1; }
    read -r -t 0.05 <> <(:)
done

redis-cli -p "$PORT" SET metric 1 EX 1000 >/dev/null
redis-cli -p "$PORT" GET metric >/dev/null
redis-cli -p "$PORT" GET book:1 >/dev/null
fetch >page

# metric PATTERN: a line that begins so.
metric() {
    grep -E "^$1" page || {
        echo "no $1"
        grep -E "^${1%%[^a-z_]*}" page | head -n 3
        return 1
    }
}
scrape() {
    metric 'redis_up 1' && metric 'redis_exporter_last_scrape_error\{err=""\} 0' &&
        ! grep -iE 'level=error|couldn.t|failed' exporter.log
}
# The figures may be those of a moment ago: they are not counted for each INFO.
keyspace() {
    until fetch >page && metric 'redis_db_keys_expiring\{db="db0"\} 1' >/dev/null; do
        kill -0 $exporter || return
    done
    metric 'redis_db_keys\{db="db0"\} [1-9]' && metric 'redis_db_keys_expiring\{db="db0"\} 1'
}
commandstats() {
    metric 'redis_commands_total\{cmd="get"\} [1-9]' &&
        metric 'redis_commands_duration_seconds_total\{cmd="get"\}'
}
latencies() {
    metric 'redis_latency_percentiles_usec\{cmd="get",quantile="0.99"\}' ||
        metric 'redis_latency_percentiles_usec.*get'
}
server() {
    metric 'redis_instance_info\{.*redis_version="7' && metric 'redis_uptime_in_seconds' &&
        metric 'redis_connected_clients [1-9]' && metric 'redis_memory_used_bytes [0-9]' &&
        metric 'redis_memory_max_bytes 2.68435456e.08' &&
        metric 'redis_keyspace_hits_total [1-9]' && metric 'redis_commands_processed_total [1-9]' &&
        metric 'redis_config_maxclients|redis_config_maxmemory'
}
store() {
    metric 'redis_storage_provider_read_hits' ||
        grep -E '^redis_.*(storage|store)' page
}

check scrape scrape
check server server
check keyspace keyspace
check commandstats commandstats
check latencies latencies
check store store
