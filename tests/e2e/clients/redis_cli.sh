#!/bin/bash
# SPDX-License-Identifier: MIT
# shellcheck disable=SC2317 # check calls them
# redis-cli in its modes against a bookd on PORT; test_terminal.c has it on a
# terminal.
. "${0%/*}/check.sh"

c() {
    redis-cli -p "$PORT" "$@"
}

hello() {
    same PONG "$(c PING)" &&
        same 'server redis' "$(c HELLO 3 | head -n 1)"
}
strings() {
    same OK "$(c SET s one EX 100)" && same one "$(c GET s)" &&
        same '(nil)' "$(c --no-raw GET s:none)"
}
records() {
    same '1# "id" => "2"' "$(c -3 --no-raw HGETALL book:2 | head -n 1)"
}
hashes() {
    c DEL h >/dev/null
    same 2 "$(c HSET h a 1 b two)" && same two "$(c HGET h b)"
}
json() {
    same '{"id":"2","title":"The Hobbit","author":"J.R.R. Tolkien","year":"1937"}' \
        "$(c --json HGETALL book:2)"
}
csv() {
    same '"book:1","book:10"' "$(c --csv KEYS 'book:1*')"
}
pipe() {
    local i
    for ((i = 1; i <= 2000; i++)); do
        printf '*3\r\n$3\r\nSET\r\n$%d\r\nkey:%d\r\n$%d\r\n%d\r\n' \
            $((4 + ${#i})) $i ${#i} $i
    done | c --pipe | grep -q 'errors: 0, replies: 2000' && same 1711 "$(c GET key:1711)"
}
pipe_errors() {
    printf 'SET a 1\r\nNOSUCH\r\nSET b 2\r\n' | c --pipe >said
    grep -q 'errors: 1, replies: 3' said || { cat said; return 1; }
}
stdin() {
    printf 'two\nlines' | c -x SET key >/dev/null
    same $'two\nlines' "$(c GET key)"
}
repeat() {
    same $'PONG\nPONG\nPONG' "$(c -r 3 PING)"
}
scan() {
    same 10 "$(c --scan --pattern 'book:*' | wc -l)"
}
bigkeys() {
    c --bigkeys >said && grep -q 'Biggest string found' said &&
        grep -q 'Biggest   hash found' said || { cat said; return 1; }
}
memkeys() {
    c --memkeys >said && grep -q 'Biggest string' said || { cat said; return 1; }
}
stat_mode() {
    timeout 3 stdbuf -oL redis-cli -p "$PORT" --stat -i 0.1 >said
    grep -qE '^[0-9]+ +[0-9.]+[BKMG] ' said || { cat said; return 1; }
}
latency() {
    timeout 3 redis-cli -p "$PORT" --latency -i 1 >said </dev/null
    grep -qE '[0-9]' said || { cat said; return 1; }
}
errors() {
    same "ERR unknown command 'LPUSH', with args beginning with: 'l' '1' " "$(c LPUSH l 1)"
}
databases() {
    same OK "$(c -n 2 SET only here)" && same '' "$(c GET only)" &&
        same here "$(c -n 2 GET only)"
}
auth() {
    c ACL SETUSER cli on '>secret' '~*' +@all >/dev/null &&
        same cli "$(c --user cli --pass secret --no-auth-warning ACL WHOAMI)"
}
transaction() {
    same $'OK\nQUEUED\nQUEUED\nOK\n2' "$(printf 'MULTI\nSET t 1\nINCR t\nEXEC\n' | c)"
}
foreign() {
    c HGET book:8 year >/dev/null
    sqlite3 "$DATABASE" 'PRAGMA busy_timeout = 10000; UPDATE books SET year = 2001 WHERE id = 8' >/dev/null
    local i
    for ((i = 0; i < 1000; i++)); do
        [ "$(c HGET book:8 year)" != 2001 ] || return 0
    done
    echo "it still is $(c HGET book:8 year)"
    return 1
}

tls() {
    redis-cli --help 2>&1 | grep -q -- --cacert || return 77
    [ -n "$TLS_PORT" ] || return 77
    same 1937 "$(redis-cli -p "$TLS_PORT" --tls --cacert "$CA_FILE" HGET book:2 year)"
}

for name in hello strings hashes records transaction json csv pipe scan bigkeys stdin repeat \
    memkeys latency errors databases auth foreign tls; do
    check $name $name
done
check pipe-errors pipe_errors
check stat stat_mode
