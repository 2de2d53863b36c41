# SPDX-License-Identifier: MIT
# Completion of bookctl for bash.
# Made by bookctl --completion from the tables in client/*.def.

_bookctl()
{
    local word=${COMP_WORDS[COMP_CWORD]}
    local before=${COMP_WORDS[COMP_CWORD - 1]}
    local command='' files='' words='' options i

    COMPREPLY=()
    for ((i = 1; i < COMP_CWORD; i++)); do
        case ${COMP_WORDS[i]} in
        get|why|list|add|set|rm|import|export|demo|ping|stat|watch|raw|simulate|help)
            command=${COMP_WORDS[i]}
            break
            ;;
        esac
    done

    case $before in
    -H | --host)
        return
        ;;
    -p | --port)
        return
        ;;
    -s | --socket)
        compopt -o filenames
        mapfile -t COMPREPLY < <(compgen -f -- "$word")
        return
        ;;
    -u | --uri)
        return
        ;;
    --user)
        return
        ;;
    -a | --pass)
        return
        ;;
    --timeout)
        return
        ;;
    --color)
        mapfile -t COMPREPLY < <(compgen -W 'auto always never' -- "$word")
        return
        ;;
    -n | --limit)
        return
        ;;
    -m | --map)
        return
        ;;
    --rounds)
        return
        ;;
    --ids)
        return
        ;;
    --count)
        return
        ;;
    --seed)
        return
        ;;
    --max-age)
        return
        ;;
    --stale)
        return
        ;;
    -w | --wait)
        return
        ;;
    --watch)
        return
        ;;
    esac

    options=' --host --port --socket --uri --user --pass --askpass --timeout --color --help --version'
    case $command in
    '')
        words='get why list add set rm import export demo ping stat watch raw simulate help'
        ;;
    get)
        options+=' --json --csv --max-age --stale --wait'
        ;;
    why)
        options+=' --json'
        ;;
    list)
        options+=' --json --csv --limit'
        ;;
    add)
        options+=' --json --csv'
        words='title= author= year='
        compopt -o nospace
        ;;
    set)
        options+=' --json --csv'
        words='title= author= year='
        compopt -o nospace
        ;;
    rm)
        options+=''
        ;;
    import)
        options+=' --map'
        files=1
        ;;
    export)
        options+=' --json --csv'
        files=1
        ;;
    demo)
        options+=' --rounds --ids --count --seed'
        ;;
    ping)
        options+=' --json --wait'
        ;;
    stat)
        options+=' --json --watch'
        ;;
    watch)
        options+=' --json --values'
        ;;
    raw)
        options+=' --json'
        ;;
    simulate)
        options+=''
        ;;
    help)
        options+=''
        words='get why list add set rm import export demo ping stat watch raw simulate help output uri durations'
        ;;
    esac

    if [[ $word == -* ]]; then
        compopt +o nospace
        mapfile -t COMPREPLY < <(compgen -W "$options" -- "$word")
    elif [[ $files ]]; then
        compopt -o filenames
        mapfile -t COMPREPLY < <(compgen -f -- "$word")
    elif [[ $words ]]; then
        mapfile -t COMPREPLY < <(compgen -W "$words" -- "$word")
    fi
}
complete -F _bookctl bookctl
