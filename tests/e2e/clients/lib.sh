# shellcheck shell=bash
# shellcheck disable=SC2154 # port and dir are lib.sh's
# SPDX-License-Identifier: MIT
#
# What the tests with real clients share; sourced behind lib.sh.
#
# Each client has a program of its own here, which is told where bookd is
# (PORT, perhaps TLS_PORT, and DATABASE, the file behind it) and prints a line for each thing it
# tried:
#
#     ok CHECK
#     skip CHECK why
#     FAILED CHECK in the client's own words
#
# The same thing is called by the same name with every client, so that
# clients/table.sh can make one table of all.

export clients=$BOOKD_SRC/tests/e2e/clients
export NODE_PATH=$BOOKD_CLIENTS/node_modules

# needs_module NAME: of Node.
needs_module() {
    needs node
    [ -d "$NODE_PATH/$1" ] ||
        skip "$1 is not in $NODE_PATH; ./quickstart check installs it"
}

# start_for_clients: a bookd with a port for TLS (TLS_PORT, CA_FILE), if there is
# an openssl to make a certificate with.
start_for_clients() {
    export TLS_PORT='' CA_FILE=$dir/ca.crt
    if ! command -v openssl >/dev/null; then
        start_bookd
        return
    fi
    openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -days 2 \
        -subj /CN=localhost -addext subjectAltName=IP:127.0.0.1,DNS:localhost \
        -keyout ca.key -out ca.crt 2>/dev/null || fail "openssl made no certificate"
    while draw_port && TLS_PORT=$((port + 1)) &&
        launch_bookd --port "$port" --dir "$dir" --tls-port "$TLS_PORT" \
            --tls-cert-file ca.crt --tls-key-file ca.key --tls-auth-clients no; do
        is_ready && return
    done
}

# check_with CLIENT COMMAND...: the command tries the client; its lines are the
# verdict.  They are added to the file CLIENT_RESULTS as well, if that is set.
check_with() {
    local client=$1 line status n=0 bad=
    shift
    PORT=$port DATABASE=$dir/bookd.db timeout "$PATIENCE" "$@" >verdicts 2>complaints
    status=$?
    while IFS= read -r line; do
        case $line in
        'ok '* | 'skip '*)
            n=$((n + 1))
            printf '%s: %s\n' "$client" "$line"
            ;;
        'FAILED '*) bad+=$'\n'"  $client: $line" ;;
        *) continue ;;
        esac
        [ -z "${CLIENT_RESULTS-}" ] ||
            printf '%s\t%s\t%s\n' "$client" "${line%% *}" "$(cut -d ' ' -f 2 <<<"$line")" \
                >>"$CLIENT_RESULTS"
    done <verdicts
    [ -z "$bad" ] || fail "$bad
$(cat complaints)"
    if [ "$status" -ne 0 ] || [ $n -eq 0 ]; then
        fail "$client ended with status $status after $n checks
$(cat verdicts complaints)"
    fi
}
