#!/bin/bash
# SPDX-License-Identifier: MIT
# shellcheck disable=SC2016 # the $ is that of the protocol
# Who may do what: AUTH, requirepass, ACL, and what a client that has not said
# who it is may do.
. "${BOOKD_SRC:-.}/tests/e2e/lib.sh"
needs redis-cli

readonly wrong='-WRONGPASS invalid username-password pair or user is disabled.|'
readonly noauth='-NOAUTH Authentication required.|'
# SHA-256 of "secret".
readonly digest=2bb80d537b1da3e38bd30361aa855686bde0eacd7162fef6a25fe97bf527a25b

# as USER PASSWORD TEXT: the replies to TEXT for that user.
as() {
    local replies
    replies=$(ask "AUTH $1 $2\r\n$3")
    printf '%s\n' "${replies#+OK|}"
}

# start_with_file: with ./bookd.conf.
start_with_file() {
    while draw_port &&
        launch_bookd "$dir/bookd.conf" --port "$port" --dir "$dir"; do
        is_ready && return
    done
}

# ---- passwords ----

test_without_a_password_auth_has_two_forms() {
    start_bookd
    expect '-ERR AUTH <password> called without any password configured for the default user. Are you sure your configuration is correct?|' \
        ask 'AUTH x'
    expect '+OK|' ask 'AUTH default x'
    expect "$wrong" ask 'AUTH somebody x'
    expect '-ERR syntax error|' ask 'AUTH a b c'
    expect "-ERR wrong number of arguments for 'auth' command|" ask 'AUTH'
}

test_requirepass_asks_who_comes_later() {
    start_bookd
    dial
    say 'PING\r\n'
    expect +PONG hear
    cli CONFIG SET requirepass secret >/dev/null
    say 'PING\r\n'
    expect +PONG hear # It was let in before.
    expect "$noauth" ask 'GET x'
    expect "$wrong" ask 'AUTH nope'
    expect '+OK|$-1|' ask 'AUTH secret\r\nGET x'
    expect '+OK|+PONG|' ask 'AUTH default secret\r\nPING'
    expect '+OK|+RESET|'"$noauth" ask 'AUTH secret\r\nRESET\r\nPING'
    expect '+OK|*2|$11|requirepass|$6|secret|' \
        ask 'AUTH secret\r\nCONFIG GET requirepass'
    expect '+OK|+OK|' ask 'AUTH secret\r\nCONFIG SET requirepass ""'
    expect '+PONG|' ask 'PING'
    hang_up
}

test_requirepass_of_the_configuration() {
    start_bookd --requirepass secret
    expect "$noauth" ask 'PING'
    expect "-ERR unknown command 'NOSUCH', with args beginning with: |" \
        ask 'NOSUCH'
    expect PONG cli -a secret --no-auth-warning PING
}

test_hello_authenticates() {
    start_bookd --requirepass secret
    expect_like '-NOAUTH HELLO must be called with the client already authenticated, otherwise the HELLO AUTH <user> <pass> option can be used to authenticate the client and select the RESP protocol version at the same time|' \
        ask 'HELLO 3'
    expect "$wrong" ask 'HELLO 3 AUTH default nope'
    expect '-NOPROTO unsupported protocol version|' \
        ask 'HELLO 4 AUTH default secret'
    expect_like '%7|*|+PONG|' ask 'HELLO 3 AUTH default secret SETNAME me\r\nPING'
}

test_a_default_user_that_is_off_lets_nobody_in() {
    start_bookd
    cli ACL SETUSER root on nopass +@all '~*' '&*' >/dev/null
    cli ACL SETUSER default off >/dev/null
    expect "$noauth" ask 'PING'
    expect "$wrong" ask 'AUTH default x'
    expect '+PONG|' as root any 'PING'
}

# ---- who has not said who it is ----

test_before_login_commands_are_small() {
    local i long='*11\r\n'
    start_bookd --requirepass secret
    for i in {1..11}; do
        long+='$1\r\na\r\n'
    done
    expect '-ERR Protocol error: unauthenticated multibulk length|' \
        wire '*11\r\n'
    expect '-ERR Protocol error: unauthenticated bulk length|' \
        wire '*2\r\n$4\r\nAUTH\r\n$16385\r\n'
    expect "$wrong"'+OK|' wire '*2\r\n$4\r\nAUTH\r\n$3\r\nabc\r\nQUIT\r\n'
    expect "+OK|-ERR unknown command 'a', with args beginning with: 'a' 'a' 'a' 'a' 'a' 'a' 'a' 'a' 'a' 'a' |+OK|" \
        wire "AUTH secret\r\n${long}QUIT\r\n"
}

test_before_login_little_is_owed() {
    local i commands=''
    start_bookd --requirepass secret
    for ((i = 0; i < 1000; i++)); do
        commands+='x\r\nx\r\nx\r\nx\r\nx\r\nx\r\nx\r\nx\r\nx\r\nx\r\n'
    done
    # Nobody reads: the kernel's buffers fill, then ours.
    dial
    until ! (say "$commands") 2>/dev/null; do :; done
    hang_up
    at_least 1 "$(cli -a secret --no-auth-warning INFO stats |
        sed -n 's/^client_output_buffer_limit_disconnections:\(.*\)\r/\1/p')"
}

# ---- users ----

test_a_user_may_do_what_its_rules_say() {
    start_bookd
    expect OK cli ACL SETUSER alice on '>secret' '~a:*' '%R~r:*' '&news' \
        +@read +set +publish '+config|get' '+select|0'
    expect '+OK|$1|1|' as alice secret 'SET a:1 1\r\nGET a:1'
    expect '-NOPERM this user has no permissions to access one of the keys used as arguments|' \
        as alice secret 'GET b'
    expect '$-1|' as alice secret 'GET r:1'
    expect '-NOPERM this user has no permissions to access one of the keys used as arguments|' \
        as alice secret 'SET r:1 x'
    expect ':0|' as alice secret 'EXISTS r:1 a:2'
    expect '-NOPERM this user has no permissions to access one of the channels used as arguments|' \
        as alice secret 'PUBLISH other x'
    expect ':0|' as alice secret 'PUBLISH news x'
    expect "-NOPERM this user has no permissions to run the 'del' command|" \
        as alice secret 'DEL a:1'
    expect "-NOPERM this user has no permissions to run the 'config|set' command|" \
        as alice secret 'CONFIG SET port 1'
    expect_like '\*2|$4|port|*' \
        as alice secret 'CONFIG GET port'
    expect '+OK|' as alice secret 'SELECT 0'
    expect "-NOPERM this user has no permissions to run the 'select' command|" \
        as alice secret 'SELECT 1'
    expect "-NOPERM this user has no permissions to run the 'acl|whoami' command|" \
        as alice secret 'ACL WHOAMI'
    expect '+OK|+RESET|$7|default|' ask 'AUTH alice secret\r\nRESET\r\nACL WHOAMI'
}

test_set_with_get_reads() {
    start_bookd
    cli ACL SETUSER w on nopass +@all '%W~*' >/dev/null
    expect '+OK|' as w x 'SET a 1'
    expect_like '-NOPERM*' as w x 'SET a 1 GET'
    expect_like '-NOPERM*' as w x 'GET a'
    expect_like '-NOPERM*' as w x 'INCR a'
    expect '+OK|' as w x 'SETEX a 10 1'
}

test_selectors_add_rights() {
    start_bookd
    expect OK cli ACL SETUSER s on nopass '~a*' +get '(~b* +set)' '(%R~c*' '+@read)'
    expect '$-1|+OK|:0|' as s x 'GET a\r\nSET b 1\r\nSTRLEN c'
    expect "-NOPERM this user has no permissions to access one of the keys used as arguments|" \
        as s x 'SET a 1'
    expect 'user s on nopass ~a* resetchannels -@all +get (~b* resetchannels -@all +set) (%R~c* resetchannels -@all +@read)' \
        sed -n /^user.s/p <(cli ACL LIST)
    cli ACL SETUSER s clearselectors >/dev/null
    expect "-NOPERM this user has no permissions to run the 'set' command|" \
        as s x 'SET b 1'
}

test_rules_are_shown_as_redis_shows_them() {
    start_bookd
    expect 'user default on nopass ~* &* +@all' cli ACL LIST
    cli ACL SETUSER a >/dev/null
    cli ACL SETUSER b reset >/dev/null
    cli ACL SETUSER c on '>secret' '%R~x' '%w~y' '&z' +CONFIG '-config|set' +@READ >/dev/null
    expect "user a off resetchannels -@all
user b off sanitize-payload resetchannels -@all
user c on #$digest %R~x %W~y resetchannels &z -@all +config -config|set +@read
user default on nopass ~* &* +@all" cli ACL LIST
    expect $'a\nb\nc\ndefault' cli ACL USERS
    expect "*12|\$5|flags|*1|\$2|on|\$9|passwords|*1|\$64|$digest|\$8|commands|\$32|-@all +config -config|set +@read|\$4|keys|\$9|%R~x %W~y|\$8|channels|\$2|&z|\$9|selectors|*0|" \
        ask 'ACL GETUSER c'
    expect_like '%6|$5|flags|~2|$3|off|$16|sanitize-payload|*' ask3 'ACL GETUSER b'
    expect '$-1|' ask 'ACL GETUSER nobody'
    expect '_|' ask3 'ACL GETUSER nobody'
}

test_wrong_rules_change_nothing() {
    start_bookd
    local rule text
    while IFS='|' read -r rule text; do
        expect "ERR Error in ACL SETUSER modifier '${rule//;/|}': $text" \
            cli ACL SETUSER x on nopass "${rule//;/|}"
    done <<'END'
nosuch|Syntax error
+nosuch|Unknown command or category name in ACL
-nosuch|Unknown command or category name in ACL
+|Unknown command or category name in ACL
+@nosuch|Unknown command or category name in ACL
+config;nosuch|Unknown command or category name in ACL
+config;get;x|Allowing first-arg of a subcommand is not supported
-select;0|Unknown command or category name in ACL
+select;|Syntax error
+select;0 1|Syntax error
~a b|Syntax error
&a b|Syntax error
%X~a|Syntax error
%RR~a|Syntax error
%R|Syntax error
%~a|Syntax error
<secret|The password you are trying to remove from the user does not exist
#abc|The password hash must be exactly 64 characters and contain only lowercase hexadecimal characters
!abc|The password hash must be exactly 64 characters and contain only lowercase hexadecimal characters
(nosuch)|Syntax error
END
    expect "ERR Unmatched parenthesis in acl selector starting at '(+get'." \
        cli ACL SETUSER x '(+get' '~a'
    expect "ERR Usernames can't contain spaces or null characters" \
        cli ACL SETUSER 'a b' on
    expect_like "ERR Error in ACL SETUSER modifier '~a': Adding a pattern after the \* pattern*" \
        cli ACL SETUSER x '~*' '~a'
    expect_like "ERR Error in ACL SETUSER modifier '&a': Adding a pattern after the \* pattern*" \
        cli ACL SETUSER x '&*' '&a'
    expect default cli ACL USERS
}

test_passwords_come_and_go() {
    start_bookd
    cli ACL SETUSER p on '>one' '>two' +ping >/dev/null
    expect '+PONG|' as p one PING
    expect '+PONG|' as p two PING
    cli ACL SETUSER p '<one' >/dev/null
    expect "$wrong" ask 'AUTH p one'
    cli ACL SETUSER p "#$digest" >/dev/null
    expect '+PONG|' as p secret PING
    cli ACL SETUSER p resetpass >/dev/null
    expect "$wrong" ask 'AUTH p secret'
    cli ACL SETUSER p nopass >/dev/null
    expect '+PONG|' as p anything PING
    cli ACL SETUSER p off >/dev/null
    expect "$wrong" ask 'AUTH p anything'
}

test_acl_pubsub_default() {
    start_bookd --acl-pubsub-default allchannels
    cli ACL SETUSER a '(+get)' >/dev/null
    expect $'user a off &* -@all (&* -@all +get)' sed -n /^user.a/p <(cli ACL LIST)
    expect OK cli CONFIG SET acl-pubsub-default resetchannels
    cli ACL SETUSER a reset >/dev/null
    expect 'user a off sanitize-payload resetchannels -@all' \
        sed -n /^user.a/p <(cli ACL LIST)
}

# ---- changes are seen ----

test_a_client_sees_a_change_with_its_next_command() {
    start_bookd
    cli ACL SETUSER a on nopass '~*' +get >/dev/null
    dial
    say 'AUTH a x\r\nGET k\r\n'
    expect $'+OK\n$-1' eval 'hear; hear'
    cli ACL SETUSER a -get >/dev/null
    say 'GET k\r\n'
    expect "-NOPERM this user has no permissions to run the 'get' command" hear
    cli ACL SETUSER a +get off >/dev/null # Who is in stays in.
    say 'GET k\r\n'
    expect '$-1' hear
    hang_up
}

test_clients_of_a_deleted_user_are_disconnected() {
    start_bookd
    cli ACL SETUSER a on nopass +@all >/dev/null
    dial
    say 'AUTH a x\r\n'
    expect +OK hear
    expect 1 cli ACL DELUSER a nosuch
    expect '' hear
    hang_up
    expect "ERR The 'default' user cannot be removed" cli ACL DELUSER default
    cli ACL SETUSER a on nopass +@all '~*' >/dev/null
    expect '+OK|:1|' wire 'AUTH a x\r\nACL DELUSER a\r\nPING\r\n'
}

test_client_kill_knows_users() {
    start_bookd
    cli ACL SETUSER a on nopass +@all >/dev/null
    dial
    say 'AUTH a x\r\n'
    expect +OK hear
    expect 1 cli CLIENT KILL USER a
    expect '' hear
    hang_up
    expect 0 cli CLIENT KILL USER a
    expect "ERR No such user 'b'" cli CLIENT KILL USER b
}

test_a_user_made_anew_is_another_one() {
    start_bookd
    cli ACL SETUSER a on nopass +@all >/dev/null
    dial
    say 'AUTH a x\r\n'
    expect +OK hear
    printf 'ACL DELUSER a\nACL SETUSER a on nopass +@all\n' | cli >/dev/null
    expect '' hear
    hang_up
}

test_who_may_not_hear_a_channel_any_more_is_disconnected() {
    start_bookd
    cli ACL SETUSER a on nopass +@all '&news*' >/dev/null
    dial
    say 'AUTH a x\r\nSUBSCRIBE news1\r\nPSUBSCRIBE news*\r\n'
    expect '+OK *3 $9 subscribe $5 news1 :1 *3 $10 psubscribe $5 news* :2 ' \
        eval 'for i in {1..13}; do printf "%s " "$(hear)"; done'
    cli ACL SETUSER a '&other' >/dev/null # More is fine.
    expect 2 cli PUBLISH news1 hi
    expect '*3' hear
    cli ACL SETUSER a resetchannels '&news1' >/dev/null
    until_true test "$(cli PUBLISH news1 hi)" = 0 # The pattern has to go, too.
    hang_up
    expect '-NOPERM this user has no permissions to access one of the channels used as arguments|' \
        as a x 'PSUBSCRIBE news1*'
    expect '*3|$10|psubscribe|$5|news1|:1|' as a x 'PSUBSCRIBE news1'
}

test_who_monitors_and_hears_no_channel_stays() {
    start_bookd
    cli ACL SETUSER a on nopass +@all resetchannels >/dev/null
    dial
    say 'AUTH a x\r\nMONITOR\r\n'
    expect $'+OK\n+OK' eval 'hear; hear'
    cli ACL SETUSER a '&news' >/dev/null
    cli PING >/dev/null
    expect_like '+*"PING"' hear
    hang_up
}

test_a_transaction_is_judged_twice() {
    start_bookd
    cli ACL SETUSER a on nopass +@all '~a' >/dev/null
    expect '+OK|-NOPERM this user has no permissions to access one of the keys used as arguments|-EXECABORT Transaction discarded because of previous errors.|' \
        as a x 'MULTI\r\nSET b 1\r\nEXEC'
    dial
    say 'AUTH a x\r\nMULTI\r\nSET a 1\r\nPING\r\nECHO x\r\n'
    expect '+OK +OK +QUEUED +QUEUED +QUEUED ' \
        eval 'for i in {1..5}; do printf "%s " "$(hear)"; done'
    cli ACL SETUSER a resetkeys -echo >/dev/null
    say 'EXEC\r\n'
    expect '*3
-NOPERM ACLs rules changed between the moment the transaction was accumulated and the EXEC call. This command is no longer allowed for the following reason: no permission to touch the specified keys
+PONG
-NOPERM ACLs rules changed between the moment the transaction was accumulated and the EXEC call. This command is no longer allowed for the following reason: no permission to execute the command or subcommand' \
        eval 'hear; hear; hear; hear'
    hang_up
    expect '$-1|' ask 'GET a'
    cli ACL SETUSER a -exec >/dev/null
    expect "+OK|-EXECABORT Transaction discarded because of: NOPERM this user has no permissions to run the 'exec' command|+PONG|" \
        as a x 'MULTI\r\nEXEC\r\nPING'
}

# ---- what is told ----

test_acl_log() {
    start_bookd
    cli ACL SETUSER a on nopass +get +multi +exec '~a' >/dev/null
    expect '*0|' ask 'ACL LOG'
    as a x 'GET b\r\nGET b\r\nSET a 1\r\nMULTI\r\nGET b' >/dev/null
    ask 'AUTH a\r\nAUTH nobody secret' >/dev/null
    expect "1 auth toplevel AUTH nobody
1 key multi b a
1 command toplevel set a
2 key toplevel b a" eval "cli ACL LOG | sed -n '/^count/{n;N;N;N;N;N;N;N;N;s/\n[a-z]*\n/ /g;p}'"
    expect_like '*client-info
id=*user=a *' cli ACL LOG 2
    expect 2 eval 'cli ACL LOG 2 | grep -c ^count'
    expect '+OK|*0|' ask 'ACL LOG RESET\r\nACL LOG'
    expect '-ERR value is not an integer or out of range|' ask 'ACL LOG x'
    expect "-ERR unknown subcommand or wrong number of arguments for 'LOG'. Try ACL HELP.|" \
        ask 'ACL LOG 1 2'
    as a x 'GET b\r\nSET a 1\r\nSET b 1' >/dev/null
    expect OK cli CONFIG SET acllog-max-len 1
    as a x 'DEL a' >/dev/null
    expect 1 eval 'cli ACL LOG | grep -c ^count'
    expect '1 4 4 0' infos acl_access_denied_auth acl_access_denied_key \
        acl_access_denied_cmd acl_access_denied_channel
}

test_acl_dryrun() {
    start_bookd
    cli ACL SETUSER a on +get +publish '~a' '&c' >/dev/null
    expect '+OK|' ask 'ACL DRYRUN a GET a'
    expect "\$50|This user has no permissions to access the 'b' key|" \
        ask 'ACL DRYRUN a GET b'
    expect "This user has no permissions to run the 'set' command" \
        cli ACL DRYRUN a SET a 1
    expect "This user has no permissions to access the 'd' channel" \
        cli ACL DRYRUN a PUBLISH d x
    expect "ERR User 'b' not found" cli ACL DRYRUN b GET a
    expect "ERR Command 'NOSUCH' not found" cli ACL DRYRUN a NOSUCH
    expect "ERR wrong number of arguments for 'get' command" \
        cli ACL DRYRUN a GET
}

test_acl_genpass() {
    start_bookd
    expect_like '????????????????????????????????????????????????????????????????' \
        cli ACL GENPASS
    expect_like '??' cli ACL GENPASS 5
    expect 1024 eval 'printf %s "$(cli ACL GENPASS 4096)" | wc -c'
    expect 'ERR ACL GENPASS argument must be the number of bits for the output password, a positive number up to 4096' \
        cli ACL GENPASS 0
    [ "$(cli ACL GENPASS)" != "$(cli ACL GENPASS)" ] || fail "not random"
}

test_acl_cat() {
    start_bookd
    expect_like $'keyspace\nread\nwrite\nset\n*\nscripting\nbook' cli ACL CAT
    expect $'discard\nexec\nmulti\nunwatch\nwatch' \
        eval 'cli ACL CAT Transaction | sort'
    expect '' cli ACL CAT sortedset
    expect "ERR Unknown category 'nosuch'" cli ACL CAT nosuch
    expect_like $'ACL <subcommand>*\nWHOAMI\n*' cli ACL HELP
    expect default cli ACL WHOAMI
    expect_like '*user=default*' cli CLIENT LIST
}

# ---- bookctl ----

test_bookctl_says_who_it_is() {
    start_bookd --requirepass secret
    cli -a secret --no-auth-warning ACL SETUSER anna on '>word' +acl +ping >/dev/null
    cli -a secret --no-auth-warning ACL SETUSER open on nopass +acl >/dev/null
    expect_like "*answered: NOAUTH*" "$bookctl" -p "$port" raw ACL WHOAMI
    expect default "$bookctl" -p "$port" -a secret raw ACL WHOAMI
    expect default "$bookctl" -u "redis://:secret@127.0.0.1:$port" raw ACL WHOAMI
    expect anna "$bookctl" -p "$port" --user anna --pass word raw ACL WHOAMI
    expect open "$bookctl" -p "$port" --user open raw ACL WHOAMI
    expect open "$bookctl" -u "redis://open@127.0.0.1:$port" raw ACL WHOAMI
    expect_like '*WRONGPASS*' "$bookctl" -p "$port" -a wrong raw ACL WHOAMI
    export BOOKCTL_AUTH=word
    expect anna "$bookctl" -p "$port" --user anna raw ACL WHOAMI
    expect default "$bookctl" -p "$port" -a secret raw ACL WHOAMI
    expect 'bookctl: --pass and --askpass exclude each other' \
        "$bookctl" -p "$port" -a secret --askpass ping
    expect 'bookctl: there is no terminal to ask for the password' \
        setsid -w "$bookctl" -p "$port" --askpass ping
}

test_bookctl_asks_for_the_password() {
    needs python3
    start_bookd --requirepass secret
    # What is shown is the question, and not the answer.
    expect $'Password: \n"default"' eval "python3 - '$bookctl' '$port' <<'END' | tr -d '\r'
import os, pty, sys
child, terminal = pty.fork()
if child == 0:
    os.execv(sys.argv[1], ['bookctl', '-p', sys.argv[2], '--askpass', 'raw', 'ACL', 'WHOAMI'])
shown = os.read(terminal, 100)
os.write(terminal, b'secret\n')
try:
    while True:
        shown += os.read(terminal, 100)
except OSError:
    pass
print(shown.decode().rstrip())
END"
}

# ---- files ----

test_users_of_the_configuration() {
    cat >bookd.conf <<END
# Users:
user alice on >secret ~a +@read
user bob on #$digest "~b" (+get
user default on nopass +ping +acl
END
    bookd_fails 1 '*user bob: a parenthesis is not closed*' bookd.conf --port 0
    bookd_fails 1 '*user bob: a parenthesis is not closed*' \
        --check-config bookd.conf
    sed -i 's/(+get/(+get ~x)/' bookd.conf
    start_with_file
    expect "user alice on #$digest ~a resetchannels -@all +@read
user bob on #$digest ~b resetchannels -@all (~x resetchannels -@all +get)
user default on nopass resetchannels -@all +ping +acl" cli ACL LIST
    expect_like 'ERR This Redis instance is not configured to use an ACL file.*' \
        cli ACL SAVE
    expect_like 'ERR This Redis instance is not configured to use an ACL file.*' \
        cli ACL LOAD
    stop_bookd
    printf 'user alice on\nuser alice off\n' >bookd.conf
    bookd_fails 1 '*user alice: Duplicate user found.*' bookd.conf --port 0
    printf 'user alice on +nosuch\n' >bookd.conf
    bookd_fails 1 "*user alice: '+nosuch': Unknown command*" bookd.conf --port 0
    : >users
    printf 'user alice on\naclfile users\n' >bookd.conf
    bookd_fails 1 '*please define either an ACL file or declare users*' \
        bookd.conf --port 0
}

test_config_get_hides_users() {
    start_bookd --user alice on '>topsecret'
    expect '' cli CONFIG GET user
    expect 0 eval "cli CONFIG GET '*' | grep -c topsecret"
}

test_the_aclfile_is_loaded_and_saved() {
    printf 'user alice on >secret ~a +@read\n\nuser bob off\n' >users.acl
    chmod 640 users.acl
    start_bookd --aclfile users.acl
    expect $'alice\nbob\ndefault' cli ACL USERS
    expect OK cli ACL SETUSER carol on nopass +get '~c'
    expect 1 cli ACL DELUSER bob
    expect OK cli ACL SAVE
    expect "user alice on #$digest ~a resetchannels -@all +@read
user carol on nopass ~c resetchannels -@all +get
user default on nopass ~* &* +@all" cat users.acl
    expect 640 stat -c %a users.acl
    expect users.acl eval 'ls | grep acl' # No other file is left.
    restart_bookd --aclfile users.acl
    expect $'alice\ncarol\ndefault' cli ACL USERS
}

test_acl_load_is_all_or_nothing() {
    printf 'user alice on nopass +@all\n' >users.acl
    start_bookd --aclfile users.acl
    dial
    say 'AUTH alice x\r\n'
    expect +OK hear
    printf 'user bob on\nnonsense\nuser carol +nosuch\nuser bob off\nuser dan <x\nuser eve (+get\n' >users.acl
    expect "ERR users.acl:2 should start with user keyword followed by the username. users.acl:3: Error in applying operation '+nosuch': Unknown command or category name in ACL. WARNING: Duplicate user 'bob' found on line 4. users.acl:5: The password you are trying to remove from the user does not exist. users.acl:6: Unmatched parenthesis in selector definition.WARNING: ACL errors detected, no change to the previously active ACL rules was performed" \
        cli ACL LOAD
    expect $'alice\ndefault' cli ACL USERS
    printf 'user alice on nopass +ping\nuser bob on\n' >users.acl
    expect OK cli ACL LOAD
    expect $'alice\nbob\ndefault' cli ACL USERS
    say 'PING\r\nGET x\r\n'
    expect $'+PONG\n-NOPERM this user has no permissions to run the \'get\' command' \
        eval 'hear; hear'
    : >users.acl
    expect OK cli ACL LOAD
    expect '' hear # Her user is gone.
    hang_up
    rm users.acl
    expect_like "ERR Error loading ACLs, opening file 'users.acl': No such file*" \
        cli ACL LOAD
    stop_bookd
    bookd_fails 1 "*opening file 'users.acl'*" --aclfile users.acl --port 0
}

test_config_rewrite_writes_users() {
    printf 'user alice on #%s ~a +@read # no comment\nport 0\n' "$digest" >bookd.conf
    bookd_fails 1 "*user alice: The password hash must be*" bookd.conf
    printf 'user alice on #%s ~a +@read\n# The end.\n' "$digest" >bookd.conf
    cp bookd.conf before
    start_with_file
    expect OK cli CONFIG REWRITE
    expect '' diff <(grep ^user before) <(grep ^user bookd.conf)
    cli ACL SETUSER bob on '>secret' '~say"hi' +get >/dev/null
    expect OK cli CONFIG REWRITE
    expect "user alice on #$digest ~a resetchannels -@all +@read
user bob on #$digest \"~say\\\"hi\" resetchannels -@all +get
user default on nopass ~* &* +@all
# The end." sed /Generated/,\$d bookd.conf
    cli ACL LIST >before
    stop_bookd
    start_with_file
    expect '' diff before <(cli ACL LIST)
}

test_config_rewrite_writes_a_new_password_of_the_default_user() {
    printf 'user default on >old ~* &* +@all\n' >bookd.conf
    start_with_file
    expect OK cli -a old --no-auth-warning CONFIG SET requirepass secret
    expect OK cli -a secret --no-auth-warning CONFIG REWRITE
    expect "user default on #$digest ~* &* +@all" grep ^user bookd.conf
    stop_bookd
    start_with_file
    expect "$wrong" ask 'AUTH old'
    expect '+OK|' ask 'AUTH secret'
}

# ---- the same as Redis ----

test_random_rules_are_judged_as_by_redis() {
    needs redis-server python3
    start_redis
    start_bookd
    python3 "$BOOKD_SRC/tests/e2e/acl_differential.py" "$redis_port" "$port" ||
        fail "they differ"
}

run_tests "$@"
