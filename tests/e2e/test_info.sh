#!/usr/bin/env bash
# SPDX-License-Identifier: MIT
#
# What the server tells of itself: INFO, SLOWLOG, LATENCY, MEMORY, and the
# three small ones, ROLE, LASTSAVE and TIME.
. "${BOOKD_SRC:-.}/tests/e2e/lib.sh"
needs redis-cli

# ---- INFO ----

sections_of() {
    cli INFO "$@" | sed -n 's/^# \(.*\)\r$/\1/p' | tr '\n' ' '
}

test_info_knows_the_words_for_sections() {
    start_bookd
    local ours='Cache Lookup Latency Store Exported '
    local default="Server Clients Memory Persistence Stats Replication CPU \
Modules Errorstats Cluster Keyspace $ours"
    local all="Server Clients Memory Persistence Stats Replication CPU \
Modules Commandstats Errorstats Latencystats Cluster Keyspace $ours"
    expect "$default" sections_of
    expect "$default" sections_of default
    expect "$all" sections_of all
    expect "$all" sections_of EVERYTHING
    expect 'Server CPU ' sections_of cpu server Server
    expect "${default/Errorstats/Commandstats Errorstats}" \
        sections_of default commandstats
}

# Fields that Redis 7.0 has and bookd leaves out; none so far.
left_out=''

test_info_has_every_field_of_redis() {
    command -v redis-server >/dev/null || skip "redis-server is not installed"
    local socket=$dir/redis.sock field missing='' redis_pid
    redis-server --port 0 --unixsocket "$socket" --save '' --dir "$dir" \
        --daemonize no >/dev/null &
    redis_pid=$!
    until redis-cli -s "$socket" PING >/dev/null 2>&1; do
        kill -0 "$redis_pid" 2>/dev/null || fail "redis-server did not start"
    done
    start_bookd
    local ours
    ours=$(cli INFO everything)
    while IFS=: read -r field _; do
        case " $left_out " in *" $field "*) continue ;; esac
        [[ $'\n'$ours == *$'\n'"$field:"* ]] || missing+=" $field"
    done < <(redis-cli -s "$socket" INFO default | tr -d '\r' | grep ':')
    kill "$redis_pid"
    wait "$redis_pid" 2>/dev/null
    equal '' "$missing" 'fields of Redis that are not there'
}

test_no_field_of_info_is_there_twice() {
    start_bookd
    cli SET a 1 >/dev/null
    equal '' "$(cli INFO everything | grep : | cut -d: -f1 | sort | uniq -d)"
}

test_commandstats_count_calls_refusals_and_failures() {
    start_bookd
    cli SET a x >/dev/null
    cli GET a >/dev/null
    cli GET >/dev/null
    cli INCR a >/dev/null
    wire '*1\r\nX\r\n' >/dev/null # No command at all.
    local text
    text=$(cli INFO commandstats errorstats latencystats)
    like '*cmdstat_get:calls=1,usec=*,usec_per_call=*,rejected_calls=1,failed_calls=0*' "$text"
    like '*cmdstat_incr:calls=1,usec=*,rejected_calls=0,failed_calls=1*' "$text"
    like '*errorstat_ERR:count=3*' "$text"
    expect 3 info total_error_replies
    like '*latency_percentiles_usec_set:p50=*,p99=*,p99.9=*' "$text"
    expect OK cli CONFIG SET latency-tracking-info-percentiles '0 50.5 100'
    like '*usec_set:p0=*,p50.5=*,p100=*' "$(cli INFO latencystats)"
    expect_like '*ERR CONFIG SET failed*from 0 to 100*' \
        cli CONFIG SET latency-tracking-info-percentiles '50 101'
    expect OK cli CONFIG RESETSTAT
    like $'# Commandstats\r\ncmdstat_config|resetstat:calls=1,*' \
        "$(cli INFO commandstats)"
    equal $'# Errorstats\r' "$(cli INFO errorstats)"
}

test_figures_move() {
    start_bookd --plain-writes through
    local before
    before=$(info rdb_last_save_time)
    for i in 1 2 3; do cli SET "k$i" v >/dev/null; done
    at_least "$before" "$(info rdb_last_save_time)"
    expect "$(info rdb_last_save_time)" cli LASTSAVE
    at_least 1 "$(info rdb_saves)"
    expect 0 info rdb_changes_since_last_save
    at_least 3 "$(info total_reads_processed)"
    at_least 3 "$(info total_writes_processed)"
    if [ "$(info used_memory)" -gt 0 ]; then # A sanitizer does not say.
        at_least 1 "$(info used_memory_startup)"
        at_least "$(info used_memory_dataset)" "$(info used_memory)"
    fi
    at_least 1 "$(info mem_clients_normal)"
    cli GET book:1 >/dev/null
    cli GET book:99 >/dev/null
    expect '1 1' infos storage_provider_read_hits storage_provider_read_misses
    expect '2' info db_store_reads
    until_true rate_is_seen
}

rate_is_seen() {
    cli PING >/dev/null
    [ "$(info instantaneous_ops_per_sec)" -gt 0 ]
}

# Of the one client there is, CLIENT LIST says the same.
test_memory_of_clients_is_what_client_list_says() {
    start_bookd
    equal same "$(printf '%s\n' 'CLIENT LIST' 'INFO memory' | cli | tr -d '\r' |
        awk '/tot-mem=/ { sub(/.*tot-mem=/, ""); listed = $1 + 0 }
            /^mem_clients_normal:/ { sub(/.*:/, ""); told = $1 + 0 }
            END { print (listed == told && told != 0 ? "same" : listed " " told) }')"
}

test_resetstat_forgets_what_has_expired() {
    start_bookd
    cli SET a 1 PX 1 >/dev/null
    until_true info_is expired_keys 1
    expect OK cli CONFIG RESETSTAT
    expect '0 0' infos expired_keys evicted_keys
    cli SET b 1 PX 1 >/dev/null
    until_true info_is expired_keys 1
}

test_writes_that_wait_are_changes_since_the_last_save() {
    start_bookd --behind-interval 1h
    cli SET a 1 >/dev/null
    cli SET b 2 >/dev/null
    expect 2 info rdb_changes_since_last_save
}

# ---- SLOWLOG ----

test_slowlog() {
    start_bookd --slowlog-log-slower-than 0 --slowlog-max-len 3
    expect OK cli SLOWLOG RESET
    expect pong cli PING pong
    # The words of the last command but SLOWLOG itself, and of its client.
    like $'1\n*\n*\nPING\npong\n127.0.0.1:*' "$(cli SLOWLOG GET 1)"
    cli PING >/dev/null
    expect 3 cli SLOWLOG LEN
    expect OK cli CONFIG SET slowlog-log-slower-than -1
    expect 3 cli SLOWLOG LEN
    expect '' cli SLOWLOG GET 0
    equal 3 "$(cli SLOWLOG GET -1 | grep -c '^127.0.0.1:')"
    expect_like '*count should be greater than or equal to -1*' \
        cli SLOWLOG GET -2
    expect_like '*count should be greater than or equal to -1*' \
        cli SLOWLOG GET x
    expect_like 'ERR unknown subcommand or wrong number of arguments for *' \
        cli SLOWLOG GET 1 2
    expect_like 'SLOWLOG <subcommand>*' cli SLOWLOG HELP
    expect OK cli SLOWLOG RESET
    expect 0 cli SLOWLOG LEN
}

test_slowlog_tells_what_waited_for_the_store() {
    start_bookd --store-delay 30ms --slowlog-log-slower-than 20000
    cli PING >/dev/null
    cli GET book:3 >/dev/null
    cli GET book:3 >/dev/null
    equal 1 "$(cli SLOWLOG GET | grep -c '^GET$')"
    expect 1 cli SLOWLOG LEN
}

# ---- LATENCY ----

test_latency() {
    start_bookd --store-delay 30ms --latency-monitor-threshold 20
    expect '' cli LATENCY LATEST
    expect '' cli LATENCY HISTORY fast-command
    expect_like '*No samples available for event*' \
        cli LATENCY GRAPH fast-command
    like 'Nothing took 20 ms*' "$(cli LATENCY DOCTOR)"
    cli GET book:3 >/dev/null
    local text
    text=$(cli LATENCY LATEST)
    like $'*fast-command\n*store-read\n*' "$text"
    like '[0-9]*' "$(cli LATENCY HISTORY store-read)"
    like 'fast-command - high * ms, low * ms (all time high * ms)*' \
        "$(cli LATENCY GRAPH fast-command)"
    like '*fast-command: *store-read: *' "$(cli LATENCY DOCTOR)"
    expect 1 cli LATENCY RESET store-read nothing
    expect 1 cli LATENCY RESET
    expect 0 cli LATENCY RESET
    expect OK cli CONFIG SET latency-monitor-threshold 0
    cli GET book:4 >/dev/null
    expect '' cli LATENCY LATEST
    like '*is off*' "$(cli LATENCY DOCTOR)"
    expect_like 'LATENCY <subcommand>*' cli LATENCY HELP
}

test_latency_histogram() {
    start_bookd
    cli SET a 1 >/dev/null
    cli CONFIG GET port >/dev/null
    like $'set\ncalls\n1\nhistogram_usec\n*\n1' "$(cli LATENCY HISTOGRAM set)"
    like $'config|get\ncalls\n1\n*' "$(cli LATENCY HISTOGRAM config nothing)"
    expect '' cli LATENCY HISTOGRAM nothing
    like $'*config|get\n*set\n*' "$(cli LATENCY HISTOGRAM)"
    expect OK cli CONFIG SET latency-tracking no
    cli SET a 1 >/dev/null
    like $'set\ncalls\n1\n*' "$(cli LATENCY HISTOGRAM set)"
    equal $'# Latencystats\r' "$(cli INFO latencystats)"
}

# ---- MEMORY ----

test_memory_usage() {
    start_bookd
    cli SET small x >/dev/null
    cli SET large "$(printf '%01000d' 0)" >/dev/null
    at_least 1 "$(cli MEMORY USAGE small)"
    at_least 1000 "$(cli MEMORY USAGE large SAMPLES 0)"
    # A record that has no copy is read, as GET would.
    at_least 50 "$(cli MEMORY USAGE book:3)"
    expect 1 info store_reads
    expect '' cli MEMORY USAGE nothing
    expect '' cli MEMORY USAGE book:99
    expect_like 'ERR syntax error*' cli MEMORY USAGE small WHAT
    expect_like 'ERR syntax error*' cli MEMORY USAGE small SAMPLES
    expect_like 'ERR syntax error*' cli MEMORY USAGE small SAMPLES -1
    expect_like 'ERR value is not an integer*' cli MEMORY USAGE small SAMPLES x
}

test_memory_stats_has_the_fields_of_redis() {
    start_bookd
    local field text
    text=$'\n'$(cli MEMORY STATS)
    for field in peak.allocated total.allocated startup.allocated \
        replication.backlog clients.slaves clients.normal cluster.links \
        aof.buffer lua.caches functions.caches overhead.total keys.count \
        keys.bytes-per-key dataset.bytes dataset.percentage peak.percentage \
        allocator.allocated allocator.active allocator.resident \
        allocator-fragmentation.ratio allocator-fragmentation.bytes \
        allocator-rss.ratio allocator-rss.bytes rss-overhead.ratio \
        rss-overhead.bytes fragmentation fragmentation.bytes; do
        [[ $text == *$'\n'"$field"$'\n'* ]] || fail "no $field"
    done
    like '*keys.count 0*' "$(redis-cli -p "$port" -3 MEMORY STATS | tr '\n' ' ')"
}

test_memory_words() {
    start_bookd
    like 'Nothing is out of order*' "$(cli MEMORY DOCTOR)"
    expect OK cli MEMORY PURGE
    [ -n "$(cli MEMORY MALLOC-STATS)" ] || fail "no report"
    expect_like 'MEMORY <subcommand>*' cli MEMORY HELP
}

# ---- ROLE LASTSAVE TIME ----

test_role_lastsave_time() {
    start_bookd
    expect '*3|$6|master|:0|*0|' ask 'ROLE'
    local now
    now=$(date +%s)
    at_least "$((now - 5))" "$(cli LASTSAVE)"
    at_least "$now" "$(cli TIME | head -1)"
    like '[0-9]*' "$(cli TIME | tail -1)"
}

run_tests "$@"
