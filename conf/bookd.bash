# bash completion for bookd
_bookd() {
    local word=${COMP_WORDS[COMP_CWORD]} words
    case ${COMP_WORDS[COMP_CWORD - 1]} in
    --loglevel) words='debug info notice warn error' ;;
    --seed-books) words='yes no' ;;
    --store-durability) words='full normal' ;;
    --store-hang) words='yes no' ;;
    --enable-simulate-command) words='yes no' ;;
    --record-writes) words='through behind' ;;
    --plain-writes) words='through behind none' ;;
    --race) words='never stale always' ;;
    --*) words= ;;
    *) words='--help --version --check-config --print-config --install-change-feed --remove-change-feed --install-plain-keys
        --bind
        --port
        --unixsocket
        --unixsocketperm
        --tcp-backlog
        --tcp-keepalive
        --timeout
        --maxclients
        --io-threads
        --proto-max-bulk-len
        --client-query-buffer-limit
        --client-output-buffer-limit
        --notify-keyspace-events
        --dir
        --databases
        --loglevel
        --shutdown-timeout
        --store
        --table
        --seed-books
        --store-threads
        --store-concurrency
        --store-queue
        --store-timeout
        --store-durability
        --store-delay
        --store-jitter
        --store-error-rate
        --store-tail-rate
        --store-tail-factor
        --store-hang
        --store-outage-after
        --store-outage-for
        --enable-simulate-command
        --breaker-failures
        --breaker-probe-interval
        --record-writes
        --plain-writes
        --behind-interval
        --maxmemory
        --negative-memory
        --cache-shards
        --race
        --max-age
        --stale-while-revalidate
        --stale-if-error
        --freshness-jitter
        --negative-max-age' ;;
    esac
    mapfile -t COMPREPLY < <(compgen -W "$words" -- "$word")
}
complete -o default -F _bookd bookd
