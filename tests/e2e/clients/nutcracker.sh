#!/bin/bash
# SPDX-License-Identifier: MIT
# shellcheck disable=SC2317 # check calls them
# nutcracker (twemproxy) in front of two bookds, the one on PORT and another that
# is started here: keys are spread, and commands of many keys are split.
. "${0%/*}/check.sh"

SECOND_PORT=$((12000 + SRANDOM % 20000))
mkdir second
"${bookd:?}" --port $SECOND_PORT --dir "$PWD/second" </dev/null 2>second.log &
second=$!
trap 'kill $second' EXIT
until redis-cli -p $SECOND_PORT PING >/dev/null 2>&1; do
    kill -0 $second || { cat second.log; exit 1; }
done

proxy=$((12000 + SRANDOM % 20000))
cat >nutcracker.yml <<YML
bookd:
  listen: 127.0.0.1:$proxy
  hash: fnv1a_64
  hash_tag: "{}"
  distribution: ketama
  auto_eject_hosts: false
  redis: true
  servers:
   - 127.0.0.1:$PORT:1 one
   - 127.0.0.1:$SECOND_PORT:1 two
YML
nutcracker -c nutcracker.yml -s $((proxy + 1)) -i 30000 -v 4 \
    -o nutcracker.log &
nutcracker=$!
trap 'kill $nutcracker $second' EXIT

c() {
    redis-cli -p "$proxy" "$@"
}
until c GET x >/dev/null 2>&1; do
    kill -0 $nutcracker || { cat nutcracker.log; exit 1; }
    read -r -t 0.05 <> <(:)
done

strings() {
    same OK "$(c SET s one)" && same one "$(c GET s)" && same 1 "$(c DEL s)"
}
split() {
    local i keys=() on_one
    for ((i = 0; i < 50; i++)); do
        keys+=("k:$i")
        c SET "k:$i" $i >/dev/null
    done
    on_one=$(redis-cli -p "$PORT" EXISTS "${keys[@]}")
    [ "$on_one" -gt 0 ] && [ "$on_one" -lt 50 ] || { echo "$on_one on the first"; return 1; }
    same "$(seq 0 49)" "$(c MGET "${keys[@]}")" && same 50 "$(c DEL "${keys[@]}")"
}
tags() {
    local one two
    c MSET '{t}a' 1 '{t}b' 2 >/dev/null
    same $'1\n2' "$(c MGET '{t}a' '{t}b')" || return
    one=$(redis-cli -p "$PORT" EXISTS '{t}a' '{t}b')
    two=$(redis-cli -p "$SECOND_PORT" EXISTS '{t}a' '{t}b')
    same 2 "$((one > two ? one : two))"
}
hashes() {
    same 2 "$(c HSET h a 1 b two)" && same two "$(c HGET h b)"
}
records() {
    same 1859 "$(c HGET book:3 year)"
}
expiry() {
    c SET e 1 EX 1000 >/dev/null && [ "$(c TTL e)" -gt 990 ]
}
pipeline() {
    same $'OK\n2\n3' "$(printf 'SET n 1\nINCR n\nINCR n\n' | c)"
}

for name in strings split tags hashes records expiry pipeline; do
    check $name $name
done
