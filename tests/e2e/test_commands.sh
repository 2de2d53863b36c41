#!/bin/bash
# SPDX-License-Identifier: MIT
# shellcheck disable=SC2016 # the $ is that of the protocol
# Every command, over RESP2 and RESP3, byte for byte; and against Redis itself
# where both have the command and it means the same.
. "${BOOKD_SRC:-.}/tests/e2e/lib.sh"
needs redis-cli

readonly book3='{"id":3,"title":"A Tale of Two Cities","author":"Charles Dickens","year":1859}'

# both COMMAND REPLY [REPLY3]: REPLY3 is that over RESP3, if it is different.
both() {
    expect "$2" ask "$1"
    expect "${3-$2}" ask3 "$1"
}

# ---- the connection ----

test_ping() {
    start_bookd
    both 'PING' '+PONG|'
    both 'PING hello' '$5|hello|'
    both 'PING a b' "-ERR wrong number of arguments for 'ping' command|"
}

test_echo() {
    start_bookd
    both 'ECHO "a b"' '$3|a b|'
    both 'ECHO ""' '$0||'
    both 'ECHO' "-ERR wrong number of arguments for 'echo' command|"
}

test_select() {
    start_bookd
    both 'SELECT 0' '+OK|'
    both 'SELECT 15' '+OK|'
    both 'SELECT 16' '-ERR DB index is out of range|'
    both 'SELECT -1' '-ERR DB index is out of range|'
    both 'SELECT x' '-ERR value is not an integer or out of range|'
}

test_hello_without_a_version_keeps_the_protocol() {
    start_bookd
    expect_like '\*14|$6|server|$5|redis|$7|version|*|$5|proto|:2|$2|id|:*|$4|mode|$10|standalone|$4|role|$6|master|$7|modules|\*0|' \
        ask 'HELLO'
    expect_like '%7|$6|server|*|proto|:3|*|modules|\*0|' ask3 'HELLO'
}

test_hello_changes_the_protocol_both_ways() {
    start_bookd
    expect_like '*|:3|*|_|*|:2|*|$-1|' ask 'HELLO 3\r\nGET x\r\nHELLO 2\r\nGET x'
}

test_hello_refuses_what_it_does_not_know() {
    start_bookd
    both 'HELLO 4' '-NOPROTO unsupported protocol version|'
    both 'HELLO x' '-ERR Protocol version is not an integer or out of range|'
    both 'HELLO 3 WHAT' "-ERR Syntax error in HELLO option 'WHAT'|"
    both 'HELLO 3 AUTH somebody secret' \
        '-WRONGPASS invalid username-password pair or user is disabled.|'
}

test_hello_that_is_refused_changes_nothing() {
    start_bookd
    expect '-NOPROTO unsupported protocol version|$-1|$-1|' \
        ask 'HELLO 4 SETNAME me\r\nGET x\r\nCLIENT GETNAME'
}

test_hello_takes_a_name_and_the_user_without_password() {
    start_bookd
    expect_like '*|modules|\*0|$2|me|' \
        ask 'HELLO 2 AUTH default any SETNAME me\r\nCLIENT GETNAME'
}

test_reset_goes_back_to_resp2_and_no_name() {
    start_bookd
    expect '+OK|+RESET|$-1|' ask3 'CLIENT SETNAME me\r\nRESET\r\nCLIENT GETNAME'
}

test_quit_answers_and_closes() {
    start_bookd
    expect '+OK|' wire 'QUIT\r\nPING\r\n'
}

test_client_id_grows() {
    start_bookd
    local first second
    first=$(ask 'CLIENT ID')
    second=$(ask 'CLIENT ID')
    first=${first#:}
    second=${second#:}
    at_least $((${first%|} + 1)) "${second%|}"
}

test_client_setname_and_getname() {
    start_bookd
    both 'CLIENT GETNAME' '$-1|' '_|'
    both 'CLIENT SETNAME me\r\nCLIENT GETNAME' '+OK|$2|me|'
    both 'CLIENT SETNAME me\r\nCLIENT SETNAME ""\r\nCLIENT GETNAME' \
        '+OK|+OK|$-1|' '+OK|+OK|_|'
    both 'CLIENT SETNAME "a b"' \
        '-ERR Client names cannot contain spaces, newlines or special characters.|'
}

test_client_setinfo() {
    start_bookd
    both 'CLIENT SETINFO LIB-NAME test' '+OK|'
    both 'CLIENT SETINFO lib-ver 1.0' '+OK|'
    both 'CLIENT SETINFO LIB-AGE 1' "-ERR Unrecognized option 'LIB-AGE'|"
    both 'CLIENT SETINFO LIB-NAME "a b"' \
        '-ERR lib-name cannot contain spaces, newlines or special characters.|'
}

test_client_info_and_list() {
    start_bookd
    expect_like '$*|id=* addr=127.0.0.1:* laddr=127.0.0.1:'"$port"' *cmd=client|info *resp=2 *'$'\n''|' \
        ask 'CLIENT INFO'
    expect_like '=*|txt:id=* cmd=client|list *resp=3 *'$'\n''|' \
        ask3 'CLIENT LIST'
}

test_client_help() {
    start_bookd
    expect_like '\**|+*|*SETNAME connection-name|*' ask 'CLIENT HELP'
}

test_unknown_subcommands() {
    start_bookd
    both 'CLIENT WHAT' "-ERR unknown subcommand 'WHAT'. Try CLIENT HELP.|"
    both 'CONFIG WHAT' "-ERR unknown subcommand 'WHAT'. Try CONFIG HELP.|"
    both 'COMMAND WHAT' "-ERR unknown subcommand 'WHAT'. Try COMMAND HELP.|"
    both 'CLIENT' "-ERR wrong number of arguments for 'client' command|"
    both 'CONFIG' "-ERR wrong number of arguments for 'config' command|"
}

test_unknown_commands() {
    start_bookd
    both 'LPUSH a b' \
        "-ERR unknown command 'LPUSH', with args beginning with: 'a' 'b' |"
    both 'client|list' \
        "-ERR unknown command 'client|list', with args beginning with: |"
}

test_an_unknown_command_cannot_forge_a_reply() {
    start_bookd
    expect "-ERR unknown command 'a  +OK', with args beginning with: |+PONG|" \
        ask '*1\r\n$6\r\na\r\n+OK\r\nPING'
}

test_wrong_arity_names_the_command() {
    start_bookd
    both 'GET' "-ERR wrong number of arguments for 'get' command|"
    both 'gEt a b' "-ERR wrong number of arguments for 'get' command|"
    both 'CLIENT SETNAME' \
        "-ERR wrong number of arguments for 'client|setname' command|"
    both 'HSET book:1 title' \
        "-ERR wrong number of arguments for 'hset' command|"
    both 'HSET book:1 title a year' \
        "-ERR wrong number of arguments for 'hset' command|"
    both 'CONFIG SET a' \
        "-ERR wrong number of arguments for 'config|set' command|"
}

# ---- the command table ----

test_command_count_agrees_with_the_list() {
    start_bookd
    local count
    count=$(cli COMMAND COUNT)
    equal "$count" "$(cli COMMAND LIST | wc -l)" "COMMAND LIST"
    like "\*$count|\**" "$(ask 'COMMAND')" "COMMAND"
    like "\*$count|\**" "$(ask 'COMMAND INFO')" "COMMAND INFO"
    like "%$count|*" "$(ask3 'COMMAND DOCS')" "COMMAND DOCS"
}

test_command_info() {
    start_bookd
    both 'COMMAND INFO get nothing' \
        '*2|*10|$3|get|:2|*2|+readonly|+fast|:1|:1|:1|*3|+@read|+@string|+@fast|*0|*1|*6|$5|flags|*2|+RO|+access|$12|begin_search|*4|$4|type|$5|index|$4|spec|*2|$5|index|:1|$9|find_keys|*4|$4|type|$5|range|$4|spec|*6|$7|lastkey|:0|$7|keystep|:1|$5|limit|:0|*0|$-1|' \
        '*2|*10|$3|get|:2|~2|+readonly|+fast|:1|:1|:1|~3|+@read|+@string|+@fast|~0|~1|%3|$5|flags|~2|+RO|+access|$12|begin_search|%2|$4|type|$5|index|$4|spec|%1|$5|index|:1|$9|find_keys|%2|$4|type|$5|range|$4|spec|%3|$7|lastkey|:0|$7|keystep|:1|$5|limit|:0|~0|_|'
}

test_command_docs() {
    start_bookd
    expect_like '%1|$4|ping|%4|$7|summary|$*|$5|since|$5|1.0.0|$5|group|$10|connection|$9|arguments|\*1|%4|$4|name|$7|message|$4|type|$6|string|*' \
        ask3 'COMMAND DOCS ping nothing'
}

test_command_help() {
    start_bookd
    expect_like '\**|+*|*DOCS \[command-name ...\]|*' ask 'COMMAND HELP'
}

# ---- the server ----

test_config_get() {
    start_bookd
    both 'CONFIG GET race' '*2|$4|race|$5|stale|' '%1|$4|race|$5|stale|'
    both 'CONFIG GET nothing' '*0|' '%0|'
    both 'CONFIG GET MAXMEMORY rac?' \
        '*4|$9|maxmemory|$9|268435456|$4|race|$5|stale|' \
        '%2|$9|maxmemory|$9|268435456|$4|race|$5|stale|'
}

test_config_set() {
    start_bookd
    both 'CONFIG SET race never\r\nCONFIG GET race' \
        '+OK|*2|$4|race|$5|never|' '+OK|%1|$4|race|$5|never|'
    expect_like '-ERR Unknown option*nothing*' ask 'CONFIG SET nothing 1'
    expect_like "-ERR CONFIG SET failed*'port'*immutable*" ask 'CONFIG SET port 1'
    expect "-ERR CONFIG SET failed (possibly related to argument 'race') - argument(s) must be one of the following: never, stale, always|" \
        ask 'CONFIG SET race sometimes'
}

test_config_set_refuses_in_redis_words() {
    local failed='-ERR CONFIG SET failed (possibly related to argument'
    start_bookd
    both 'CONFIG SET race never timeout' '-ERR syntax error|'
    both 'CONFIG SET timeout 1 timeout 2' "$failed 'timeout') - duplicate parameter|"
    both 'CONFIG SET databases 3' "$failed 'databases') - can't set immutable config|"
    both 'CONFIG SET timeout x' \
        "$failed 'timeout') - argument couldn't be parsed into an integer|"
    both 'CONFIG SET hz 501' \
        "$failed 'hz') - argument must be between 1 and 500 inclusive|"
    both 'CONFIG SET maxmemory x' \
        "$failed 'maxmemory') - argument must be a memory value|"
    both 'CONFIG SET lazyfree-lazy-expire x' \
        "$failed 'lazyfree-lazy-expire') - argument must be 'yes' or 'no'|"
}

test_config_answers_what_tools_of_redis_ask() {
    start_bookd
    both 'CONFIG GET save' '*2|$4|save|$0||' '%1|$4|save|$0||'
    expect $'appendonly\nno' cli CONFIG GET appendonly
    expect $'maxmemory-policy\nnoeviction' cli CONFIG GET maxmemory-policy
    expect OK cli CONFIG SET save '' appendonly no maxmemory-policy allkeys-lru
    expect $'maxmemory-policy\nallkeys-lru' cli CONFIG GET maxmemory-policy
}

test_config_rewrite() {
    start_bookd
    both 'CONFIG REWRITE' '-ERR The server is running without a config file|'
    stop_bookd
    printf '# mine\nmax-age 10s # short\n' >bookd.conf
    while draw_port && launch_bookd "$dir/bookd.conf" --port "$port" --dir "$dir"; do
        is_ready && break
    done
    expect OK cli CONFIG SET max-age 20s race never
    expect OK cli CONFIG REWRITE
    expect $'# mine\nmax-age 20s # short' head -n 2 bookd.conf
    expect 'race never' grep race bookd.conf
    expect OK cli CONFIG SET race stale
    kill -s HUP "$pid"
    wait_log '*reloaded*'
    expect $'race\nnever' cli CONFIG GET race
    rm bookd.conf
    mkdir bookd.conf
    expect_like 'ERR Rewriting config file: *' cli CONFIG REWRITE
}

test_config_set_is_all_or_nothing() {
    start_bookd
    expect_like '-ERR *|\*2|$4|race|$5|stale|' \
        ask 'CONFIG SET race never max-age bad\r\nCONFIG GET race'
}

test_config_resetstat() {
    start_bookd
    expect store source_of book:1
    expect 1 info lookups
    both 'CONFIG RESETSTAT' '+OK|'
    expect '0 0' infos lookups store_reads
}

test_config_help() {
    start_bookd
    expect_like '\**RESETSTAT*' ask 'CONFIG HELP'
}

test_info_has_the_sections_of_redis_and_ours() {
    start_bookd
    local section text
    text=$(cli INFO)
    for section in Server Clients Memory Stats Replication CPU Cluster \
        Cache Lookup Store; do
        like "*# $section*" "$text"
        like "# $section*" "$(cli INFO "$section")"
    done
    like "=*|txt:# Server|*" "$(ask3 'INFO server')"
    expect '$0||' ask 'INFO nothing'
    equal "$(cli INFO lookup store | grep -c '^#')" 2
}

test_info_has_every_counter() {
    start_bookd
    local name text
    text=$(cli INFO)
    while read -r name; do
        like "*$name:[0-9]*" "$text"
    done < <(sed -n 's/^STAT(\([a-z_]*\),.*/\1/p' \
        "$BOOKD_SRC/server/admin/stats.def")
}

test_dbsize() {
    start_bookd
    both 'DBSIZE' ':10|'
}

test_flushall_and_flushdb() {
    start_bookd
    both 'SET a 1\r\nFLUSHALL\r\nGET a' '+OK|+OK|$-1|' '+OK|+OK|_|'
    both 'SET a 1\r\nFLUSHDB ASYNC\r\nGET a' '+OK|+OK|$-1|' '+OK|+OK|_|'
    both 'FLUSHALL SYNC' '+OK|'
    both 'FLUSHALL WHAT' '-ERR syntax error|'
    both 'FLUSHALL SYNC ASYNC' '-ERR syntax error|'
}

# ---- keys ----

test_del() {
    start_bookd
    both 'SET a 1\r\nSET b 2\r\nDEL a b c' '+OK|+OK|:2|'
    both 'DEL a' ':0|'
}

test_object() {
    start_bookd
    both 'SET n 12\r\nOBJECT ENCODING n\r\nOBJECT REFCOUNT n' \
        '+OK|$3|int|:2147483647|'
    both 'SET s word\r\nOBJECT ENCODING s\r\nOBJECT REFCOUNT s' \
        '+OK|$6|embstr|:1|'
    both 'OBJECT ENCODING book:1\r\nOBJECT REFCOUNT book:1' \
        '$9|hashtable|:1|'
    both 'OBJECT IDLETIME book:1' ':0|'
    both 'OBJECT ENCODING nothing' '$-1|' '_|'
    both 'OBJECT IDLETIME nothing' '$-1|' '_|'
    both 'OBJECT FREQ nothing' '$-1|' '_|'
    expect_like '-ERR An LFU maxmemory policy is not selected, *' \
        ask 'OBJECT FREQ n'
    expect_like '\*11|*' ask 'OBJECT HELP'
}

test_object_tells_small_hashes_from_large_ones() {
    start_bookd
    cli HSET small f v >/dev/null
    cli HSET large f "$(printf '%065d' 1)" >/dev/null
    both 'OBJECT ENCODING small' '$8|listpack|'
    both 'OBJECT ENCODING large' '$9|hashtable|'
}

test_move() {
    start_bookd
    both 'SELECT 1\r\nSET a 1\r\nMOVE a 2\r\nMOVE a 2\r\nSELECT 2\r\nGETDEL a' \
        '+OK|+OK|:1|:0|+OK|$1|1|'
}

test_swapdb() {
    start_bookd
    both 'SELECT 1\r\nSET a 1\r\nSWAPDB 1 2\r\nGET a\r\nSELECT 2\r\nGETDEL a' \
        '+OK|+OK|+OK|$-1|+OK|$1|1|' '+OK|+OK|+OK|_|+OK|$1|1|'
}

test_randomkey() {
    start_bookd
    both 'SELECT 1\r\nRANDOMKEY' '+OK|$-1|' '+OK|_|'
    both 'SELECT 1\r\nSET a 1\r\nRANDOMKEY\r\nDEL a' '+OK|+OK|$1|a|:1|'
    expect_like '$*|book:*|' ask 'RANDOMKEY'
}

test_wait() {
    start_bookd
    both 'WAIT 0 0' ':0|'
    both 'WAIT 1 1' ':0|'
    both 'WAIT 1 -1' '-ERR timeout is negative|'
    both 'WAIT 1 x' '-ERR timeout is not an integer or out of range|'
    both 'MULTI\r\nWAIT 1 0\r\nEXEC' '+OK|+QUEUED|*1|:0|'
}

test_exists_counts_repetitions() {
    start_bookd
    both 'SET a 1\r\nEXISTS a a nothing book:1 book:99' '+OK|:3|'
}

test_type() {
    start_bookd
    both 'SET a 1\r\nTYPE a\r\nTYPE book:1\r\nTYPE nothing\r\nTYPE book:99' \
        '+OK|+string|+hash|+none|+none|'
}

test_ttl() {
    start_bookd
    both 'SET a 1 EX 100\r\nTTL a' '+OK|:100|'
    both 'SET a 1\r\nTTL a\r\nTTL nothing\r\nTTL book:1' '+OK|:-1|:-2|:-1|'
}

test_keys() {
    start_bookd
    both 'KEYS book:1*' '*2|$6|book:1|$7|book:10|'
    both 'KEYS nothing*' '*0|'
}

test_scan() {
    start_bookd --seed-books no
    both 'SET a 1\r\nSCAN 0' '+OK|*2|$1|0|*1|$1|a|'
    both 'SCAN 0 MATCH b*' '*2|$1|0|*0|'
    both 'SCAN 0 TYPE hash' '*2|$1|0|*0|'
    both 'SCAN 0 TYPE string COUNT 1000' '*2|$1|0|*1|$1|a|'
    both 'SCAN x' '-ERR invalid cursor|'
    both 'SCAN 0 COUNT 0' '-ERR syntax error|'
    both 'SCAN 0 COUNT x' '-ERR value is not an integer or out of range|'
    both 'SCAN 0 MATCH' '-ERR syntax error|'
    both 'SCAN 0 WHAT x' '-ERR syntax error|'
}

# ---- values ----

test_get_and_set() {
    start_bookd
    both 'SET a 1\r\nGET a' '+OK|$1|1|'
    both 'GET nothing' '$-1|' '_|'
    both 'GET book:3' "\$${#book3}|$book3|"
}

test_set_options() {
    start_bookd
    both 'SET a 1 PX 100000\r\nTTL a' '+OK|:100|'
    both 'SET a 1 EXAT 9999999999\r\nEXISTS a' '+OK|:1|'
    both 'SET a 1 PXAT 9999999999999\r\nEXISTS a' '+OK|:1|'
    both 'SET a 1 EX' '-ERR syntax error|'
    both 'SET a 1 EX x' '-ERR value is not an integer or out of range|'
    both 'SET a 1 EX 0' "-ERR invalid expire time in 'set' command|"
    both 'SET a 1 EX -1' "-ERR invalid expire time in 'set' command|"
    both 'SET a 1 EX 9223372036854775807' \
        "-ERR invalid expire time in 'set' command|"
    both 'SET a 1 WHAT' '-ERR syntax error|'
    both 'SET a 1 EX 1 PX 1' '-ERR syntax error|'
    both 'SET b 1 NX\r\nSET b 2 NX\r\nGETDEL b' '+OK|$-1|$1|1|' '+OK|_|$1|1|'
    both 'SET a 1 XX GET KEEPTTL' '$1|1|'
    both 'SET a 1 NX XX' '-ERR syntax error|'
}

test_strings_that_depend_on_what_is_there() {
    start_bookd
    both 'DEL k\r\nSETNX k 1\r\nSETNX k 2' ':0|:1|:0|' ':1|:1|:0|'
    both 'SETEX k 100 v\r\nTTL k' '+OK|:100|'
    both 'PSETEX k 100000 v\r\nTTL k' '+OK|:100|'
    both 'GETSET k w\r\nGETEX k EX 50\r\nTTL k' '$1|v|$1|w|:50|'  '$1|w|$1|w|:50|'
    both 'SET k w\r\nGETDEL k\r\nGETDEL k' '+OK|$1|w|$-1|' '+OK|$1|w|_|'
    both 'SET k ab\r\nAPPEND k cd\r\nSETRANGE k 1 XY\r\nGETRANGE k 0 -2\r\nSUBSTR k -2 -1' \
        '+OK|:4|:4|$3|aXY|$2|Yd|'
    both 'SET k 5\r\nINCR k\r\nDECR k\r\nINCRBY k 5\r\nDECRBY k 3\r\nINCRBYFLOAT k 0.5' \
        '+OK|:6|:5|:10|:7|$3|7.5|'
    both 'INCR k' '-ERR value is not an integer or out of range|'
    both 'MSET k 1 l 2\r\nMSETNX l 3 m 4\r\nMGET k l m' '+OK|:0|*3|$1|1|$1|2|$-1|' \
        '+OK|:0|*3|$1|1|$1|2|_|'
}

test_expiry() {
    start_bookd
    both 'SET k v\r\nEXPIRE k 100\r\nTTL k\r\nEXPIRE k 50 GT\r\nPERSIST k\r\nPERSIST k' \
        '+OK|:1|:100|:0|:1|:0|'
    both 'PEXPIRE k 100000\r\nTTL k\r\nPEXPIREAT k 9999999999999\r\nPEXPIRETIME k' \
        ':1|:100|:1|:9999999999999|'
    both 'EXPIREAT k 9999999999\r\nEXPIRETIME k\r\nEXPIREAT k 1\r\nPTTL k' \
        ':1|:9999999999|:1|:-2|' ':0|:-2|:0|:-2|'
}

test_names() {
    start_bookd
    both 'SET k v\r\nDEL l m\r\nRENAME k l\r\nRENAMENX l m\r\nCOPY m k\r\nTOUCH k l m' \
        '+OK|:0|+OK|:1|:1|:2|' '+OK|:1|+OK|:1|:1|:2|'
    both 'UNLINK k l m\r\nRENAME k l' ':2|-ERR no such key|' ':0|-ERR no such key|'
}

test_transactions() {
    start_bookd
    both 'MULTI\r\nSET k v\r\nEXEC' '+OK|+QUEUED|*1|+OK|'
    both 'MULTI\r\nDISCARD\r\nEXEC' '+OK|+OK|-ERR EXEC without MULTI|'
    both 'WATCH k\r\nUNWATCH\r\nMULTI\r\nEXEC' '+OK|+OK|+OK|*0|'
}

test_pubsub() {
    start_bookd
    both 'PUBSUB CHANNELS\r\nPUBSUB NUMPAT\r\nPUBSUB SHARDCHANNELS' '*0|:0|*0|'
    both 'PUBSUB SHARDNUMSUB\r\nSPUBLISH a b' '*0|:0|'
    expect_like '*PUBSUB <subcommand>*' cli PUBSUB HELP
    expect '*3|$11|unsubscribe|$-1|:0|' ask 'UNSUBSCRIBE'
    expect '*3|$12|punsubscribe|$-1|:0|' ask 'PUNSUBSCRIBE'
    expect '*3|$12|sunsubscribe|$-1|:0|' ask 'SUNSUBSCRIBE'
    expect '*3|$10|ssubscribe|$1|a|:1|' ask 'SSUBSCRIBE a'
}

test_dead_letters() {
    start_bookd
    both 'BOOK.DEADLETTER COUNT\r\nBOOK.DEADLETTER LIST\r\nBOOK.DEADLETTER LIST 0 COUNT 5' \
        ':0|*2|$1|0|*0|*2|$1|0|*0|'
    both 'BOOK.DEADLETTER GET 1\r\nBOOK.DEADLETTER DROP 1\r\nBOOK.DEADLETTER RETRY ALL' \
        '$-1|:0|:0|' '_|:0|:0|'
    expect_like '*BOOK.DEADLETTER <subcommand>*' cli BOOK.DEADLETTER HELP
}

test_book_version() {
    start_bookd
    expect_like ':*|' ask 'BOOK.VERSION'
    expect_like ':*|' ask 'BOOK.VERSION book:3'
}

test_mget() {
    start_bookd
    both 'SET a 1\r\nMGET a nothing book:3 a' \
        "+OK|*4|\$1|1|\$-1|\$${#book3}|$book3|\$1|1|" \
        "+OK|*4|\$1|1|_|\$${#book3}|$book3|\$1|1|"
}

test_strlen() {
    start_bookd
    both 'SET a 123\r\nSTRLEN a\r\nSTRLEN nothing' '+OK|:3|:0|'
    both 'STRLEN book:3' ":${#book3}|"
}

test_hash_commands_on_a_record() {
    start_bookd
    both 'HGET book:2 title' '$10|The Hobbit|'
    both 'HGET book:2 nothing' '$-1|' '_|'
    both 'HMGET book:2 year nothing title' \
        '*3|$4|1937|$-1|$10|The Hobbit|' '*3|$4|1937|_|$10|The Hobbit|'
    both 'HGETALL book:2' \
        '*8|$2|id|$1|2|$5|title|$10|The Hobbit|$6|author|$14|J.R.R. Tolkien|$4|year|$4|1937|' \
        '%4|$2|id|$1|2|$5|title|$10|The Hobbit|$6|author|$14|J.R.R. Tolkien|$4|year|$4|1937|'
    both 'HKEYS book:2' '*4|$2|id|$5|title|$6|author|$4|year|'
    both 'HVALS book:2' '*4|$1|2|$10|The Hobbit|$14|J.R.R. Tolkien|$4|1937|'
    both 'HLEN book:2' ':4|'
    both 'HEXISTS book:2 year' ':1|'
    both 'HEXISTS book:2 nothing' ':0|'
    both 'HSTRLEN book:2 title' ':10|'
    both 'HSTRLEN book:2 nothing' ':0|'
    both 'HSCAN book:2 0 MATCH t*' '*2|$1|0|*2|$5|title|$10|The Hobbit|'
    both 'HRANDFIELD book:2 9' '*4|$2|id|$5|title|$6|author|$4|year|'
}

test_hash_commands_on_a_hash() {
    start_bookd
    both 'HSET h a 1 b two a 3' ':2|' ':0|'
    both 'HGETALL h' '*4|$1|a|$1|3|$1|b|$3|two|' '%2|$1|a|$1|3|$1|b|$3|two|'
    both 'TYPE h' '+hash|'
    both 'HSTRLEN h b' ':3|'
    both 'HSCAN h 0' '*2|$1|0|*4|$1|a|$1|3|$1|b|$3|two|'
    both 'HRANDFIELD h 2 WITHVALUES' '*4|$1|a|$1|3|$1|b|$3|two|' \
        '*2|*2|$1|a|$1|3|*2|$1|b|$3|two|'
    both 'HRANDFIELD nothing' '$-1|' '_|'
    expect ':4|$3|4.5|' ask 'HINCRBY h a 1\r\nHINCRBYFLOAT h a 0.5'
    expect ':0|+OK|' ask 'HSETNX h a 1\r\nHMSET h c 1'
    expect ':3|:0|' ask 'HDEL h a b c\r\nEXISTS h'
    both 'GET h\r\nSET h 1\r\nGETDEL h' '$-1|+OK|$1|1|' '_|+OK|$1|1|'
}

test_string_commands_on_a_hash_are_of_the_wrong_type() {
    start_bookd
    local command
    local wrong='-WRONGTYPE Operation against a key holding the wrong kind of value|'
    expect 1 cli HSET h f v
    for command in 'GET h' 'STRLEN h' 'GETRANGE h 0 1' 'APPEND h x' 'INCR h' \
        'INCRBYFLOAT h x' 'SETRANGE h 0 x' 'GETSET h x' 'GETDEL h' 'GETEX h' \
        'GETEX h EX 10' 'SET h x GET'; do
        both "$command" "$wrong"
    done
    both 'MGET h' '*1|$-1|' '*1|_|'
    both 'HGET h f' '$1|v|'
}

test_hash_commands_on_nothing() {
    start_bookd
    local key
    for key in book:99 nothing; do
        both "HGET $key title" '$-1|' '_|'
        both "HMGET $key title year" '*2|$-1|$-1|' '*2|_|_|'
        both "HGETALL $key" '*0|' '%0|'
        both "HKEYS $key" '*0|'
        both "HVALS $key" '*0|'
        both "HLEN $key" ':0|'
        both "HEXISTS $key title" ':0|'
    done
}

test_hash_commands_on_a_plain_key_are_of_the_wrong_type() {
    start_bookd
    local command
    local wrong='-WRONGTYPE Operation against a key holding the wrong kind of value|'
    expect OK cli SET a 1
    for command in 'HGET a f' 'HMGET a f' 'HGETALL a' 'HKEYS a' 'HVALS a' \
        'HLEN a' 'HEXISTS a f' 'HSTRLEN a f' 'HSCAN a 0' 'HRANDFIELD a' \
        'HSET a f v' 'HSETNX a f v' 'HINCRBY a f 1' 'HDEL a f'; do
        both "$command" "$wrong"
    done
}

test_hset() {
    start_bookd
    both 'HSET book:2 year 1938' ':0|'
    expect ':2|' ask 'HSET book:50 title New author Me'
    both 'HMSET book:2 year 1937\r\nHSETNX book:2 year 1' '+OK|:0|'
    both 'HINCRBY book:2 year 1\r\nHINCRBYFLOAT book:2 year -1' ':1938|$4|1937|'
    expect ':1|' ask 'HDEL book:2 year'
}

test_book_get() {
    start_bookd
    expect_like "\*8|\$5|value|\$${#book3}|$book3|\$6|source|\$5|store|\$6|age-ms|:0|\$7|took-us|:[0-9]*|" \
        ask 'BOOK.GET book:3'
    expect_like "%4|\$5|value|\$${#book3}|$book3|\$6|source|\$5|cache|\$6|age-ms|:*|\$7|took-us|:[0-9]*|" \
        ask3 'BOOK.GET book:3'
    expect_like '%4|$5|value|_|$6|source|$5|store|*' ask3 'BOOK.GET book:99'
}

test_book_get_within_bounds() {
    start_bookd
    both 'BOOK.GET book:3 MAXAGE' '-ERR syntax error|'
    both 'BOOK.GET book:3 WHAT 1' '-ERR syntax error|'
    both 'BOOK.GET book:3 WAIT -1' \
        '-ERR WAIT takes a number of milliseconds, 0 or more|'
    expect_like "%4|\$5|value|\$${#book3}|$book3|\$6|source|\$5|store|*" \
        ask3 'BOOK.GET book:3 maxage 0 stale 0 wait 60000'
    expect_like '\*8|$5|value|$13|{"year":1937}|$6|source|$5|store|*' \
        ask 'BOOK.GET book:2 FIELDS year'
}

test_book_why() {
    start_bookd
    expect '*12|$5|table|$5|books|$5|state|$6|absent|$7|answers|$5|store|$6|reason|$16|there is no copy|$4|race|$5|stale|$6|flight|$2|no|' \
        ask 'BOOK.WHY book:3'
    expect_like '%6|$5|table|$5|plain|*' ask3 'BOOK.WHY nothing'
    cli GET book:3 >/dev/null
    expect_like '%15|*|$6|origin|$4|miss|*|$5|bytes|:*|' ask3 'BOOK.WHY book:3'
}

test_book_simulate() {
    start_bookd --enable-simulate-command yes
    both 'BOOK.SIMULATE delay 1ms tail 1%x10 errors 0%' '+OK|'
    both 'BOOK.SIMULATE off' '+OK|'
    both 'BOOK.SIMULATE delay' '-ERR syntax error|'
    both 'BOOK.SIMULATE what 1' '-ERR syntax error|'
}

test_book_evict() {
    start_bookd
    both 'GET book:2\r\nBOOK.EVICT book:2 book:3' \
        '$67|{"id":2,"title":"The Hobbit","author":"J.R.R. Tolkien","year":1937}|:1|'
    both 'BOOK.EVICT book:2' ':0|'
}

test_shutdown_answers_nothing() {
    start_bookd
    expect '' wire 'SHUTDOWN\r\n'
    wait_good_end
}

test_every_command_is_tried_here() {
    local name handler
    while IFS="\"" read -r _ name handler; do
        case $handler in
        ', container,'*) continue ;;
        esac
        # At the beginning of a line that is sent: behind a quote or \n.
        grep -qiE "(['n]|cli )${name//|/ }([ '\\)]|\$)" \
            "$BOOKD_SRC"/tests/e2e/test_*.sh ||
            fail "no test of $name"
    done < <(grep '^COMMAND(' "$BOOKD_SRC/server/command/commands.def")
}

# ---- the same as Redis ----

# Lines to try on both.  What bookd documents as different is not among them.
readonly same_as_redis='PING
PING hello
PING a b
ping
ECHO hello
ECHO
SELECT 0
SELECT x
SELECT 99
SELECT -1
SELECT 99999999999
SELECT 3
GET a
SET a 3
MOVE a 3
MOVE a 16
MOVE a x
MOVE a 99999999999
MOVE a 4
MOVE a 4
SELECT 4
GET a
SET b 4
COPY a b
COPY a b DB 4
COPY a a DB 4
COPY a b DB 5 REPLACE
COPY a b DB 5
COPY a b DB 16
COPY a b DB x
DBSIZE
RANDOMKEY x
FLUSHDB what
FLUSHDB
DBSIZE
RANDOMKEY
SELECT 5
GET b
SWAPDB 5 4
GET b
SWAPDB 4 16
SWAPDB x 4
SWAPDB 4 x
SWAPDB 99999999999 1
SWAPDB 1 1
SELECT 4
GET b
DBSIZE
MULTI
SELECT 6
SET c 6
SELECT 99
EXEC
GET c
SELECT 4
GET c
FLUSHALL
OBJECT
OBJECT what
OBJECT ENCODING
OBJECT ENCODING a
OBJECT FREQ a
SET a 1
SET b x
OBJECT ENCODING a
OBJECT ENCODING b
OBJECT REFCOUNT a
OBJECT REFCOUNT b
OBJECT FREQ a
OBJECT IDLETIME nothing
DEL a b
WAIT
WAIT x 0
WAIT 1 x
WAIT 1 -1
WAIT 0 0
WAIT -1 0
WAIT 1 1
SELECT 0
NOSUCH
NOSUCH a b c
GET
GET a b
DEL
SET a
SET a 1
GET a
SET "a b" "\x41\\n\\t\\""
GET "a b"
SET single '\''its'\''
GET single
STRLEN a
STRLEN nothing
TYPE a
TYPE nothing
EXISTS a a nothing
TTL a
TTL nothing
SET t 1 EX 100
TTL t
set t 1 px 100000
TTL t
SET t 1
TTL t
SET t 1 EX
SET t 1 EX x
SET t 1 EX 0
SET t 1 EX -5
SET t 1 PX 9223372036854775807
SET t 1 EX 9223372036854775807
SET t 1 NONSENSE
SET t 1 EX 1 PX 1
MGET a nothing "a b"
MGET
HGET a f
HMGET a f
HGETALL a
HKEYS a
HVALS a
HLEN a
HEXISTS a f
HGET nothing f
HMGET nothing f g
HGETALL nothing
HKEYS nothing
HVALS nothing
HLEN nothing
HEXISTS nothing f
HSET nothing f
DBSIZE
DEL t single
DBSIZE
KEYS a
KEYS nothing*
SCAN x
SCAN 0 COUNT 0
SCAN 0 COUNT x
SCAN 0 MATCH
SCAN 0 WHAT x
SCAN 0 MATCH nothing*
CLIENT GETNAME
CLIENT SETNAME me
CLIENT GETNAME
CLIENT SETNAME "a b"
CLIENT SETNAME ""
CLIENT GETNAME
CLIENT
CLIENT NOSUCH
CLIENT GETNAME x
CONFIG
CONFIG NOSUCH
CONFIG GET
CONFIG GET nosuch
CONFIG GET maxclients
CONFIG GET timeout
CONFIG SET nosuch 1
CONFIG SET a
COMMAND NOSUCH
COMMAND INFO nosuch
COMMAND DOCS nosuch
HELLO 4
HELLO x
HELLO 3 WHAT
HELLO 3 SETNAME "a b"
HELLO 3 AUTH default
FLUSHALL WHAT
FLUSHALL
DBSIZE
SCAN 0
KEYS *
FLUSHDB SYNC
RESET
GET nothing
SHUTDOWN WHAT'

test_replies_are_those_of_redis() {
    local line hello text
    command -v redis-server >/dev/null || skip "redis-server is not installed"
    start_redis
    start_bookd --seed-books no
    for hello in '' 'HELLO 3\r\n'; do
        text=$hello
        while IFS= read -r line; do
            text+="$line\r\n"
        done <<<"$same_as_redis"
        wire "${text}QUIT\r\n" | tr '|' '\n' >ours
        wire "${text}QUIT\r\n" "$redis_port" | tr '|' '\n' >theirs
        # The replies of HELLO are different, by version and number.
        if [ -n "$hello" ]; then
            sed -i '1,/^modules$/d' ours theirs
        fi
        diff theirs ours || fail "Redis (<) is different ${hello:+over RESP3}"
    done
    kill "$redis_pid"
}

run_tests "$@"
