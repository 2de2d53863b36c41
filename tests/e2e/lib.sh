# shellcheck shell=bash
# SPDX-License-Identifier: MIT
#
# What the e2e scripts share.  A script sources this file, defines functions
# called test_<claim>, and ends with `run_tests "$@"`:
#
#     . "${BOOKD_SRC:-.}/tests/e2e/lib.sh"
#     test_ping_is_answered() {
#         start_bookd
#         expect PONG cli PING
#     }
#     run_tests "$@"
#
# Each test runs in a subshell, in an empty directory of its own ('$dir'), and
# starts the bookd it wants.  What it leaves running is stopped afterwards, and
# the test fails if bookd does not end with status 0, or if a sanitizer spoke.
# By hand, `bash tests/e2e/test_x.sh test_y` runs one test of a script.
#
# Nothing here sleeps.  bookd writes its log into a fifo, which this shell reads
# when it waits for something: for "server: ready", for any other line, and for
# the end of the file, which is the end of bookd.
set -u

: "${BOOKD_BUILD:=.}" "${BOOKD_SRC:=.}"
BOOKD_BUILD=$(cd "$BOOKD_BUILD" && pwd)
BOOKD_SRC=$(cd "$BOOKD_SRC" && pwd)
bookd=$BOOKD_BUILD/bookd
export bookd bookctl=$BOOKD_BUILD/bookctl
# What quickstart has unpacked for the tests.
: "${BOOKD_CLIENTS:=$BOOKD_BUILD/clients}"
PATH=$PATH:$BOOKD_CLIENTS/usr/bin:$BOOKD_CLIENTS/usr/sbin:/usr/sbin
if [ ! -x "$bookd" ]; then
    echo "there is no bookd in BOOKD_BUILD=$BOOKD_BUILD"
    exit 1
fi

# Seconds after which whatever is waited for is given up; generous, as a
# sanitizer on a busy machine is slow.
: "${PATIENCE:=60}"

port=   # Of the bookd started last,
pid=    # its process id, empty when it is stopped,
log=    # a copy of what was read of its log,
log_fd= # and where the rest comes from.
dir=$PWD

# ---- verdicts ----

# fail WORD...: ends the test; says where in the script it was.
fail() {
    local i
    for ((i = 1; i < ${#FUNCNAME[@]}; i++)); do
        if [[ ${FUNCNAME[i]} == test_* ]]; then
            printf '%s:%s: ' "${BASH_SOURCE[i]##*/}" "${BASH_LINENO[i - 1]}"
            break
        fi
    done
    printf '%s\n' "$*"
    exit 1
}

# skip REASON: this test cannot run here.
skip() {
    echo "$*"
    exit 77
}

# needs PROGRAM...: at the head of a script that cannot do without.
needs() {
    local program
    for program; do
        command -v "$program" >/dev/null || skip "$program is not installed"
    done
}

# equal EXPECTED ACTUAL [WHAT]
equal() {
    if [ "$1" != "$2" ]; then
        fail "${3:-not what was expected}
  expected: $1
  actual:   $2"
    fi
}

# like GLOB ACTUAL [WHAT]
like() {
    # shellcheck disable=SC2053 # a pattern is meant
    if [[ $2 != $1 ]]; then
        fail "${3:-not what was expected}
  pattern:  $1
  actual:   $2"
    fi
}

# expect OUTPUT COMMAND...: runs the command and compares what it prints.
expect() {
    local output
    output=$("${@:2}" 2>&1)
    equal "$1" "$output" "${*:2}"
}

# expect_like GLOB COMMAND...
expect_like() {
    local output
    output=$("${@:2}" 2>&1)
    like "$1" "$output" "${*:2}"
}

# at_least MINIMUM ACTUAL [WHAT]
at_least() {
    [ "$2" -ge "$1" ] || fail "${3:-a number}: $2 is less than $1"
}

# ---- bookd ----

# Reads one line of the log into 'line'; fails at its end.
read_log() {
    IFS= read -r -t "$PATIENCE" -u "$log_fd" line || return
    printf '%s\n' "$line" >>"$log"
}

# wait_log GLOB: waits until bookd logs a line that matches, past those that
# were waited for before.  The line is left in 'line'.
wait_log() {
    while read_log; do
        # shellcheck disable=SC2053 # a pattern is meant
        if [[ $line == $1 ]]; then
            return
        fi
    done
    fail "bookd did not log: $1
$(cat "$log")"
}

# launch_bookd ARG...: starts it and does not wait.  '$with' holds words that
# go in front of it: (env NAME=value).
with=()
launch_bookd() {
    local fifo=$dir/log.fifo
    rm -f "$fifo"
    mkfifo "$fifo"
    log=$dir/bookd.log
    : >"$log"
    ${with[@]+"${with[@]}"} "$bookd" "$@" </dev/null 2>"$fifo" &
    pid=$!
    exec {log_fd}<"$fifo"
}

# Ports below those that the system gives to clients, so that no connection of
# a test running beside us is in the way; a bookd that is may be.
draw_port() {
    port=$((12000 + SRANDOM % 20000))
}

# Waits until the bookd launched says that it serves; false if its port was
# taken.
is_ready() {
    local line
    while read_log; do
        case $line in
        *"server: ready port="*) return 0 ;;
        *"cannot start: port $port on "*" is in use"*)
            wait_end
            return 1
            ;;
        esac
    done
    fail "bookd did not start
$(cat "$log")"
}

# start_bookd ARG...: returns when it serves on '$port', over '$dir/bookd.db'.
start_bookd() {
    while draw_port && launch_bookd --port "$port" --dir "$dir" "$@"; do
        is_ready && return
    done
}

# Waits until bookd is gone; its exit status is left in 'status'.
wait_end() {
    local line
    local result=0
    while [ $result -eq 0 ]; do
        read_log
        result=$?
    done
    if [ $result -gt 128 ]; then # read(1) ran out of patience.
        kill -s KILL "$pid"
        fail "bookd does not end
$(cat "$log")"
    fi
    exec {log_fd}<&-
    wait "$pid"
    status=$?
    pid=
}

# Nothing that a sanitizer or an assertion would say is in the log.
assert_log_clean() {
    if grep -E 'Sanitizer|runtime error:|Assertion' "$log"; then
        fail "bookd is not well
$(cat "$log")"
    fi
}

# Waits for an end in order, however it was asked for.
wait_good_end() {
    wait_end
    assert_log_clean
    [ "$status" -eq 0 ] || fail "bookd ended with status $status
$(cat "$log")"
}

stop_bookd() {
    kill -s TERM "$pid"
    wait_good_end
}

# The end of a power failure, as far as a process can have one.
kill_bookd() {
    kill -s KILL "$pid"
    wait_end 2>/dev/null
}

# restart_bookd ARG...: over the same store.
restart_bookd() {
    stop_bookd
    start_bookd "$@"
}

# bookd_fails STATUS GLOB ARG...: bookd does not start, and says why.
bookd_fails() {
    local output status
    output=$(timeout "$PATIENCE" "$bookd" "${@:3}" 2>&1 </dev/null)
    status=$?
    like "$2" "$output" "bookd ${*:3}"
    equal "$1" "$status" "exit status of bookd ${*:3}"
}

# start_redis ARG...: a redis-server to compare with, as 'redis_pid' on
# 'redis_port'; the test that starts it kills it.
redis_pid=
redis_port=
start_redis() {
    local line redis_log last=
    while :; do
        redis_port=$((12000 + SRANDOM % 20000))
        exec {redis_log}< <(exec redis-server --port "$redis_port" \
            --bind 127.0.0.1 --save '' --dir "$dir" "$@" 2>&1)
        redis_pid=$!
        while IFS= read -r -t "$PATIENCE" -u "$redis_log" line; do
            last=$line
            [[ $line == *'eady to accept connections'* ]] && return
        done
        [[ $last == *"in use"* ]] || fail "redis-server did not start: $last"
    done
}

# ---- clients ----

# cli WORD...: redis-cli, values as they are.
cli() {
    timeout "$PATIENCE" redis-cli -p "$port" "$@"
}

# show WORD...: redis-cli, values as for people: (nil), (integer) 1, "text".
show() {
    timeout "$PATIENCE" redis-cli -p "$port" --no-raw "$@"
}

# show3 WORD...: the same over RESP3.
show3() {
    timeout "$PATIENCE" redis-cli -3 -p "$port" --no-raw "$@"
}

# wire TEXT [PORT]: sends TEXT, in which \r\n and the like are understood, over
# a connection of its own and prints what bookd sends until it closes, with |
# for each CRLF.  End with "QUIT\r\n" unless bookd closes by itself.
wire() {
    local fd
    exec {fd}<>"/dev/tcp/127.0.0.1/${2-$port}" || fail "no connection"
    printf '%b' "$1" >&"$fd"
    timeout "$PATIENCE" sed -z 's/\r\n/|/g' <&"$fd" | tr -d '\0'
    exec {fd}>&-
}

# ask TEXT: the replies to TEXT over RESP2, as wire prints them.
ask() {
    local replies
    replies=$(wire "$1\r\nQUIT\r\n")
    printf '%s\n' "${replies%+OK|}"
}

# ask3 TEXT: the same over RESP3, without that of HELLO.
ask3() {
    local replies
    replies=$(wire "HELLO 3\r\n$1\r\nQUIT\r\n")
    replies=${replies#%7|*'|modules|*0|'}
    printf '%s\n' "${replies%+OK|}"
}

# pour: the commands of stdin, a line each, as one pipeline; prints how many
# replies were errors and how many there were in all.
pour() {
    sed 's/$/\r/' | cli --pipe | sed -n 's/^errors: \(.*\), replies: /\1 /p'
}

# scan_all WORD...: all keys, by SCAN with the given options.
scan_all() {
    local cursor=0 page
    while true; do
        page=$(cli SCAN "$cursor" "$@") || return
        cursor=${page%%$'\n'*}
        if [ "$page" != "$cursor" ]; then
            printf '%s\n' "${page#*$'\n'}"
        fi
        if [ "$cursor" = 0 ]; then
            return
        fi
    done
}

# dial: opens a connection to bookd as '$conn'; say and hear use it, and
# hang_up ends it.
dial() {
    exec {conn}<>"/dev/tcp/127.0.0.1/$port" || fail "no connection"
}

say() {
    printf '%b' "$1" >&"$conn"
}

# Prints the next line, without its CRLF.
hear() {
    local line
    IFS= read -r -t "$PATIENCE" -u "$conn" line || return
    printf '%s\n' "${line%$'\r'}"
}

hang_up() {
    exec {conn}>&-
}

# info NAME: a figure of INFO.
info() {
    cli INFO | sed -n "s/^$1:\(.*\)\r$/\1/p"
}

# infos NAME...: several at the same moment, with spaces between them.
infos() {
    cli INFO | awk -v names="$*" '
        { sub(/\r$/, ""); i = index($0, ":") }
        i { value[substr($0, 1, i - 1)] = substr($0, i + 1) }
        END {
            n = split(names, name, " ")
            for (i = 1; i <= n; i++)
                printf "%s%s", value[name[i]], i < n ? " " : "\n"
        }'
}

# source_of KEY: "cache" or "store", as BOOK.GET has it.
source_of() {
    cli BOOK.GET "$1" | sed -n 4p
}

# until_true COMMAND...: for what has no event to wait for.  Each look is a
# round trip to bookd, so this is bounded by time and not busy.
until_true() {
    local end=$((SECONDS + PATIENCE))
    until "$@"; do
        [ "$SECONDS" -lt "$end" ] || fail "did not become true: $*"
    done
}

# info_is NAME VALUE: for until_true.
info_is() {
    [ "$(info "$1")" = "$2" ]
}

# ---- the runner ----

run_one() {
    dir=$work/$1
    mkdir "$dir"
    cd "$dir" || exit 1
    trap 'kill -s KILL $pid $redis_pid 2>/dev/null' EXIT
    "$1"
    [ -z "$pid" ] || stop_bookd
}

# run_tests [NAME...]: these, or all.
run_tests() {
    local name result start_us ms n_failed=0
    local names=("$@")
    local work
    work=$(mktemp -d)
    # shellcheck disable=SC2064 # now is right: it is local
    trap "rm -rf '$work'" EXIT
    if [ $# -eq 0 ]; then
        mapfile -t names < <(compgen -A function test_)
    fi
    for name in "${names[@]}"; do
        start_us=${EPOCHREALTIME/[.,]/}
        (run_one "$name")
        result=$?
        ms=$(((${EPOCHREALTIME/[.,]/} - start_us) / 1000))
        case $result in
        0) echo "ok      $name $ms ms" ;;
        77) echo "skipped $name" ;;
        *)
            echo "FAILED  $name"
            n_failed=$((n_failed + 1))
            ;;
        esac
    done
    if [ "$n_failed" -gt 0 ]; then
        echo "$n_failed of ${#names[@]} failed"
        exit 1
    fi
}
