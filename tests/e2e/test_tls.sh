#!/bin/bash
# SPDX-License-Identifier: MIT
# TLS: who is let in, and that what goes in comes out.
. "${BOOKD_SRC:-.}/tests/e2e/lib.sh"
needs redis-cli openssl
redis-cli --help 2>&1 | grep -q -- --cacert || skip 'redis-cli cannot do TLS'

# certify NAME [AUTHORITY]: NAME.key and NAME.crt, signed by AUTHORITY or by
# itself.
certify() {
    openssl genpkey -algorithm EC -pkeyopt ec_paramgen_curve:P-256 \
        -out "$1.key" 2>/dev/null
    if [ $# -eq 1 ]; then
        openssl req -x509 -new -key "$1.key" -subj "/CN=$1" -days 2 \
            -out "$1.crt" 2>/dev/null
        return
    fi
    openssl req -new -key "$1.key" -subj "/CN=$1" -out "$1.csr" 2>/dev/null
    openssl x509 -req -in "$1.csr" -CA "$2.crt" -CAkey "$2.key" \
        -CAcreateserial -days 2 -out "$1.crt" 2>/dev/null
}

tls_port=
# start_tls ARG...: the port beside '$port', with server.crt.
start_tls() {
    certify ca
    certify server ca
    certify client ca
    while draw_port && tls_port=$((port + 1)) &&
        launch_bookd --port "$port" --tls-port "$tls_port" --dir "$dir" \
            --tls-cert-file server.crt --tls-key-file server.key \
            --tls-ca-cert-file ca.crt "$@"; do
        is_ready && return
    done
}

# tls WORD...: redis-cli over TLS, without a certificate of its own.
tls() {
    timeout "$PATIENCE" redis-cli -p "$tls_port" --tls --cacert ca.crt "$@"
}

tls_known() {
    tls --cert client.crt --key client.key "$@"
}

test_who_shows_no_certificate_is_refused() {
    start_tls
    expect_like '*rror*' tls PING
    wait_log '*TLS handshake failed addr=127.0.0.1:* reason="peer did not return a certificate"'
    expect PONG tls_known PING
    expect PONG cli PING
}

test_who_shows_a_strange_certificate_is_refused() {
    start_tls --tls-auth-clients optional
    certify stranger
    expect PONG tls PING
    expect PONG tls_known PING
    expect_like '*rror*' tls --cert stranger.crt --key stranger.key PING
    expect PONG tls PING
}

test_no_certificate_is_asked_for() {
    start_tls --tls-auth-clients no
    expect PONG tls PING
    expect OK cli CONFIG SET tls-auth-clients yes
    expect_like '*rror*' tls PING
}

test_large_values_go_in_and_out_whole() {
    start_tls --tls-auth-clients no
    head -c 3000000 /dev/urandom >value
    expect OK tls -x SET large <value
    tls GET large | head -c 3000000 | cmp value || fail 'not the same'
}

test_a_pipeline_is_answered_whole() {
    local i
    start_tls --tls-auth-clients no
    for ((i = 0; i < 20000; i++)); do
        printf 'SET key:%d value-%d\r\n' "$i" "$i"
    done >commands
    expect_like '*errors: 0, replies: 20000' tls --pipe <commands
    expect value-19999 tls GET key:19999
}

test_what_is_pushed_comes() {
    start_tls --tls-auth-clients no
    exec {conn}< <(tls SUBSCRIBE news)
    for line in subscribe news 1; do
        expect "$line" hear
    done
    expect 1 cli PUBLISH news hello
    for line in message news hello; do
        expect "$line" hear
    done
}

test_plain_text_on_the_port_of_tls_harms_nobody() {
    start_tls --tls-auth-clients no
    wire 'PING\r\n' "$tls_port" >/dev/null
    wait_log '*TLS handshake failed*'
    expect PONG tls PING
}

test_versions_are_those_that_are_named() {
    local hello
    start_tls --tls-auth-clients no --tls-protocols TLSv1.2
    hello=(openssl s_client -connect "127.0.0.1:$tls_port" -CAfile ca.crt)
    expect_like '*Protocol*: TLSv1.2*' "${hello[@]}" </dev/null
    "${hello[@]}" -tls1_3 </dev/null >out 2>&1 && fail "TLSv1.3: $(cat out)"
    expect OK cli CONFIG SET tls-protocols 'TLSv1.2 TLSv1.3'
    "${hello[@]}" -tls1_3 </dev/null >out 2>&1 || fail "no TLSv1.3: $(cat out)"
}

# serial: of the certificate that the server shows.
serial() {
    openssl s_client -connect "127.0.0.1:$tls_port" </dev/null 2>/dev/null |
        openssl x509 -noout -serial
}

test_a_reload_reads_the_files_again() {
    start_tls --tls-auth-clients no
    local before
    before=$(serial)
    expect_like 'serial=*' echo "$before"
    certify next ca
    expect OK cli CONFIG SET tls-cert-file next.crt tls-key-file next.key
    expect "$(openssl x509 -noout -serial -in next.crt)" serial
    expect OK cli CONFIG SET tls-cert-file nosuch.crt
    wait_log '*TLS stays as it was: tls-cert-file "nosuch.crt" cannot be used: No such file or directory'
    expect "$(openssl x509 -noout -serial -in next.crt)" serial
    expect PONG tls PING
}

test_the_password_of_a_key() {
    certify ca
    certify server ca
    openssl pkey -in server.key -aes256 -passout pass:secret -out locked.key
    rm server.key
    mv locked.key server.key
    bookd_fails 1 '*tls-key-file "server.key" cannot be used: *' \
        --port 0 --tls-port 1 --dir "$dir" --tls-cert-file server.crt \
        --tls-key-file server.key --tls-auth-clients no
    while draw_port && tls_port=$port &&
        launch_bookd --port 0 --tls-port "$tls_port" --dir "$dir" \
            --tls-cert-file server.crt --tls-key-file server.key \
            --tls-key-file-pass secret --tls-auth-clients no; do
        is_ready && break
    done
    expect PONG tls PING
}

test_what_cannot_work_is_said_at_start() {
    certify ca
    certify server ca
    bookd_fails 1 '*tls-port needs tls-cert-file*' --port 0 --tls-port 1 \
        --dir "$dir"
    bookd_fails 1 '*tls-port needs tls-key-file*' --port 0 --tls-port 1 \
        --dir "$dir" --tls-cert-file server.crt
    bookd_fails 1 '*key values mismatch*' --port 0 --tls-port 1 \
        --dir "$dir" --tls-cert-file server.crt --tls-key-file ca.key
    bookd_fails 1 '*tls-auth-clients needs tls-ca-cert-file or tls-ca-cert-dir*' \
        --port 0 --tls-port 1 --dir "$dir" --tls-cert-file server.crt \
        --tls-key-file server.key
    bookd_fails 1 '*"SSLv3" is no version of TLS*' --port 0 --tls-port 1 \
        --dir "$dir" --tls-cert-file server.crt --tls-key-file server.key \
        --tls-auth-clients no --tls-protocols SSLv3
}

run_tests "$@"
